"""Text in the cells of a table: numbers that line up, durations, sparklines."""

import itertools
import math
import statistics
from collections.abc import Sequence

from sweep.names import Value, format_value, short_number

BARS = "▁▂▃▄▅▆▇█"

_WIDEST = 9  # characters of a number written with the decimals of its column


def number_cells(values: Sequence[float | None]) -> list[str]:
    """A column of numbers with 4 to 5 significant digits and the decimal points below each other.

    All have the decimals that the median needs for 4 digits. One that this does not suit, because it would be zeros
    or too wide, stands on its own with 4 digits.
    """
    known = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    middle = statistics.median(known) if known else 1.0
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


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """A line of bars for a series, with at most `width` of them; `x` where a value is NaN or infinite.

    A bar is the median of the values that fall on it, drawn between the 5th and 95th percentile of all, so that one
    early peak does not flatten the rest.
    """
    if not values:
        return ""
    groups = _groups(values, min(width, len(values)))
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return "x" * len(groups)
    low, high = finite[len(finite) // 20], finite[(len(finite) - 1) - len(finite) // 20]
    return "".join(_bar(group, low, high) for group in groups)


def _groups(values: Sequence[float], count: int) -> list[Sequence[float]]:
    edges = [round(place * len(values) / count) for place in range(count + 1)]
    return [values[start:end] for start, end in itertools.pairwise(edges)]


def _bar(group: Sequence[float], low: float, high: float) -> str:
    if not all(map(math.isfinite, group)):
        return "x"
    share = (statistics.median(group) - low) / (high - low) if high > low else 0.5
    return BARS[max(0, min(len(BARS) - 1, int(share * len(BARS))))]


def shown_size(count: int) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
