"""Values of parameters as text in a run name: one text for each value, one value for each text."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sweep.errors import RunNameError, StudyError

Value: TypeAlias = bool | int | float | str | None

_WORDS: dict[str, Value] = {
    "none": None,
    "true": True,
    "false": False,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}
_INTEGER = re.compile(r"[+-]?[0-9]+")
# Whatever a person would read as a number, `1e5`, `007` and `+.5` included, though each number is written in one way
# only.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Hyphens directly before an escape are part of it, so that `-~` can begin nothing but a digest.
_TO_ESCAPE = re.compile(r"-*[^A-Za-z0-9._+-]+")
_ESCAPE = re.compile(r"~([0-9a-f]{2})")
# Magnitudes written without an exponent, so that a prefix says how large a value is.
_SMALLEST_POSITIONAL, _LARGEST_POSITIONAL = 1e-6, 1e15


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a parameter are one: NaN is itself, True is not 1, and 1 is 1.0."""
    return isinstance(one, bool) == isinstance(other, bool) and (one == other or (one != one and other != other))


def format_value(value: Value) -> str:
    """The text of a value in a run name.

    A float is the shortest decimal that reads back to the same float, without an exponent from 1e-6 to 1e15, and never
    looks like an integer: `32.0`.

    Raises:
        RunNameError: the value is not None, a bool, an int, a float or a string, or is an int of thousands of digits.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _format_int(int(value))
    if isinstance(value, float):
        return _format_float(float(value))
    if isinstance(value, str):
        text = escape(str.__str__(value))
        return f"~{ord(text[0]):02x}{text[1:]}" if text in _WORDS or _NUMBER.fullmatch(text) else text
    raise RunNameError(
        f"A value in a run name must be None, a bool, an int, a float or a string, not {value!r} "
        f"({type(value).__name__}).",
        "Suggest its name as a string, and look the value up.",
    )


def _format_int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python turns only so many digits into text
        raise RunNameError("An int of thousands of digits does not fit into a run name.") from None


def _format_float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    shortest = Decimal(repr(value))
    if value == 0 or _SMALLEST_POSITIONAL <= abs(value) <= _LARGEST_POSITIONAL:
        return f"{shortest:f}"
    sign, digits, exponent = shortest.normalize().as_tuple()
    first, *rest = map(str, digits)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' * sign}{mantissa}e{int(exponent) + len(rest)}"


def parse_value(text: str) -> Value:
    """The value whose text in a run name this is, with its type.

    Raises:
        RunNameError: no value is written like this; where a value is recognisable the hint says how to write it.
    """
    value: Value
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        value = _parse_int(text)
    elif _NUMBER.fullmatch(text):
        value = float(text)
    else:
        value = unescape(text)
    if (written := format_value(value)) != text:
        raise RunNameError(f"{text!r} is not the way sweep writes this value.", f"Write {written}.")
    return value


def _parse_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RunNameError("An int of thousands of digits does not fit into a run name.") from None


def escape(text: str) -> str:
    """Text with `~` and two hexadecimal digits for each byte of what may not stand in a run name."""
    return _TO_ESCAPE.sub(lambda match: "".join(f"~{byte:02x}" for byte in _bytes(match[0])), text)


def unescape(text: str) -> str:
    """What was escaped.

    Raises:
        RunNameError: a character should have been escaped, or the escaped bytes are not UTF-8.
    """
    if _TO_ESCAPE.search(_ESCAPE.sub("", text)):
        raise RunNameError(
            f"Characters outside [A-Za-z0-9._+-] must be escaped as `~` and two digits 0-9a-f for each byte: {text!r}."
        )
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8", "surrogatepass")
    except UnicodeError:
        raise RunNameError(f"The escaped bytes are not UTF-8: {text!r}.") from None


def _bytes(text: str) -> bytes:
    # Half a surrogate pair is a string that Python and Optuna's tables can hold, so a name can as well.
    return text.encode("utf-8", "surrogatepass")


def format_number(number: int) -> str:
    """A trial number as run names end with it: `t0017`."""
    return f"t{number:04d}"


def short_number(value: float) -> str:
    """A number for display where exactness does not matter: 4 significant digits, or all before the decimal point."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return _format_float(float(value))
    before_the_point = Decimal(repr(float(value))).adjusted() + 1
    digits = max(4, before_the_point) if abs(value) <= _LARGEST_POSITIONAL else 4
    return _format_float(float(f"{value:.{digits}g}")).removesuffix(".0")


def check_choices(name: str, choices: Sequence[object]) -> None:
    """Refuse categorical choices that a run name or Optuna cannot hold exactly.

    Optuna finds a choice by `==`, so that of `1` and `True`, or `1` and `1.0`, it always returns the first. The same
    value twice is allowed: it is a way to give it more weight.

    Args:
        name: the parameter's name, for the message.
        choices: as given to `suggest_categorical`.

    Raises:
        StudyError: a choice is not None, a bool, an int, a float or a string, or Optuna cannot tell two of them apart.
    """
    first_of: dict[object, tuple[object, str]] = {}
    for choice in choices:
        if choice is not None and not isinstance(choice, bool | int | float | str):
            raise StudyError(
                f"Each choice of `{name}` must be None, a bool, an int, a float or a string, not {choice!r} "
                f"({type(choice).__name__}).",
                "Suggest its name as a string, and look the value up.",
            )
        text = format_value(choice)
        same = math.nan if choice != choice else choice  # Optuna takes every NaN for the same
        other, other_text = first_of.setdefault(same, (choice, text))
        if text != other_text:
            raise StudyError(
                f"Optuna cannot tell the choices {other!r} and {choice!r} of `{name}` apart, because it compares "
                "them with ==.",
                "Use values of one type, or strings.",
            )
