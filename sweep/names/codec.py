"""Run names encoded and decoded; the grammar stands in the package's docstring."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sweep.errors import RunNameError
from sweep.names.keytable import FAMILY, KEY_RULE, KeyTable, is_key
from sweep.names.values import Value, escape, format_number, format_value, parse_value, unescape

MAX_BYTES = 140
"""The length of the longest run name; the bytes are ASCII."""

_REPEAT_BYTES = 5  # what a repeat adds at most: `r9999`

_ILLEGAL = re.compile(r"[^A-Za-z0-9._+=~-]")
_NUMBER = re.compile(r"-t([0-9]{4}|[1-9][0-9]{4,18})(?:r([1-9][0-9]{0,3}))?\Z")
_DIGEST = re.compile(r"-~([0-9a-f]{8})\Z")
_KEY_BEFORE_EQUALS = re.compile(r"-([^-=]*)=")
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_.+]+")
_MOST_TRIALS = 10**19
# Stands after the family of a trial that did not suggest one, in a study where others do.
_NOT_SUGGESTED = "~"
_EMPTY_FAMILY = "~"


@dataclass(frozen=True)
class RunName:
    """What a run name says.

    Attributes:
        family: the model's or the study's name, or the value of the parameter called `family`.
        architecture: the model's hidden layers, if the name has them.
        params: parameter name (or key, where no table was given) to value; if the name was shortened, those that it
            still has.
        number: the trial number.
        digest: 8 hexadecimal digits of a hash of all parameters if the name was shortened, else None.
        repeat: which repeat of the trial with another seed, from 1; None for the trial's own run.
    """

    family: str
    architecture: str | None
    params: dict[str, Value]
    number: int
    digest: str | None = None
    repeat: int | None = None


def encode(
    params: Mapping[str, Value], *, number: int, family: str, keys: KeyTable, architecture: str | None = None
) -> str:
    """The run name of a trial.

    Args:
        params: every parameter the trial suggested; a string called `family` takes the place of `family`.
        number: the trial number, 0 or more.
        family: the model's name where the user gave one, else the study's.
        keys: the study's key table; parameters it does not have yet are given a key.
        architecture: the model's hidden layers as `describe` returns them.

    Raises:
        RunNameError: a value is not None, a bool, an int, a float or a string; the number or the architecture is
            malformed.
    """
    if not 0 <= number < _MOST_TRIALS:
        raise RunNameError(f"A trial number must be at least 0 and have at most 19 digits, not {number}.")
    if architecture is not None and not _ARCHITECTURE.fullmatch(architecture):
        raise RunNameError(f"An architecture must consist of letters, digits, `_`, `.` and `+`, not {architecture!r}.")
    for name in params:
        keys.assign(name)
    keys.settle()
    suggested = params.get(FAMILY)
    family = suggested if isinstance(suggested, str) else family
    written = [name for name in keys.order(params) if not _stands_first(name, params[name], keys)]
    fields = [_encode_field(name, params[name], keys) for name in written]
    head = _encode_family(family)
    if keys.implies_family and FAMILY not in params:
        head += _NOT_SUGGESTED
    tail = format_number(number)
    for shown in ([architecture], []) if architecture else ([],):
        if len(name := "-".join([head, *shown, *fields, tail])) <= MAX_BYTES:
            return name
    return _shorten(family, head, fields, tail)


def encode_repeat(name: str, repeat: int) -> str:
    """The name of a run's repeat with another seed: `...-t0012r2`.

    Args:
        name: the run's own name.
        repeat: which of its repeats, from 1 to 9999.

    Raises:
        RunNameError: the number cannot be, or the name is that of a repeat.
    """
    if not 1 <= repeat <= 9999 or decode(name).repeat is not None:
        raise RunNameError(f"A run's repeats are counted from 1 to 9999, and have none themselves: {name}, {repeat}.")
    return f"{name}r{repeat}"


def session_group(name: str) -> str:
    """What a run and others like it are called together in TensorBoard's HParams: the run's name, which is its own.

    All repeats of a run have one group, `...-t0012r`, apart from the run: TensorBoard shows their means.
    """
    tail = _NUMBER.search(name)
    return name[: tail.start(2)] if tail and tail[2] else name


def _stands_first(name: str, value: Value, keys: KeyTable) -> bool:
    return name == FAMILY and isinstance(value, str) and keys.implies_family


def _encode_field(name: str, value: Value, keys: KeyTable) -> str:
    try:
        return f"{keys.key(name)}={format_value(value)}"
    except RunNameError as error:
        raise RunNameError(f"Parameter `{name}`: {error.message}", error.hint) from None


def _encode_family(family: str) -> str:
    text = escape(family).replace("-", "~2d")
    # A directory whose name begins with a dot is hidden.
    return (f"~2e{text[1:]}" if text.startswith(".") else text) or _EMPTY_FAMILY


def _shorten(family: str, head: str, fields: list[str], tail: str) -> str:
    """The family, those parameters that fit, in their order, and a digest of all."""
    digest = "~" + hashlib.sha256("-".join([head, *fields]).encode()).hexdigest()[:8]
    room = MAX_BYTES - len(f"-{digest}-{tail}")
    if len(head) > room:
        family = family[:room]
        while len(head := _encode_family(family)) > room:
            family = family[:-1]
    fitting, room = [head], room - len(head)
    for field in fields:
        if len(field) < room:
            fitting.append(field)
            room -= len(field) + 1
    return "-".join([*fitting, digest, tail])


def is_run_name(text: str) -> bool:
    """Whether a text is a run name, of whatever study."""
    try:
        decode(text)
    except RunNameError:
        return False
    return True


def decode(name: str, keys: KeyTable | None = None) -> RunName:
    """What a run name says.

    Args:
        name: the run name.
        keys: the key table of its study. Without it `params` has keys for names, and no parameter called `family`
            unless it is written out.

    Raises:
        RunNameError: the text is no run name, or not one of a study with this key table: the message has the place.
    """
    return _Decoder(name, keys).decode()


class _Decoder:
    """One name being decoded, so that every refusal can show its place."""

    def __init__(self, name: str, keys: KeyTable | None) -> None:
        self.name = name
        self.keys = keys

    def decode(self) -> RunName:
        self._check_characters()
        tail = _NUMBER.search(self.name)
        if tail is None:
            raise self._refusal("A run name ends with `-t` and a trial number of at least 4 digits", len(self.name))
        digest = _DIGEST.search(self.name, endpos=tail.start())
        end = digest.start() if digest else tail.start()
        equals = list(_KEY_BEFORE_EQUALS.finditer(self.name, 0, end))
        head_end, *stops = [*(match.start() for match in equals), end]
        family, suggested, architecture = self._head(head_end)
        if digest and architecture:
            raise self._refusal("A shortened run name has no architecture", digest.start() + 1)
        params: dict[str, Value] = {}
        for match, stop in zip(equals, stops, strict=True):
            parameter, value = self._field(match, stop)
            if parameter in params:
                raise self._refusal("A run name has each key once", match.start() + 1, match.end() - 1)
            params[parameter] = value
        if not digest:
            self._complete_family(params, family, suggested)
        repeat = int(tail[2]) if tail[2] else None
        return RunName(family, architecture, params, int(tail[1]), digest[1] if digest else None, repeat)

    def _check_characters(self) -> None:
        if illegal := _ILLEGAL.search(self.name, 0, MAX_BYTES + _REPEAT_BYTES):
            raise self._refusal("A run name consists of [A-Za-z0-9._+=~-]", illegal.start(), illegal.end())
        if len(self.name) > MAX_BYTES + (_REPEAT_BYTES if (tail := _NUMBER.search(self.name)) and tail[2] else 0):
            raise self._refusal(f"A run name has at most {MAX_BYTES} bytes", MAX_BYTES)

    def _head(self, end: int) -> tuple[str, bool, str | None]:
        """The family, whether it may be a parameter's value, and the architecture."""
        text, *more = self.name[:end].split("-")
        suggested = text == _EMPTY_FAMILY or not text.endswith(_NOT_SUGGESTED)
        escaped = text if suggested else text.removesuffix(_NOT_SUGGESTED)
        try:
            family = "" if escaped == _EMPTY_FAMILY else unescape(escaped)
        except RunNameError as error:
            raise self._refusal(error.message.rstrip("."), 0, len(text)) from None
        if _encode_family(family) != escaped:
            raise self._refusal("A run name begins with a family, escaped the way sweep escapes it", 0, len(text))
        if more and not _ARCHITECTURE.fullmatch(more[0]):
            raise self._refusal(
                "Only an architecture can follow the family", len(text) + 1, len(text) + 1 + len(more[0])
            )
        if len(more) > 1:
            start = len(text) + len(more[0]) + 2
            raise self._refusal("Only `key=value` can follow the family and the architecture", start, end)
        return family, suggested, more[0] if more else None

    def _field(self, match: re.Match[str], stop: int) -> tuple[str, Value]:
        start, key = match.start() + 1, match[1]
        if not is_key(key):
            raise self._refusal(KEY_RULE, start, match.end() - 1)
        try:
            parameter = self.keys.name(key) if self.keys is not None else key
        except RunNameError as error:
            raise self._refusal(error.message.rstrip("."), start, match.end() - 1, error.hint) from None
        try:
            return parameter, parse_value(self.name[match.end() : stop])
        except RunNameError as error:
            raise self._refusal(error.message.rstrip("."), match.end(), stop, error.hint) from None

    def _complete_family(self, params: dict[str, Value], family: str, suggested: bool) -> None:
        """Add the parameter called `family` where its value is the family."""
        implied = self.keys is not None and self.keys.implies_family
        if isinstance(params.get(FAMILY), str) and (implied or params[FAMILY] != family):
            raise self._refusal(
                "A parameter `family` whose value is text is written as the family, and only there",
                self.name.index("-family="),
            )
        if not suggested and (FAMILY in params or not (implied or self.keys is None)):
            raise self._refusal("A family ends with `~` only where the trial has no parameter `family`", 0)
        if implied and suggested:
            params.setdefault(FAMILY, family)

    def _refusal(self, problem: str, start: int, stop: int | None = None, hint: str | None = None) -> RunNameError:
        found = self.name[start:stop][:MAX_BYTES]
        whole = self.name if len(self.name) <= MAX_BYTES else f"{self.name[:MAX_BYTES]}..."
        return RunNameError(f"{problem}, at character {start + 1} of {whole!r}: {found!r}.", hint)
