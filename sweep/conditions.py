"""Conditions on runs, such as `lr < 0.01 and val_mae < 0.6`: read by a parser of our own, never evaluated as code.

    condition  = both { "or" both }
    both       = single { "and" single }
    single     = "not" single | "(" condition ")" | comparison
    comparison = operand sign operand { sign operand } | operand [ "not" ] "in" "(" literal { "," literal } ")"
    sign       = "<" | "<=" | ">" | ">=" | "=" | "==" | "!="
    operand    = name | literal
    name       = a parameter by its name or key, a metric, or number, name, state, epoch, value, best, last, feasible,
                 duration, started, family, mean, sd, n, finding; in backquotes where it is no plain word
    literal    = a number, also a duration such as 90s, 10m or 2h | "text" or 'text' | true | false | none | inf

A metric is the one of the last finished epoch, the objective as well. `best.NAME` is the objective at its best epoch,
`value` what `train` returned, `constraint.NAME` a constraint, and `run.NAME` always the property. What a run does not
have (a parameter that does not apply, a metric before the first epoch, NaN) fulfils no comparison, not even `!=`.
A run has several findings: `finding = 'dead-relu'` holds where one is that, `!=` where none is. Numbers compare with
numbers and texts with texts, ignoring case; values of different kinds are only ever unequal.
"""

import functools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sweep.errors import FilterError, SweepError
from sweep.quantities import ABSENT, OF_RUN, Metrics, Quantity, UnknownName, find_quantity

if TYPE_CHECKING:
    from sweep.store import RunRecord, StudyRecord

_Test = Callable[["RunRecord"], bool]
_Operand = Callable[["RunRecord"], Any]
_Sign = Callable[[Any, Any], bool]

LONGEST = 1000
EXAMPLE = "For example: lr < 0.01 and state = 'complete'"
DEEPEST = 40
"""Parentheses and `not` within each other; the parser calls itself for each."""

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<number>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[smhd]?(?![\w.]))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<quoted>`[^`]+`)
    |(?P<word>-?[^\W\d][\w./]*)
    |(?P<sign><=|>=|==|!=|[<>=(),])""",
    re.VERBOSE | re.DOTALL,
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "none": None, "inf": math.inf, "-inf": -math.inf}
_WORDS = frozenset({"and", "or", "not", "in"})
_SIGNS: Mapping[str, _Sign] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}


class ConditionError(FilterError):
    """A text is no condition, or names what its study does not have."""


@dataclass(frozen=True)
class RunCondition:
    """A condition on the runs of one study; made by `compile_condition`. Its `str()` is what was typed."""

    text: str
    _test: _Test

    def matches(self, run: "RunRecord") -> bool:
        """Whether a run fulfils the condition."""
        return self._test(run)

    def __str__(self) -> str:
        return self.text


def compile_condition(
    text: str, study: "StudyRecord", metrics: Callable[[], Metrics], runs: Sequence["RunRecord"] = ()
) -> RunCondition:
    """The condition that a text says about a study's runs; every run fulfils the empty one.

    Args:
        metrics: gives the last metrics of each run by number, if they are needed.
        runs: all of the study, which tell what constraints there are.

    Raises:
        ConditionError: the text is no condition, or names what the study does not have; `position` is the place.
    """
    tokens = _tokens(text)
    if tokens[0].kind == "end":
        return RunCondition(text, lambda _run: True)
    find = functools.partial(find_quantity, study, metrics=metrics, runs=runs)
    return RunCondition(text, _Parser(text, tokens, find).whole())


def check_condition(text: str) -> None:
    """See that a text is a condition, whatever its names stand for.

    Raises:
        ConditionError: it is none, or empty; `position` is the place.
    """
    _Parser(text, _tokens(text), lambda _name: Quantity(lambda _run: None)).whole()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    if len(text) > LONGEST:
        raise ConditionError(f"The condition has {len(text)} characters, and the most is {LONGEST}.", position=LONGEST)
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            quote = text[position] in "\"'`"
            _refuse(text, "Unclosed quote" if quote else f"Unexpected {text[position]!r}", position)
        kind, found = str(match.lastgroup), match[0]
        if kind == "word" and found.lower() in _WORDS:
            kind, found = found.lower(), found.lower()
        if kind != "blank":
            tokens.append(_Token(kind if kind != "sign" else match[0], found, position))
        position = match.end()
    return [*tokens, _Token("end", "", len(text))]


