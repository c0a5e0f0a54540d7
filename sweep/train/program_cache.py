"""The programs of a process: kept from one training for the next whose model has the same key."""

import functools
import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence

import keras
import tensorflow as tf

from sweep.train import sharing
from sweep.train.data import Layout, Unsuitable
from sweep.train.programs import Program

MAX_PROGRAMS = 32
"""How many programs are kept; the one used longest ago goes first."""

MAX_STATE_BYTES = 64 * 1024**2
"""Models with more bytes of variables leave no program: it would hold on to them; training outweighs tracing there."""

_programs: OrderedDict[str, Program] = OrderedDict()
_closed: set[str] = set()
"""Places of programs whose traces ask for the numbers themselves."""


class Loan:
    """A program taken from the cache, or made, for one training of one model.

    Only one training has a program at a time: it is not in the cache meanwhile.

    Args:
        model: a compiled model.
        step: name of the step, `train_step` or `test_step`.
        layout: of the rows.
        shuffled: whether the rows come in an order.
        key: of the model (`sharing.key`); None for a program of its own.

    Raises:
        Unsuitable: the step does not trace.
    """

    def __init__(
        self, model: keras.Model, step: str, layout: Layout, *, shuffled: bool, key: sharing.Key | None
    ) -> None:
        traced = functools.partial(Program, model, getattr(model, step), layout, shuffled=shuffled)
        self._place: str | None = None
        if key is None:
            self.program = traced()
            return
        variables, numbers = sharing.variables(model), key.numbers
        place = _place(key.digest, step, layout, shuffled)
        alone = _place(repr(key.whole), step, layout, shuffled)
        if place in _closed:
            place, numbers = alone, ()
        known = _programs.pop(place, None)
        if known is not None:
            known.bind(variables, [number.value for number in numbers])
            self.program, self._place = known, place
            return
        try:
            self.program = traced(place=place, numbers=numbers)
        except Unsuitable:
            if not numbers:
                raise
            self.program = traced(place=alone)
            _closed.add(place)
            place = alone
        if self.program.generalize(variables) and _bytes(variables) <= MAX_STATE_BYTES:
            self._place = place

    def end(self) -> None:
        """Puts the program into the cache."""
        if self._place is None:
            return
        self.program.bind(())
        _programs[self._place] = self.program
        self._place = None
        while len(_programs) > MAX_PROGRAMS:
            _programs.popitem(last=False)


def clear() -> None:
    """Empties the cache."""
    _programs.clear()
    _closed.clear()


def _place(key: str, step: str, layout: Layout, shuffled: bool) -> str:
    whole = (key, step, repr(layout), shuffled)
    return hashlib.sha256(repr(whole).encode()).hexdigest()


def _bytes(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) * int(tf.as_dtype(variable.dtype).size) for variable in variables)
