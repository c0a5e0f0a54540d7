"""Whose weights stay, and what checkpoints take."""

import math
import os
from dataclasses import replace

import pytest

from sweep.control import disk
from sweep.control.run_files import checkpoint_size, remove_checkpoints, remove_surplus_weights
from sweep.core.study import StudyMachine
from sweep.errors import StudyError
from sweep.objective import Objective
from sweep.options import Settings
from sweep.rundir import CHECKPOINTS, WEIGHTS
from sweep.store import RunRecord

LOSS, SCORE = Objective("loss"), Objective("score", "maximize")


class Keeping:
    """A study that keeps some weights, and the thread that removes the others."""

    def __init__(self, keep: str) -> None:
        self._study = StudyMachine(Settings(keep=keep))

    def ended(self, runs, objective) -> None:
        """A run of these has ended."""
        self._study.runs = {run.number: run for run in runs}
        self._study._objective = objective
        self._study._effects = []
        self._study._keep_best()
        for effect in self._study._effects:
            remove_surplus_weights(effect.runs)


def runs_in(folder, values, states=None, **more):
    """Runs with weights, by the values that they returned; their best epochs are in the opposite order."""
    made = []
    for number, value in enumerate(values):
        directory = folder / str(number)
        directory.mkdir()
        (directory / WEIGHTS).write_bytes(b"")
        state = states[number] if states else "COMPLETE"
        returned = [value] if state == "COMPLETE" else None
        run = RunRecord(number, directory=str(directory), best=-value, values=returned, state=state, seed=1)
        made.append(replace(run, **more))
    return made


def test_every_model_of_a_run_is_removed(tmp_path):
    runs = runs_in(tmp_path, [0.9, 0.1])
    for directory in ("0", "1"):
        (tmp_path / directory / "weights-1.npz").write_bytes(b"")
    Keeping("best:1").ended(runs, LOSS)
    assert [path.name for path in (tmp_path / "0").iterdir()] == []
    assert len(list((tmp_path / "1").iterdir())) == 2


def left(folder):
    return {int(path.parent.name) for path in folder.glob(f"*/{WEIGHTS}")}


@pytest.mark.parametrize(
    ("keep", "objective", "stay"),
    [
        ("best:2", LOSS, {1, 3}),
        ("best:2", SCORE, {0, 2}),
        ("best:9", LOSS, {0, 1, 2, 3}),
        ("all", LOSS, {0, 1, 2, 3}),
        ("none", LOSS, {0, 1, 2, 3}),
    ],
)
def test_the_best_by_what_train_returned_keep_theirs(tmp_path, keep, objective, stay):
    runs = runs_in(tmp_path, [0.9, 0.1, 0.5, 0.2])
    Keeping(keep).ended(runs, objective)
    assert left(tmp_path) == stay


def test_a_pruned_or_failed_run_displaces_no_complete_one_and_keeps_nothing(tmp_path):
    runs = runs_in(tmp_path, [0.5, 0.1, 0.2], ["COMPLETE", "PRUNED", "FAIL"])
    Keeping("best:1").ended(runs, LOSS)
    assert left(tmp_path) == {0}


def test_a_run_that_may_still_become_the_best_keeps_its_own(tmp_path):
    runs = runs_in(tmp_path, [0.5, 0.9, 0.9, 0.9], ["COMPLETE", "RUNNING", "WAITING", "PRUNED"])
    (tmp_path / "3" / CHECKPOINTS).mkdir()
    (tmp_path / "3" / CHECKPOINTS / "0-00000001.npz").write_bytes(b"")  # it can be revived
    Keeping("best:1").ended(runs, LOSS)
    assert left(tmp_path) == {0, 1, 2, 3}


def test_an_infeasible_run_keeps_nothing(tmp_path):
    runs = runs_in(tmp_path, [0.1, 0.5])
    runs[0].constraints = {"size": 0.5}
    Keeping("best:2").ended(runs, LOSS)
    assert left(tmp_path) == {1}


def test_ties_and_infinite_values_are_kept_in_the_order_of_the_ranking(tmp_path):
    runs = runs_in(tmp_path, [math.inf, 0.5, 0.5, 0.5])
    Keeping("best:2").ended(runs, LOSS)
    assert left(tmp_path) == {1, 2}


def test_a_better_one_takes_the_place_of_the_worst(tmp_path):
    keeping, runs = Keeping("best:1"), runs_in(tmp_path, [0.5, 0.4])
    keeping.ended(runs[:1], LOSS)
    assert left(tmp_path) == {0, 1}
    keeping.ended(runs, LOSS)
    assert left(tmp_path) == {1}


@pytest.mark.parametrize("wrong", ["best", "best:0", "best:01", "BEST:1", "some", ""])
def test_anything_else_is_refused(wrong):
    with pytest.raises(StudyError, match="all, none or best:N"):
        Keeping(wrong)


def test_a_run_that_was_imported_keeps_its_weights(tmp_path):
    runs = runs_in(tmp_path, [0.9, 0.1], seed=None)
    Keeping("best:1").ended(runs, LOSS)
    assert left(tmp_path) == {0, 1}


def test_a_run_without_a_directory_or_without_checkpoints_takes_no_room(tmp_path):
    assert checkpoint_size(None) == checkpoint_size(str(tmp_path)) == checkpoint_size(str(tmp_path / "gone")) == 0
    remove_checkpoints(None)
    remove_checkpoints(str(tmp_path / "gone"))


def test_a_checkpoint_that_goes_while_it_is_measured_takes_no_room(tmp_path, monkeypatch):
    folder = tmp_path / CHECKPOINTS
    folder.mkdir()
    for epochs, count in [(1, 10), (2, 25)]:
        (folder / f"0-{epochs:08}.npz").write_bytes(b"x" * count)
    listed = os.scandir

    def scandir(path):
        found = list(listed(path))
        (folder / "0-00000001.npz").unlink()  # as when a newer one takes its place
        return found

    monkeypatch.setattr(disk.os, "scandir", scandir)
    assert checkpoint_size(str(tmp_path)) == 25
