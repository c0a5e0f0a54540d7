"""Single values as the page shows them: numbers, durations, names with their parts, sparklines."""

import math
import re
import time
from collections.abc import Sequence

from markupsafe import Markup, escape

from sweep.errors import RunNameError
from sweep.names import Value, format_number, format_value, short_number
from sweep.names.parts import Part, parts
from sweep.store import RunRecord
from sweep.view.durations import duration as duration  # the templates call cells.duration

WIDTH, HEIGHT = 88, 18  # of a sparkline, in pixels
POINTS = 44


def number(value: float | None) -> str:
    """A metric for people; an empty text where there is none."""
    return "" if value is None else short_number(value)


def value(value: Value) -> str:
    """A parameter's value for people: as in a run name, except that strings are not escaped."""
    return value if isinstance(value, str) else format_value(value)


def moment(seconds: float | None) -> str:
    """A point in time, by this host's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds is not None else ""


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


def sparkline(values: Sequence[float], state: str = "", *, steps: bool = False, label: str = "") -> Markup:
    """A series as a small picture, scaled between the 2nd and the 98th percentile of its values; gaps where not finite.

    Args:
        steps: draw each value until the next one, as a best so far is.
        label: what is said to those who do not see it.
    """
    shown = _thinned(values, POINTS)
    finite = sorted(item for item in shown if math.isfinite(item))
    if not finite:
        return Markup("")
    low, high = finite[(len(finite) - 1) * 2 // 100], finite[-1 - (len(finite) - 1) * 2 // 100]
    across = (WIDTH - 4) / max(1, len(shown) - 1)

    def place(index: int, item: float) -> tuple[float, float]:
        share = min(1.0, max(0.0, (item - low) / (high - low))) if high > low else 0.5
        return 2 + index * across, HEIGHT - 3 - share * (HEIGHT - 6)

    path, pen = [], "M"
    last = (0.0, 0.0)
    for index, item in enumerate(shown):
        if not math.isfinite(item):
            pen = "M"
            continue
        x, y = place(index, item)
        path.append(f"{pen}{x:.1f} {y:.1f}" if pen == "M" or not steps else f"H{x:.1f}V{y:.1f}")
        pen, last = "L", (x, y)
    return Markup(
        '<svg class="spark {}" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<path d="{}"/><circle cx="{:.1f}" cy="{:.1f}" r="1.8"/></svg>'
    ).format(escape(state), WIDTH, HEIGHT, WIDTH, HEIGHT, label, " ".join(path), *last)


def _thinned(values: Sequence[float], most: int) -> Sequence[float]:
    """At most so many of the values, evenly, the last one among them."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]
