"""Databases that are read-only, frozen, damaged or not ours any more: a study waits for them, or stops in a line.

What is waited for, and what is not, is `sweep.core.policy.RULINGS`.
"""

import contextlib
import os
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from sweep.store import Store
from sweep.store.database import DatabaseFault, parse_url
from sweep.store.faults import HINTS, fault
from tests.control.oracle import Oracle
from tests.control.started import Folder, Started, wait_for
from tests.control.test_kills import journalled
from tests.databases import PostgreSQL, optunas_own
from tests.refusals import refusal_of

SQLITE = {
    "locked": sqlite3.SQLITE_BUSY_SNAPSHOT,
    "read-only": sqlite3.SQLITE_READONLY_DBMOVED,
    "full": sqlite3.SQLITE_FULL,
    "failing": sqlite3.SQLITE_IOERR_WRITE,
    "damaged": sqlite3.SQLITE_CORRUPT_INDEX,
    "rights": sqlite3.SQLITE_PERM,
}
POSTGRESQL = {
    "25006": "read-only",
    "25P03": "away",
    "40001": "locked",
    "40P01": "locked",
    "53100": "full",
    "53300": "away",
    "57P01": "away",
    "57P03": "away",
    "57014": "away",
    "58030": "away",
    "08006": "away",
    "42501": "rights",
    "42P01": "changed",
    "42703": "changed",
    "XX001": "damaged",
    "XX002": "damaged",
    "23505": None,
    "22003": None,
    "42601": None,
}
URL = parse_url("postgresql://user:secret@host/sweep")


@pytest.mark.parametrize("kind", SQLITE)
def test_sqlites_faults_are_known_by_their_codes(kind):
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode, error.sqlite_errorname = SQLITE[kind], "SQLITE_SOMETHING"
    assert fault(error, parse_url("sqlite:///sweep.db")).kind == kind


@pytest.mark.parametrize("state", POSTGRESQL)
def test_postgresqls_faults_are_known_by_their_states(state):
    error = psycopg.errors.lookup(state)("something\nand more")
    found = fault(error, URL)
    assert (found and found.kind) == POSTGRESQL[state]
    if found is not None:
        assert found.message == "Cannot use the database at postgresql://user:***@host/sweep: something."
        assert found.hint == HINTS[found.kind]


@pytest.mark.parametrize("grown", ["sweep.db", "sweep.db-wal"])
def test_a_file_that_may_not_grow_any_more_is_told_from_a_disk_that_fails(tmp_path, monkeypatch, grown):
    url = parse_url(f"sqlite:///{tmp_path}/sweep.db")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"
    (tmp_path / grown).write_bytes(bytes(400 * 1024))
    for limit, kind in ((resource.RLIM_INFINITY, "failing"), (800 * 1024, "failing"), (400 * 1024, "limited")):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, limit=limit: (limit, limit))
        found = fault(error, url)
        assert found.kind == kind
        if kind == "failing":
            assert found.said == f"{tmp_path}/sweep.db cannot be written: disk I/O error (SQLITE_IOERR_WRITE)"
        else:
            assert found.said == f"{tmp_path}/{grown} may not grow beyond 400 KiB, the limit of a file's size"


def test_a_study_whose_database_may_not_grow_any_more_stops_and_the_next_start_continues_it(tmp_path):
    study = journalled(tmp_path, "trials=400, workers=1, seed=7")
    stopped = study.start(before=["bash", "-c", 'ulimit -f 450; exec "$0" "$@"'])
    assert stopped.returncode == 2, stopped.stderr
    said = refusal_of(stopped.stderr)
    assert "may not grow beyond 450 KiB" in said
    assert "Raise the limit of a file's size: ulimit -f unlimited, then continue with: sweep start tiny.py" in said
    done = [run.number for run in study.runs() if run.state == "COMPLETE"]
    assert 0 < len(done) < 400
    line = shlex.split(said.rpartition("continue with: sweep ")[2])
    assert study.command(*line, "--trials", str(len(done) + 2)).returncode == 0
    Oracle(tmp_path, study.url).check(len(done) + 2)


def test_a_lost_connection_and_a_table_that_is_gone_are_known_and_a_wrong_statement_is_none():
    assert fault(psycopg.OperationalError("server closed the connection"), URL).kind == "away"
    assert fault(psycopg.errors.ConnectionTimeout("connection timeout expired"), URL).kind == "away"
    assert fault(psycopg.ProgrammingError("something"), URL) is None
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement, kind in {"SELECT * FROM nosuch": "changed", "SELEKT": None}.items():
            with pytest.raises(sqlite3.OperationalError) as raised:
                connection.execute(statement)
            found = fault(raised.value, URL)
            assert (found and found.kind) == kind


def test_an_engine_raises_them_and_leaves_the_others(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/sweep.db", create=True)
    with store.engine.connect() as connection, pytest.raises(DatabaseFault, match="no such table"):
        connection.execute(sa.text("SELECT * FROM nosuch"))
    with store.engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="syntax error"):
        connection.execute(sa.text("SELEKT"))
    store.close()


