"""How counts, sizes, lists that may be long, paths and texts of others are worded in what people read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, and what moves the cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles and links
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")  # but tabs and line ends, and NUL, which the store escapes


def plain(text: str) -> str:
    """A text of others, such as an exception's, without what changes a terminal: colours are left out, and control
    characters are shown as `\\x07`."""
    without = _ESCAPES.sub("", text).replace("\r\n", "\n")
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", without)


def counted(count: int, thing: str) -> str:
    """A count with what is counted, such as `1 epoch`, `2 epochs` and `2 studies`."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count} {thing if count == 1 else several}"


def shown_size(count: int) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names with commas between them; of more than `most`, how many are left out."""
    left_out = len(names) - most
    return ", ".join(names) if left_out <= 0 else f"{', '.join(names[:most])} and {left_out} more"


def labelled(label: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """Texts with their label before the first one, and an empty one before the others."""
    return [(label if place == 0 else "", text) for place, text in enumerate(texts)]


def one_line(text: str) -> str:
    """A text with every run of white space as one blank."""
    return " ".join(text.split())


def shown_path(path: str) -> str:
    """A path as short as it can be typed here: relative where it is below the working directory."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
