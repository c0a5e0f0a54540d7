"""Workers as processes: started, watched, replaced, ended. They fail at once here, since nobody listens to them."""

import signal
import threading

import psutil
import pytest

from sweep.control import local
from sweep.control.executor import Ending, Executor
from sweep.control.local import Local
from tests.control.started import lives, wait_for


class Ends:
    """How workers ended; `again` says whether another takes the place."""

    def __init__(self, again: int = 0) -> None:
        self.heard: list[tuple[str, Ending]] = []
        self._again = again
        self._lock = threading.Lock()

    def __call__(self, worker: str, ending: Ending) -> bool:
        with self._lock:
            self.heard.append((worker, ending))
            return len(self.heard) <= self._again


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """Makes workers programs that sleep, with a child of their own."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho loading\nsleep 600 &\nsleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))


def below(executor: Executor) -> list[psutil.Process]:
    """All processes of an executor's workers."""
    return [process for child in psutil.Process().children() for process in [child, *child.children()]]


def test_a_worker_that_ends_is_replaced_as_long_as_it_is_wanted(tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho one\necho two\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    ends = Ends(again=2)
    executor = Executor(Local("study.py", "nowhere"), 1, ends)
    executor.start()
    wait_for(lambda: len(ends.heard) == 3)
    executor.close(0.0)
    assert ends.heard == [(str(number), Ending("left with exit status 3", False, "one\ntwo")) for number in range(3)]


def test_a_killed_worker_takes_its_children_with_it(waiting):
    ends = Ends()
    executor = Executor(Local("study.py", "nowhere"), 1, ends)
    executor.start()
    processes = wait_for(lambda: len(below(executor)) >= 3 and below(executor))
    processes[0].kill()
    wait_for(lambda: ends.heard)
    assert ends.heard[0] == ("0", Ending("killed by SIGKILL", True, "loading"))
    wait_for(lambda: not any(lives(process) for process in processes[1:]))
    executor.close(0.0)


@pytest.mark.parametrize("busy", [True, False])
def test_closing_leaves_no_process_and_waits_for_idle_ones_not_at_all(waiting, busy):
    executor = Executor(Local("study.py", "nowhere"), 3, Ends())
    executor.start()
    processes = wait_for(lambda: len(below(executor)) >= 9 and below(executor))
    executor.close(0.1 if busy else 3600.0, busy=lambda worker: busy)
    wait_for(lambda: not any(lives(process) for process in processes))


def test_workers_too_many_end_without_a_word_and_those_missing_begin(waiting):
    ends = Ends()
    executor = Executor(Local("study.py", "nowhere"), 3, ends)
    executor.start()
    for count in (3, 1, 2):
        executor.resize(count)
        wait_for(lambda count=count: sum(lives(process) for process in psutil.Process().children()) == count)
    assert ends.heard == []
    executor.close(0.0)


def test_a_closed_executor_starts_nobody(waiting):
    executor = Executor(Local("study.py", "nowhere"), 2, Ends())
    executor.kill()
    executor.start()
    executor.close(0.0)
    assert not any(lives(process) for process in psutil.Process().children())


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
    place = Local("study.py", "nowhere", [])
    environment = place._environment(0, 2)
    assert (environment["OMP_NUM_THREADS"], environment["TF_NUM_INTRAOP_THREADS"]) == ("1", "5")
    assert "OMP_NUM_THREADS" not in place._environment(0, 1)
    place.close()


def test_each_worker_has_its_gpu():
    place = Local("study.py", "nowhere", ["0", "3"])
    given = [place._environment(slot, 4) for slot in range(4)]
    place.close()
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in given] == ["0", "3", "0", "3"]
    assert {environment["TF_FORCE_GPU_ALLOW_GROWTH"] for environment in given} == {"true"}


def test_there_is_room_for_so_many_workers_a_gpu_and_else_for_one_a_core():
    with_gpus, without = Local("study.py", "nowhere", ["0", "3"], 2), Local("study.py", "nowhere", [], 2)
    assert (with_gpus.most, without.most) == (4, local.cores())
    with_gpus.close()
    without.close()


def test_a_worker_is_relieved_in_its_slot_and_only_one_takes_its_place(waiting):
    ends = Ends(again=10)
    executor = Executor(Local("study.py", "nowhere"), 1, ends)
    executor.start()
    (old,) = wait_for(lambda: psutil.Process().children())
    assert executor.relieve("0") == "1"
    wait_for(lambda: len(psutil.Process().children()) == 2)
    assert executor.relieve("0") is None  # its slot has two
    old.kill()
    wait_for(lambda: [end[0] for end in ends.heard] == ["0"])
    (new,) = wait_for(lambda: len(living := psutil.Process().children()) == 1 and living)
    new.kill()
    wait_for(lambda: [end[0] for end in ends.heard] == ["0", "1"])
    wait_for(lambda: len(psutil.Process().children()) == 1)  # the one that was relieving is replaced as any other
    executor.close(0.0)
    assert executor.relieve("1") is None
