"""The kinds of values that the options of a start take: how each is read, checked, printed and described.

Every kind has one check, whatever a value comes from: a text of a command line is read first, and then checked like a
value of Python or JSON.
"""

import difflib
import json
import math
import numbers
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import FilterError, StudyError
from sweep.names import Value, format_value, is_run_name, parse_value
from sweep.specs import PRUNERS, SAMPLERS, Kind, parse
from sweep.stop_rules import EXAMPLES, check_rule

STUDY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._\-]{0,79}")  # `\-` for browsers, which read it as well

ALL = ":all"  # behind a study's name: all its trials

LONGEST = 10_000  # characters of a text
SHOWN = 60  # characters of a wrong value that are repeated
MOST = 1_000_000_000  # trials, or epochs: what every database holds as an integer


class Unfit(Exception):
    """A value that an option cannot have.

    Attributes:
        shown: what was given instead, perhaps only the part of it that is wrong.
        hint: what to do about it, as a sentence, if more can be said than what is expected.
    """

    def __init__(self, value: Any, hint: str | None = None) -> None:
        super().__init__()
        self.shown = shown(value)
        self.hint = hint


def meant(word: Any, words: Iterable[str]) -> str | None:
    """The word that a person may have meant, as a sentence."""
    near = difflib.get_close_matches(word.lower(), list(words), 1) if isinstance(word, str) else []
    return f"Did you mean {near[0]}?" if near else None


def shown(value: Any) -> str:
    """A value as a message repeats it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


class Values:
    """The values that an option takes; the base of the kinds below.

    Attributes:
        expected: completes "must be ...".
        many: whether the option is repeated on a command line.
    """

    expected = "text"
    many = False

    def read(self, text: str) -> Any:
        """What a text on a command line means; `check` judges it. Repeated options are given each of their texts."""
        return text

    def check(self, value: Any) -> Any:
        """The value as `Settings` holds it.

        Raises:
            Unfit: it cannot be.
        """
        if not isinstance(value, str) or not is_text(value):
            raise Unfit(value)
        return value

    def declared(self, value: Any) -> Any:
        """The value as a declaration holds it: checked as far as that is right in every process that reads one.

        Raises:
            Unfit: it cannot be.
        """
        return self.check(value)

    def texts(self, value: Any) -> list[str]:
        """A checked value as a command line has it: a text for each use of the option."""
        return [_number(value) if isinstance(value, float) else str(value)]

    def schema(self) -> dict[str, Any]:
        """The values as JSON Schema."""
        return {"type": "string", "maxLength": LONGEST}


def is_text(value: str) -> bool:
    """Whether a text can be part of a command line and a database: Unicode without NUL, and not endless."""
    return len(value) <= LONGEST and "\0" not in value and value.encode("utf-8", "replace").decode() == value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _real(value: Any) -> float:
    """A number of any kind, NumPy's too, as a float.

    Raises:
        Unfit: it is none, or too large for a float.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise Unfit(value)
    try:
        return float(value)
    except OverflowError:
        raise Unfit(value) from None


@dataclass(frozen=True)
class Whole(Values):
    """A whole number."""

    least: int
    most: int = MOST

    @property
    def expected(self) -> str:  # type: ignore[override]
        bounds = f"of at least {self.least}" if self.most == MOST else f"from {self.least} to {self.most}"
        return f"a whole number {bounds}"

    def read(self, text: str) -> Any:
        return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", text) else text

    def check(self, value: Any) -> int:
        try:
            number = operator.index(value)  # NumPy's integers too
        except TypeError:
            raise Unfit(value) from None
        if isinstance(value, bool) or not self.least <= number <= self.most:
            raise Unfit(value)
        return number

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Amount(Values):
    """How much of a resource a worker takes: part of one, or several whole ones, as Ray has it."""

    expected: str = "a number of at least 0, and whole where it is more than 1"

    def read(self, text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    def check(self, value: Any) -> float:
        amount = _real(value)
        if not 0.0 <= amount < math.inf or (amount > 1 and amount != int(amount)):
            raise Unfit(value)
        return amount


@dataclass(frozen=True)
class Time(Values):
    """A time in seconds, or a text with a unit."""

    expected: str = "a time above 0, such as 90 (seconds), 10m, 2h or 1d"

    UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # noqa: RUF012  # not a field
    PATTERN = r"[0-9]*\.?[0-9]+[smhd]?"

    def check(self, value: Any) -> float:
        seconds = self._seconds(value) if isinstance(value, str) else _real(value)
        if not 0.0 < seconds <= 1e9:
            raise Unfit(value)
        return seconds

    def _seconds(self, text: str) -> float:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+(e[+-]?[0-9]{1,2})?[smhd]?", text.strip()):
            raise Unfit(text)
        unit = self.UNITS.get(text.strip()[-1], 1.0)
        return float(text.strip().rstrip("smhd")) * unit

    def schema(self) -> dict[str, Any]:
        seconds = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e9, "description": "Seconds."}
        return {"anyOf": [seconds, {"type": "string", "pattern": f"^{self.PATTERN}$"}]}


