"""Which runs pause at a rung and which continue, decided without a study."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.pruners import sentence
from sweep.core.pruners.asha import Asha, RungEntry, Schedule, complete_of, rungs_for
from sweep.objective import Objective
from sweep.specs import pruner_rule

LOSS = Objective("val_loss")


def schedule(*rungs, factor=3, objective=LOSS):
    return Schedule(Asha(factor, list(rungs)), objective)


def reach(planned, number, value, epochs):
    """A run trains until a rung with one value at every epoch; whether it continues."""
    verdict = planned.verdict(number, dict.fromkeys(range(epochs), value))
    if verdict is not None:
        planned.pause(number)
    return verdict


def test_the_first_runs_pause_and_the_best_of_three_is_due():
    planned = schedule(3)
    for number, value in enumerate([0.5, 0.4, 0.6]):
        assert reach(planned, number, value, 3) is not None
    assert planned.due() == 1
    planned.proceed(1)
    assert planned.due() is None
    assert planned.entries(1) == [RungEntry(3, 0.4, continued=True)]


def test_a_run_that_is_among_the_best_as_it_arrives_does_not_pause():
    planned = schedule(3)
    for number, value in enumerate([0.5, 0.4]):
        reach(planned, number, value, 3)
    assert reach(planned, 2, 0.3, 3) is None
    assert planned.due() is None  # the one place is taken, and one of three continues


def test_a_run_that_was_passed_over_is_due_when_more_have_come():
    planned = schedule(1)
    for number, value in enumerate([0.5, 0.1, 0.4, 0.9, 0.8]):
        reach(planned, number, value, 1)
    planned.proceed(planned.due())
    assert planned.due() is None
    reach(planned, 5, 0.7, 1)
    assert planned.due() == 2


def test_of_equal_runs_the_one_with_the_lower_number_is_due():
    planned = schedule(1)
    for number, value in [(2, 0.5), (1, 0.5), (3, 0.6)]:
        reach(planned, number, value, 1)
    assert planned.due() == 1


def test_the_highest_rung_goes_first():
    planned = schedule(1, 2, factor=2)
    for number, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.15, 0.5]):
        reach(planned, number, value, 1)
    for number in (0, 1, 4):
        planned.proceed(number)
        reach(planned, number, 0.1 * number, 2)
    assert planned.paused == {1: 2, 2: 1, 3: 1, 4: 2, 5: 1} | {0: 2}
    assert planned.due() == 0


def test_a_run_enters_with_the_best_of_its_epochs_up_to_the_rung():
    planned = schedule(2)
    verdict = planned.verdict(0, {0: 0.3, 1: 0.7})
    assert (verdict.value, verdict.epoch_index) == (0.3, 1)
    assert planned.verdict(0, {0: 0.3, 1: 0.7}) is verdict  # also when it is asked again


def test_where_higher_is_better_the_highest_continues():
    planned = schedule(1, objective=Objective("accuracy", "maximize"))
    for number, value in enumerate([0.5, 0.9, 0.6]):
        reach(planned, number, value, 1)
    assert planned.due() == 1


def test_a_run_that_cannot_be_paused_continues_where_it_is_the_first():
    planned = schedule(1)
    assert planned.verdict(0, {0: 0.5}, pausable=False) is None
    verdict = planned.verdict(1, {0: 0.6}, pausable=False)
    assert sentence(verdict) == "asha: stopped at epoch 1: ranked 2nd of 2 (the best one continues)"


def test_a_verdict_says_the_rank_and_who_continues():
    planned = schedule(9)
    for number in range(20):
        reach(planned, number, number / 20, 9)
    verdict = reach(planned, 20, 0.38, 9)
    assert sentence(verdict) == "asha: paused at epoch 9: ranked 9th of 21 (the top 7 continue)"
    assert verdict.threshold == 0.3
    first = schedule(9)
    assert sentence(reach(first, 0, 0.5, 9)) == (
        "asha: paused at epoch 9: ranked 1st of 1 (the best one continues when 3 have come this far)"
    )


def test_a_run_that_never_pauses_still_counts_for_the_others():
    planned = schedule(1, factor=2)
    planned.never_pause(0)
    assert reach(planned, 0, 0.9, 1) is None
    assert reach(planned, 1, 0.5, 1) is None  # the better of two


@pytest.mark.parametrize(("trials", "complete"), [(1, 1), (2, 1), (3, 2), (5, 3), (10, 5), (15, 5), (20, 7), (90, 30)])
def test_a_third_of_the_trials_is_complete_at_the_end_and_of_few_half(trials, complete):
    assert complete_of(trials) == complete


@pytest.mark.parametrize(("trials", "complete"), [(1, 1), (3, 3), (5, 5), (8, 5), (15, 5), (16, 6), (30, 10)])
def test_of_runs_that_cannot_be_paused_a_third_is_complete_or_five(trials, complete):
    assert complete_of(trials, pausable=False) == complete


def next_of(planned, running=(), *, new=False, trials=2, complete=0, left=None, spent=False):
    """The paused run that continues next, where runs have nine epochs."""
    return planned.next(
        running=running, new=new, trials=trials, complete=complete, epochs=lambda _: 9, left=left, spent=spent
    )


def test_the_best_paused_run_is_the_next_finalist_while_too_few_are_complete():
    planned = schedule(1, 2)
    for number, value in enumerate([0.5, 0.4]):
        reach(planned, number, value, 1)
    assert next_of(planned) == (1, True)
    assert next_of(planned, new=True) is None, "a new trial goes first"
    assert next_of(planned, trials=9, complete=5) is None
    assert next_of(planned, trials=16, complete=5) == (1, True)


def test_finalists_wait_for_runs_that_may_still_pause():
    planned = schedule(1, 2)
    for number, value in enumerate([0.5, 0.4, 0.6]):
        reach(planned, number, value, 1)
    planned.proceed(1)
    assert next_of(planned, [1], trials=9) is None
    planned.never_pause(1)
    assert next_of(planned, [1], trials=9) == (0, True)
    assert next_of(planned, [1], trials=1) is None, "the one that runs will be enough"


def test_a_run_that_is_due_goes_before_a_new_trial_unless_the_study_is_spent():
    planned = schedule(1, factor=2)
    for number, value in enumerate([0.4, 0.5]):
        reach(planned, number, value, 1)
    assert next_of(planned, new=True) == (0, False)
    assert next_of(planned, [7], spent=True) is None


def test_the_best_paused_run_continues_while_the_epochs_left_suffice_for_it():
    planned = schedule(1, 3)
    for number, value in enumerate([0.5, 0.4]):
        reach(planned, number, value, 1)
    last = {left: next_of(planned, new=True, left=left) for left in (7, 8, 9)}
    assert last == {7: None, 8: (1, True), 9: None}, "it needs 8; while there are 9, another run may be as good"
    assert next_of(planned, new=True, left=8, complete=1) is None
    assert next_of(planned, [7], new=True, left=11) == (1, True), "the other may train 3 before it pauses"
    planned.proceed(1, to_the_end=True)
    assert next_of(planned, [1], new=True, left=8) is None


@pytest.mark.parametrize(("epochs", "rungs"), [(1, ()), (3, ()), (4, (1,)), (30, (1, 3, 10)), (100, (4, 11, 33))])
def test_rungs_follow_from_the_epochs(epochs, rungs):
    assert rungs_for(epochs, 3) == rungs


@pytest.mark.parametrize(
    ("planned", "trials", "said"),
    [
        (
            schedule(1, 3, 10),
            30,
            "a run that is not among the best third after epoch 1, 3 or 10 pauses, and continues when it is; at least "
            "10 of 30 trials train to the last epoch",
        ),
        (
            schedule(5, factor=7),
            1,
            "a run that is not among the best one in 7 after epoch 5 pauses, and continues when it is; at least "
            "1 of 1 trial trains to the last epoch",
        ),
        (
            schedule(1, 3, 10),
            None,
            "a run that is not among the best third after epoch 1, 3 or 10 pauses, and continues when it is; at least "
            "1 trains to the last epoch",
        ),
        (schedule(), 30, "no run pauses, since runs have fewer than 4 epochs"),
    ],
)
def test_a_study_says_what_it_does_with_its_runs(planned, trials, said):
    assert planned.explained(trials) == said


def test_rungs_are_fixed_once():
    planned = Schedule(Asha(), LOSS)
    assert planned.rungs == ()
    assert planned.settle(30).rungs == [1, 3, 10]
    assert planned.settle(90) is None
    assert planned.rungs == (1, 3, 10)
    assert pruner_rule(planned.rule.text()) == planned.rule


def test_what_a_start_left_is_taken_over_by_the_next():
    before = schedule(1, 3)
    for number, value in enumerate([0.5, 0.4, 0.6]):
        reach(before, number, value, 1)
    before.proceed(1)
    reach(before, 1, 0.35, 3)
    after = schedule(1, 3)
    for number in range(3):
        after.restore(number, before.entries(number), paused=number in before.paused)
    assert after.paused == before.paused == {0: 1, 1: 3, 2: 1}
    assert after.due() == before.due()
    assert [after.entries(number) for number in range(3)] == [before.entries(number) for number in range(3)]


values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(values, st.integers(2, 4))
def test_at_each_moment_no_more_than_the_best_fraction_has_continued(losses, factor):
    """As algorithm 2 of Li et al. has it, whatever the order in which runs come."""
    planned = schedule(1, factor=factor)
    continued = []
    for number, loss in enumerate(losses):
        if reach(planned, number, loss, 1) is None:
            continued.append(number)
        while (due := planned.due()) is not None:
            planned.proceed(due)
            continued.append(due)
        assert len(set(continued)) == len(continued)
        ranked = sorted(range(number + 1), key=lambda run: (losses[run], run))
        assert set(ranked[: (number + 1) // factor]) <= set(continued)


@given(values, st.integers(2, 4))
def test_every_run_is_paused_or_has_continued(losses, factor):
    planned = schedule(1, factor=factor)
    for number, loss in enumerate(losses):
        reach(planned, number, loss, 1)
        due = planned.due()
        if due is not None:
            planned.proceed(due)
    for number in range(len(losses)):
        (entry,) = planned.entries(number)
        assert entry.continued == (number not in planned.paused)
