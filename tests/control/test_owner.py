"""Who owns a study, with real processes: containers with one host name and process number, suspended coordinators."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from sweep.store import Store, StudyRecord
from tests.control.oracle import JOURNAL, Oracle
from tests.control.started import MANY_EPOCHS, Folder, wait_for

pytestmark = pytest.mark.slow

BODY = MANY_EPOCHS.replace("return x * x", "return x * x + 1 / (epoch + 1)")
LEASE = 4.5  # seconds
SHORT = ("-c", f"""
import sys
from sweep.control import lease
lease.LEASE_SECONDS = {LEASE}
from sweep.cli import run
sys.exit(run(sys.argv[1:]))
""")  # fmt: skip
"""`sweep` with a lease that a test can wait for."""

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""A process in it is number 1 of a machine of the same name, and shares its files."""


@pytest.fixture
def container():
    """The command that runs another one in a container; skipped where this user cannot make one."""
    command = CONTAINER if os.geteuid() == 0 else [CONTAINER[0], "--user", "--map-root-user", *CONTAINER[1:]]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("namespaces cannot be made here")
    return command


def journalled(path: Path, storage: str | None = None, settings: str = "trials=8, workers=2, seed=7") -> Folder:
    """A folder with a study whose workers note what is acknowledged."""
    folder = Folder(path, BODY, settings, storage=storage)
    file = path / "tiny.py"
    file.write_text(file.read_text().replace("import sweep\n", f"import json\nimport sweep\n{JOURNAL}", 1))
    return folder


def study_of(folder: Folder) -> StudyRecord:
    """The study as the store has it."""
    store = Store(folder.url)
    try:
        return store.study("tiny")
    finally:
        store.close()


def dump(folder: Folder) -> dict[str, list[str]]:
    """All rows of all tables."""
    store = Store(folder.url)
    try:
        metadata = sa.MetaData()
        metadata.reflect(store.engine)
        with store.engine.connect() as connection:
            return {
                table.name: sorted(str(tuple(row)) for row in connection.execute(sa.select(table)))
                for table in metadata.sorted_tables
            }
    finally:
        store.close()


def suspend(folder: Folder, process: psutil.Process) -> None:
    """Suspend a coordinator for longer than its lease."""
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: (study_of(folder).silent or 0.0) > LEASE + 0.5)


def test_a_coordinator_that_was_suspended_lets_go_without_writing_when_it_wakes(tmp_path, storage_url):
    folder = journalled(tmp_path, storage_url)
    with folder.started(program=SHORT) as started:
        started.reporting()
        suspend(folder, started.process)
        before = dump(folder)
        started.send(signal.SIGCONT)
        status, said = started.end()
        assert status == 2
        assert "sweep: This coordinator was suspended for" in said
        assert "Traceback" not in said
        assert started.workers() == []
    assert dump(folder) == before
    done = folder.start()
    assert done.returncode == 0, done.stderr
    Oracle(tmp_path, folder.url).check(8)


def test_a_coordinator_whose_study_was_taken_while_it_was_suspended_changes_nothing(tmp_path, storage_url):
    folder = journalled(tmp_path, storage_url)
    with folder.started(program=SHORT) as started:
        started.reporting()
        suspend(folder, started.process)
        with folder.started(program=SHORT) as second:
            status, said = second.end()
        assert status == 0, said
        assert "its process is still there" in said
        before = dump(folder)
        started.send(signal.SIGCONT)
        status, said = started.end()
        assert status == 2
        assert "another coordinator has taken it" in said
        assert started.workers() == []
    assert dump(folder) == before
    Oracle(tmp_path, folder.url).check(8)


def test_a_study_that_a_container_trains_is_refused_to_another_of_the_same_name_and_to_its_host(tmp_path, container):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("0.05", "3600 if epoch else 0"))
    copied = f"sqlite:///{tmp_path}/copy.db"
    with folder.started(before=container) as started:
        started.reporting()
        owner = study_of(folder).owner
        assert owner.pid == 1
        for before in ([], container):
            for words, said in (
                (["start", "tiny.py"], "Study tiny is already running, in process 1 on"),
                (["rm", "tiny", "--yes"], "Cannot remove study tiny while it is running"),
                (["clean", "tiny", ".", "--only", "events", "--yes"], "Cannot clean study tiny while it is running"),
                (["db", "copy", folder.url, copied], "Cannot copy study tiny while it is running"),
            ):
                done = folder.command(*words, before=before)
                assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert study_of(folder).owner == owner
        assert started.process.poll() is None
    assert not (tmp_path / "copy.db").exists()


def test_of_containers_that_continue_a_killed_study_at_once_one_does(tmp_path, container, storage_url):
    folder = journalled(tmp_path, storage_url)
    with folder.started(before=container) as started:
        wait_for(lambda: [run for run in folder.runs() if run.state == "RUNNING" and run.epoch])
        started.process.kill()
        started.process.wait()
    with folder.started(before=container) as first, folder.started(before=container) as second:
        ends = sorted([first.end(), second.end()])
    assert [status for status, _ in ends] == [0, 2], ends
    assert "Study tiny is already running, in process 1 on" in ends[1][1]
    Oracle(tmp_path, folder.url).check(8)
