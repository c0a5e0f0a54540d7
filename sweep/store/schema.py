"""The schema: whose tables a database holds, and making or migrating ours.

A database may hold Optuna's tables without ours, since Optuna's studies and ours live side by side. One that holds
neither, but something else, belongs to somebody else and is left as it is.
"""

import contextlib
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from sweep.commands import command
from sweep.distribution import upgrade_command
from sweep.errors import StoreError
from sweep.store.sqlite_file import ANOTHER, READ_ONLY, alone
from sweep.store.typed_url import shown

VERSION_TABLE = "sweep_alembic_version"
HEAD = "0010"  # the newest revision in migrations/versions
CREATION_LOCK = 7399730  # the key of PostgreSQL's advisory lock: any number that others do not use
WAL_SECONDS = 120.0  # for others that look into a file which is being made
BEING_MADE_SECONDS = 3.0  # for another process to make Optuna's tables
OPTUNA = frozenset({"studies", "trials", "version_info"})


def create_schema(engine: sa.Engine) -> None:
    """Make Optuna's tables and ours where they are missing, and bring ours to the newest revision.

    Any number of processes may do so at once: one works, the others find it done.

    Raises:
        StoreError: the database is somebody else's, or Optuna's tables are of another version.
    """
    if _is_made(engine):
        return
    with _creating(engine):
        if _is_made(engine):
            return
        check_ours(engine)
        if engine.dialect.name == "sqlite":
            _use_wal(Path(str(engine.url.database)))
        _create_optunas(engine)
        _migrate(engine)


def _is_made(engine: sa.Engine) -> bool:
    found = revision(engine)
    return found is not None and found >= HEAD  # a newer one is refused by `check_revision`


@contextmanager
def _creating(engine: sa.Engine) -> Iterator[None]:
    """Let one process at a time create a schema. Optuna creates over connections of its own, without any lock."""
    if engine.dialect.name == "sqlite":
        with alone(Path(str(engine.url.database))):
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(CREATION_LOCK)))
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(CREATION_LOCK)))


def _use_wal(file: Path) -> None:
    """Readers and the writer do not wait for each other. The mode stays with the file."""
    with contextlib.closing(sqlite3.connect(file, timeout=WAL_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _create_optunas(engine: sa.Engine) -> None:
    import optuna

    url = engine.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    try:
        there, known = storage.get_current_version(), storage.get_head_version()
    finally:
        storage.remove_session()
        storage.engine.dispose()
    if there != known:
        raise StoreError(
            f"Optuna's tables in this database have schema {there}, and Optuna {optuna.__version__} needs {known}.",
            upgraded_by_optuna(engine.url),
        )


def upgraded_by_optuna(url: sa.URL) -> str:
    """The hint with the command of Optuna's that migrates its tables, to which a URL has to name the driver."""
    return f"Run: {shlex.join(['optuna', 'storage', 'upgrade', '--storage', url.render_as_string()])}"


def _migrate(engine: sa.Engine) -> None:
    from alembic import command as alembics
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.execution_options(sweep_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        alembics.upgrade(config, "head")


def revision(engine: sa.Engine) -> str | None:
    """The revision of our tables, or None where there are none."""
    table = sa.table(VERSION_TABLE, sa.column("version_num"))
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(sa.select(table.c.version_num)).scalar()


def check_ours(engine: sa.Engine) -> None:
    """Refuse a database of somebody else. PostgreSQL's may hold other tables, but none that are called as Optuna's.

    Raises:
        StoreError: it is.
    """
    deadline = time.monotonic() + BEING_MADE_SECONDS
    foreign = _foreign(engine)
    while foreign and foreign <= _optunas_tables() and time.monotonic() < deadline:  # it makes them one by one
        time.sleep(0.1)
        foreign = _foreign(engine)
    if foreign:
        names = ", ".join(sorted(foreign)[:3])
        raise StoreError(
            f"The database at {shown(engine.url)} belongs to another program: it has the table {names}.", ANOTHER
        )


def _foreign(engine: sa.Engine) -> set[str]:
    """The tables that should not be there, since all of Optuna's are not."""
    with engine.connect() as connection:
        there = set(sa.inspect(connection).get_table_names())
    foreign = there if engine.dialect.name == "sqlite" else there & OPTUNA
    return set() if there >= OPTUNA else foreign


def _optunas_tables() -> set[str]:
    from optuna.storages._rdb.models import BaseModel

    return {"alembic_version", *BaseModel.metadata.tables}


def _study_of_optunas(engine: sa.Engine) -> str | None:
    """The name of a study of Optuna's in a database, the first one; None if there is none."""
    found = sa.inspect(engine)
    if not found.has_table("studies") or "study_name" not in [one["name"] for one in found.get_columns("studies")]:
        return None
    name: sa.ColumnClause[str] = sa.column("study_name")
    with engine.connect() as connection:
        return connection.execute(sa.select(name).select_from(sa.table("studies")).order_by(name)).scalars().first()


def check_revision(engine: sa.Engine) -> None:
    """Refuse a schema that this version cannot work on.

    Raises:
        StoreError: there is none, an older or a newer one.
    """
    found = revision(engine)
    place = shown(engine.url)
    if found is None:
        hint = "Start a study with `sweep start FILE`."
        if (optunas := _study_of_optunas(engine)) is not None:
            take = shlex.join(["sweep", "import", place, optunas, "--storage", place])
            hint = f"Start a study with `sweep start FILE`, or take over one of Optuna's: {take}"
        raise StoreError(f"The database at {place} has none of sweep's tables.", hint)
    if found < HEAD:
        hint = f"Stop its running studies, and migrate it with: {command('db', 'upgrade', storage=place)}"
        if READ_ONLY in engine.get_execution_options():
            hint = "It is read-only here. Copy it to where you can write, and migrate the copy: sweep db upgrade"
        raise StoreError(
            f"The database at {place} is of an earlier sweep: its schema is {found}, and this one needs {HEAD}.", hint
        )
    if found > HEAD:
        raise StoreError(
            f"A newer version of sweep wrote the database at {place}, with schema {found}.",
            f"Run: {upgrade_command()}",
        )
