"""Opening a database: its URL, its refusals, its transactions.

SQLite runs in WAL mode with `synchronous=FULL`, so that a commit is on the disk and readers never wait for the writer.
Every transaction of a writer begins with BEGIN IMMEDIATE: two writers wait for each other (up to two minutes) and never
meet halfway. SQLite's locks do not work on network file systems, which are therefore refused.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.distribution import install_command
from sweep.errors import ReadOnly, StoreError
from sweep.passwords import masked
from sweep.store.faults import DatabaseFault, fault, watch
from sweep.store.schema import (
    HEAD,
    VERSION_TABLE,
    check_ours,
    check_revision,
    create_schema,
    revision,
    upgraded_by_optuna,
)
from sweep.store.sqlite_file import READ_ONLY, check_file, is_on_network, read_only_uri, unwritable
from sweep.store.typed_url import TypedURL, shown

__all__ = [
    "HEAD",
    "VERSION_TABLE",
    "DatabaseFault",
    "Patience",
    "connect",
    "has_schema",
    "names_in",
    "optunas",
    "parse_url",
    "read_only",
    "refusals",
    "revision_at",
    "sqlite_path",
    "writing",
]

LOCK_SECONDS = 120.0
CONNECT_SECONDS = 10
CONNECTIONS = 10  # to a server, of one process; who needs another waits for it

# SQLAlchemy ends a password at its first @, which would make the rest of it part of the host.
_PASSWORD = re.compile(r"^(postgres[\w+]*://[^:/@]*:)(.*@.*)(?=@[^@]*$)", re.DOTALL)

SLICE_SECONDS = 0.25
"""For so long SQLite waits for a lock by itself, and no signal handler runs."""

ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""When libpq gives up a server that does not answer over TCP, in seconds and milliseconds."""


class Patience:
    """How long an engine waits for a lock that somebody else has on an SQLite database.

    Attributes:
        seconds: may be changed at any time.
    """

    def __init__(self, seconds: float = LOCK_SECONDS) -> None:
        self.seconds = seconds

    def execute(self, cursor: sqlite3.Cursor, statement: str, parameters: Any, _context: Any) -> bool:
        """Run a statement, again and again while the database is locked: an event of SQLAlchemy's."""
        give_up = time.monotonic() + self.seconds
        while True:
            try:
                cursor.execute(statement, parameters)
                return True
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", None)
                is_locked = code is not None and code & 0xFF == sqlite3.SQLITE_BUSY
                if not is_locked or code == sqlite3.SQLITE_BUSY_SNAPSHOT or time.monotonic() >= give_up:
                    raise


def parse_url(text: str) -> sa.URL:
    """Parse a storage URL; `postgresql://` means psycopg 3. A path without a scheme is an SQLite file.

    The password may hold any character, and may be a parameter of the URL: as its password it is hidden everywhere.

    Raises:
        StoreError: the text is no URL of a database that sweep works on (SQLite or PostgreSQL).
    """
    try:
        url = sa.make_url(_PASSWORD.sub(_encoded, text) if ":" in text else f"sqlite:///{text}")
    except (sa.exc.ArgumentError, ValueError):
        whole = "".join(masked(text).split())  # without blanks, at which a password would seem to end
        raise StoreError(f"Not a database URL: {whole!r}.", "For example: sqlite:///sweep.db") from None
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
        if named := url.query.get("password"):
            url = url.difference_update_query(["password"]).set(password=str(named))
        return TypedURL.of(url, text)
    if backend != "sqlite":
        raise StoreError(
            f"Studies are kept in SQLite or PostgreSQL, not in {backend!r}.", "For example: sqlite:///sweep.db"
        )
    if url.database in (None, "", ":memory:"):
        raise StoreError(f"{text!r} names no file for SQLite.", "For example: sqlite:///sweep.db")
    return TypedURL.of(url.set(drivername="sqlite"), text)


def _encoded(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2].replace('@', '%40')}"


def sqlite_path(storage: str) -> Path | None:
    """The file of an SQLite storage; None for PostgreSQL.

    Raises:
        StoreError: it is no storage.
    """
    url = parse_url(storage)
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None


def connect(url: sa.URL, *, create: bool, patience: Patience | None = None) -> sa.Engine:
    """Open the database at `url` and see that its schema is there.

    Args:
        url: from `parse_url`.
        create: make what is missing (the file, Optuna's tables, ours) and migrate an older schema; else refuse.
        patience: with locks of others; by default two minutes.

    Raises:
        StoreError: it cannot be opened, is no database or not ours, or was written by a newer sweep.
    """
    if url.get_backend_name() == "sqlite":
        check_file(Path(str(url.database)), create=create)
    engine = None
    try:
        with refusals(url):
            engine = _engine(url, patience)
            if create:
                create_schema(engine)
            check_revision(engine)
    except StoreError:
        if engine is not None:
            engine.dispose()
        raise
    return engine


