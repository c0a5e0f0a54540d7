"""The driver's side of workers, without Ray: one that cannot begin is tried again, in another actor."""

import queue
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError

from sweep.cluster import actors as module
from sweep.cluster.actors import WorkerActors
from sweep.cluster.probe import Probe, probing
from sweep.core.events import Exited
from sweep.core.policy import UNHEARD, FailurePolicy


class Told:
    """Remembers how workers ended."""

    def __init__(self):
        self.ends = queue.SimpleQueue()

    def tell(self, news, **content):
        self.ends.put((news, content))


@pytest.fixture
def made(monkeypatch):
    """The actors that were made, of which none can begin."""
    made = []

    def make(*_arguments):
        made.append(SimpleNamespace(begin=None, wait=None))
        return made[-1]

    def ask(_method, worker):
        error = FileNotFoundError(2, "No such file or directory", "/tmp/gone")
        raise RayTaskError("begin", f"ray::begin()\nFileNotFoundError: {error}", error, "", 1, "127.0.0.1") from error

    options = SimpleNamespace(remote=make)
    remote = SimpleNamespace(options=lambda **_: options)
    fake = SimpleNamespace(remote=lambda _class: remote, put=lambda value: value, kill=lambda _actor: None)
    monkeypatch.setattr(module, "ray", fake)
    monkeypatch.setattr(module, "ask", ask)
    return made


def test_a_worker_that_cannot_begin_is_tried_again_in_another_actor_within_the_limit_of_tries(made, tmp_path):
    told = Told()
    workers = WorkerActors("tiny.py", b"", "nowhere", tmp_path, {"CPU": 1.0}, Probe("", ""), told)
    policy, problem, tries = FailurePolicy(0), None, 0
    while problem is None:
        workers.launch(str(tries), slot=0)
        news, content = told.ends.get(timeout=30)
        assert (news, content["how"], content["killed"]) == ("ended", "unable to begin on its node", True)
        tries += 1
        exit = Exited(content["worker"], content["how"], content["killed"], content["output"])
        problem = policy.unheard(exit, loaded=False, workers=1)
    assert tries == UNHEARD == len(made), "each try has an actor of its own, which Ray may place elsewhere"
    assert "FileNotFoundError" in str(problem)


def test_a_log_directory_that_another_study_removes_as_it_ends_is_made_again(tmp_path, monkeypatch):
    logdir = tmp_path / "runs"
    write, removed = type(logdir).write_text, []

    def late(path, text):
        if not removed:
            removed.append(path)
            logdir.rmdir()
        return write(path, text)

    monkeypatch.setattr(type(logdir), "write_text", late)
    with probing(logdir) as probe:
        assert removed == [type(logdir)(probe.path)]
    assert not logdir.exists()
