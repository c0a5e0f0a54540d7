"""What became of runs and of a study from one look at them to the next."""

import dataclasses

import pytest

from sweep.declaration import Declaration
from sweep.store import StudyRecord
from sweep.view.changes import Look, run_changes
from sweep.view.studies import view_study
from tests.store_builder import DECLARATION, run

STUDY = StudyRecord(1, "diabetes", Declaration.stored(DECLARATION), {}, {}, "/somewhere", 0.0, None, 0)
WHATS = ("began", "waits", "advanced", "ended", "began_unseen")


def running(epoch=0, **values):
    return run(0, state="RUNNING", epoch=epoch, **values)


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        (None, running(), {"began", "advanced"}),
        (running(1), running(1), set()),
        (running(1), running(3), {"advanced"}),
        (running(1, name=None), running(1), {"began"}),
        (running(1), running(1, attempt=1), {"began"}),
        (run(0, state="WAITING"), running(0), {"began", "advanced"}),
        (running(4), run(0, state="WAITING", epoch=4), {"waits"}),
        (run(0, state="WAITING"), run(0, state="WAITING", attempt=1), {"waits"}),
        (running(4), run(0, state="PRUNED", epoch=5), {"ended"}),
        (None, run(0, 0.5), {"ended", "began_unseen"}),
        (run(0, state="WAITING"), run(0, 0.5), {"ended", "began_unseen"}),
        (run(0, 0.5), run(0, 0.5), set()),
    ],
)
def test_what_became_of_a_run(before, now, what):
    if now.name and before is not None and before.name and before.state == "RUNNING":
        now.name = before.name
    (change,) = run_changes([before] if before else [], [now])
    assert (change.before, change.run) == (before, now)
    assert {name for name in WHATS if getattr(change, name)} == what


def test_runs_that_are_the_same_records_have_not_changed():
    runs = [run(0, 0.5), run(1, state="RUNNING")]
    assert list(run_changes(runs, list(runs))) == []


def look(*runs, state="running"):
    return Look(dataclasses.replace(view_study(STUDY, runs, running=True), state=state), runs)


def test_a_new_best_run_is_seen_and_an_old_one_is_not():
    before = look(run(0, 0.5))
    assert look(run(0, 0.5), run(1, 0.1)).new_best(before).number == 1
    assert look(run(0, 0.5), run(1, 0.9)).new_best(before) is None
    assert look().new_best(before) is None
    assert before.new_best(look()).number == 0


def test_a_study_differs_by_its_state_its_counts_and_its_best_value():
    before = look(run(0, 0.5))
    assert not look(run(0, 0.5)).differs(before)
    assert look(run(0, 0.5), state="stopped").differs(before)
    assert look(run(0, 0.5), run(1, state="RUNNING")).differs(before)
    assert look(run(0, 0.25)).differs(before)
