"""Trials that other programs write into Optuna's tables while a study runs, or between two starts."""

import itertools
import threading

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import TrialState, create_trial

from sweep.control.consistency import check_database
from sweep.core import events as ev
from sweep.store import ADDED, Store
from sweep.store.database import parse_url
from sweep.store.trials import trials
from sweep.wire import messages as wire
from tests.control.memory import optunas_trials
from tests.control.started import wait_for
from tests.control.workers import SPACE, a_house
from tests.databases import optunas_own

X = SPACE["x"]


def added(x: float = 0.25, value: float | None = 0.0, state: TrialState = TrialState.COMPLETE, **more):
    """A trial as a person makes one for `study.add_trial`."""
    return create_trial(state=state, params={"x": x}, distributions={"x": X}, value=value, **more)


def with_optuna(storage_url, do, name="study"):
    """Do something with a study of Optuna's own."""
    with optunas_own(storage_url) as storage:
        return do(optuna.load_study(study_name=name, storage=storage))


def stored(storage_url, name="study"):
    """The runs that everybody reads."""
    store = Store(storage_url)
    try:
        return store.runs(store.study(name).study_id)
    finally:
        store.close()


def wrong(storage_url):
    """What `sweep db check` says."""
    store = Store(storage_url)
    try:
        return check_database(store)
    finally:
        store.close()


@pytest.fixture
def house(tmp_path, storage_url):
    """A study of three trials, of which one has ended."""
    with a_house(tmp_path, storage_url, trials=3) as house:
        house.worker("0").train(0.5)
        yield house


def seen(house, count):
    """Wait until the coordinator has seen so many trials, and learned from those that have ended."""
    wait_for(lambda: len(house.search.trials()) >= count)
    theirs = house.search.storage._others
    ended = [number for number, trial in list(theirs.items()) if trial.state.is_finished()]
    wait_for(lambda: all(number in house.study.runs for number in ended))


def see(house):
    """Have the coordinator see what others have written, and learn from it."""
    house.writer.see_others()
    house.post(ev.Looked(added=house.writer.take_seen()))


def test_a_trial_that_is_added_while_a_study_runs_is_a_run_of_the_study_and_does_not_count(house, storage_url):
    with_optuna(storage_url, lambda study: study.add_trial(added(value=0.125)))
    wait_for(lambda: len(stored(storage_url)) == 2 and house.heard.messages)
    assert [house.worker("0").train() for _ in range(2)] == [2, 3]
    assert house.worker("0").ask() == {"end": True}
    assert house.study.over
    run = stored(storage_url)[1]
    assert (run.number, run.state, run.params, run.value, run.reason) == (1, "COMPLETE", {"x": 0.25}, 0.125, ADDED)
    assert (run.name, run.directory, run.seed) == ("study-x=0.25-t0001", None, None)
    assert house.heard.messages == ["1 trial added through Optuna: study-x=0.25-t0001"]
    assert [trial.number for trial in optunas_trials(storage_url)] == [0, 1, 2, 3]
    assert wrong(storage_url) == []


def test_added_trials_are_counted_only_where_they_are_asked_for(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=1) as house:
        house.worker("0").train()
    with_optuna(storage_url, lambda study: study.add_trial(added()))
    store = Store(storage_url)
    study_id = store.study("study").study_id
    assert (store.counts(study_id), store.counts(study_id, added=True)) == ({"COMPLETE": 1}, {"COMPLETE": 2})
    store.close()


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_added_trials_of_every_state_are_runs(house, storage_url, state):
    trial = added(value=None, state=state, intermediate_values={0: 3.0, 2: 1.0, 5: 2.0})
    with_optuna(storage_url, lambda study: study.add_trial(trial))
    wait_for(lambda: len(stored(storage_url)) == 2)
    run = stored(storage_url)[1]
    assert (run.state, run.value, run.last, run.best, run.best_epoch) == (state.name, None, 2.0, 1.0, 2)
    store = house.writer.store
    wait_for(lambda: 1 in store.metrics(1))
    assert store.metrics(1)[1] == {0: {"loss": 3.0}, 2: {"loss": 1.0}, 5: {"loss": 2.0}}
    assert wrong(storage_url) == []


def test_a_trial_that_is_enqueued_while_a_study_runs_is_trained_next(house, storage_url):
    with_optuna(storage_url, lambda study: study.enqueue_trial({"x": 0.75}, user_attrs={"why": "a guess"}))
    seen(house, 2)
    worker = house.worker("0")
    worker.train()
    assert (worker.number, house.run(1).params) == (1, {"x": 0.75})
    trial = optunas_trials(storage_url)[1]
    assert trial.user_attrs == {"why": "a guess", "run": house.run(1).name}
    worker.train()
    assert worker.ask() == {"end": True}  # it was one of the three
    assert wrong(storage_url) == []


