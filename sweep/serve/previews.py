"""What a study file would train, found out in a child process and kept as long as the file stays as it is."""

import threading
from collections import OrderedDict
from pathlib import Path

from sweep.control.preview import Preview, preview
from sweep.declaration import file_hash

EXAMPLES = 8
KEPT = 32


class Previews:
    """Previews of study files, one made at a time; any thread may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], Preview] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Preview:
        """What a worker finds that runs `train` up to `sweep.fit` with parameters drawn at random.

        Raises:
            SweepError: the file or its study is refused.
        """
        with self._lock:
            key = (path, file_hash(path))
            if key not in self._kept:
                self._kept[key] = preview(str(path), examples=EXAMPLES)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]
