"""What of a study's folder is shipped to the nodes."""

import fnmatch
import os
from pathlib import Path

from sweep.errors import SweepError

MOST = 500_000_000
"""Bytes of a folder; Ray keeps what it ships in its head's memory, and takes no more than 512 MiB."""

_STAYS = (".?*", "__pycache__", "*.db", "*.db-wal", "*.db-shm", "node_modules")


def stays(folder: Path, logdir: Path) -> list[str]:
    """What of a folder is not shipped, as Git's patterns: hidden files, databases, environments, the log directory.

    Raises:
        SweepError: the rest is more than `MOST`, which Ray would pack before it says so, or a link in it has no end.
    """
    patterns, size = list(_STAYS), 0
    for path, folders, names in os.walk(folder, followlinks=True):  # as Ray does
        here = Path(path)
        for name in list(folders):
            below = here / name
            if below == logdir or (below / "pyvenv.cfg").exists():
                patterns.append(f"/{below.relative_to(folder).as_posix()}")
                folders.remove(name)
            elif _stays(name):
                folders.remove(name)
            elif below.is_symlink() and here.resolve().is_relative_to(below.resolve()):
                raise SweepError(f"Cannot send the study's folder to the nodes: the link {below} leads back into it.")
        size += sum((here / name).stat().st_size for name in names if not _stays(name) and (here / name).exists())
        if size > MOST:
            raise SweepError(
                f"Cannot send {folder} to the nodes: it holds more than {MOST / 1e6:g} MB.",
                "Put the study file in a folder of its own, and the data on a path that all nodes can read.",
            )
    return patterns


def _stays(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _STAYS)
