"""What becomes of failures and of lost workers."""

import pytest

from sweep.core.events import Exited
from sweep.core.policy import (
    ATTEMPTS,
    RULINGS,
    SAME_FAILURES,
    UNHEARD,
    UNHEARD_LATER,
    By,
    FailurePolicy,
    Fault,
    Then,
    fault_of,
    same_parameters,
    waits,
)
from sweep.errors import MachineFault
from sweep.store.faults import HINTS
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


def test_every_fault_has_a_ruling():
    assert set(RULINGS) == set(Fault)


def test_what_the_machine_did_costs_no_trial():
    assert {ruling.then for ruling in RULINGS.values() if ruling.by is By.MACHINE} == {Then.WAIT, Then.STOP, Then.AGAIN}


def test_what_a_configuration_did_is_learnt_from_and_what_code_did_fails():
    assert {RULINGS[fault].then for fault in (Fault.MEMORY, Fault.UNTRAINED)} == {Then.TEACH}
    by_code = {ruling.then for ruling in RULINGS.values() if ruling.by is By.CODE}
    assert by_code == {Then.FAIL, Then.STOP}


@pytest.mark.parametrize(
    ("kind", "waited"),
    [
        *(("away", True), ("locked", True), ("full", True), ("read-only", True)),
        *(("damaged", False), ("rights", False), ("changed", False)),
    ],
)
def test_a_database_that_may_come_back_is_waited_for(kind, waited):
    assert waits(kind) is waited


def test_every_kind_of_fault_that_the_store_knows_is_ruled_on():
    assert {kind for kind in HINTS if waits(kind)} == {"away", "locked", "full", "failing", "read-only"}


@pytest.mark.parametrize(
    ("run", "trained", "expected"),
    [
        (failed(0, f"{OUT_OF_MEMORY}: MemoryError"), False, Fault.MEMORY),
        (failed(0, f"{OUT_OF_MEMORY}: OSError: [Errno 12] Cannot allocate memory", epoch=3), True, Fault.MEMORY),
        (failed(0), True, Fault.UNTRAINED),
        (failed(0), False, Fault.FIRST),
        (failed(0, epoch=1), True, Fault.RAISED),
        (failed(0, "FileNotFoundError: x"), True, Fault.RAISED),
        (failed(0, "SystemExit: 3"), True, Fault.RAISED),
        (RunRecord(0, state="FAIL", reason="its worker left with exit status 4"), True, Fault.ENDED),
    ],
)
def test_a_failed_trials_fault_is_known_from_its_run(run, trained, expected):
    assert fault_of(run, trained=trained) is expected


@pytest.mark.parametrize(
    "reasons",
    [
        [f"ValueError: no such file: /tmp/{number}.csv" for number in range(SAME_FAILURES)],
        ["KeyError: 'a'", "KeyError", "KeyError: 3", "KeyError: b", "KeyError: c"],
        [f"{OUT_OF_MEMORY}: MemoryError: {number} bytes" for number in range(SAME_FAILURES)],
    ],
)
def test_failures_are_alike_whatever_their_messages(reasons):
    policy = FailurePolicy(0)
    errors = [policy.repeated(failed(number, reason)) for number, reason in enumerate(reasons)]
    assert [error is not None for error in errors] == [False] * (SAME_FAILURES - 1) + [True]


def test_failures_of_other_types_or_at_other_places_are_not_alike():
    policy = FailurePolicy(0)
    for number in range(3 * SAME_FAILURES):
        assert policy.repeated(failed(number, f"{'KeyError' if number % 2 else 'ValueError'}: no")) is None
    for number in range(3 * SAME_FAILURES):
        assert policy.repeated(failed(number, file=f"/studies/{number % 2}.py")) is None


@pytest.mark.parametrize("file", ["/x/site-packages/y.py", "/usr/lib/python3.11/json/decoder.py", "<frozen runpy>"])
def test_the_place_is_the_innermost_line_of_the_users_own_files(file):
    policy = FailurePolicy(0)
    for number in range(SAME_FAILURES):
        run = failed(number, file="/home/me/sweep/studies/x.py")
        run.traceback += TRACEBACK.format(file=file, line=number)
        error = policy.repeated(run)
    assert error is not None
    for number in range(SAME_FAILURES):
        run = failed(number, file=file)
        run.traceback += TRACEBACK.format(file="/home/me/sweep/studies/x.py", line=number)
        error = policy.repeated(run)
    assert error is None, "a directory of the user's that is called sweep holds files of the user's"


def test_loaders_that_are_killed_are_the_machines_fault_and_say_what_to_do():
    policy = FailurePolicy(0)
    errors = [policy.unheard(KILLED, loaded=False) for _ in range(UNHEARD)]
    assert isinstance(errors[-1], MachineFault)
    assert "Free memory" in errors[-1].remedy
    assert not isinstance(FailurePolicy(0).unheard(CRASHED, loaded=False), MachineFault)
