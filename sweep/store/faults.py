"""What a database refuses: one error of ours for all that SQLite and PostgreSQL say, by what is wrong with it."""

import sqlite3
from typing import Any

import sqlalchemy as sa

from sweep.errors import StoreError

HINTS = {
    "away": "Check that it exists and runs, or choose another with --storage.",
    "locked": "Another program holds its lock; wait for it, or end it.",
    "read-only": "Make it writable.",
    "full": "Make room.",
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
    sqlite3.SQLITE_IOERR: "away",
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


class DatabaseFault(StoreError):
    """A database refused what it was asked for, and nothing of it was done.

    Args:
        kind: what is wrong, a key of `HINTS`.
        place: the database's URL, without its password.
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
    return DatabaseFault(kind, url.render_as_string(hide_password=True), lines[0] if lines else type(error).__name__)


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
