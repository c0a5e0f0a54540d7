"""Faults of what lies below a study: databases that restart, disks that fill up, clocks that jump."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from sweep.control.consistency import check_database
from sweep.control.lease import create_study
from sweep.errors import StudyError
from sweep.store import Store
from sweep.store.lease import new_owner
from tests.control.oracle import Oracle
from tests.control.started import Folder, wait_for
from tests.control.test_kills import completed, journalled
from tests.control.workers import a_house
from tests.databases import PostgreSQL
from tests.refusals import refusal_of


def test_of_thirty_two_that_create_a_study_at_once_one_does_and_the_others_are_told(storage_url):
    ready = threading.Barrier(32)

    def create(number: int) -> str:
        store = Store(storage_url)
        try:
            ready.wait()
            create_study(store, "study", ["minimize"], "/runs/study", {"name": "study"}, new_owner())
            return "created"
        except StudyError as error:
            return str(error)
        finally:
            store.close()

    with ThreadPoolExecutor(32) as threads:
        said = list(threads.map(create, range(32)))
    assert said.count("created") == 1
    assert all(f"process {os.getpid()} on " in text for text in said if text != "created")


def test_connections_to_a_server_are_bounded(postgresql, monkeypatch):
    store = Store(postgresql.create_with_schema())
    monkeypatch.setattr(store.engine.pool, "_timeout", 0.0)  # by default the eleventh waits for half a minute
    with contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context(store.engine.connect())
        with pytest.raises(sa.exc.TimeoutError):
            store.engine.connect()
    store.engine.connect().close()
    store.close()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_expires_nothing_and_lengthens_no_run(tmp_path, monkeypatch, hours):
    really = time.time
    with a_house(tmp_path, options={"stall_timeout": 60.0, "timeout": 600.0}) as house:
        worker = house.worker("0")
        worker.begin()
        monkeypatch.setattr(time, "time", lambda: really() + 3600 * hours)
        monkeypatch.setenv("TZ", "Pacific/Auckland" if hours > 0 else "America/Los_Angeles")
        time.tzset()
        beat = house.writer.store.study("study").beat
        wait_for(lambda: house.writer.store.study("study").beat > beat)
        worker.epoch(0, 0.5)
        worker.end()
        worker.begin()
        assert (house.stored(0).state, house.stored(1).state) == ("COMPLETE", "RUNNING")
        assert house.stored(0).duration < 60
        worker.end()
    monkeypatch.undo()
    time.tzset()
    assert datetime.now().astimezone().tzinfo is not None


@pytest.mark.slow
def test_a_server_that_crashes_and_restarts_in_mid_study_loses_nothing(tmp_path, postgresql):
    folder = tempfile.mkdtemp(prefix="sweep-pg-")
    server = PostgreSQL(folder)
    try:
        study = journalled(tmp_path, "trials=40, workers=4, seed=7", server.create_with_schema())
        with study.started() as started:
            started.reporting()
            for outage in range(2):
                done = completed(started)
                server.crash()
                wait_for(lambda outage=outage: started.said().count("waiting since") > outage)
                server.restart()
                wait_for(lambda done=done: completed(started) > done)
            status, said = started.end()
            assert status == 0, said
        Oracle(tmp_path, study.url).check(40)
        assert {run.state for run in study.runs()} == {"COMPLETE"}
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 16 MB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system must be mounted, which takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


BODY = """
    x = trial.suggest_float("x", -1, 1)
    for epoch in range(20):
        time.sleep(0.01)
        trial.report(x * x, epoch)
    return x * x
"""


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system but for some bytes; returns the file to remove."""
    full = folder / "full"
    with contextlib.suppress(OSError), full.open("wb") as file:
        while True:
            file.write(b"0" * 4096)
            file.flush()
    os.truncate(full, max(0, full.stat().st_size - leave))
    return full


def waiting_of(study: Folder) -> list[str]:
    """The databases that studies wait for, as `sweep studies` says."""
    done = study.command("studies", "--json", "--storage", study.url)
    return [shown["waiting"]["place"] for shown in json.loads(done.stdout) if shown["waiting"]]


def assert_complete(study: Folder, trials: int) -> None:
    """All trials of a study are complete, and its database is as it should be."""
    assert study.states() == ["COMPLETE"] * trials
    store = Store(study.url)
    assert check_database(store) == []
    store.close()


