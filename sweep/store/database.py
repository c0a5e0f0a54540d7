"""Opening a database: its URL, its refusals, its transactions, its schema.

SQLite runs in WAL mode with `synchronous=FULL`, so that a commit is on the disk and readers never wait for the writer.
Every transaction of a writer begins with BEGIN IMMEDIATE: two writers wait for each other (up to two minutes) and never
meet halfway. SQLite's locks do not work on network file systems, which are therefore refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.errors import StoreError

VERSION_TABLE = "sweep_alembic_version"
HEAD = "0001"  # the newest revision in migrations/versions
LOCK_SECONDS = 120.0
NETWORK_FILE_SYSTEMS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smbfs",
        "smb3",
        "afs",
        "afpfs",
        "webdav",
        "davfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "lustre",
        "beegfs",
    ]
)


def parse_url(text: str) -> sa.URL:
    """Parse a storage URL; `postgresql://` means psycopg 3. A path without a scheme is an SQLite file.

    Raises:
        StoreError: the text is no URL of a database that sweep works on (SQLite or PostgreSQL).
    """
    try:
        url = sa.make_url(text if ":" in text else f"sqlite:///{text}")
    except sa.exc.ArgumentError:
        raise StoreError("a storage is a URL of SQLAlchemy", repr(text), "e.g. sqlite:///sweep.db") from None
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError("a storage is SQLite or PostgreSQL", repr(backend), "e.g. sqlite:///sweep.db")
    if url.database in (None, "", ":memory:"):
        raise StoreError("an SQLite storage is a file", repr(text), "e.g. sqlite:///sweep.db")
    return url


def connect(url: sa.URL, *, create: bool) -> sa.Engine:
    """Open the database at `url` and see that its schema is there.

    Args:
        url: from `parse_url`.
        create: make what is missing (the file, Optuna's tables, ours) and migrate an older schema; else refuse.

    Raises:
        StoreError: it cannot be opened, is no database, holds no sweep tables, or was written by a newer sweep.
    """
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(Path(str(url.database)), create=create)
    engine = _engine(url)
    try:
        with refusals(url):
            if create:
                _create_schema(engine, url)
            _check_revision(engine, url)
    except StoreError:
        engine.dispose()
        raise
    return engine


@contextmanager
def refusals(url: sa.URL) -> Iterator[None]:
    """Turn the database's refusal to be opened or read into one line; the password is never shown."""
    shown = url.render_as_string(hide_password=True)
    try:
        yield
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs psycopg", f"no module {error.name!r}", "run: pip install 'sweep[postgresql]'"
        ) from error
    except sa.exc.DBAPIError as error:
        got = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if "not a database" in got or "malformed" in got:
            remedy = "name another file with --storage; this one is left as it is"
        else:
            remedy = "see that the database is there and can be written, or name another with --storage"
        raise StoreError(f"the database at {shown} must be readable", got, remedy) from error


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    # `autocommit=True` leaves BEGIN to us: Python's own handling would begin a deferred transaction.
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_SECONDS, "isolation_level": None})
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("sweep_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that writes: it takes the write lock at its start, and is committed or rolled back as a whole."""
    with engine.execution_options(sweep_writes=True).begin() as connection:
        yield connection


def _check_sqlite_file(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise StoreError("an SQLite storage is a file", f"the directory {path}", "name a file with --storage")
    if not create and not path.exists():
        raise StoreError(
            "there must be a database",
            f"no file {path}",
            "start a study with `sweep start FILE`, or name the database with --storage",
        )
    if path.exists() and path.stat().st_size > 0:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\x00":
                raise StoreError(
                    f"{path} must be an SQLite database",
                    "another kind of file",
                    "name another with --storage; this one is left as it is",
                )
    if create and not path.parent.is_dir():
        raise StoreError(
            f"the folder of the database {path} must exist", "no such folder", f"run: mkdir -p {path.parent}"
        )
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"SQLite's locks do not work on a network file system, and {path} is on one",
            kind,
            "use --storage sqlite:////a/local/path/sweep.db, or PostgreSQL: --storage postgresql://user@host/sweep",
        )


def file_system(path: Path) -> str:
    """The type of the file system that holds `path` (`ext4`, `nfs4`, ...), or `""` where nothing tells."""
    import psutil

    resolved = path.resolve()
    holding = [part for part in psutil.disk_partitions(all=True) if resolved.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype.lower() if holding else ""


def has_schema(url: sa.URL) -> bool:
    """Whether the database is there and holds sweep's tables; nothing is created.

    Raises:
        StoreError: there is something, but it cannot be opened or is no database.
    """
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        _check_sqlite_file(path, create=True)
        if not path.exists() or path.stat().st_size == 0:
            return False
    engine = _engine(url)
    try:
        with refusals(url):
            return _revision(engine) is not None
    finally:
        engine.dispose()


def _create_schema(engine: sa.Engine, url: sa.URL) -> None:
    """Make Optuna's tables and ours, and bring ours to the newest revision."""
    if _revision(engine) == HEAD:
        return
    import optuna
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    storage = optuna.storages.RDBStorage(url.render_as_string(hide_password=False))
    storage.engine.dispose()
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7399730)"))  # two may create at once
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(engine: sa.Engine) -> str | None:
    table = sa.table(VERSION_TABLE, sa.column("version_num"))
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(sa.select(table.c.version_num)).scalar()


def _check_revision(engine: sa.Engine, url: sa.URL) -> None:
    revision = _revision(engine)
    shown = url.render_as_string(hide_password=True)
    if revision is None:
        raise StoreError(
            f"the database at {shown} must hold sweep's tables",
            "none",
            "start a study with `sweep start FILE`",
        )
    if revision < HEAD:
        raise StoreError(
            f"the database at {shown} must have schema {HEAD}",
            revision,
            f"migrate it with: sweep upgrade --storage {shown}",
        )
    if revision > HEAD:
        raise StoreError(
            f"the database at {shown} was written by a newer sweep",
            f"schema {revision}",
            "run: pip install --upgrade sweep",
        )
