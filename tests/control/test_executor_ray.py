"""The coordinator's end of Ray's driver, where that ends by itself; studies on real clusters are in `tests/cluster`."""

import pytest

from sweep.control.executors.ray import Cluster, OnRay
from sweep.core.events import Exited, Refused
from tests.control.started import wait_for


@pytest.fixture
def events():
    return []


@pytest.fixture
def executor(tmp_path, monkeypatch, events):
    """A cluster whose driver says its last words at once."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such thing\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    executor = OnRay("study.py", "nowhere", events.append, str(tmp_path), Cluster())
    yield executor
    executor.close()


def test_a_driver_that_ends_refuses_the_study_with_its_last_words_and_its_workers_are_lost(executor, events):
    executor.submit("0", 0, 2)
    executor.start()
    wait_for(lambda: len(events) == 2)
    executor.submit("1", 1, 2)
    refused, *lost = events
    assert isinstance(refused, Refused)
    said = "Lost the Ray cluster: no such thing. Give the same command again to continue. Nothing is lost."
    assert str(refused.error) == said
    assert lost == [Exited(worker, "lost with its cluster", killed=True) for worker in "01"]