def test_who_waits_for_a_lock_gives_up_when_told_and_may_be_interrupted(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/sweep.db", create=True)
    with contextlib.closing(sqlite3.connect(tmp_path / "sweep.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.wait_at_most(0.0)
        with pytest.raises(DatabaseFault, match="locked"):
            store.command(1, "stop", reason="x")
        store.wait_at_most(3600.0)
        before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        with pytest.raises(KeyboardInterrupt):
            store.command(1, "stop", reason="x")
        signal.signal(signal.SIGUSR1, before)
    store.close()


def execute(url: str, *statements: str) -> None:
    """Have a database do something, each in a transaction of its own."""
    engine = sa.create_engine(parse_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@contextlib.contextmanager
def a_server():
    """A PostgreSQL server that a test may stop."""
    folder = tempfile.mkdtemp(prefix="sweep-pg-")
    server = PostgreSQL(folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.sample
def test_a_server_that_is_read_only_for_a_while_is_waited_for(tmp_path, postgresql):
    study = journalled(tmp_path, "trials=30, workers=2, seed=7", postgresql.create_with_schema())
    name = f'"{parse_url(study.url).database}"'
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with study.started() as started:
        started.reporting()
        execute(study.url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        execute(study.url, f"SELECT pg_terminate_backend(pid) {others}")
        wait_for(lambda: "read-only transaction" in started.said())
        execute(study.url, "SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET ALL")
        status, said = started.end()
        assert status == 0, said
    Oracle(tmp_path, study.url).check(30)


def stopped_in_a_line(started, status, said):
    """The refusal with which a study has stopped because of its database, with the command that continues it."""
    assert status == 2, said
    last = refusal_of("\n".join(said.splitlines()[-2:]))
    assert "Cannot use the database" in last
    assert "then continue with: sweep start tiny.py" in last
    assert not started.workers()
    return last


STOPS = {
    "rights": ["REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {user}"],
    "table": ["DROP TABLE sweep_metrics"],
    "optunas table": ["DROP TABLE trial_values CASCADE"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("rights", marks=pytest.mark.sample), "table", "optunas table"])
def test_a_server_whose_tables_are_out_of_reach_stops_the_study_in_a_line(tmp_path, postgresql, kind):
    url = postgresql.create_with_schema()
    user = "other" if kind == "rights" else None
    if user is not None:
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            postgresql.execute(f"CREATE ROLE {user} LOGIN")
        execute(url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
        execute(url, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}")
    theirs = parse_url(url).set(username=user).render_as_string(hide_password=False) if user else url
    study = journalled(tmp_path, "trials=400, workers=2, seed=7", theirs)
    with study.started() as started:
        started.reporting()
        execute(url, *(statement.format(user=user) for statement in STOPS[kind]))
        status, said = started.end()
    last = stopped_in_a_line(started, status, said)
    if kind == "rights":
        execute(url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}")
        done = study.command(*shlex.split(last.rpartition("continue with: sweep ")[2]), "--trials", "20", "--yes")
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("table", marks=pytest.mark.sample), "page"])
def test_an_sqlite_file_that_is_spoilt_stops_the_study_in_a_line(tmp_path, kind):
    study = journalled(tmp_path, "trials=400, workers=2, seed=7")
    with study.started() as started:
        started.reporting()
        if kind == "table":
            execute(study.url, "DROP TABLE sweep_metrics")
        else:
            spoil(tmp_path, started)
        status, said = started.end()
    stopped_in_a_line(started, status, said)


def spoil(folder, started: Started) -> None:
    """Overwrite every page of a study's database but the first."""
    for name in ("sweep.db", "sweep.db-wal"):
        with (folder / name).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(b"\xff" * max(0, size - 4096))


@pytest.mark.slow
@pytest.mark.sample
def test_a_server_that_is_frozen_is_said_and_a_second_ctrl_c_ends_the_study(tmp_path):
    with a_server() as server:
        study = journalled(tmp_path, "trials=12, workers=2, seed=7", server.create_with_schema())
        with study.started() as started:
            started.reporting()
            frozen = psutil.Process(server._server.get_pid())
            processes = [frozen, *frozen.children(recursive=True)]
            for process in processes:
                process.suspend()
            wait_for(lambda: "waiting since " in started.said())
            assert "it does not answer" in started.said()
            started.send(signal.SIGINT)
            wait_for(lambda: "Ctrl-C again" in started.said())
            started.send(signal.SIGINT)
            status, said = started.end()
            assert status == 130, said
            wait_for(lambda: not started.workers())
            commands = [["runs", "tiny"], ["stop", "tiny"], ["studies"], ["rm", "tiny", "--yes"], ["db", "upgrade"]]
            for words in commands:
                assert interrupted_twice(study, words) in (130, 2), words
            for process in processes:
                with contextlib.suppress(
                    psutil.NoSuchProcess
                ):  # its client is gone, and the server was resumed before it
                    process.resume()
        assert study.start().returncode == 0
        Oracle(tmp_path, study.url).check(12)


@pytest.mark.slow
@pytest.mark.sample
def test_commands_that_wait_for_a_lock_end_by_ctrl_c(tmp_path):
    study = Folder(tmp_path, settings="trials=2, workers=0, seed=7")
    assert study.start().returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "sweep.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        for words in (["runs", "tiny"], ["rm", "tiny", "--yes"], ["db", "upgrade"], ["start", "tiny.py"]):
            assert interrupted_twice(study, words) in (130, 2), words
    with optunas_own(study.url) as storage:
        assert len(storage.get_all_studies()) == 1


def opened(pid: int) -> bool:
    """Whether a process has a database open, or speaks to a server."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        files = any("sweep.db" in file.path for file in process.open_files())
        return files or bool(process.net_connections("all"))
    return True


def interrupted_twice(study: Folder, words: list[str]) -> int:
    """The exit status of a command that is sent Ctrl-C twice while it waits."""
    command = [sys.executable, "-m", "sweep", *words]
    with subprocess.Popen(
        command, cwd=study.path, env=study.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        wait_for(lambda: child.poll() is not None or opened(child.pid))
        for _ in range(2):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=0.5)
        return child.wait(timeout=60)
