"""Small pictures in a page: the course of a metric as a line, and a finding's evidence as squares."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from sweep.view.cells import shape

WIDTH, HEIGHT, POINTS = 88, 18, 44  # of a sparkline, in pixels, and its points
SIDE = 11  # of a square, in pixels


def sparkline(values: Sequence[float], state: str = "", *, steps: bool = False, label: str = "") -> Markup:
    """A series as a line, see `shape`, with gaps where it is not finite; nothing where it never is.

    Args:
        steps: draw each value until the next one, as a best so far is drawn.
        label: what a screen reader says.
    """
    heights = shape(values, POINTS, lambda group: group[-1]) if steps else shape(values, POINTS)
    across = (WIDTH - 4) / max(1, len(heights) - 1)
    path, pen, x, y = [], "M", 0.0, 0.0
    for place, height in enumerate(heights):
        if height is None:
            pen = "M"
            continue
        x, y = 2 + place * across, HEIGHT - 3 - height * (HEIGHT - 6)
        path.append(f"{pen}{x:.1f} {y:.1f}" if pen == "M" or not steps else f"H{x:.1f}V{y:.1f}")
        pen = "L"
    if not path:
        return Markup("")
    return Markup(
        '<svg class="spark {}" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<path d="{}"/><circle cx="{:.1f}" cy="{:.1f}" r="1.8"/></svg>'
    ).format(state, WIDTH, HEIGHT, WIDTH, HEIGHT, label, " ".join(path), x, y)


def picture(rows: Sequence[Sequence[float]], label: str) -> Markup:
    """Rows of numbers as squares, blue where negative and red where positive, scaled by the largest.

    What is not finite is crossed out by its colour.
    """
    size = max((abs(number) for row in rows for number in row if math.isfinite(number)), default=0.0) or 1.0
    squares = Markup("").join(
        Markup(
            '<rect x="{}" y="{}" width="{}" height="{}" class="{}" fill-opacity="{:.2f}"><title>{:.3g}</title></rect>'
        ).format(column * SIDE, line * SIDE, SIDE - 1, SIDE - 1, _kind(number), _share(number, size), number)
        for line, row in enumerate(rows)
        for column, number in enumerate(row)
    )
    width, height = SIDE * max((len(row) for row in rows), default=0), SIDE * len(rows)
    return Markup(
        '<span class="heat"><svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
        "{squares}</svg><span>{label}</span></span>"
    ).format(w=width, h=height, label=label, squares=squares)


def _kind(number: float) -> str:
    if not math.isfinite(number):
        return "missing"
    if number == 0:
        return "zero"
    return "negative" if number < 0 else "positive"


def _share(number: float, size: float) -> float:
    return 1.0 if number == 0 or not math.isfinite(number) else 0.06 + 0.94 * abs(number) / size
