"""A pass over the rows as one program: every batch through `train_step` or `test_step` in one `tf.function`.

A `Program` is traced from one model and can then be bound to the variables of another (`set_external_captures`): that
model trains as if the program were its own, and the first is not touched. Numbers, for one a dropout rate, may be bound
as well (`scalar_inputs.py`), and variables of other shapes (`widths.py`). Whether two models may share one is for
`sharing.py` to say. The data are arguments of the program, never constants in it.

It begins as a plain graph. Where the passes that are still to come pay for it, XLA compiles it in a thread while the
graph goes on training: the compiling run works on copies of the variables, so that it disturbs nothing. Then both are
timed, the faster one stays, and the times are remembered on disk (`xla_times.py`). XLA draws other random numbers than
a graph.
"""

import contextlib
import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sweep.train.adam import alpha_once
from sweep.train.data import Layout, Rows, Unsuitable
from sweep.train.graph_digest import digest
from sweep.train.metric_names import flatten
from sweep.train.scalar_inputs import Number, ScalarInputs
from sweep.train.steps import trace_step
from sweep.train.trace_names import TraceNames
from sweep.train.widths import shapes_open
from sweep.train.xla_times import Times, xla_times

EXPECTED = 0.3
"""What share of the graph's time a pass is expected to take by XLA, where nobody has measured it. Measured: 0.1 for one
small Dense layer, 0.2 for five, 0.5 where these are wider, 0.14 for an LSTM, but 10 for convolutions."""

EXPECTED_IF_RANDOM = 0.9
"""The same for steps that draw random numbers. Measured with Dropout: 0.7 to 5."""

RECURRING = 5
"""How many times as many passes as earlier trainings had are expected of later ones: programs that recur are mostly met
early in a study. With 5, a small network is compiled in about its second training of 20 epochs."""

GRAPH, XLA = "graph", "xla"
"""The engines: they round, and draw random numbers, each in its own way."""

