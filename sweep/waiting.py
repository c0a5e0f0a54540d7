"""That a running study waits for its database, as readers learn it: from a file in the study's folder.

The database cannot say it, for it is away, and the coordinator's heartbeat in it stops. So the coordinator
touches the file every second. A disk that is full may have no room for the reason; the file is there then all the same,
and is empty.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "waiting.json"

TOUCH_SECONDS = 1.0
STALE_SECONDS = 10.0
"""How long nobody has touched the file of a coordinator that is gone."""


@dataclass(frozen=True)
class Waiting:
    """What a study waits for.

    Attributes:
        since: in Unix seconds; None where the disk had no room for it.
        place: the database's URL, without its password.
        why: what the database said, or that it says nothing.
    """

    since: float | None
    place: str
    why: str

    def __str__(self) -> str:
        place, why = f" at {self.place}" if self.place else "", f": {self.why}" if self.why else ""
        return f"waiting{self._since()} for the database{place}{why}"

    def _since(self) -> str:
        if self.since is None:
            return ""
        clock = "%H:%M:%S" if time.time() - self.since < 86_400 else "%Y-%m-%d %H:%M"
        return f" since {time.strftime(clock, time.localtime(self.since))}"

    def as_object(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def note(folder: Path, waiting: Waiting | None, owner: str = "") -> None:
    """Let readers know that the study of a folder waits; None: that it does so no longer.

    Args:
        owner: the token of the coordinator that says so.
    """
    path = folder / FILE
    with contextlib.suppress(OSError):
        if waiting is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(json.dumps({**waiting.as_object(), "owner": owner}))


def touch(folder: Path) -> None:
    """Let readers know that the coordinator which waits is there."""
    with contextlib.suppress(OSError):
        os.utime(folder / FILE)


def is_there(folder: Path, owner: str) -> bool:
    """Whether the coordinator of that token waits, and was there a moment ago."""
    path = folder / FILE
    try:
        fresh = abs(time.time() - path.stat().st_mtime) < STALE_SECONDS
        text = path.read_text()
    except OSError:
        return False
    try:
        return fresh and (not text or json.loads(text)["owner"] == owner)
    except (ValueError, TypeError, KeyError):
        return False


def read(folder: Path) -> Waiting | None:
    """What the study of a folder waits for, if it runs; None where it waits for nothing."""
    path = folder / FILE
    try:
        text = path.read_text()
    except OSError:
        return None
    try:
        found = json.loads(text)
        return Waiting(float(found["since"]), str(found["place"]), str(found["why"]))
    except (ValueError, TypeError, KeyError):
        return Waiting(None, "", "")
