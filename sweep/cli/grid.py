"""A table that fits: plain data of columns, drawn with Rich on a terminal and as plain text elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_GAP = 2


@dataclass
class Column:
    """One column of a `Grid`.

    Attributes:
        header: its heading.
        cells: a text for each row.
        right: whether its texts end below each other.
        keep: on a narrow terminal the columns with the least of it go first.
        shrink: the least width to which it may be cut, if it may.
        style: Rich's style of its cells.
    """

    header: str
    cells: list[str]
    right: bool = False
    keep: int = 100
    shrink: int | None = None
    style: str = ""

    @property
    def width(self) -> int:
        """The width of its widest text, in characters."""
        return max(map(len, [self.header, *self.cells]))

    @property
    def least(self) -> int:
        """The least width it can have."""
        return self.width if self.shrink is None else min(self.width, max(self.shrink, len(self.header)))

    def cut(self, width: int) -> "Column":
        """The column with every text cut to `width`."""
        cells = [text if len(text) <= width else f"{text[: width - 1]}…" for text in self.cells]
        return replace(self, cells=cells, shrink=None)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


@dataclass
class Grid:
    """Columns of equal length; `styles` holds Rich's style of each row."""

    columns: list[Column]
    styles: list[str] = field(default_factory=list)
    cell_styles: dict[tuple[str, int], str] = field(default_factory=dict)

    def fit(self, width: int) -> tuple["Grid", list[str]]:
        """The grid with no more columns than fit into `width` characters, and the headers of those left out.

        Texts of a column that may shrink are cut, with an ellipsis.
        """
        kept = list(self.columns)
        while len(kept) > 1 and _total([column.least for column in kept]) > width:
            least = min(column.keep for column in kept)
            kept.remove([column for column in kept if column.keep == least][-1])
        left_out = [column.header for column in self.columns if column not in kept]
        for place, column in enumerate(kept):
            excess = _total([column.width for column in kept]) - width
            if column.shrink is not None and excess > 0:
                kept[place] = column.cut(max(column.least, column.width - excess))
        return Grid(kept, self.styles, self.cell_styles), left_out

    @property
    def width(self) -> int:
        """The width of its lines, in characters."""
        return _total([column.width for column in self.columns])

    def plain(self) -> str:
        """The grid as lines of text, nothing cut."""
        widths = [column.width for column in self.columns]
        rows = [
            [column.header for column in self.columns],
            *zip(*(column.cells for column in self.columns), strict=True),
        ]
        return "".join(f"{self._line(row, widths)}\n" for row in rows)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = zip(self.columns, row, widths, strict=True)
        texts = [text.rjust(width) if column.right else text.ljust(width) for column, text, width in cells]
        return (" " * _GAP).join(texts).rstrip()

    def table(self) -> "Table":
        """The grid as a table of Rich."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, collapse_padding=True, header_style="bold dim")
        for column in self.columns:
            table.add_column(
                column.header,
                justify="right" if column.right else "left",
                style=column.style,
                no_wrap=True,
                min_width=column.width,
            )
        for place, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            texts = [
                Text(text, style=self.cell_styles.get((column.header, place), ""))
                for column, text in zip(self.columns, row, strict=True)
            ]
            table.add_row(*texts, style=self.styles[place] if self.styles else "")
        return table