LONG_PASS = 0.2
"""Seconds of a pass from which on XLA is tried with a few batches first, for it can be ten times slower."""

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
        numbers: of the model, which are inputs of the program; all others are constants in it.
        open_shapes: whether shapes that the step would hold as constants are computed in it.

    Attributes:
        names: names of the logs that `run` returns, sorted; known once the program is complete.
        times: how fast the graph and XLA are, once both are known.

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
        numbers: Sequence[Number] = (),
        open_shapes: bool = False,
    ) -> None:
        self._scalars = ScalarInputs(numbers)
        self._place = place
        self._names = contextlib.nullcontext if place is None else TraceNames(place).given
        try:
            once = contextlib.nullcontext() if place is None else alpha_once(model.optimizer)
            opened = shapes_open(model) if open_shapes else contextlib.nullcontext()
            with self._names(), self._scalars.traced(), once, opened:
                self._passing = _Passing(model, step, layout, shuffled)
        except Unsuitable:
            raise
        except Exception as refusal:
            raise Unsuitable(f"the model's step does not trace: {type(refusal).__name__}: {refusal}") from refusal
        self.times: Times | None = None
        self._fast: _Version | None = None
        self._compiling = 0.0
        self._tried = False
        self._kept: str | None = None  # the engine that the present training keeps to
        self._earlier_runs = 0  # in trainings before the present one
        self._variables: Sequence[Any] = ()
        self._positions: dict[int, int] = {}

    def complete(self) -> "Program":
        """Makes the program one that runs; until then only its step is traced, which is enough to compare it.

        Raises:
            Unsuitable: the step cannot be traced in a loop.
        """
        try:
            with self._names():
                graph = self._passing.trace()
        except Exception as refusal:
            raise Unsuitable(f"the model's step does not trace: {type(refusal).__name__}: {refusal}") from refusal
        self.names = sorted(flatten(graph.structured_outputs))
        self._graph = _Version(_Bindable(graph))
        return self

    def of_other_widths(self, place: str) -> "Program":
        """A program for models of other widths, which has the graph in common with this one but is timed by itself.

        One of them may be bound at a time.

        Args:
            place: of the new one.
        """
        other = copy.copy(self)
        other._place, other._names = place, TraceNames(place).given
        other._graph = _Version(self._graph.traced)
        other._fast, other.times = None, None
        other._compiling, other._tried, other._earlier_runs = 0.0, False, 0
        return other

    def take(self) -> bool:
        """Makes the graph that of one training alone, unless another has it."""
        return self._graph.traced.taken.acquire(blocking=False)

    def give_back(self) -> None:
        """Lets the next training have the graph."""
        self._graph.traced.taken.release()

    def digest(self) -> str | None:
        """Equal for two programs that can be bound only if they compute the same; None if that cannot be told."""
        try:
            parts = [
                digest(part, [self._positions[id(own)] for own in part.captured_inputs]) for part in self._passing.parts
            ]
        except KeyError:
            return None
        return f"{parts} {self._scalars.expressions}"

    def generalize(self, variables: Sequence[keras.Variable]) -> bool:
        """Makes the program one that can be bound, if all that it takes from outside is among these variables.

        Args:
            variables: of the model that was traced, in the order of `sharing.variables`.

        Returns:
            Whether it is.
        """
        variables = [*variables, *self._scalars.cells]
        positions = {id(_handle(variable)): position for position, variable in enumerate(variables)}
        if not all(id(taken) in positions for part in self._passing.parts for taken in part.captured_inputs):
            return False
        self._positions, self._variables = positions, variables
        return True

    def bind(self, variables: Sequence[keras.Variable], numbers: Sequence[float] = ()) -> None:
        """Makes the variables and numbers of another model of the same key those that the program works with.

        Args:
            variables: in the order in which `generalize` was given those of the first model; empty to let go of them.
            numbers: of the model, in the order of those of the first.
        """
        self._kept = None
        self._variables = [*variables, *self._scalars.bound(numbers)] if variables else ()
        variables = self._variables
        self._earlier_runs = self._runs
        self._graph.traced.bind(variables, self._positions)
        if self._fast is not None:
            self._fast.traced.bind(variables, self._positions)

    def run(self, rows: Rows, order: np.ndarray[Any, Any] | None = None) -> dict[str, Any]:
        """Runs all batches and returns the logs that `fit` would show after them, as Python floats.

        Args:
            rows: of the program's layout.
            order: for a shuffled pass, a permutation of the rows' numbers, of shape `(count,)`.
        """
        arguments = rows.tensors if order is None else (tf.constant(order, tf.int32), *rows.tensors)
        fast = self._fast
        if fast is None or self._kept == GRAPH or (self._kept is None and self._is_graphs_turn(fast)):
            return self._graph.run(arguments)
        fast.traced.bind(self._variables, self._positions)
        with _graph_optimizer_off():
            return fast.run(arguments)

    def way(self) -> str:
        """How the last run was, and how long a pass takes, in words for a person that follow "as one program"."""
        times, fast = self.times, self._fast
        if fast is not None and fast.last_run > self._graph.last_run:
            graph = self._graph.seconds if times is None else times.graph
            return f"compiled by XLA, {_milliseconds(fast.seconds)} each (as a graph {_milliseconds(graph)})"
        way = f"run as a graph, {_milliseconds(self._graph.seconds)} each"
        if times is None or times.faster:
            return way
        if math.isinf(times.xla):
            return f"{way} (XLA does not compile it)"
        return f"{way} (by XLA {_milliseconds(times.xla)})"

    @property
    def engine(self) -> str:
        """What the last run was by: `GRAPH` or `XLA`."""
        return XLA if self._fast is not None and self._fast.last_run > self._graph.last_run else GRAPH

    def keep_to(self, engine: str, rows: Rows) -> bool:
        """Has the present training run by one engine to its end, as another process had begun it; whether it can.

        Args:
            engine: `GRAPH` or `XLA`, which is compiled now unless it is.
            rows: of the program's layout, for the compiling run.
        """
        if engine == XLA and self._fast is None:
            compiling = self.compile(rows, doubted=False)
            if compiling is not None:
                compiling.join()
        self._kept = engine
        return engine == GRAPH or self._fast is not None

    def speed_up(self, rows: Rows, passes_to_come: int) -> None:
        """Starts compiling with XLA, once, if the passes that are to come pay for it.

        Those are the passes of this training and, for a program that recurs, `RECURRING` times those of earlier ones;
        one that was compiled in another process counts as one that has been trained before. What compiling costs is
        processor time, which it takes from other workers, so that what it saves must come to more of that.

        Args:
            rows: of the program's layout, for the compiling run.
            passes_to_come: how often the program will still run in this training.
        """
        if self._tried or self._kept is not None or self._graph.runs < 2:
            return
        known = None if self._place is None else xla_times().find(self._place)
        if known is not None:
            self._tried = not known.faster
            self.times = known
            share, earlier = known.xla / known.graph, max(self._earlier_runs, passes_to_come)
        else:
            share, earlier = EXPECTED_IF_RANDOM if self._passing.random else EXPECTED, self._earlier_runs
        saved = (passes_to_come + RECURRING * earlier) * self._graph.seconds * (1 - share)
        cost = known.compiling if known is not None and known.compiling > 0 else self._expected_cost()
        if not self._tried and saved > cost:
            self.compile(rows)

    def compile(self, rows: Rows, *, doubted: bool = True) -> threading.Thread | None:
        """Starts compiling with XLA in a thread, which is returned; `doubted`: where passes are long, tries it first.

        None where there is nothing to compile (a program that cannot be bound, a single batch), and while another
        compiles: two at a time would leave the training no processor.
        """
        layout = self._passing.layout
        if not self._positions or layout.steps == 1 or not _one_at_a_time.acquire(blocking=False):
            return None
        self._tried = True
        try:
            with self._names():
                sample = self._sample() if doubted and self._graph.seconds > LONG_PASS else None
                fast = _Version(_Bindable(self._passing.trace(xla=True)))
        except BaseException:
            _one_at_a_time.release()
            raise
        copies = [tf.Variable(tf.convert_to_tensor(variable)) for variable in self._variables]

        def compile_by_running() -> None:
            try:
                if sample is None or self._is_promising(sample, copies, rows):
                    self._compiling = _seconds_of_processor(lambda: self._run_once(fast, copies, rows, layout.count))
                    self._fast = fast
            except Exception as refusal:
                _log.debug("XLA does not compile the step, the graph stays: %s", refusal)
                self._note(Times(self._graph.seconds, math.inf, 0.0, self._passing.operations))
            finally:
                _one_at_a_time.release()

        thread = threading.Thread(target=compile_by_running, name="sweep-xla")
        thread.start()
        return thread

    @property
    def _runs(self) -> int:
        return self._graph.runs + (0 if self._fast is None else self._fast.runs)

    def _expected_cost(self) -> float:
        return xla_times().seconds_per_operation() * self._passing.operations

    def _is_graphs_turn(self, fast: "_Version") -> bool:
        """Whether the graph runs, although XLA has compiled the program: to be timed beside it, or as the faster one.

        Both are timed in the same minute, for a machine may be busier than it was when the graph was timed first: twice
        by XLA, and once more as a graph.
        """
        if self.times is not None or fast.runs < 2:
            return False
        if self._graph.last_run < fast.last_run:
            return True
        times = Times(self._graph.last_seconds, fast.seconds, self._compiling, self._passing.operations)
        self._note(times)
        if not times.faster:
            self._fast = None
        return not times.faster

    def _note(self, times: Times) -> None:
        self.times = times
        if self._place is not None:
            xla_times().note(self._place, times)

    def _sample(self) -> tuple["_Version", int]:
        """A pass over a few batches, by XLA, and how many they are."""
        layout = self._passing.layout
        steps = min(max(2, int(layout.steps * LONG_PASS / 4 / self._graph.seconds)), layout.count // layout.batch)
        return _Version(_Bindable(self._passing.trace(xla=True, steps=steps))), steps

    def _is_promising(self, sample: tuple["_Version", int], copies: Sequence[tf.Variable], rows: Rows) -> bool:
        """Whether XLA may be the faster one, by a few batches; that other threads compute too is allowed for."""
        version, steps = sample
        count = steps * self._passing.layout.batch
        for _ in range(3):
            self._run_once(version, copies, rows, count)
        xla, graph = version.seconds / steps, self._graph.seconds / self._passing.layout.steps
        if xla > 2 * graph:
            passes = self._passing.layout.steps
            self._note(Times(graph * passes, xla * passes, 0.0, self._passing.operations))
            return False
        return True

    def _run_once(self, version: "_Version", copies: Sequence[tf.Variable], rows: Rows, count: int) -> None:
        version.traced.bind(copies, self._positions)
        order = [tf.range(count)] if self._passing.shuffled else []
        version.run([*order, *(tensor[:count] for tensor in rows.tensors)])
        version.runs, version.last_run = 0, -math.inf


class _Bindable:
    """A traced pass, and the variables that it is bound to."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.own = tuple(function.captured_inputs)
        self.taken = threading.Lock()
        self._bound: Any = self.own

    def bind(self, variables: Sequence[Any], positions: Mapping[int, int]) -> None:
        """Takes the variables at the positions of its own; its own again where there are none."""
        if variables is self._bound:
            return
        self._bound = variables
        taken = [_handle(variables[positions[id(own)]]) for own in self.own] if variables else self.own
        self.function.set_external_captures(list(taken))


class _Version:
    """A program as graph or by XLA, and how fast it is."""

    def __init__(self, traced: _Bindable) -> None:
        self.traced = traced
        self.runs = 0
        self.seconds = math.inf
        self.last_seconds = math.inf
        self.last_run = -math.inf

    def run(self, arguments: Sequence[tf.Tensor]) -> dict[str, Any]:
        """The logs of a run; `seconds` is the shortest so far."""
        began = time.perf_counter()
        logs = _floats(self.traced.function(*arguments))
        self.last_run = time.perf_counter()
        self.last_seconds = self.last_run - began
        self.runs, self.seconds = self.runs + 1, min(self.seconds, self.last_seconds)
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


def _seconds_of_processor(run: Callable[[], None]) -> float:
    """About the processor time of something that runs beside a training, which computes too."""
    began, processor = time.perf_counter(), time.process_time()
    run()
    return min(time.perf_counter() - began, time.process_time() - processor)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if math.isfinite(seconds) else "not timed"


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

    @property
    def parts(self) -> tuple[Any, Any]:
        """The functions that a pass is made of, and all that it takes from outside."""
        return self._step, self._results

    @property
    def operations(self) -> int:
        """How many operations a step has."""
        return len(self._step.graph.get_operations())

    @property
    def random(self) -> bool:
        """Whether a step draws random numbers."""
        return any("Random" in operation.type for operation in self._step.graph.get_operations())

    def trace(self, *, xla: bool = False, steps: int | None = None) -> Any:
        """The pass as a concrete function, compiled by XLA or a graph.

        XLA needs fixed shapes, so that a last batch of another size is a step of its own there, which makes compiling
        some 1.2 times as long. The graph has it in the loop, where it costs nothing.

        Args:
            xla: whether XLA compiles it.
            steps: have it pass over so many full batches only.
        """
        layout = self.layout
        count = layout.count if steps is None else steps * layout.batch
        full, rest = divmod(count, layout.batch)

        def passing(*arguments: tf.Tensor) -> dict[str, Any]:
            if not xla or not rest:
                logs = self._batches(arguments, math.ceil(count / layout.batch), fixed=not rest)
            else:
                self._batches(arguments, full, fixed=True)
                logs = self._logs_of(arguments, full * layout.batch, rest)
            results = self._results()
            return dict(results if set(results) == set(logs) else logs)

        order = [tf.TensorSpec([count], tf.int32)] if self.shuffled else []
        # Inside of a graph, for XLA compiles a function that is called from Python with a lock that stops all others.
        inner = tf.function(passing, autograph=False, jit_compile=True) if xla else passing
        outer = tf.function(lambda *arguments: inner(*arguments), autograph=False)
        return outer.get_concrete_function(*order, *layout.signature(count))

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
