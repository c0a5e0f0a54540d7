"""A service that is killed in the middle of a study, and the one after it."""

import pytest

from tests.control.started import MANY_EPOCHS, TINY, wait_for
from tests.test_compose import Service

pytestmark = pytest.mark.slow


def states(service):
    """The states of a study's runs, and its own."""
    runs = service.ask("/api/studies/tiny/runs")["runs"]
    return [run["state"] for run in runs], service.ask("/api/studies/tiny")["state"]


def test_a_study_outlives_its_service_and_the_next_one_shows_and_controls_it(tmp_path):
    (tmp_path / "studies").mkdir()
    file = tmp_path / "studies" / "tiny.py"
    file.write_text(TINY.format(body=MANY_EPOCHS, settings="trials=200, workers=2, seed=7"))
    storage = f"sqlite:///{tmp_path}/sweep.db"
    first = Service(tmp_path, storage)
    try:
        wait_for(first.is_healthy)
        begun = first.ask("/api/starts", {"file": "tiny.py"})
        wait_for(lambda: first.ask(f"/api/starts/{begun['start']}")["state"] == "running")
    finally:
        first.kill()
    second = Service(tmp_path, storage)
    try:
        wait_for(second.is_healthy)
        before, state = states(second)
        assert state == "running"
        wait_for(lambda: states(second)[0].count("COMPLETE") > before.count("COMPLETE") + 2)
        second.ask("/api/studies/tiny/stop", {})
        wait_for(lambda: states(second)[1] == "stopped")
        wait_for(lambda: set(states(second)[0]) == {"COMPLETE", "WAITING"})  # a list may be 0.2 s old
    finally:
        second.close()
