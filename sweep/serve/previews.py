"""What a study file would train, found out in a child process and kept as long as the file stays as it is."""

import threading
from collections import OrderedDict
from pathlib import Path

from sweep.control.preview import Preview, preview
from sweep.declaration import file_hash
from sweep.serve.problems import Busy

EXAMPLES = 8
KEPT = 32
SECONDS = 120.0
"""How long a study file may take to come to `sweep.fit`; importing TensorFlow takes some seconds."""

WAIT_SECONDS = 20.0


class Previews:
    """Previews of study files, one made at a time; any thread may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], Preview] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Preview:
        """What a worker finds that runs `train` up to `sweep.fit` with parameters drawn at random.

        Raises:
            Busy: another file is being previewed.
            SweepError: the file or its study is refused, or takes too long.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Busy("Another study file is being previewed.", "Try again shortly.")
        try:
            key = (path, file_hash(path))
            if key not in self._kept:
                self._kept[key] = preview(str(path), examples=EXAMPLES, seconds=SECONDS)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]
        finally:
            self._lock.release()
