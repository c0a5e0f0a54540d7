"""Whose a study's folder is: the databases that have the study, and the one of them whose coordinator trains into it.

After `sweep db copy` two databases name one folder. A file in it lists them, so that who removes the study from one of
them does not remove the other's files.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from sweep.errors import StudyError

MARK = "databases.json"

_FROM_AFAR = ("host", "port")  # the rest of a URL's query may hold a password


@dataclass(frozen=True)
class _Mark:
    """What a folder's file says.

    Attributes:
        databases: those that have its study.
        trains: the one whose coordinator has trained there last.
        leaves: the one that removes its study with the folder.
    """

    databases: list[str] = field(default_factory=list)
    trains: str | None = None
    leaves: str | None = None


class Hold:
    """A folder that the coordinator of one database's study trains into, until it lets go or its process ends.

    Two coordinators of one database are kept apart by its lease. A network file system may have no such locks; there
    nothing is held.

    Raises:
        StudyError: the study of another database trains there, or the folder cannot be written.
    """

    def __init__(self, folder: Path, url: sa.URL) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY)
        place, before = _place(folder, url), _read(folder)
        try:
            if not self._lock() and before.trains not in (place, None):
                raise StudyError(
                    f"The study of another database, {_shown(folder, before.trains)}, is training into {folder}.",
                    "Wait until it ends, or choose another folder with --logdir.",
                )
            _write(folder, replace(_with(before, place), trains=place, leaves=None))
        except StudyError:
            self.release()
            raise

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system that has no such locks
            return True
        return True

    def release(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


def held(folder: Path) -> bool:
    """Whether a process trains into a folder, as far as this machine can tell: also one of another container does."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system that has no such locks
        return False
    finally:
        os.close(descriptor)
    return False


def mark(folder: Path, *urls: sa.URL) -> None:
    """Note that these databases have the study of a folder.

    Raises:
        StudyError: the folder cannot be written.
    """
    _write(folder, _with(_read(folder), *(_place(folder, url) for url in urls)))


def unmark(folder: Path, url: sa.URL) -> None:
    """Note that a database has the study of a folder no longer.

    Raises:
        StudyError: the folder cannot be written.
    """
    before, gone = _read(folder), _place(folder, url)
    _write(folder, replace(before, databases=[place for place in before.databases if place != gone]))


def belongs(folder: Path, url: sa.URL) -> bool:
    """Whether a folder's mark says that a database has its study."""
    return _place(folder, url) in _read(folder).databases


def mark_leaving(folder: Path, url: sa.URL) -> None:
    """Note that a database is about to remove the study of a folder, and the folder after it.

    Raises:
        StudyError: the folder cannot be written.
    """
    place = _place(folder, url)
    _write(folder, replace(_with(_read(folder), place), leaves=place))


def leaving(folder: Path, url: sa.URL) -> bool:
    """Whether a folder is one whose study this database was about to remove when it was marked last."""
    return _read(folder).leaves == _place(folder, url)


def others(folder: Path, url: sa.URL) -> list[str]:
    """The URLs of the other databases that have the study of a folder; a file that is gone has nothing any more."""
    found = [place for place in _read(folder).databases if place != _place(folder, url)]
    return [_shown(folder, place) for place in found if "://" in place or (folder.resolve() / place).exists()]


def databases(folder: Path) -> list[str]:
    """The URLs of the databases that have the study of a folder."""
    return [_shown(folder, place) for place in _read(folder).databases]


def _place(folder: Path, url: sa.URL) -> str:
    """A database as a folder's mark has it: a file by its path from there, so that both can be moved together."""
    if url.get_backend_name() == "sqlite":
        return os.path.relpath(Path(str(url.database)).resolve(), folder.resolve())
    query = {name: url.query[name] for name in _FROM_AFAR if name in url.query}
    bare = sa.URL.create("postgresql", host=url.host, port=url.port, database=url.database, query=query)
    return bare.render_as_string()


def _shown(folder: Path, place: str) -> str:
    """A database's URL."""
    return place if "://" in place else f"sqlite:///{(folder.resolve() / place).resolve()}"


def _with(before: _Mark, *places: str) -> _Mark:
    return replace(before, databases=list(dict.fromkeys([*before.databases, *places])))


def _read(folder: Path) -> _Mark:
    try:
        return _Mark(**json.loads((folder / MARK).read_text()))
    except (OSError, ValueError, TypeError):
        return _Mark()


def _write(folder: Path, now: _Mark) -> None:
    file = folder / MARK
    try:
        if not now.databases:
            file.unlink(missing_ok=True)
        elif now != _read(folder):
            beside = file.with_name(f".{MARK}.{os.getpid()}")
            beside.write_text(json.dumps(asdict(now), indent=1) + "\n")
            beside.replace(file)
    except OSError as error:
        raise _closed(folder, error.strerror or type(error).__name__) from None


def _closed(folder: Path, got: str) -> StudyError:
    return StudyError(f"Cannot write to the folder {folder}, to note which database it belongs to: {got}.")
