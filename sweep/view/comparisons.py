"""What a condition on runs compares, and how: tests made of operands and signs, put together for `sweep.view.where`."""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sweep.store import RunRecord
from sweep.view.sorting import ABSENT

Test = Callable[[RunRecord], bool]
Operand = Callable[[RunRecord], Any]
Sign = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Constant:
    """A literal as an operand."""

    value: Any

    def __call__(self, _run: RunRecord) -> Any:
        return self.value


def either(one: Test, other: Test) -> Test:
    return lambda run: one(run) or other(run)


def each(one: Test, other: Test) -> Test:
    return lambda run: one(run) and other(run)


def comparison(left: Operand, sign: Sign, right: Operand) -> Test:
    if isinstance(right, Constant) and kind_of(right.value) == "number" and sign is not operator.ne:
        return with_number(left, sign, right.value)

    def test(run: RunRecord) -> bool:
        one, other = left(run), right(run)
        return is_there(one) and is_there(other) and compare(one, sign, other)

    return test


def with_number(left: Operand, sign: Sign, number: float) -> Test:
    """What most comparisons are, and many runs are compared: with NaN and what is no number nothing holds."""

    def test(run: RunRecord) -> bool:
        value = left(run)
        return isinstance(value, int | float) and not isinstance(value, bool) and sign(value, number)

    return test


def is_there(value: Any) -> bool:
    return value is not ABSENT and not (isinstance(value, float) and math.isnan(value))


def compare(one: Any, sign: Sign, other: Any) -> bool:
    """Whether two values compare; those of different kinds are unequal and have no order, nor have true and none."""
    if isinstance(one, frozenset):  # of texts, one of which is meant
        return sign in (operator.eq, operator.ne) and (str(other).casefold() in one) == (sign is operator.eq)
    kind = kind_of(one)
    if kind != kind_of(other):
        return sign is operator.ne
    if kind == "text":
        return sign(one.casefold(), other.casefold())
    if kind == "number" or sign in (operator.eq, operator.ne):
        return sign(one, other)
    return False


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "none"