@pytest.mark.slow
def test_a_study_whose_log_directory_is_full_stops_and_says_where_and_goes_on_when_there_is_room(tmp_path, small_disk):
    study = Folder(tmp_path, BODY, "trials=30, workers=2, seed=7")
    full = fill(small_disk, 64 * 1024)
    stopped = study.start("--logdir", str(small_disk))
    assert stopped.returncode == 2, stopped.stdout
    assert "No room is left on the disk" in stopped.stderr
    assert str(small_disk) in stopped.stderr
    refusal_of(stopped.stderr)
    assert set(study.states()) <= {"COMPLETE", "WAITING"}
    full.unlink()
    done = study.start("--logdir", str(small_disk))
    assert done.returncode == 0, done.stderr
    assert_complete(study, 30)


@pytest.mark.slow
def test_a_study_whose_log_directory_becomes_read_only_loses_no_trial_and_goes_on_when_it_is_not(tmp_path, small_disk):
    study = Folder(tmp_path, BODY, "trials=30, workers=2, seed=7")
    with study.started("--logdir", str(small_disk)) as started:
        started.reporting()
        for options in (["--bind"], ["-o", "remount,bind,ro"]):
            subprocess.run(["mount", *options, str(small_disk), str(small_disk)], check=True)
        status, said = started.end()
    subprocess.run(["umount", str(small_disk)], check=True)
    assert status == 2, said
    assert "has become read-only" in said
    assert "Make it writable, then continue with: sweep start" in said
    assert set(study.states()) <= {"COMPLETE", "WAITING"}
    done = study.command(*shlex.split(said.rpartition("continue with: sweep ")[2]))
    assert done.returncode == 0, done.stderr
    assert_complete(study, 30)


@pytest.mark.slow
def test_a_study_whose_database_has_no_room_waits_for_it(tmp_path, small_disk):
    study = Folder(tmp_path, BODY, "trials=60, workers=2, seed=7", storage=f"sqlite:///{small_disk}/sweep.db")
    Store(study.url, create=True).close()
    with study.started() as started:
        started.reporting()
        full = fill(small_disk, 0)
        wait_for(lambda: "waiting since " in started.said())
        assert f"for the database at sqlite:///{small_disk}/sweep.db: " in started.said()
        assert waiting_of(study) == [f"sqlite:///{small_disk}/sweep.db"]
        full.unlink()
        wait_for(lambda: "answers again" in started.said())
        status, said = started.end()
        assert status == 0, said
    assert_complete(study, 60)
    assert waiting_of(study) == []


@pytest.mark.slow
def test_a_second_ctrl_c_ends_a_study_whose_database_does_not_answer_and_the_next_start_finishes_it(tmp_path):
    study = journalled(tmp_path, "trials=12, workers=2, seed=7")
    with study.started() as started:
        started.reporting()
        other = sqlite3.connect(tmp_path / "sweep.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        started.send(signal.SIGINT)
        wait_for(lambda: "Ctrl-C again" in started.said())
        started.send(signal.SIGINT)
        status, said = started.end()
        other.close()
    assert status == 130
    assert "stopped while the database does not answer" in said.splitlines()[-1]
    assert not started.workers()
    assert study.start().returncode == 0
    Oracle(tmp_path, study.url).check(12)


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("which", ["--storage", "--logdir"])
def test_a_disk_without_room_at_the_very_first_start_is_said_in_a_line(tmp_path, small_disk, which):
    study = Folder(tmp_path, BODY, "trials=3, workers=1, seed=7")
    full = fill(small_disk, 0)
    place = f"sqlite:///{small_disk}/sweep.db" if which == "--storage" else f"{small_disk}/runs"
    stopped = study.start(which, place)
    assert stopped.returncode == 2
    said = refusal_of(stopped.stderr)
    assert str(small_disk) in said
    assert "full" in said or "No space left" in said or "No room" in said
    full.unlink()
    assert study.start(which, place).returncode == 0


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("limit", ["ulimit -v 60000", "ulimit -v 320000", "ulimit -v 1000000", "ulimit -n 14"])
def test_a_process_that_may_have_too_little_says_so_in_a_line(tmp_path, limit):
    study = Folder(tmp_path, BODY, "trials=3, workers=1, seed=7")
    started = study.start(before=["bash", "-c", f'export OPENBLAS_NUM_THREADS=1; {limit}; exec "$0" "$@"'])
    assert started.returncode == 2
    refusal_of(started.stderr)
