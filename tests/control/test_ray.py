"""The coordinator's end of Ray's driver, where that ends by itself; studies on real clusters are in `tests/cluster`."""

import pytest

from sweep.control.executor import Executor
from sweep.control.ray import Cluster, OnRay


@pytest.fixture
def refusals():
    return []


@pytest.fixture
def place(tmp_path, monkeypatch, refusals):
    """A place whose driver says its last words at once."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no such thing\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    return OnRay("study.py", "nowhere", str(tmp_path), Cluster(), say=refusals.append, refuse=refusals.append)


def test_a_driver_that_ends_is_told_of_in_a_line_with_its_last_words_and_its_workers_are_lost(place, refusals):
    before = place.launch("0", 0, 2)
    assert (before.wait().how, before.wait().killed) == ("lost with its cluster", True)
    after = place.launch("1", 1, 2)
    assert after.wait().how == "lost with its cluster"
    place.close()
    assert [str(error) for error in refusals] == [
        "Lost the Ray cluster: no such thing. Start the study again to continue. Nothing is lost."
    ]


def test_an_executor_whose_place_is_lost_ends(place):
    ended = []
    executor = Executor(place, 4, lambda worker, ending: bool(ended.append(worker)))
    executor.start()
    executor.close(0.0)
    assert sorted(ended) == ["0", "1", "2", "3"]
