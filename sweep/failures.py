"""What failed runs have in common: the type of the exception, and the line of the user's code that raised it."""

import re
from pathlib import Path

from sweep.store.records import OUT_OF_MEMORY, RunRecord

_LINE = re.compile(r'^[ |+-]* File "(.*)", line (\d+)', re.MULTILINE)  # of a traceback, of a group of exceptions too
_OURS = re.escape(f"{Path(__file__).parent}/")
_LIBRARY = re.compile(rf"/(?:site|dist)-packages/|/lib(?:64)?/python3|^<frozen |^{_OURS}")
"""The files of a traceback that are none of the user's."""

_HEAD = "Traceback (most recent call last):\n"


def failure_kind(run: RunRecord) -> str:
    """What failures that are alike have in common: the type of the exception, and the user's line that raised it.

    Messages may differ, by a path or a number.
    """
    place = failure_place(run)
    if place is None:
        return (run.reason or "").split(" at epoch ")[0]
    return f"{_type(run)} at {place[0]}, line {place[1]}"


def failure_place(run: RunRecord) -> tuple[str, int] | None:
    """The file and the line of the user's code that a failed run was in last; None without a traceback."""
    lines = _LINE.findall(run.traceback or "")
    if not lines:
        return None
    own = [line for line in lines if not _LIBRARY.search(line[0])]
    file, number = (own or lines)[-1]
    return file, int(number)


def short_traceback(traceback: str) -> str:
    """A traceback from the first line of the user's code on; whole where it has none, or is of several exceptions."""
    text = traceback.rstrip()
    if not text.startswith(_HEAD) or text.count(_HEAD) > 1:
        return text
    frames = re.split(r'^(?=  File ")', text.removeprefix(_HEAD), flags=re.MULTILINE)
    own = next((place for place, frame in enumerate(frames) if _is_own(frame)), None)
    return text if own is None else _HEAD + "".join(frames[own:])


def _is_own(frame: str) -> bool:
    found = _LINE.match(frame)
    return found is not None and not _LIBRARY.search(found[1])


def _type(run: RunRecord) -> str:
    """The type of the exception that a run failed with, without its message."""
    return (run.reason or "").removeprefix(f"{OUT_OF_MEMORY}: ").partition(":")[0]
