"""Files that workers write on a node that does not see the log directory, and how they come into it.

A worker has a folder there that stands for the log directory. What has changed in it since the last time is collected
whenever the worker speaks, and is laid into the log directory before the coordinator hears what was said: at most
`MOST` bytes at a time, so that neither side ever holds more than that. Event files and logs grow; every other file is
replaced as a whole, or is gone.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sweep.rundir import CHECKPOINTS, EVENTS

MOST = 4_000_000
"""Bytes that are carried at once."""


@dataclass(frozen=True)
class Piece:
    """A part of a file.

    Attributes:
        path: the file's, below the log directory, with `/` between folders.
        data: bytes from `offset` on, or behind what is there where the file `grows`.
        ends: the last ones of a file that is replaced.
        gone: the file is there no more.
    """

    path: str
    data: bytes = b""
    offset: int = 0
    ends: bool = False
    grows: bool = False
    gone: bool = False


@dataclass
class _Reading:
    file: IO[bytes]
    version: tuple[int, int]


class WorkerFolder:
    """A worker's folder on its node.

    Args:
        root: the folder, which stands for the log directory.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._root = root
        self._sizes: dict[str, int] = {}  # of files that grow, as far as they were collected
        self._versions: dict[str, tuple[int, int]] = {}  # of others
        self._reading: dict[str, _Reading] = {}  # a version that is collected in pieces, whatever becomes of the file

    def collect(self) -> tuple[list[Piece], bool]:
        """What has changed since the last call; and whether there may be more, as there was no room for it."""
        pieces: list[Piece] = []
        room = MOST
        for path in self._there():
            while room > 0 and (piece := self._next(path, room)) is not None:
                pieces.append(piece)
                room -= len(piece.data) + 1
            if room <= 0:
                return pieces, True
        lost = [path for path in {**self._versions, **self._reading} if not (self._root / path).exists()]
        for path in lost:
            self._forget(path)
        return [*pieces, *(Piece(path, gone=True) for path in lost)], False

    def receive(self, pieces: list[Piece], *, anew: bool) -> None:
        """Have files of an earlier attempt, to go on from.

        Args:
            anew: whatever else is there, of trials that have ended, is removed.
        """
        if anew:
            self._clear()
        for piece in pieces:
            lay(self._root, piece)
            path = self._root / piece.path
            if piece.ends:
                self._versions[piece.path] = _version(path.stat())

    def close(self) -> None:
        """Let go of files that are collected in part."""
        for path in list(self._reading):
            self._forget(path)

    def _clear(self) -> None:
        for path in self._there():
            if not path.endswith(".log"):
                (self._root / path).unlink()
                self._forget(path)

    def _forget(self, path: str) -> None:
        self._sizes.pop(path, None)
        self._versions.pop(path, None)
        reading = self._reading.pop(path, None)
        if reading is not None:
            reading.file.close()

    def _there(self) -> list[str]:
        found = []
        for folder, _, names in os.walk(self._root):
            below = Path(folder).relative_to(self._root)
            found += [(below / name).as_posix() for name in sorted(names) if not name.startswith(".")]
        return found

    def _next(self, path: str, room: int) -> Piece | None:
        """The next piece of a file; None where all of it is collected."""
        file = self._root / path
        try:
            return self._growth(path, file, room) if _grows(path) else self._part(path, file, room)
        except FileNotFoundError:  # removed meanwhile
            return None

    def _growth(self, path: str, file: Path, room: int) -> Piece | None:
        had = self._sizes.get(path, 0)
        if file.stat().st_size <= had:
            return None
        with file.open("rb") as opened:
            opened.seek(had)
            data = opened.read(room)
        self._sizes[path] = had + len(data)
        return Piece(path, data, grows=True)

    def _part(self, path: str, file: Path, room: int) -> Piece | None:
        reading = self._reading.get(path)
        if reading is None:
            if _version(file.stat()) == self._versions.get(path):
                return None
            opened = file.open("rb")
            reading = self._reading[path] = _Reading(opened, _version(os.fstat(opened.fileno())))
        offset, data = reading.file.tell(), reading.file.read(room)
        ends = len(data) < room
        if ends:
            reading.file.close()
            self._versions[path] = self._reading.pop(path).version
        return Piece(path, data, offset, ends)


def lay(folder: Path, piece: Piece) -> None:
    """Lay a piece into a folder. A file that is replaced is there whole or not at all.

    Raises:
        OSError: it cannot be written.
        ValueError: its path leads out of the folder.
    """
    path = folder / piece.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{piece.path!r} leads out of the log directory")
    beside = path.with_name(f".{path.name}.brought")
    if piece.gone:
        path.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
        if path.parent.name == CHECKPOINTS:
            with contextlib.suppress(OSError):  # others are in it
                path.parent.rmdir()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if piece.grows:
        with path.open("ab") as file:
            file.write(piece.data)
        return
    with beside.open("r+b" if piece.offset else "wb") as file:
        file.seek(piece.offset)
        file.write(piece.data)
    if piece.ends:
        beside.replace(path)


def earlier(logdir: Path, directory: Path) -> Iterator[Piece]:
    """What a trial goes on from: its run's checkpoints, and the names of its event files, which later ones follow."""
    for path in sorted(directory.glob(f"{EVENTS}*")):
        yield Piece(path.relative_to(logdir).as_posix(), grows=True)
    for path in sorted((directory / CHECKPOINTS).glob("[!.]*")):
        name = path.relative_to(logdir).as_posix()
        size = path.stat().st_size
        with path.open("rb") as file:
            for offset in range(0, max(1, size), MOST):
                yield Piece(name, file.read(MOST), offset, ends=offset + MOST >= size)


def _grows(path: str) -> bool:
    return path.endswith(".log") or path.rpartition("/")[2].startswith(EVENTS)


def _version(status: os.stat_result) -> tuple[int, int]:
    """What tells a file from the one that replaces it."""
    return status.st_mtime_ns, status.st_ino
