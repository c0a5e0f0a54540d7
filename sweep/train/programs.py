"""A pass over the rows as one program: every batch through `train_step` or `test_step` in one `tf.function`.

A `Program` is traced from one model and can then be bound to the variables of another (`set_external_captures`): that
model trains as if the program were its own, and the first is not touched. Whether two models may share one is for
`sharing.py` to say. The data are arguments of the program, never constants in it.

It begins as a plain graph. Where so many passes have run or are to come that compiling pays, XLA compiles it in a
thread while the graph goes on training: the compiling run works on copies of the variables, so that it disturbs
nothing. Where XLA turns out slower than the graph, the graph stays. XLA draws other random numbers than a graph.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train.data import Layout, Rows, Unsuitable
from sweep.train.metric_names import flatten
from sweep.train.steps import trace_step
from sweep.train.trace_names import TraceNames

COMPILE_COST = 2.0
"""How many times the seconds of its tracing XLA takes to compile a program (measured: 1.5 to 2.5)."""

STEP_SECONDS = 0.002
"""Steps that take longer as a graph are left to it: they compute more than they dispatch, where XLA gains little."""

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


class Program:
    """One pass over rows of a layout by a step of a model.

    Args:
        model: a compiled model. Whatever of it, its loss, metrics and optimizer is not built yet is built by tracing.
        step: the model's `train_step` or `test_step`.
        layout: of the rows.
        shuffled: whether `run` takes an order of the rows; without it the rows are read as they stand.
        place: names the program in all processes that may share it; None for one of its own.

    Attributes:
        names: names of the logs that `run` returns, sorted.

    Raises:
        Unsuitable: the step cannot be traced in a loop. So looks an error in the user's model, which `fit` tells.
    """

    def __init__(
        self,
        model: keras.Model,
        step: Callable[[Any], Any],
        layout: Layout,
        *,
        shuffled: bool,
        place: str | None = None,
    ) -> None:
        began = time.perf_counter()
        self._names = contextlib.nullcontext if place is None else TraceNames(place).given
        try:
            with self._names():
                self._passing = _Passing(model, step, layout, shuffled)
                graph = self._passing.trace(xla=False)
        except Unsuitable:
            raise
        except Exception as refusal:
            raise Unsuitable(f"the model's step does not trace: {type(refusal).__name__}: {refusal}") from refusal
        self._tracing_seconds = time.perf_counter() - began
        self.names = sorted(flatten(graph.structured_outputs))
        self._graph = _Version(graph)
        self._fast: _Version | None = None
        self._compiled = False
        self._variables: Sequence[keras.Variable] = ()
        self._positions: dict[int, int] = {}

    def generalize(self, variables: Sequence[keras.Variable]) -> bool:
        """Makes the program one that can be bound, if all that it takes from outside is among these variables.

        Args:
            variables: of the model that was traced, in the order of `sharing.variables`.

        Returns:
            Whether it is.
        """
        positions = {id(variable.value.handle): position for position, variable in enumerate(variables)}
        if not all(id(taken) in positions for taken in self._graph.own):
            return False
        self._positions, self._variables = positions, variables
        return True

    def bind(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the variables of another model of the same key those that the program reads and writes.

        Args:
            variables: in the order in which `generalize` was given those of the first model; empty to let go of them.
        """
        self._variables = variables
        self._graph.bind(variables, self._positions)
        if self._fast is not None:
            self._fast.bind(variables, self._positions)

    def run(self, rows: Rows, order: np.ndarray[Any, Any] | None = None) -> dict[str, Any]:
        """Runs all batches and returns the logs that `fit` would show after them, as Python floats.

        Args:
            rows: of the program's layout.
            order: for a shuffled pass, a permutation of the rows' numbers, of shape `(count,)`.
        """
        arguments = rows.tensors if order is None else (tf.constant(order, tf.int32), *rows.tensors)
        fast = self._fast
        if fast is None or (fast.runs > 1 and fast.seconds > self._graph.seconds):
            return self._graph.run(arguments)
        fast.bind(self._variables, self._positions)
        with _graph_optimizer_off():
            return fast.run(arguments)

    def speed_up(self, rows: Rows, passes_to_come: int) -> None:
        """Starts compiling with XLA, once, if the passes that were and are to come are worth it.

        Args:
            rows: of the program's layout, for the compiling run.
            passes_to_come: how often the program will still run in this training.
        """
        graph = self._graph
        if self._compiled or graph.runs < 2 or graph.seconds > STEP_SECONDS * self._passing.layout.steps:
            return
        if (graph.runs + passes_to_come) * graph.seconds > COMPILE_COST * self._tracing_seconds:
            self.compile(rows)

    def compile(self, rows: Rows) -> threading.Thread | None:
        """Starts compiling with XLA in a thread, which is returned.

        None where there is nothing to compile (a program that cannot be bound, a single batch), and while another
        compiles: two at a time would leave the training no processor.
        """
        if not self._positions or self._passing.layout.steps == 1 or not _one_at_a_time.acquire(blocking=False):
            return None
        self._compiled = True
        with self._names():
            fast = _Version(self._passing.trace(xla=True))
        copies = [tf.Variable(variable.value) for variable in self._variables]
        order = [tf.range(self._passing.layout.count)] if self._passing.shuffled else []

        def compile_by_running() -> None:
            fast.bind(copies, self._positions)
            try:
                fast.function(*order, *rows.tensors)
                self._fast = fast
            except Exception as refusal:
                _log.debug("XLA does not compile the step, the graph stays: %s", refusal)
            finally:
                _one_at_a_time.release()

        thread = threading.Thread(target=compile_by_running, name="sweep-xla")
        thread.start()
        return thread


