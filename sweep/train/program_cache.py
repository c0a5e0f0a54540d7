"""The programs of a process: kept from one training for the next whose model has the same key."""

import functools
import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from sweep.train import sharing
from sweep.train.data import Layout, Unsuitable
from sweep.train.programs import Program
from sweep.train.widths import Tried

MAX_PROGRAMS = 32
"""How many programs are kept, and how many topologies; the one used longest ago goes first."""

MAX_STATE_BYTES = 64 * 1024**2
"""Models with more bytes of variables leave no program: it would hold on to them; training outweighs tracing there."""

_programs: OrderedDict[str, Program] = OrderedDict()
_topologies: OrderedDict[str, "_Topology"] = OrderedDict()
_closed: set[str] = set()
"""Places of programs whose traces ask for the numbers, or the sizes, themselves."""


class Loan:
    """A program taken from the cache, or made, for one training of one model.

    Only one training has a program at a time: it is not in the cache meanwhile.

    Args:
        model: a compiled model.
        step: name of the step, `train_step` or `test_step`.
        layout: of the rows.
        shuffled: whether the rows come in an order.
        key: of the model (`sharing.key`); None for a program of its own.

    Attributes:
        traced: whether a step of the model was traced for it, which may change the model.

    Raises:
        Unsuitable: the step does not trace.
    """

    def __init__(
        self, model: keras.Model, step: str, layout: Layout, *, shuffled: bool, key: sharing.Key | None
    ) -> None:
        trace = functools.partial(Program, model, getattr(model, step), layout, shuffled=shuffled)
        self.traced = True
        self._place: str | None = None
        if key is None:
            self.program = trace().complete()
            return
        variables, numbers = sharing.variables(model), key.numbers
        anyones, own, alone = (
            _place(repr(which), step, layout, shuffled) for which in (key.digest, (key.digest, key.widths), key.whole)
        )
        batch = layout.batch if layout.count % layout.batch == 0 else None  # the one size that a trace may ask for
        topology = _topologies.get(anyones, _Topology()) if key.widths and batch not in key.sizes else None
        if topology is not None and topology.closed:
            topology = None
        if anyones in _closed:
            own, numbers, topology = alone, (), None
        values = [number.value for number in numbers]
        known = _programs.get(own)
        if known is None and topology is not None:
            known = topology.program(key.sizes, own)
        if known is not None:
            if not known.take():
                self.program = trace().complete()
                return
            known.bind(variables, values)
            self.program, self._place, self.traced = known, own, False
            return
        try:
            shared = topology is not None
            traced = trace(place=anyones if shared else own, numbers=numbers, open_shapes=shared)
        except Unsuitable:
            if not numbers and topology is None:
                raise
            traced = trace(place=alone)
            own, values, topology = alone, [], None
            _closed.add(anyones)
        if not traced.generalize(variables) or _bytes(variables) > MAX_STATE_BYTES:
            self.program = traced.complete()
            return
        if topology is None:
            known = traced.complete()
        else:
            known = topology.joined(traced, key.sizes, own)
            _put(_topologies, anyones, topology)
        if not known.take():  # another training has the graph
            self.program = traced.complete().of_other_widths(own)
            return
        known.bind(variables, values)
        self.program, self._place = known, own

    def end(self) -> None:
        """Puts the program into the cache."""
        if self._place is None:
            return
        self.program.bind(())
        self.program.give_back()
        _put(_programs, self._place, self.program)
        self._place = None


class _Topology:
    """The models of one key, whatever their widths, and the program that does for all whose graphs are one.

    Attributes:
        closed: whether two graphs differed, so that each width has a program of its own.
    """

    def __init__(self) -> None:
        self.closed = False
        self._first: Program | None = None
        self._digest: str | None = None
        self._tried = Tried(())

    def program(self, sizes: Sequence[int], place: str) -> Program | None:
        """The program for models of these sizes, if it is known that there is one."""
        if self._first is None or not self._tried.covers(sizes):
            return None
        return self._first.of_other_widths(place)

    def joined(self, traced: Program, sizes: Sequence[int], place: str) -> Program:
        """The program for models of sizes that `program` did not know.

        Args:
            traced: from the first of them, just now; it need not be complete.
            sizes: of that one.
            place: of the program.
        """
        if self._first is None:
            self._first, self._tried = traced.complete(), Tried(sizes)
            return traced.of_other_widths(place)
        self._digest = self._digest or self._first.digest()
        if self._digest is None or self._digest != traced.digest():
            self._first, self.closed = None, True
            return traced.complete().of_other_widths(place)
        self._tried.add(sizes)
        return self._first.of_other_widths(place)


def clear() -> None:
    """Empties the cache."""
    _programs.clear()
    _topologies.clear()
    _closed.clear()


def _put(kept: OrderedDict[str, Any], place: str, value: Any) -> None:
    """Keeps a value as the one that was used last."""
    kept[place] = value
    kept.move_to_end(place)
    while len(kept) > MAX_PROGRAMS:
        kept.popitem(last=False)


def _place(key: str, step: str, layout: Layout, shuffled: bool) -> str:
    whole = (key, step, repr(layout), shuffled)
    return hashlib.sha256(repr(whole).encode()).hexdigest()


def _bytes(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) * int(tf.as_dtype(variable.dtype).size) for variable in variables)
