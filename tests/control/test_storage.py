"""The coordinator's memory: what changed since it was last taken, and what is given back when writing failed."""

import threading

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from sweep.control.storage import WriteBehindStorage

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
