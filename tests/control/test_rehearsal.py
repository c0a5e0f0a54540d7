"""What two trials in a temporary folder show of a study, as far as it takes no process to know it."""

import dataclasses

import pytest

from sweep.control.rehearsal import trainings_of, tried, why_unpausable
from sweep.declaration import Declaration
from sweep.store import Training
from tests.store_builder import run

DECLARED = Declaration("tiny", ["loss"], ["minimize"], trials=40, epochs=60, timeout=5.0, stop_when=["loss < 1"])


def test_only_the_first_trial_pauses_and_nothing_ends_them_early():
    found = tried(dataclasses.replace(DECLARED, budget_epochs=1, paused_limit=1, pruner="nop"))
    assert [found.leaves_unpruned(number) for number in range(2)] == [False, True]
    assert found.pruner == "asha(rungs=[1])"
    assert (found.timeout, found.stop_when, found.budget_epochs, found.paused_limit) == (None, [], None, None)


def test_several_objectives_are_not_pruned():
    two = dataclasses.replace(DECLARED, objective=["a", "b"], direction=["minimize"] * 2, pruner="nop", stop_when=[])
    assert tried(two).pruner == "nop"


@pytest.mark.parametrize(
    ("asked", "forced", "epochs"),
    [(None, False, 60), (7, False, 7), (7, True, 60)],
    ids=["the study's", "what sweep.fit is given", "what the command line says"],
)
def test_a_whole_trial_has_the_epochs_that_it_would_have_in_the_study(asked, forced, epochs):
    declared = dataclasses.replace(DECLARED, force_epochs=forced)
    runs = [run(0, 0.5, trainings=[Training(0, planned=2, epochs=2, asked=asked)])]
    assert trainings_of(runs, declared) == [epochs]


def test_each_training_of_a_trial_counts_also_where_another_trial_did_not_come_so_far():
    folds = [Training(number, first=2 * number, epochs=2) for number in range(3)]
    runs = [run(0, state="FAIL", trainings=folds[:1]), run(1, 0.5, trainings=folds)]
    assert trainings_of(runs, DECLARED) == [60, 60, 60]


def test_why_no_run_can_pause():
    assert why_unpausable([], 2) == "a study with several objectives is not pruned"
    fit = [run(0, 0.5, trainings=[Training(0, unpausable="their data come from a Sequence")])]
    assert why_unpausable(fit, 1) == "their data come from a Sequence"
    assert "neither sweep.fit nor sweep.epochs" in why_unpausable([run(0, 0.5)], 1)
    assert why_unpausable([run(0, state="FAIL")], 1) is None