def has_schema(url: sa.URL) -> bool:
    """Whether the database is there and holds sweep's tables; nothing is created, or changed in somebody else's.

    Raises:
        StoreError: there is something, but it cannot be opened, is no database, or belongs to somebody else.
    """
    return revision_at(url) is not None


def revision_at(url: sa.URL) -> str | None:
    """The revision of our tables in a database; None where there are none. Nothing is created.

    Raises:
        StoreError: see `has_schema`.
    """
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        check_file(path, create=True)
        if not path.exists() or path.stat().st_size == 0:
            return None
    with refusals(url):
        engine = _engine(url)
        try:
            found = revision(engine)
            if found is None:
                check_ours(engine)
            return found
        finally:
            engine.dispose()


def names_in(url: sa.URL) -> set[str]:
    """The names of the studies, also of Optuna's own, that `connect` would find when it creates; nothing is created.

    Raises:
        StoreError: it would refuse the database.
    """
    ours = has_schema(url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return set()
    with refusals(url):
        engine = _engine(url)
        try:
            if ours and (revision(engine) or "") >= HEAD:
                check_revision(engine)
            if not sa.inspect(engine).has_table("studies"):
                return set()
            with engine.connect() as connection:
                return set(
                    connection.execute(sa.select(sa.column("study_name")).select_from(sa.table("studies"))).scalars()
                )
        finally:
            engine.dispose()


@contextmanager
def optunas(url: sa.URL) -> Iterator[sa.Engine]:
    """A database with studies of Optuna, whether or not sweep has tables there, for as long as the context lasts.

    Raises:
        StoreError: it cannot be read, has no studies of Optuna, or is of another version of Optuna's.
    """
    if url.get_backend_name() == "sqlite":
        check_file(Path(str(url.database)), create=False)
    with refusals(url):
        engine = _engine(url)
        try:
            if not sa.inspect(engine).has_table("studies"):
                raise StoreError(f"The database at {shown(url)} has no studies of Optuna.", "Name another database.")
            yield engine
        except DatabaseFault as error:
            if error.kind != "changed":
                raise
            raise StoreError(
                f"Another version of Optuna wrote the database at {shown(url)}: {error.said}.",
                upgraded_by_optuna(url),
            ) from None
        finally:
            engine.dispose()


def read_only(engine: sa.Engine) -> str | None:
    """Why a database can only be read from here, in a sentence; None if it can be written."""
    if engine.dialect.name == "sqlite":
        reason: str | None = engine.get_execution_options().get(READ_ONLY)
        return reason
    asked = sa.select(
        sa.func.current_setting("transaction_read_only") == "on",
        sa.func.has_table_privilege("sweep_commands", "INSERT"),
        sa.func.current_user(),
    )
    with engine.connect() as connection:
        closed, may_write, user = connection.execute(asked).one()
    place = shown(engine.url)
    if closed:
        return f"The database at {place} takes no changes: it is read-only."
    return None if may_write else f"The database at {place} takes no changes from {user}, who may only read it."


@contextmanager
def refusals(url: sa.URL) -> Iterator[None]:
    """Turn the database's refusal to be opened or read into one line; the password is never shown."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreError(
            f"PostgreSQL needs psycopg, and there is no module {error.name!r}.", f"Run: {install_command('postgresql')}"
        ) from error
    except sa.exc.DBAPIError as error:  # of an engine of Optuna's
        ours = fault(error.orig, url)
        if ours is None:
            raise
        raise ours from error
    except sqlite3.Error as error:
        ours = fault(error, url)
        if ours is None:
            raise
        raise ours from error


def _engine(url: sa.URL, patience: Patience | None = None) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        limits = {"connect_timeout": CONNECT_SECONDS, **ALIVE}
        limits = {name: value for name, value in limits.items() if name not in url.query}
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=CONNECTIONS, max_overflow=0, connect_args=limits)
        watch(engine)
        return engine
    # An isolation level of None leaves BEGIN to us: Python's own handling would begin a deferred transaction.
    options: dict[str, Any] = {"timeout": SLICE_SECONDS, "isolation_level": None}
    path = Path(str(url.database))
    if path.exists() and (reason := unwritable(path)) is not None:
        network = is_on_network(path)

        def open_read_only() -> sqlite3.Connection:
            uri = read_only_uri(path, network=network)
            connection: sqlite3.Connection = sqlite3.connect(uri, uri=True, check_same_thread=False, **options)
            return connection

        closed = {READ_ONLY: reason}
        engine = sa.create_engine(url, creator=open_read_only, poolclass=sa.NullPool, execution_options=closed)
    else:
        engine = sa.create_engine(url, connect_args=options)
        sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    sa.event.listen(engine, "do_execute", (patience or Patience()).execute)
    watch(engine)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("sweep_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that writes: it takes the write lock at its start, and is committed or rolled back as a whole.

    Raises:
        ReadOnly: the file can only be read here.
    """
    if (reason := engine.get_execution_options().get(READ_ONLY)) is not None:
        raise ReadOnly(reason)
    with engine.execution_options(sweep_writes=True).begin() as connection:
        yield connection