class _Version:
    """A program as graph or by XLA: what it is bound to, and how fast it is."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.own = tuple(function.captured_inputs)
        self.runs = 0
        self.seconds = math.inf
        self._bound: Any = self.own

    def bind(self, variables: Sequence[Any], positions: Mapping[int, int]) -> None:
        """Takes the variables at the positions of its own; its own again where there are none."""
        if variables is self._bound:
            return
        self._bound = variables
        taken = [_handle(variables[positions[id(own)]]) for own in self.own] if variables else self.own
        self.function.set_external_captures(list(taken))

    def run(self, arguments: Sequence[tf.Tensor]) -> dict[str, Any]:
        """The logs of a run, whose time counts if it is the shortest so far."""
        began = time.perf_counter()
        logs = _floats(self.function(*arguments))
        self.runs, self.seconds = self.runs + 1, min(self.seconds, time.perf_counter() - began)
        return logs


@contextlib.contextmanager
def _graph_optimizer_off() -> Iterator[None]:
    """Spares what XLA does anyway: 0.2 s whenever a seed is set, upon which TensorFlow readies every function anew."""
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def _handle(variable: Any) -> tf.Tensor:
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle


class _Passing:
    """What is traced: all batches of a layout, then the results of the metrics.

    It holds the traced step, not the model, so that it can be traced again when that model is gone.
    """

    def __init__(self, model: keras.Model, step: Callable[[Any], Any], layout: Layout, shuffled: bool) -> None:
        self.layout = layout
        self.shuffled = shuffled
        self._step = trace_step(model, step, layout)
        self._results = tf.function(model.get_metrics_result, autograph=False).get_concrete_function()
        for traced in (self._step, self._results):
            traced.graph.variables = ()  # held weakly for a gradient tape, which would miss them when the model is gone

    def trace(self, xla: bool) -> Any:
        """The pass as a concrete function, compiled by XLA or a graph.

        XLA needs fixed shapes, so that a last batch of another size is a step of its own there, which makes compiling
        some 1.2 times as long. The graph has it in the loop, where it costs nothing.
        """
        layout = self.layout
        full, rest = divmod(layout.count, layout.batch)

        def passing(*arguments: tf.Tensor) -> dict[str, Any]:
            if not xla or not rest:
                logs = self._batches(arguments, layout.steps, fixed=not rest)
            else:
                self._batches(arguments, full, fixed=True)
                logs = self._logs_of(arguments, full * layout.batch, rest)
            results = self._results()
            return dict(results if set(results) == set(logs) else logs)

        order = [tf.TensorSpec([layout.count], tf.int32)] if self.shuffled else []
        # Inside of a graph, for XLA compiles a function that is called from Python with a lock that stops all others.
        inner = tf.function(passing, autograph=False, jit_compile=True) if xla else passing
        outer = tf.function(lambda *arguments: inner(*arguments), autograph=False)
        return outer.get_concrete_function(*order, *layout.signature(layout.count))

    def _batches(self, arguments: Sequence[tf.Tensor], steps: int, fixed: bool) -> Any:
        """The logs of the last of so many batches; the last is of full size if `fixed`."""
        count, batch = self.layout.count, self.layout.batch
        empty = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), self._step.structured_outputs)

        def one_more(number: tf.Tensor, _: Any) -> tuple[tf.Tensor, Any]:
            start = number * batch
            return number + 1, self._logs_of(arguments, start, batch if fixed else tf.minimum(batch, count - start))

        return tf.while_loop(lambda number, _: number < steps, one_more, (0, empty), parallel_iterations=1)[1]

    def _logs_of(self, arguments: Sequence[tf.Tensor], start: Any, size: Any) -> Any:
        if self.shuffled:
            order, *tensors = arguments
            chosen = tf.slice(order, [start], [size])
            batch = [tf.gather(tensor, chosen) for tensor in tensors]
        else:
            batch = [tf.slice(t, [start] + [0] * (len(t.shape) - 1), [size, *t.shape[1:]]) for t in arguments]
        return self._step(self.layout.pack(batch))


def _floats(logs: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in flatten(logs).items():
        array = value.numpy()
        values[name] = float(array) if array.ndim == 0 else array
    return values