class _Parser:
    """Reads tokens from left to right; each method reads one rule of the grammar."""

    def __init__(self, text: str, tokens: Sequence[_Token], find: Callable[[str], Quantity]) -> None:
        self._text = text
        self._tokens = tokens
        self._find = find
        self._place = 0
        self._depth = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *kinds: str) -> _Token | None:
        """The next token, if it is of one of these kinds."""
        token = self._next
        if token.kind not in kinds:
            return None
        self._place += 1
        return token

    def _expect(self, kind: str, what: str) -> None:
        if self._take(kind) is None:
            self._wrong(what)

    def _wrong(self, expected: str) -> NoReturn:
        before = f" after `{self._tokens[self._place - 1].text}`" if self._place else ""
        _refuse(self._text, f"Expected {expected}{before}", self._next.position)

    def whole(self) -> _Test:
        test = self._condition()
        if self._next.kind != "end":
            self._wrong("`and`, `or` or the end")
        return test

    def _condition(self) -> _Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return functools.reduce(_either, tests)

    def _both(self) -> _Test:
        tests = [self._single()]
        while self._take("and"):
            tests.append(self._single())
        return functools.reduce(_each, tests)

    def _single(self) -> _Test:
        self._depth += 1
        if self._depth > DEEPEST:
            _refuse(self._text, f"More than {DEEPEST} nested parentheses", self._next.position)
        test = self._nested()
        self._depth -= 1
        return test

    def _nested(self) -> _Test:
        if self._take("not"):
            refused = self._single()
            return lambda run: not refused(run)
        if self._take("("):
            test = self._condition()
            self._expect(")", "`)`")
            return test
        return self._comparison()

    def _comparison(self) -> _Test:
        left = self._operand()
        if self._next.kind in ("in", "not"):
            negated = self._take("not") is not None
            self._expect("in", "`in`")
            return self._among(left, negated=negated)
        tests = []
        while sign := self._take(*_SIGNS):
            right = self._operand(compared=True)
            tests.append(_comparison_test(left, _SIGNS[sign.kind], right))
            left = right
        if not tests:
            self._wrong("a comparison such as `< 0.01`")
        return functools.reduce(_each, tests)

    def _among(self, left: _Operand, *, negated: bool) -> _Test:
        self._expect("(", "`(` and a list of values")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect(")", "`,` or `)`")

        def among(run: "RunRecord") -> bool:
            value = left(run)
            return _is_there(value) and negated != any(_compare(value, operator.eq, other) for other in values)

        return among

    def _operand(self, *, compared: bool = False) -> _Operand:
        token = self._next
        if token.kind == "quoted" or (token.kind == "word" and token.text.lower() not in _CONSTANTS):
            self._place += 1
            return self._quantity(token, compared=compared)
        return _Constant(self._literal())

    def _literal(self) -> Any:
        token = self._take("number", "text", "word")
        if token is None:
            self._wrong("a name or a value")
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.text.lower() not in _CONSTANTS:
            _refuse(self._text, f"Expected a value, and text in quotes: '{token.text}',", token.position)
        return _CONSTANTS[token.text.lower()]

    def _quantity(self, token: _Token, *, compared: bool) -> _Operand:
        """What a name stands for; behind a sign a word that names nothing may be meant as a text."""
        name = token.text.strip("`")
        if name in ("finding", f"{OF_RUN}finding"):
            return lambda run: frozenset(found.kind for found in run.findings)
        try:
            quantity = self._find(name)
        except UnknownName as error:
            raise ConditionError(
                f"No such metric, parameter or property: {name!r} at character {token.position + 1}.",
                f"To compare with text, put it in quotes: '{name}'."
                if compared and token.kind == "word"
                else error.hint,
                position=token.position,
            ) from None
        except SweepError as error:
            raise ConditionError(error.message, error.hint, position=token.position) from None
        value = quantity.value
        return value if quantity.nullable else lambda run: ABSENT if (got := value(run)) is None else got


def _number(text: str) -> int | float:
    unit = _UNITS.get(text[-1])
    digits = text if unit is None else text[:-1]
    value = int(digits) if digits.lstrip("-").isdigit() else float(digits)
    return value if unit is None else value * unit


def _refuse(text: str, problem: str, position: int) -> NoReturn:
    raise ConditionError(f"{problem} at character {position + 1}: {text}", EXAMPLE, position=position)


@dataclass(frozen=True)
class _Constant:
    """A literal as an operand."""

    value: Any

    def __call__(self, _run: "RunRecord") -> Any:
        return self.value


def _either(one: _Test, other: _Test) -> _Test:
    return lambda run: one(run) or other(run)


def _each(one: _Test, other: _Test) -> _Test:
    return lambda run: one(run) and other(run)


def _comparison_test(left: _Operand, sign: _Sign, right: _Operand) -> _Test:
    if isinstance(right, _Constant) and _kind_of(right.value) == "number" and sign is not operator.ne:
        return _with_number(left, sign, right.value)

    def test(run: "RunRecord") -> bool:
        one, other = left(run), right(run)
        return _is_there(one) and _is_there(other) and _compare(one, sign, other)

    return test


def _with_number(left: _Operand, sign: _Sign, number: float) -> _Test:
    """What most comparisons are, and many runs are compared: with NaN and what is no number nothing holds."""

    def test(run: "RunRecord") -> bool:
        value = left(run)
        return isinstance(value, int | float) and not isinstance(value, bool) and sign(value, number)

    return test


def _is_there(value: Any) -> bool:
    return value is not ABSENT and not (isinstance(value, float) and math.isnan(value))


def _compare(one: Any, sign: _Sign, other: Any) -> bool:
    """Whether two values compare; those of different kinds are unequal and have no order, nor have true and none."""
    if isinstance(one, frozenset):  # of texts, one of which is meant
        return sign in (operator.eq, operator.ne) and (str(other).casefold() in one) == (sign is operator.eq)
    kind = _kind_of(one)
    if kind != _kind_of(other):
        return sign is operator.ne
    if kind == "text":
        return sign(one.casefold(), other.casefold())
    if kind == "number" or sign in (operator.eq, operator.ne):
        return sign(one, other)
    return False


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "none"
