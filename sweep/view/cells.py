"""Text in the cells of tables and on pages: numbers, which line up in a column, values, durations, names, courses."""

import itertools
import math
import re
import statistics
import time
from collections.abc import Callable, Sequence

from sweep.errors import RunNameError
from sweep.names import Value, format_number, format_value, short_number
from sweep.names.parts import Part, parts
from sweep.store import RunRecord

BARS = "▁▂▃▄▅▆▇█"

_WIDEST = 9  # characters of a number written with the decimals of its column


def number(value: float | None) -> str:
    """A metric for people; an empty text where there is none."""
    return "" if value is None else short_number(value)


def value(value: Value) -> str:
    """A parameter's value for people: as in a run name, except that strings are not escaped."""
    return value if isinstance(value, str) else format_value(value)


def moment(seconds: float | None) -> str:
    """A point in time, by this host's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds is not None else ""


def duration(seconds: float | None) -> str:
    """A duration for people: `0.8s`, `42s`, `3m07s`, `2h05m`, `3d04h`."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def number_of(run: RunRecord) -> str:
    """A trial number as run names end with it."""
    return format_number(run.number)


def name_parts(run: RunRecord) -> list[tuple[Part, str]]:
    """A run's name in parts, each with the pattern that finds the runs which share it."""
    if run.name is None:
        return [(Part("number", number_of(run)), f"-{number_of(run)}$")]
    try:
        found = parts(run.name)
    except RunNameError:
        return [(Part("family", run.name), f"^{quote(run.name)}$")]
    return [(part, _pattern(part)) for part in found]


def _pattern(part: Part) -> str:
    text = quote(part.text)
    if part.kind == "family":
        return f"^{text}-"
    return f"-{text}$" if part.kind == "number" else f"-{text}-"


def quote(text: str) -> str:
    """A pattern that finds a text as it stands."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", text)


def number_cells(values: Sequence[float | None]) -> list[str]:
    """A column of numbers with 4 to 5 significant digits and the decimal points below each other.

    All have the decimals that the median needs for 4 digits. One that this does not suit, because it would be zeros
    or too wide, is written with 4 digits of its own.
    """
    known = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    middle = statistics.median_low(known) if known else 1.0
    decimals = max(0, min(6, 3 - math.floor(math.log10(middle))))
    return _line_up([_number_cell(value, decimals) for value in values])


def _number_cell(value: float | None, decimals: int) -> str:
    if value is None:
        return ""
    if math.isfinite(value):
        fixed = f"{value:.{decimals}f}"
        if len(fixed) <= _WIDEST and (value == 0 or abs(value) >= 10.0**-decimals):
            return fixed
        if abs(value) >= 1e6:
            return f"{value:.3e}"
    return short_number(value)


def value_cells(values: Sequence[Value], missing: Sequence[bool]) -> list[str]:
    """A column of a parameter's values exactly as run names have them; empty where the parameter is missing."""
    cells = ["" if gone else format_value(value) for value, gone in zip(values, missing, strict=True)]
    numbers = all(gone or (isinstance(value, int | float)) for value, gone in zip(values, missing, strict=True))
    return _line_up(cells) if numbers else cells


def _line_up(cells: Sequence[str]) -> list[str]:
    """Cells with blanks on both sides that put their decimal points below each other."""
    parts = [cell.partition(".") for cell in cells]
    before = max((len(part[0]) for part in parts), default=0)
    return [f"{whole:>{before}}{point}{rest}".rstrip() for whole, point, rest in parts]


def shape(
    values: Sequence[float], width: int, pick: Callable[[Sequence[float]], float] = statistics.median
) -> list[float | None]:
    """A series as a small picture draws it: at most `width` heights from 0 to 1; None where a value is NaN or infinite.

    A height stands for the values that fall on it, by default for their median, between the 5th and the 95th percentile
    of all, so that one early peak does not flatten the rest.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    low, high = (finite[len(finite) // 20], finite[-1 - len(finite) // 20]) if finite else (0.0, 0.0)
    count = min(width, len(values))
    edges = [round(place * len(values) / count) for place in range(count + 1)] if count else []

    def height(group: Sequence[float]) -> float | None:
        if not all(map(math.isfinite, group)):
            return None
        return min(1.0, max(0.0, (pick(group) - low) / (high - low))) if high > low else 0.5

    return [height(values[start:end]) for start, end in itertools.pairwise(edges)]


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """A series as a line of at most `width` bars; `x` where a value is NaN or infinite."""
    heights = shape(values, width)
    return "".join("x" if height is None else BARS[min(len(BARS) - 1, int(height * len(BARS)))] for height in heights)