@dataclass(frozen=True)
class Share(Values):
    """A part of a whole, as a number or in percent."""

    expected: str = "a share above 0 and up to 1, such as 0.1 or 10%"

    def check(self, value: Any) -> float:
        share = self._number(value) if isinstance(value, str) else _real(value)
        if not 0.0 < share <= 1.0:
            raise Unfit(value)
        return share

    def _number(self, text: str) -> float:
        found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
        if found is None:
            raise Unfit(text)
        return float(found[1]) / (100.0 if found[2] else 1.0)

    def schema(self) -> dict[str, Any]:
        share = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        return {"anyOf": [share, {"type": "string", "pattern": "^[0-9]*\\.?[0-9]+%?$"}]}


@dataclass(frozen=True)
class Size(Values):
    """Bytes, or a text with a unit: powers of 1000, and of 1024 with an i."""

    expected: str = "a size of at least 1 byte, such as 500MB, 2GB or 1.5GiB"

    PATTERN = r"([0-9]*\.?[0-9]+)\s*(?:([kKMGT])(i?))?[bB]?"

    def check(self, value: Any) -> int:
        size = self._bytes(value) if isinstance(value, str) else _real(value)
        if not 1 <= size <= 1e18:
            raise Unfit(value)
        return round(size)

    def _bytes(self, text: str) -> float:
        found = re.fullmatch(self.PATTERN, text.strip())
        if found is None:
            raise Unfit(text)
        number, unit, binary = found.groups()
        power = " KMGT".index(unit.upper()) if unit else 0
        return float(number) * float((1024 if binary else 1000) ** power)

    def schema(self) -> dict[str, Any]:
        size = {"type": "integer", "minimum": 1, "description": "Bytes."}
        return {"anyOf": [size, {"type": "string", "pattern": f"^{self.PATTERN}$"}]}


@dataclass(frozen=True)
class Choice(Values):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:  # type: ignore[override]
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Unfit(value, meant(value, self.words))
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True)
class Pattern(Values):
    """A text of a certain form."""

    pattern: str
    expected: str = "text"
    suggestions: tuple[str, ...] = ()

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value):
            raise Unfit(value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class SpecText(Values):
    """A sampler or a pruner by name and settings, as `sweep.specs` reads it. Checking one imports Optuna."""

    kind: Kind

    @property
    def expected(self) -> str:  # type: ignore[override]
        return f"the name of a {self.kind}, perhaps with settings"

    @property
    def suggestions(self) -> Mapping[str, str]:
        """Every name, with what it does."""
        return SAMPLERS if self.kind == "sampler" else PRUNERS

    def check(self, value: Any) -> str:
        """The spec; raises StudyError itself, which says what is wrong inside of it."""
        parse(self.kind, super().check(value))
        return str(value)

    def declared(self, value: Any) -> str:
        """Any text: a worker's declaration need not be right about a sampler that only the coordinator makes."""
        return str(super().check(value))


@dataclass(frozen=True)
class Flag(Values):
    """Yes or no."""

    expected: str = "true or false"

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Unfit(value)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Gpus(Values):
    """GPUs by index or UUID: `2,3`, or a list."""

    expected: str = "a list of GPUs, such as 2,3"

    def check(self, value: Any) -> tuple[str, ...]:
        several = value.split(",") if isinstance(value, str) else value
        if not isinstance(several, Sequence) or not several or any(isinstance(each, bool) for each in several):
            raise Unfit(value)
        names = tuple(str(each).strip() for each in several if isinstance(each, str | int))
        if len(names) < len(several) or not all(names):
            raise Unfit(value)
        return names

    def texts(self, value: Any) -> list[str]:
        return [",".join(value)]


@dataclass(frozen=True)
class Params(Values):
    """Parameters by name. Which there are, and which values they take, only the search space can say."""

    expected: str = "parameters by name, such as learning_rate=0.01"
    many = True

    def read(self, text: str) -> Any:
        return dict([self.pair(text)])

    def pair(self, text: str) -> tuple[str, Value]:
        """`NAME=VALUE`, with the value as run names have it.

        Raises:
            Unfit: it is nothing of that kind.
            RunNameError: the value could be written in another way, which the error names.
        """
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise Unfit(text)
        return name.strip(), parse_value(value.strip())

    def check(self, value: Any) -> dict[str, Value]:
        if not isinstance(value, Mapping):
            raise Unfit(value)
        if len(value) > 200:
            raise Unfit(value, "There are at most 200.")
        for name in value:
            if not isinstance(name, str) or not name or "=" in name or not is_text(name):
                raise Unfit(name, "A parameter's name is text without `=`.")
        return {name: self._value(each) for name, each in value.items()}

    def _value(self, value: Any) -> Value:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            return float(value)
        if not isinstance(value, str) or not is_text(value):
            raise Unfit(value, "A parameter's value is text, a number, true, false or none.")
        return value

    def texts(self, value: Any) -> list[str]:
        return [f"{name}={format_value(each)}" for name, each in value.items()]

    def schema(self) -> dict[str, Any]:
        values = [{"type": kind} for kind in ("boolean", "integer", "number", "string", "null")]
        return {"type": "object", "maxProperties": 200, "additionalProperties": {"anyOf": values}}


@dataclass(frozen=True)
class ParamSets(Values):
    """Parameter sets to try first: each by name, as a text `NAME=VALUE,NAME=VALUE`, or as a run name."""

    expected: str = "parameters such as lr=0.01,bs=32, or run names"
    many = True

    def read(self, text: str) -> Any:
        """One text of a command line, which may also name a file: `@FILE.json`."""
        return read_sets(Path(text[1:])) if text.startswith("@") else [text]

    def check(self, value: Any) -> tuple[dict[str, Value] | str, ...]:
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            raise Unfit(value)
        if len(value) > MOST_SETS:
            raise Unfit(value, f"There are at most {MOST_SETS}.")
        return tuple(self._set(each) for each in value)

    def _set(self, value: Any) -> dict[str, Value] | str:
        if not isinstance(value, str):
            return Params().check(value)
        if is_run_name(value):
            return value
        return Params().check(dict(Params().pair(part) for part in value.split(",")))

    def texts(self, value: Any) -> list[str]:
        return [each if isinstance(each, str) else ",".join(Params().texts(each)) for each in value]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "maxItems": MOST_SETS, "items": {"anyOf": [Params().schema(), super().schema()]}}


