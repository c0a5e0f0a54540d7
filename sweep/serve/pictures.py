"""Small pictures of a finding's evidence: numbers as squares, blue where negative, red where positive."""

import math
from collections.abc import Sequence

from markupsafe import Markup

SIDE = 11  # of a square, in pixels


def picture(rows: Sequence[Sequence[float]], label: str) -> Markup:
    """Rows of numbers as a picture, scaled by the largest; what is not finite is crossed out by its colour."""
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
