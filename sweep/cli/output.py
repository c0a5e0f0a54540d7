"""Where text goes: data to standard output, remarks to the terminal or, where standard output is piped, to stderr."""

import json
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.cli.grid import Grid
from sweep.errors import SweepError

if TYPE_CHECKING:
    from rich.console import Console


_CONTROLS = re.compile(r"[\x7f-\x9f]")  # those that JSON need not escape


def on_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def console(width: int | None = None) -> "Console":
    """Rich's console on standard output, which neither guesses at markup nor colours numbers.

    What is printed holds no escape sequences but Rich's own.

    Args:
        width: the least width in characters; a narrower terminal wraps by itself, so that names can be copied whole.
    """
    from sweep.cli.screen import Screen

    made = Screen(highlight=False, markup=False, emoji=False, soft_wrap=False, file=getattr(sys.stdout, "exact", None))
    if width is not None and width > made.width:
        made.width = width
    return made


def show_grid(grid: Grid) -> list[str]:
    """Print a table, fitted where it goes to a terminal; returns the headers of the columns that had no room."""
    if not on_terminal():
        sys.stdout.write(grid.plain())
        return []
    fitted, left_out = grid.fit(console().width)
    console(fitted.width).print(fitted.table())
    return left_out


def show_json(value: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
    """Print an object, or a list with an object a line; NaN and infinity must have been made None before."""
    if isinstance(value, dict):
        sys.stdout.write(f"{json_text(value, indent=2)}\n")
        return
    lines = ",\n".join(json_text(item) for item in value)
    sys.stdout.write(f"[\n{lines}\n]\n" if lines else "[]\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON, with all that controls a terminal escaped; NaN and infinity must have been made None."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_whole(text: str, style: str = "") -> None:
    """Print a line and cut it nowhere: a terminal wraps it by itself, so that it can be copied whole."""
    if on_terminal():
        console().print(text, style=style, soft_wrap=True)
    else:
        print(text)


def print_wrapped(text: str, indent: int) -> None:
    """Print prose, its later lines indented; piped text stays one line."""
    if on_terminal():
        text = textwrap.fill(text, console().width, subsequent_indent=" " * indent, break_on_hyphens=False)
    print_whole(text)


def remark(text: str, style: str = "dim") -> None:
    """Print a remark about the data: below it on a terminal, to stderr where standard output is piped."""
    if on_terminal():
        console().print(text, style=style)
    else:
        print(text, file=sys.stderr)


def remarks(texts: Sequence[str | None]) -> None:
    """Print the remarks that there are."""
    for text in texts:
        if text is not None:
            remark(text)


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless `yes` is set; "no" ends the command.

    Raises:
        SweepError: nobody can be asked.
    """
    import typer

    if yes:
        return
    if not sys.stdin.isatty():
        raise SweepError(
            "Refusing to go ahead without confirmation, because there is no terminal to ask on.",
            "Pass --yes, or --dry-run to only look.",
        )
    typer.confirm(question, abort=True)