def test_a_trial_that_others_queue_with_a_value_outside_the_domain_fails_alone(house, storage_url):
    with_optuna(storage_url, lambda study: study.enqueue_trial({"x": 99.0}))
    seen(house, 2)
    worker = house.worker("0")
    worker.ask()
    answer = worker.say(wire.Suggest(worker.number, "x", distribution_to_json(X)))
    assert answer == {"reason": "The trial was queued with x = 99.0, which is none of [-1.0, 1.0]."}
    worker.start()
    worker.end("FAIL", reason=answer["reason"])
    assert worker.train() == 2
    assert worker.ask() == {"end": True}
    assert house.study.error is None
    assert wrong(storage_url) == []


def test_a_trial_that_others_take_from_the_queue_is_theirs(house, storage_url):
    with_optuna(storage_url, lambda study: study.enqueue_trial({"x": 0.75}))
    seen(house, 2)
    with optunas_own(storage_url) as storage:
        study = optuna.load_study(study_name="study", storage=storage)
        theirs = study.ask()
        assert theirs.number == 1
        worker = house.worker("0")
        assert [worker.train(), worker.train()] == [2, 3]
        assert worker.ask() == {"end": True}
        study.tell(theirs, 0.0625)
    wait_for(lambda: [run.state for run in stored(storage_url)] == ["COMPLETE"] * 4)
    assert stored(storage_url)[1].value == 0.0625
    assert wrong(storage_url) == []


def test_a_trial_that_others_run_does_not_keep_a_study_from_its_end(house, storage_url):
    with_optuna(storage_url, lambda study: study.ask())
    seen(house, 2)
    worker = house.worker("0")
    assert [worker.train(), worker.train()] == [2, 3]
    assert worker.ask() == {"end": True}
    assert house.study.over
    assert wrong(storage_url) == []


def test_a_trial_that_others_run_is_left_to_them_by_the_next_start(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=2) as house:
        house.worker("0").train()
    with_optuna(storage_url, lambda study: study.ask())
    with a_house(tmp_path, storage_url, trials=2) as house:
        worker = house.worker("0")
        assert not house.study.trials
        assert worker.train() == 2
        assert worker.ask() == {"end": True}
    assert [trial.state.name for trial in optunas_trials(storage_url)] == ["COMPLETE", "RUNNING", "COMPLETE"]


def test_what_is_added_between_two_starts_is_read_at_once_and_kept_by_the_next_start(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=2) as house:
        house.worker("0").train()
    trial = added(value=0.125, intermediate_values={0: 0.5})
    with_optuna(storage_url, lambda study: study.add_trials([trial, added(value=None, state=TrialState.FAIL)]))
    runs = stored(storage_url)
    assert [(run.number, run.state, run.reason) for run in runs[1:]] == [(1, "COMPLETE", ADDED), (2, "FAIL", ADDED)]
    assert wrong(storage_url) == []
    with a_house(tmp_path, storage_url, trials=2) as house:
        worker = house.worker("0")
        assert worker.train() == 3
        assert worker.ask() == {"end": True}
    assert stored(storage_url)[1:3] == runs[1:]
    assert wrong(storage_url) == []


def test_a_study_all_of_whose_trials_were_added_goes_on(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=2) as house:
        house.worker("0").train()
    engine = sa.create_engine(parse_url(storage_url))
    with engine.begin() as connection:
        for table in ("sweep_metrics", "sweep_runs", "trial_params", "trial_values", "trial_intermediate_values"):
            connection.execute(sa.text(f"DELETE FROM {table}"))
        connection.execute(sa.text("DELETE FROM trial_user_attributes"))
        connection.execute(sa.text("DELETE FROM trials"))
        connection.execute(sa.text("UPDATE sweep_studies SET space = '{}', keys = '{}'"))
    engine.dispose()
    other = create_trial(params={"x": 3}, distributions={"x": IntDistribution(0, 9)}, value=1.0)
    with_optuna(storage_url, lambda study: study.add_trials([other] * 3))
    with a_house(tmp_path, storage_url, trials=2, sampler="tpe(n_startup_trials=1)") as house:
        worker = house.worker("0")
        assert [worker.train(), worker.train()] == [3, 4]
        assert worker.ask() == {"end": True}
    assert [run.number for run in stored(storage_url)] == [0, 1, 2, 3, 4]
    assert wrong(storage_url) == []


