"""What becomes of failures and of lost workers."""

import pytest

from sweep.core.events import Exited
from sweep.core.policy import ATTEMPTS, SAME_FAILURES, UNHEARD, UNHEARD_LATER, FailurePolicy, same_parameters
from sweep.store.records import OUT_OF_MEMORY, RunRecord

KILLED = Exited("0", "killed by SIGKILL", killed=True)
CRASHED = Exited("0", "ended with exit status 3", killed=False, output="first\nlast line\n")
TRACEBACK = 'Traceback:\n  File "{file}", line {line}, in train\n    raise\n'


def failed(number, reason="ValueError: no", *, line=7, file="/studies/x.py", epoch=0):
    return RunRecord(number, state="FAIL", reason=reason, epoch=epoch, traceback=TRACEBACK.format(file=file, line=line))


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_trial_that_raises_is_tried_again_as_often_as_the_study_says(retries):
    policy = FailurePolicy(retries)
    tried = [[policy.tries_again(number, "ValueError: no") for _ in range(4)] for number in (0, 1)]
    assert tried == [[True] * retries + [False] * (4 - retries)] * 2


def test_a_trial_that_ran_out_of_memory_is_not_tried_again():
    assert not FailurePolicy(5).tries_again(0, f"{OUT_OF_MEMORY}: MemoryError")


def test_a_trial_whose_worker_is_killed_is_run_again_twice_and_then_says_how_often():
    policy = FailurePolicy(0)
    assert [policy.lost(0, KILLED, stopping=False) for _ in range(ATTEMPTS)] == [
        (True, "its worker was killed by SIGKILL"),
        (True, "its worker was killed by SIGKILL"),
        (False, "its worker was killed by SIGKILL 3 times"),
    ]
    assert policy.lost(1, KILLED, stopping=False)[0], "each trial is counted by itself"


def test_a_worker_that_ends_by_itself_fails_its_trial_at_once():
    assert FailurePolicy(0).lost(0, CRASHED, stopping=False) == (False, "its worker ended with exit status 3")


def test_kills_do_not_count_while_the_study_stops():
    policy = FailurePolicy(0)
    assert all(policy.lost(0, KILLED, stopping=True)[0] for _ in range(5))


def test_trials_that_failed_before_training_are_blamed_on_their_parameters_once_another_has_trained():
    policy = FailurePolicy(0)
    assert policy.failed_for_parameters(failed(0), trained=False) == []
    assert policy.failed_for_parameters(failed(1, epoch=2), trained=False) == []
    assert policy.failed_for_parameters(failed(2, "FileNotFoundError: x"), trained=False) == []
    assert policy.failed_for_parameters(RunRecord(3, state="COMPLETE"), trained=True) == [0]
    assert policy.failed_for_parameters(failed(4), trained=True) == [4]


def test_failures_of_one_kind_in_a_row_stop_the_study_and_others_between_do_not():
    policy = FailurePolicy(0)
    for number in range(SAME_FAILURES - 1):
        assert policy.repeated(failed(number)) is None
    assert policy.repeated(failed(5, line=8)) is None, "another line is another kind"
    for number in range(6, 5 + SAME_FAILURES):
        assert policy.repeated(failed(number)) is None
    error = policy.repeated(failed(20))
    assert str(error).startswith(f"The study has stopped, because {SAME_FAILURES} trials in a row failed")
    assert "sweep show 20" in str(error)
    assert policy.repeated(RunRecord(21, state="PRUNED")) is None
    assert policy.repeated(failed(22)) is None, "a trial that has not failed ends the row"


def test_the_line_of_the_users_own_file_makes_failures_alike():
    policy = FailurePolicy(0)
    library = TRACEBACK.format(file="/x/site-packages/keras/y.py", line=1)
    for number in range(SAME_FAILURES):
        run = failed(number)
        run.traceback += library.replace("line 1", f"line {number}")
        error = policy.repeated(run)
    assert error is not None


@pytest.mark.parametrize(
    ("loaded", "exit", "most"),
    [(False, KILLED, UNHEARD), (True, KILLED, UNHEARD_LATER), (True, CRASHED, UNHEARD), (False, CRASHED, 1)],
)
def test_workers_that_end_before_they_have_loaded_the_study_end_it(loaded, exit, most):
    policy = FailurePolicy(0)
    errors = [policy.unheard(exit, loaded=loaded) for _ in range(most)]
    assert [error is None for error in errors] == [True] * (most - 1) + [False]
    how = "was killed by SIGKILL, and last printed: nothing" if exit is KILLED else "ended with exit status 3, and last"
    assert how in str(errors[-1])


def test_a_worker_that_has_loaded_the_study_begins_the_count_again():
    policy = FailurePolicy(0)
    for _ in range(3):
        assert all(policy.unheard(KILLED, loaded=False) is None for _ in range(UNHEARD - 1))
        policy.heard()


@pytest.mark.parametrize(
    ("reason", "how"),
    [(f"{OUT_OF_MEMORY}: x", "ran out of memory"), ("ValueError: no", "failed before training"), (None, "failed")],
)
def test_parameters_that_failed_say_where_and_how(reason, how):
    said = same_parameters(RunRecord(3, state="FAIL", reason=reason))
    assert said.startswith(f"the same parameters {how}")
    assert said.endswith("in t0003")


def test_loaders_that_are_killed_stop_a_study_when_each_worker_has_been_tried_three_times():
    policy = FailurePolicy(0)
    errors = [policy.unheard(KILLED, loaded=False, workers=4) for _ in range(12)]
    assert errors[:11] == [None] * 11
    assert "could not load the study file" in str(errors[11])
    policy = FailurePolicy(0)
    for _ in range(11):
        policy.unheard(KILLED, loaded=False, workers=4)
    policy.heard()
    assert policy.unheard(KILLED, loaded=False, workers=4) is None
