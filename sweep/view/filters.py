"""Filters: which runs a pattern matches, by the rules of TensorBoard's Time Series tab.

A pattern is a JavaScript regular expression (ECMA-262, without the `u` flag), found anywhere in the run name, in
either case; the empty one matches every run. `regress`, an ECMAScript engine, runs it; where that engine and browsers
differ, the pattern is brought to what browsers do, or refused as they refuse it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import regress

from sweep.errors import FilterError

# The engine recurses along a pattern and ends the process where the stack does. 1,000 characters take less than the
# smallest stack that threads have here (512 KiB).
LONGEST = 1000

_REASONS = {
    "Unbalanced parenthesis": "a parenthesis without its partner",
    "Unbalanced bracket": "a bracket without its partner",
    "Invalid atom character": "nothing to repeat",
    "Invalid braced quantifier": "nothing to repeat",
    "Invalid quantifier": "numbers out of order in braces",
    "Quantifier not allowed here": "nothing to repeat",
    "Range values reversed, start char code is greater than end char code.": "a range out of order",
    "Incomplete escape": "a backslash at the end",
    "Unterminated escape": "a backslash at the end",
    "Invalid token at named capture group identifier": "no valid name of a group",
    "Invalid group modifier": "no such kind of group",
}
# Without the `u` flag `\u{` is a `u` and a brace. The other alternative steps over every other escape.
_UNICODE_BRACE = re.compile(r"(\\u)(?=\{)|\\.", re.DOTALL)
_BRACES = re.compile(r"\{[\d,]+\}\Z")
# A repeated `\b` or `\B`, which the engine takes and browsers refuse; the others step over escapes and classes.
_REPEATED_BOUNDARY = re.compile(r"(\\[bB])(?:[*+?]|\{\d+(?:,\d*)?\})|\\.|\[(?:\\.|[^\]\\])*\]|.", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """A filter over run names; made by `compile_filter`. Its `str()` is a sentence for people."""

    text: str
    _engine: regress.Regex = field(repr=False, compare=False)

    def matches(self, name: str) -> bool:
        """Whether the pattern is found anywhere in a run name."""
        return self._engine.find(name) is not None

    def filter(self, names: Iterable[str]) -> list[str]:
        """The names that match, in their order."""
        return [name for name in names if self.matches(name)]

    def __str__(self) -> str:
        return f"runs whose name matches {self.text}" if self.text else "all runs"


def compile_filter(text: str) -> Filter:
    """The filter of a pattern.

    A pattern may take exponential time on some name; to match patterns of strangers, use a process that can be ended.

    Raises:
        FilterError: JavaScript refuses the pattern, or it is longer than 1,000 characters. The message has the reason
            and the place; `position` is that place, counted from 0 in characters, or None if it is not known.
    """
    if len(text) > LONGEST:
        raise FilterError(f"The filter has {len(text)} characters, and the most is {LONGEST}.")
    reason = _refusal(text)
    if reason is not None:
        raise _error(text, reason, _position(text, reason))
    for token in _REPEATED_BOUNDARY.finditer(text):
        if token[1]:
            raise _error(text, "nothing to repeat", token.end(1))
    return Filter(text, _engine(text))


def _engine(text: str) -> regress.Regex:
    plain = _UNICODE_BRACE.sub(lambda escape: "u" if escape[1] else escape[0], text)
    return regress.Regex(plain, "i")


def _refusal(text: str) -> str | None:
    """Why the engine refuses a pattern; None where it takes it."""
    try:
        _engine(text)
    except regress.RegressError as error:
        said = str(error)
        return _REASONS.get(said, said[:1].lower() + said[1:].rstrip("."))
    except UnicodeEncodeError:
        return "a character that is no Unicode text"
    return None


def _position(text: str, reason: str) -> int:
    """Where a refused pattern goes wrong: at the end of the shortest beginning from which on it is refused for this.

    The engine reads from left to right and tells no place. All longer beginnings must be refused for the same reason,
    since shorter ones may be so for being cut, as `(?` is.
    """
    end = len(text)
    while end > 1 and _refusal(text[: end - 1]) == reason:
        end -= 1
    braces = _BRACES.search(text, 0, end)
    return braces.start() if braces else end - 1


def _error(text: str, reason: str, position: int) -> FilterError:
    hint = "Filters ignore case anyway." if text.startswith("(?i)") else None
    return FilterError(
        f"Invalid filter: {reason} at character {position + 1} ({text[position]!r}): {text}", hint, position=position
    )