def test_many_trials_of_many_programs_have_a_number_each(tmp_path, storage_url):
    """While three workers train, two others add and enqueue, each as fast as it can."""
    with a_house(tmp_path, storage_url, trials=30) as house:
        house.worker("0").train()

        def add():
            with optunas_own(storage_url) as storage:
                study = optuna.load_study(study_name="study", storage=storage)
                for index in range(15):
                    study.add_trial(added(index / 100))
                    study.enqueue_trial({"x": -index / 100})

        def train(name):
            worker = house.worker(name)
            while "number" in worker.begin():
                worker.epoch(0, 0.5)
                worker.end(value=0.5)

        threads = [threading.Thread(target=add) for _ in range(2)]
        threads += [threading.Thread(target=train, args=(str(index),)) for index in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = optunas_trials(storage_url)
    assert sorted(trial.number for trial in found) == list(range(len(found)))
    assert sum(run.added for run in stored(storage_url)) == 30
    assert sum(run.state == "COMPLETE" and not run.added for run in stored(storage_url)) == 30
    assert wrong(storage_url) == []


def test_a_number_that_others_take_before_anything_is_kept_is_ours_and_theirs_is_changed(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=3) as house:
        house.worker("0").train()
    with a_house(tmp_path, storage_url, trials=3) as house:
        worker = house.worker("0")
        worker.ask()
        with_optuna(storage_url, lambda study: study.add_trial(added(0.375, 0.125)))
        worker.suggest("x", X)
        assert worker.start()["name"].endswith("-t0001")
        assert house.search.trials()[2].params == {"x": 0.375}
        worker.end()
        assert worker.train() == 3
    found = {trial.number: trial for trial in optunas_trials(storage_url)}
    assert list(found) == [0, 1, 2, 3]
    assert (found[2].params, found[2].value) == ({"x": 0.375}, 0.125)
    assert wrong(storage_url) == []


def test_numbers_that_were_shared_in_an_older_database_are_told_by_db_check_and_repaired_by_a_start(
    tmp_path, storage_url
):
    with a_house(tmp_path, storage_url, trials=4) as house:
        numbers = [house.worker("0").train() for _ in range(2)]
    with_optuna(storage_url, lambda study: study.add_trials([added(0.125, 9.0), added(0.375, 8.0)]))
    engine = sa.create_engine(parse_url(storage_url))
    with engine.begin() as connection:
        connection.execute(sa.update(trials).where(trials.c.number > 1).values(number=trials.c.number - 2))
    engine.dispose()
    assert numbers == [0, 1]
    told = "several trials in Optuna's tables have the number {}; sweep start gives each one of its own"
    assert wrong(storage_url)[:2] == [f"study: {told.format(0)}", f"study: {told.format(1)}"]
    params = [run.params for run in stored(storage_url)]
    with a_house(tmp_path, storage_url, trials=4) as house:
        worker = house.worker("0")
        assert [worker.train(), worker.train()] == [4, 5]
    runs = stored(storage_url)
    assert [run.params for run in runs[:4]] == [*params, {"x": 0.125}, {"x": 0.375}]
    assert [run.added for run in runs] == [False, False, True, True, False, False]
    assert wrong(storage_url) == []


ODD = {
    "out of our range": {"x": (50.0, FloatDistribution(0.0, 100.0))},
    "a whole number": {"x": (3, IntDistribution(0, 9))},
    "a choice": {"x": ("a", CategoricalDistribution(["a", "b"]))},
    "another scale": {"x": (0.5, FloatDistribution(0.1, 1.0, log=True))},
    "a parameter that we do not have": {"x": (0.5, X), "y": (1.0, X)},
    "no parameter": {},
}


@pytest.mark.parametrize(
    "sampler", ["tpe(n_startup_trials=1)", "random", "nsgaii(population_size=2)", "qmc", "grid(x=[0.5, 0.75, 1.0])"]
)
@pytest.mark.parametrize("odd", ODD)
def test_a_trial_of_another_search_space_does_no_harm(tmp_path, sampler, odd):
    url = f"sqlite:///{tmp_path}/sweep.db"
    with a_house(tmp_path, sampler=sampler, trials=3) as house:
        worker = house.worker("0")
        worker.train(space={})  # Optuna itself refuses a parameter that is of another kind than in a trial before
        params = {name: value for name, (value, _) in ODD[odd].items()}
        domains = {name: domain for name, (_, domain) in ODD[odd].items()}
        trial = create_trial(params=params, distributions=domains, value=-1.0)
        with_optuna(url, lambda study: study.add_trials([trial] * 3))
        see(house)
        worker.train()
        worker.train()
        assert worker.ask() == {"end": True}
    assert [run.params for run in stored(url)][1:4] == [params] * 3
    assert [trial.params for trial in optunas_trials(url)][1:4] == [params] * 3
    assert wrong(url) == []


def test_a_sampler_learns_from_added_trials_also_in_a_wider_range_of_theirs(tmp_path):
    url = f"sqlite:///{tmp_path}/sweep.db"
    with a_house(tmp_path, sampler="tpe(n_startup_trials=5)", trials=20) as house:
        worker = house.worker("0")
        worker.train(1.0)
        wide = FloatDistribution(-5.0, 5.0)
        near = [create_trial(params={"x": 0.5 + i / 1000}, distributions={"x": wide}, value=0.0) for i in range(10)]
        far = [create_trial(params={"x": -1.0 + i / 20}, distributions={"x": wide}, value=9.0) for i in range(30)]
        with_optuna(url, lambda study: study.add_trials(near + far))
        see(house)
        proposed = []
        for _ in range(10):
            worker.train(0.0)
            proposed.append(house.run(worker.number).params["x"])
    assert sum(0.3 < x < 0.7 for x in proposed) >= 6


def test_a_pruner_holds_runs_against_added_trials(tmp_path):
    url = f"sqlite:///{tmp_path}/sweep.db"
    with a_house(tmp_path, pruner="median(n_startup_trials=1)", trials=20) as house:
        house.worker("0").train(1.0)
        trials = [added(value=0.0, intermediate_values={0: 0.0}) for _ in range(5)]
        with_optuna(url, lambda study: study.add_trials(trials))
        see(house)
        worker = house.worker("0")
        worker.begin()
        assert worker.epoch(0, 0.5)["verdict"] == "prune"


def test_a_choice_that_no_run_name_holds_is_a_run_without_a_name(tmp_path):
    url = f"sqlite:///{tmp_path}/sweep.db"
    with a_house(tmp_path) as house:
        house.worker("0").train()
        with pytest.warns(UserWarning, match="persistent storage"):
            domain = CategoricalDistribution([[1, 2], None])
        odd = create_trial(params={"y": [1, 2]}, distributions={"y": domain}, value=1.0)
        with_optuna(url, lambda study: study.add_trial(odd))
        see(house)
        house.worker("0").train()
    assert [run.name is None for run in stored(url)] == [False, True, False]


def test_attributes_of_the_study_that_others_set_are_seen_and_not_written_over(house, storage_url):
    with_optuna(storage_url, lambda study: study.set_user_attr("note", "theirs"))
    search = house.search
    wait_for(lambda: search.study.user_attrs == {"note": "theirs"})
    search.study.set_user_attr("ours", 1)
    house.worker("0").train()
    assert with_optuna(storage_url, lambda study: study.user_attrs) == {"note": "theirs", "ours": 1}


def test_a_trial_that_was_deleted_is_trained_anew_under_its_number(tmp_path, storage_url):
    with a_house(tmp_path, storage_url, trials=3) as house:
        worker = house.worker("0")
        names = [house.run(worker.train()).name for _ in range(3)]
    engine = sa.create_engine(parse_url(storage_url))
    with engine.begin() as connection:
        trial_id = connection.execute(sa.select(trials.c.trial_id).where(trials.c.number == 1)).scalar_one()
        for table in ("trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes", "trials"):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE trial_id = {trial_id}"))
    engine.dispose()
    with a_house(tmp_path, storage_url, trials=3) as house:
        worker = house.worker("0")
        assert worker.train() == 1
        assert worker.ask() == {"end": True}
        assert house.run(1).name != names[1]
    assert sorted(trial.number for trial in optunas_trials(storage_url)) == [0, 1, 2]
    assert wrong(storage_url) == []


def test_a_commit_whose_answer_is_lost_does_not_take_a_trial_of_others_for_ours(tmp_path, storage_url):
    from tests.databases import Commits

    with a_house(tmp_path, storage_url, trials=9) as house:
        worker = house.worker("0")
        worker.train()
        writer = house.writer
        for lost, x in itertools.product(("refused", "unanswered"), (0.1, 0.2)):
            with getattr(Commits(writer.store.engine), lost)():
                worker.ask()
            with_optuna(storage_url, lambda study, x=x: study.add_trial(added(x)))
            worker.suggest("x", X)
            worker.start()
            worker.epoch(0, 0.5)
            worker.end()
    found = optunas_trials(storage_url)
    assert sorted(trial.number for trial in found) == list(range(9))
    assert sorted(trial.params["x"] for trial in found if "run" not in trial.user_attrs) == [0.1, 0.1, 0.2, 0.2]
    assert wrong(storage_url) == []
