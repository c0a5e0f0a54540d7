"""The coordinator's memory: what changed since it was last taken, and what is given back when writing failed."""

import math
import threading

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from sweep.control.storage import Changes, Ledger, WriteBehindStorage
from sweep.finding import Finding
from sweep.store import RunRecord

DOMAIN = FloatDistribution(0.0, 1.0)


@pytest.fixture
def storage():
    return WriteBehindStorage()


@pytest.fixture
def study(storage):
    return optuna.create_study(storage=storage, study_name="study", sampler=optuna.samplers.RandomSampler(7))


CHANGES = {
    "parameter": lambda trial: trial.suggest_float("x", 0.0, 1.0),
    "value": lambda trial: trial.report(0.5, 0),
    "user attribute": lambda trial: trial.set_user_attr("a", 1),
    "constraint": lambda trial: trial.set_constraint("a", 1.0),
    "end": lambda trial: trial.study.tell(trial, 1.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_to_a_trial_marks_it(storage, study, change):
    trials = [study.ask() for _ in range(3)]
    storage.take()
    CHANGES[change](trials[1])
    snapshots, attributes = storage.take()
    assert ([trial.number for trial in snapshots], attributes) == ([1], False)
    assert storage.take() == ([], False)


def test_a_new_trial_is_marked(storage, study):
    study.ask()
    study.enqueue_trial({"x": 0.5})
    assert [trial.state.name for trial in storage.take()[0]] == ["RUNNING", "WAITING"]


@pytest.mark.parametrize("kind", ["user", "system"])
def test_attributes_of_the_study_mark_it(storage, study, kind):
    getattr(storage, f"set_study_{kind}_attr")(0, "a", 1)
    assert storage.take() == ([], True)
    assert storage.take() == ([], False)


def test_a_snapshot_does_not_change_with_its_trial(storage, study):
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    snapshot = storage.take()[0][0]
    trial.suggest_float("y", 0.0, 1.0)
    trial.report(0.5, 0)
    assert (snapshot.params.keys(), snapshot.intermediate_values) == ({"x"}, {})


def test_marks_that_are_given_back_are_taken_again(storage, study):
    study.ask()
    study.set_user_attr("a", 1)
    taken = storage.take()
    storage.mark(*taken)
    assert [trial.number for trial in storage.take()[0]] == [0]


def test_what_is_loaded_counts_as_written(storage, study):
    storage.load([create_trial(value=1.0, params={"x": 0.5}, distributions={"x": DOMAIN})], {"a": 1}, {"b": 2})
    assert storage.take() == ([], False)
    assert (study.trials[0].params, study.user_attrs) == ({"x": 0.5}, {"a": 1})
    assert storage.get_study_system_attrs(0)["b"] == 2
    assert study.ask().number == 1


def test_a_trial_that_is_run_again_has_waited_and_forgets_its_epochs_and_rungs_alone(storage, study):
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    trial.report(0.5, 0)
    trial.set_user_attr("a", 1)
    storage.set_trial_system_attr(0, "completed_rung_0", 0.5)
    storage.set_trial_system_attr(0, "grid_id", 3)
    storage.wait(0)
    snapshot = storage.take()[0][0]
    assert (snapshot.state, snapshot.intermediate_values, snapshot.params.keys()) == (
        TrialState.WAITING,
        {0: 0.5},
        {"x"},
    )
    assert study.trials[0].state == TrialState.RUNNING  # Optuna must not give it out
    storage.resume(0)
    storage.forget(0)
    snapshot = storage.take()[0][0]
    assert (snapshot.state, snapshot.intermediate_values, snapshot.params.keys()) == (TrialState.RUNNING, {}, {"x"})
    assert (snapshot.user_attrs, snapshot.system_attrs) == ({"a": 1}, {"grid_id": 3})


def test_trials_that_are_queued_have_not_begun(storage, study):
    trials = [study.ask() for _ in range(3)]
    assert storage.begun() == 3
    study.enqueue_trial({"x": 0.5})
    study.enqueue_trial({"x": 0.25})
    assert storage.begun() == 3
    study.tell(trials[1], 1.0)
    storage.wait(0)  # it has begun, and will be run again
    assert storage.begun() == 3
    study.ask()
    assert (storage.begun(), len(study.trials)) == (4, 5)


def test_threads_lose_no_mark(storage, study):
    trials = [study.ask() for _ in range(4)]
    seen: dict[int, int] = {}
    done = threading.Event()

    def report(trial):
        for step in range(300):
            trial.report(0.0, step)

    def take():
        while not done.is_set():
            note()

    def note():
        for snapshot in storage.take()[0]:
            seen[snapshot.number] = len(snapshot.intermediate_values)

    taker = threading.Thread(target=take)
    workers = [threading.Thread(target=report, args=(trial,)) for trial in trials]
    for thread in [taker, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    taker.join()
    note()
    assert seen == {trial.number: 300 for trial in trials}


# The ledger.


@pytest.fixture
def ledger():
    return Ledger([RunRecord(0, state="COMPLETE")])


def test_a_run_is_handed_out_as_a_copy(ledger):
    ledger.run(0).state = "FAIL"
    ledger.runs()[0].state = "FAIL"
    assert ledger.run(0).state == "COMPLETE"
    assert ledger.find(1) is None


def test_changes_are_taken_once(ledger):
    assert not ledger.take()
    ledger.put(RunRecord(1))
    ledger.update(1, name="a")
    ledger.epoch(1, 0, {"loss": 0.5, "acc": 1.0})
    taken = ledger.take()
    assert [(run.number, run.name) for run in taken.runs] == [(1, "a")]
    assert taken.metrics == [(1, 0, "loss", 0.5), (1, 0, "acc", 1.0)]
    assert not ledger.take()


def test_changes_that_are_given_back_stand_before_newer_ones(ledger):
    ledger.epoch(0, 0, {"loss": 1.0})
    taken = ledger.take()
    ledger.epoch(0, 0, {"loss": 2.0})
    ledger.give_back(taken)
    assert ledger.take().metrics == [(0, 0, "loss", 1.0), (0, 0, "loss", 2.0)]


def test_a_run_forgets_epochs_on_their_way_also_those_that_are_given_back(ledger):
    ledger.put(RunRecord(1, epoch=3, last=1.0, best=1.0, best_epoch=0, findings=[Finding("dead-relu", "", "")]))
    ledger.epoch(1, 0, {"loss": 1.0})
    taken = ledger.take()
    ledger.epoch(1, 1, {"loss": 1.0})
    ledger.forget(1)
    ledger.give_back(taken)
    run = ledger.run(1)
    assert ledger.take() == Changes([run], {1}, [])
    assert (run.epoch, run.last, run.best, run.best_epoch, run.findings) == (0, None, None, None, [])


def test_a_run_that_waits_keeps_its_epochs_and_says_why_and_how_long_it_has_trained(ledger):
    ledger.put(RunRecord(1, epoch=3, best=1.0))
    run = ledger.wait(1, "why", 2.5)
    assert (run.state, run.attempt, run.reason, run.duration) == ("WAITING", 1, "why", 2.5)
    assert (run.epoch, run.best) == (3, 1.0)
    assert run.interruptions == ["after 3 epochs: why"]


def test_an_attempt_counts_once_however_often_the_run_is_put_back(ledger):
    ledger.put(RunRecord(1))
    assert [ledger.wait(1, None).attempt for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("value", "best"),
    [(0.5, 0.5), (math.inf, None)],
)
def test_the_end_of_a_run_without_epochs_has_the_value_it_returned(ledger, value, best):
    ledger.put(RunRecord(1))
    trial = create_trial(value=value, params={"x": 0.5}, distributions={"x": DOMAIN})
    trial.number = 1
    run = ledger.end(trial, "why", None, 2.0)
    assert (run.state, run.last, run.best, run.params, run.duration) == ("COMPLETE", value, best, {"x": 0.5}, 2.0)
