"""Workers as processes: started, watched, ended. They fail at once here, since nobody listens to them."""

import signal

import psutil
import pytest

from sweep.control.executors import local
from sweep.control.executors.local import Local
from sweep.core.events import Exited, Room
from tests.control.started import lives, wait_for


@pytest.fixture
def events():
    return []


@pytest.fixture
def executor(events):
    """This machine, with two GPUs that it does not have."""
    executor = Local("study.py", "nowhere", events.append, ["0", "3"], 2)
    executor.start()
    yield executor
    executor.close()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Has workers run a shell script instead."""

    def become(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(path))

    return become


def processes_of(executor: Local, worker: str) -> list[psutil.Process]:
    """A worker's process and all below it."""
    process = psutil.Process(executor._processes[worker]._process.pid)
    return [process, *process.children(recursive=True)]


def test_there_is_room_for_so_many_workers_a_gpu_and_else_for_one_a_core(executor, events):
    assert events == [Room(4)]
    without = Local("study.py", "nowhere", events.append, [], 2)
    without.start()
    without.close()
    assert events[1:] == [Room(local.cores())]


def test_how_a_worker_ended_is_posted_with_what_it_printed_last(executor, events, program):
    program("echo one\necho two\nexit 3")
    for worker in "01":
        executor.submit(worker, 0, 1)
    wait_for(lambda: len(events) == 3)
    said = [Exited(worker, "left with exit status 3", killed=False, output="one\ntwo") for worker in "01"]
    assert sorted(events[1:], key=lambda exited: exited.worker) == said


@pytest.mark.parametrize("by", ["the executor", "somebody else"])
def test_a_killed_worker_takes_its_children_with_it(executor, events, program, by):
    program("echo loading\nsleep 600 &\nsleep 600")
    executor.submit("0", 0, 1)
    processes = wait_for(lambda: len(found := processes_of(executor, "0")) >= 3 and found)
    if by == "the executor":
        executor.kill("0")
    else:
        processes[0].kill()
    wait_for(lambda: len(events) == 2)
    assert events[1] == Exited("0", "killed by SIGKILL", killed=True, output="loading")
    wait_for(lambda: not any(lives(process) for process in processes))
    executor.kill("0")  # it is skipped


def test_a_worker_that_cannot_be_started_is_posted_as_gone(executor, events, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))
    executor.submit("0", 0, 1)
    assert events[1] == Exited("0", "not started: No such file or directory", killed=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "left with exit status 0"),
        (7, "left with exit status 7"),
        (-signal.SIGKILL, "killed by SIGKILL"),
        (-signal.SIGTERM, "killed by SIGTERM"),
        (-signal.SIGSEGV, "died by SIGSEGV"),
        (-signal.SIGABRT, "died by SIGABRT"),
        (-63, "died by signal 63"),
    ],
)
def test_how_a_worker_ended_is_said_in_words(code, words):
    assert local.how(code) == words


def test_without_gpus_a_worker_has_one_thread_and_what_the_user_set_stands(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    executor = Local("study.py", "nowhere", print, [])
    environment = executor._environment(0, 2)
    assert (environment["OMP_NUM_THREADS"], environment["TF_NUM_INTRAOP_THREADS"]) == ("1", "5")
    assert "OMP_NUM_THREADS" not in executor._environment(0, 1)
    executor.close()


def test_each_worker_has_its_gpu():
    executor = Local("study.py", "nowhere", print, ["0", "3"])
    given = [executor._environment(slot, 4) for slot in range(4)]
    executor.close()
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in given] == ["0", "3", "0", "3"]
    assert {environment["TF_FORCE_GPU_ALLOW_GROWTH"] for environment in given} == {"true"}