MOST_SETS = 10_000  # of parameters that are tried first


def read_sets(path: Path) -> list[dict[str, Any]]:
    """The parameter sets of a JSON file: one object, or a list of them; also what `sweep runs --json` prints.

    Raises:
        StudyError: it holds nothing of that kind.
    """
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} must hold a JSON object of parameters, or a list of them: {error}") from None
    sets = read if isinstance(read, list) else [read]
    found = [entry.get("params", entry) if isinstance(entry, dict) else entry for entry in sets]
    if not all(isinstance(entry, dict) for entry in found):
        raise StudyError(
            f"{path} must hold a JSON object of parameters, or a list of them, not a {type(read).__name__}."
        )
    return found


class _Several(Values):
    """A text, or several."""

    many = True

    def read(self, text: str) -> Any:
        return [text]

    def check(self, value: Any) -> tuple[str, ...]:
        several = [value] if isinstance(value, str) else value
        if not isinstance(several, Sequence) or isinstance(several, Mapping):
            raise Unfit(value)
        return tuple(map(self._check_one, several))

    def _check_one(self, value: Any) -> str:
        raise NotImplementedError

    def texts(self, value: Any) -> list[str]:
        return list(value)


@dataclass(frozen=True)
class BestOf(_Several):
    """The best runs of other studies, `STUDY:best:N` or `STUDY:confirmed:N` each (without a number one), or all their
    trials, `STUDY:all`.
    """

    expected: str = "STUDY:best:N or STUDY:all, such as diabetes:best:5"
    one = Pattern(rf"{STUDY_NAME.pattern}:(?:best:[1-9][0-9]{{0,5}}|confirmed(?::[1-9][0-9]{{0,5}})?|all)")

    def _check_one(self, value: Any) -> str:
        return str(self.one.check(value))

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "maxItems": 100, "items": self.one.schema()}


@dataclass(frozen=True)
class StopRules(_Several):
    """Rules of `sweep.stop_rules`: a text, or several of which one is enough."""

    expected: str = f"a rule, such as {EXAMPLES}"

    def _check_one(self, value: Any) -> str:
        if not isinstance(value, str) or not is_text(value):
            raise Unfit(value)
        try:
            check_rule(value)
        except FilterError as error:
            raise Unfit(value, f"{error.message.rstrip('.')}.") from None
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "maxItems": 100, "items": super().schema()}


@dataclass(frozen=True)
class Amounts(Values):
    """Amounts of resources by their names."""

    expected: str = "NAME=N, such as big_memory=1"
    many = True

    def read(self, text: str) -> Any:
        name, equals, amount = text.partition("=")
        if not (equals and name.strip()):
            raise Unfit(text)
        return {name.strip(): Amount().read(amount.strip())}

    def check(self, value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
            raise Unfit(value)
        return {name: self._amount(amount) for name, amount in value.items()}

    def _amount(self, amount: Any) -> float:
        try:
            return Amount().check(amount)
        except Unfit:
            raise Unfit(amount, f"An amount is {Amount.expected}.") from None

    def texts(self, value: Any) -> list[str]:
        return [f"{name}={_number(amount)}" for name, amount in value.items()]
