"""Whether a study's coordinator lives, without waiting: of other hosts the beats are remembered from call to call."""

import threading
import time

from sweep.store import StudyRecord
from sweep.store.lease import alive

SILENT_SECONDS = 5.0
"""A coordinator on another host whose beat stands still for so long is gone; it counts up every second."""


class Liveness:
    """Remembers when each study's beat last counted up; any thread may ask."""

    def __init__(self) -> None:
        self._beats: dict[int, tuple[str, int, float]] = {}
        self._lock = threading.Lock()

    def of(self, study: StudyRecord) -> bool:
        """Whether a study's coordinator lives; one on another host does until its beat has stood still for a while."""
        lives = alive(study.owner)
        if lives is not None or study.owner is None:
            return bool(lives)
        now = time.monotonic()
        with self._lock:
            token, beat, seen = self._beats.get(study.study_id, ("", -1, now))
            if (token, beat) != (study.owner.token, study.beat):
                seen = now
            self._beats[study.study_id] = (study.owner.token, study.beat, seen)
        return now - seen < SILENT_SECONDS
