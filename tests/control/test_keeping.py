"""Whose weights stay."""

import pytest

from sweep.control.keeping import Keeping
from sweep.errors import StudyError
from sweep.rundir import WEIGHTS
from sweep.store import RunRecord


def runs_in(folder, bests, states=None):
    """Runs with weights, by their best values."""
    made = []
    for number, best in enumerate(bests):
        directory = folder / str(number)
        directory.mkdir()
        (directory / WEIGHTS).write_bytes(b"")
        state = states[number] if states else "COMPLETE"
        made.append(RunRecord(number, directory=str(directory), best=best, last=-(best or 0), state=state))
    return made


def left(folder):
    return {int(path.parent.name) for path in folder.glob(f"*/{WEIGHTS}")}


@pytest.mark.parametrize(
    ("keep", "value", "maximize", "stay"),
    [
        ("best:2", "best", False, {1, 3}),
        ("best:2", "best", True, {0, 2}),
        ("best:1", "last", False, {0}),
        ("best:9", "best", False, {0, 1, 2, 3}),
        ("all", "best", False, {0, 1, 2, 3}),
    ],
)
def test_the_best_ones_keep_theirs(tmp_path, keep, value, maximize, stay):
    runs = runs_in(tmp_path, [0.9, 0.1, 0.5, 0.2])
    Keeping(keep).ended(runs, value=value, maximize=maximize)
    assert left(tmp_path) == stay


def test_a_run_without_a_value_keeps_none_and_one_that_runs_keeps_its_own(tmp_path):
    runs = runs_in(tmp_path, [0.5, None, 0.9, 0.1], ["COMPLETE", "PRUNED", "RUNNING", "PRUNED"])
    Keeping("best:1").ended(runs, value="best", maximize=False)
    assert left(tmp_path) == {2, 3}


def test_a_better_one_takes_the_place_of_the_worst(tmp_path):
    keeping, runs = Keeping("best:1"), runs_in(tmp_path, [0.5, 0.4])
    keeping.ended(runs[:1], value="best", maximize=False)
    assert left(tmp_path) == {0, 1}
    keeping.ended(runs, value="best", maximize=False)
    assert left(tmp_path) == {1}


@pytest.mark.parametrize("wrong", ["best", "best:0", "best:01", "BEST:1", "some", ""])
def test_anything_else_is_refused(wrong):
    with pytest.raises(StudyError, match="best:N, all or none"):
        Keeping(wrong)
