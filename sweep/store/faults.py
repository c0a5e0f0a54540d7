"""What a database refuses: one error of ours for all that SQLite and PostgreSQL say, by what is wrong with it."""

import contextlib
import resource
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.errors import StoreError
from sweep.store.typed_url import shown

HINTS = {
    "away": "Check that it exists and runs, or choose another with --storage.",
    "locked": "Another program holds its lock; wait for it, or end it.",
    "read-only": "Make it writable.",
    "full": "Make room.",
    "failing": "Check the disk, and that the file is still there.",
    "limited": "Raise the limit of a file's size: ulimit -f unlimited",
    "damaged": "Restore it from a copy, or choose another with --storage; this one was not changed.",
    "rights": "Restore the rights, or choose another with --storage.",
    "changed": "Another program has changed its tables; restore them, or choose another with --storage.",
}
"""What to do about each kind of fault."""

_SQLITE = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "failing",
    sqlite3.SQLITE_CANTOPEN: "away",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_PERM: "rights",
    sqlite3.SQLITE_AUTH: "rights",
    sqlite3.SQLITE_SCHEMA: "changed",
}
"""By SQLite's primary result codes, https://sqlite.org/rescode.html."""

_POSTGRESQL = {
    "25006": "read-only",  # while another server takes over, say
    "25": "away",  # a transaction that was idle for too long, or failed
    "40": "locked",  # deadlocks, and transactions that met halfway
    "42501": "rights",
    "28": "rights",
    "42P01": "changed",  # no such table
    "42703": "changed",  # no such column
    "3D": "away",
    "3F": "changed",
    "53100": "full",
    "53": "away",
    "55": "locked",
    "57": "away",
    "58": "away",
    "08": "away",
    "XX": "damaged",
}
"""By SQLSTATE or its class, https://www.postgresql.org/docs/current/errcodes-appendix.html."""


_BESIDE = ("-wal", "-shm", "-journal")

GROWS_BY = 64 * 1024
"""A file of SQLite grows by no more than so many bytes at once: a page, or 32 KiB of `-shm`."""

_OPERATIONS = {
    **dict.fromkeys(("READ", "SHORT_READ", "SEEK", "MMAP", "SHMMAP", "FSTAT", "ACCESS"), "read"),
    **dict.fromkeys(("WRITE", "TRUNCATE", "SHMSIZE"), "written"),
    **dict.fromkeys(("FSYNC", "DIR_FSYNC"), "synced to the disk"),
    **dict.fromkeys(("LOCK", "UNLOCK", "RDLOCK", "SHMLOCK", "CHECKRESERVEDLOCK"), "locked"),
}
"""What SQLite was doing, by the name of its result code after SQLITE_IOERR_."""


class DatabaseFault(StoreError):
    """A database refused what it was asked for, and nothing of it was done.

    Args:
        kind: what is wrong, a key of `HINTS`.
        place: the database's URL as it was typed, without its password.
        said: what it said.
    """

    def __init__(self, kind: str, place: str, said: str) -> None:
        self.kind = kind
        self.said = said
        super().__init__(f"Cannot use the database at {place}: {said.rstrip('.')}.", HINTS[kind])


def fault(error: BaseException | None, url: sa.URL) -> DatabaseFault | None:
    """A driver's error as one of ours; None where it tells of the statement rather than of the database."""
    kind = _kind(error)
    if kind is None:
        return None
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else type(error).__name__
    if kind == "failing":
        return _failing(error, url, said)
    return DatabaseFault(kind, shown(url), said)


def _failing(error: Any, url: sa.URL, said: str) -> DatabaseFault:
    """What SQLite calls an I/O error: a file that may not grow any more, or a disk that fails."""
    path = Path(str(url.database)).resolve()
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in _BESIDE)):
        with contextlib.suppress(OSError):
            if limit != resource.RLIM_INFINITY and file.stat().st_size + GROWS_BY > limit:
                grown = f"{file} may not grow beyond {limit // 1024:,} KiB, the limit of a file's size"
                return DatabaseFault("limited", shown(url), grown)
    operation = _OPERATIONS.get(error.sqlite_errorname.removeprefix("SQLITE_IOERR_"), "used")
    return DatabaseFault("failing", shown(url), f"{path} cannot be {operation}: {said} ({error.sqlite_errorname})")


def watch(engine: sa.Engine) -> None:
    """Have an engine raise `DatabaseFault`."""

    def translate(context: sa.engine.ExceptionContext) -> BaseException | None:
        return fault(context.original_exception, engine.url)

    sa.event.listen(engine, "handle_error", translate)


def _kind(error: Any) -> str | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF == sqlite3.SQLITE_ERROR:
            return "changed" if "no such " in str(error) else None
        if code is not None:
            return _SQLITE.get(code & 0xFF)
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
    names = {kind.__name__ for kind in type(error).__mro__}  # of whatever driver; a timeout is one of its own
    return "away" if names & {"OperationalError", "InterfaceError"} else None
