"""That a running study waits for its database, as readers learn it: from a file in the study's folder.

The database cannot say it, for it is away. A disk that is full may have no room for the reason; the file is there then
all the same, and is empty.
"""

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "waiting.json"


@dataclass(frozen=True)
class Waiting:
    """What a study waits for.

    Attributes:
        since: in Unix seconds.
        place: the database's URL, without its password.
        why: what the database said, or that it says nothing.
    """

    since: float
    place: str
    why: str

    def __str__(self) -> str:
        clock = "%H:%M:%S" if time.time() - self.since < 86_400 else "%Y-%m-%d %H:%M"
        place, why = f" at {self.place}" if self.place else "", f": {self.why}" if self.why else ""
        return f"waiting since {time.strftime(clock, time.localtime(self.since))} for the database{place}{why}"

    def as_object(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def note(folder: Path, waiting: Waiting | None) -> None:
    """Let readers know that the study of a folder waits; None: that it does so no longer."""
    path = folder / FILE
    with contextlib.suppress(OSError):
        if waiting is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(json.dumps(waiting.as_object()))


def read(folder: Path) -> Waiting | None:
    """What the study of a folder waits for, if it runs; None where it waits for nothing."""
    path = folder / FILE
    try:
        text = path.read_text()
        since = path.stat().st_mtime
    except OSError:
        return None
    try:
        found = json.loads(text)
        return Waiting(float(found["since"]), str(found["place"]), str(found["why"]))
    except (ValueError, TypeError, KeyError):
        return Waiting(since, "", "")
