"""How counts, and lists that may be long, are worded in what people read."""

from collections.abc import Sequence


def counted(count: int, thing: str) -> str:
    """A count with what is counted, such as `1 epoch`, `2 epochs` and `2 studies`."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count} {thing if count == 1 else several}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names with commas between them; of more than `most`, how many are left out."""
    left_out = len(names) - most
    return ", ".join(names) if left_out <= 0 else f"{', '.join(names[:most])} and {left_out} more"
