"""Temporary folders of this process. Those of a process that was killed are removed when the next one makes its own.

Who has a folder holds a lock on it, which the kernel lets go when the process ends, however that may be. So nobody's
process number is looked at, and processes of several containers may share the directory of temporary files.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "sweep-process-"


class Scratch:
    """A folder in the directory of temporary files, which only this user may read.

    Args:
        name: the folder is shared by all processes that give this name, which others cannot guess. Else it is this
            process's own.

    Attributes:
        path: the folder.
    """

    def __init__(self, name: str | None = None) -> None:
        base = Path(tempfile.gettempdir())
        remove_left(base)
        lock: int | None = None
        while lock is None:  # else somebody took it for one that was left, before it was locked
            if name is None:
                self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            else:
                self.path = base / f"{PREFIX}{name}"
                self.path.mkdir(mode=0o700, exist_ok=True)
            lock = _locked(self.path, fcntl.LOCK_SH)
        self._lock: int | None = lock

    def close(self) -> None:
        """Remove the folder, unless other processes share it."""
        if self._lock is None:
            return
        with contextlib.suppress(BlockingIOError):
            _lock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = None


def remove_left(base: Path) -> None:
    """Remove the folders of this user's processes that have ended without doing so."""
    for path in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB, sure=True)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _locked(path: Path, how: int, *, sure: bool = False) -> int | None:
    """A descriptor that holds a lock on a folder; None where the folder is gone by now.

    Args:
        sure: a file system without such locks is refused.

    Raises:
        BlockingIOError: another process holds the lock, and `how` says not to wait.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        _lock(descriptor, how, sure=sure)
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock(descriptor: int, how: int, *, sure: bool = False) -> None:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        raise
    except OSError:  # a file system that has no such locks, where nobody's folder is ever removed
        if sure:
            raise
