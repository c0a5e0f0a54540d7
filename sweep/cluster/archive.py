"""A study's folder, packed for the nodes and unpacked there.

Ray's own `working_dir` is not used: jobs that begin and end at the same time, and nodes on one machine, share the copy
and remove it under each other.
"""

import fnmatch
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweep.control.folder import databases
from sweep.errors import SweepError

MOST = 500_000_000
"""Bytes of a folder that are sent to the nodes at most."""

_SKIPPED = (".?*", "__pycache__", "*.db", "*.db-wal", "*.db-shm", "node_modules")


def pack(folder: Path, logdir: Path) -> bytes:
    """A folder as a tar archive, without hidden files, databases, virtual environments, the log directory and the
    folders of other studies.

    Links are followed.

    Raises:
        SweepError: the folder has more than `MOST` bytes, or a link in it leads back to a folder that contains it.
    """
    archive, size = io.BytesIO(), 0
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for path in _files(folder, logdir):
            size += path.stat().st_size
            if size > MOST:
                raise SweepError(
                    f"Cannot send {folder} to the nodes: it holds more than {MOST / 1e6:g} MB.",
                    "Put the study file in a folder of its own, and the data on a path that all nodes can read.",
                )
            tar.add(path, path.relative_to(folder).as_posix())
    return archive.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack an archive into a folder that appears whole; nothing happens where it is there already."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = tempfile.mkdtemp(dir=folder.parent)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extraction_filter = getattr(
                tarfile, "data_filter", lambda member, _path: member
            )  # new in Python 3.11.4
            tar.extractall(staging)
        os.rename(staging, folder)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not folder.exists():  # else another process was faster
            raise


def _files(folder: Path, logdir: Path) -> Iterator[Path]:
    """The files of a folder that are sent.

    Raises:
        SweepError: a link in it leads back.
    """
    for path, folders, names in os.walk(folder, followlinks=True):
        here = Path(path)
        for name in list(folders):
            below = here / name
            is_studys = below == logdir or databases(below)
            if is_studys or (below / "pyvenv.cfg").exists() or _is_skipped(name):
                folders.remove(name)
            elif below.is_symlink() and here.resolve().is_relative_to(below.resolve()):
                raise SweepError(f"Cannot send the study's folder to the nodes: the link {below} leads back into it.")
        yield from (here / name for name in sorted(names) if not _is_skipped(name) and (here / name).is_file())


def _is_skipped(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _SKIPPED)
