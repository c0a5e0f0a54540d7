"""A running study over a real database, without processes."""

import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.control.revive import queue_revival
from sweep.core import events as ev
from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.snapshot import Snapshot
from sweep.store import Command, Store
from sweep.wire import messages as wire
from sweep.worker.link import TrialTaken
from tests.control.memory import optunas_trials
from tests.control.started import wait_for
from tests.control.workers import SPACE, Worker, a_house
from tests.databases import optunas_own


@pytest.fixture
def house(tmp_path):
    with a_house(tmp_path) as house:
        yield house


def test_a_trial_from_start_to_finish(house):
    worker = house.worker("0")
    answer = worker.begin(epochs=3)
    assert answer["number"] == 0
    assert answer["name"].startswith("mlp-32-x=")
    assert answer["name"].endswith("-t0000")
    assert answer["directory"].endswith(f"/runs/study/{answer['name']}")
    assert [worker.epoch(epoch, loss)["verdict"] for epoch, loss in enumerate([3.0, 1.0, 2.0])] == ["go"] * 3
    ended = worker.end(value=1.0)
    assert (ended["state"], ended["reason"]) == ("COMPLETE", None)
    run = house.stored(0)
    assert (run.state, run.epoch, run.epochs, run.last, run.best, run.best_epoch) == ("COMPLETE", 3, 3, 2.0, 1.0, 1)
    assert run.seed == answer["seed"]
    assert run.params.keys() == {"x"}


def test_an_end_is_on_the_disk_before_it_is_acknowledged(house, tmp_path):
    worker = house.worker("0")
    for number in range(3):
        worker.train()
        assert house.stored(number).state == "COMPLETE"
        assert optunas_trials(f"sqlite:///{tmp_path}/sweep.db")[number].state.name == "COMPLETE"


def test_before_the_first_run_is_named_nothing_is_written(house, tmp_path):
    worker = house.worker("0")
    worker.ask()
    worker.suggest("x", SPACE["x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_prunes_the_run_and_is_never_best(house, loss):
    worker = house.worker("0")
    worker.begin()
    worker.epoch(0, 5.0)
    answer = worker.epoch(1, loss)
    assert answer["verdict"] == "prune"
    assert "at epoch 2" in answer["reason"]
    worker.end("PRUNED", None, answer["reason"])
    run = house.stored(0)
    assert (run.state, run.best, run.best_epoch) == ("PRUNED", 5.0, 0)
    assert repr(run.last) == repr(loss)


def test_the_best_of_a_maximised_objective_is_the_highest(tmp_path):
    with a_house(tmp_path, direction=["maximize"]) as house:
        worker = house.worker("0")
        worker.begin()
        for epoch, accuracy in enumerate([0.5, 0.9, 0.7]):
            worker.epoch(epoch, accuracy)
        assert house.run(0).best == 0.9


def test_a_step_that_was_reported_stays_as_it_is(house):
    worker = house.worker("0")
    worker.begin()
    for value in (1.0, 2.0):
        house.say("0", wire.Report(0, 7, value))
    house.settle()
    assert house.search.trials()[0].intermediate_values == {7: 1.0}
    assert house.run(0).last == 1.0


@pytest.mark.parametrize("step", [-1, 2**31])
def test_a_step_that_no_table_holds_is_refused(house, step):
    house.worker("0").begin()
    with pytest.raises(StudyError, match="A step must be a whole number from 0"):
        house.say("0", wire.Report(0, step, 1.0))


def test_a_parameter_after_the_run_is_named_is_refused_by_its_name(house):
    worker = house.worker("0")
    worker.begin()
    with pytest.raises(StudyError, match=r"Parameter 'late' was suggested after sweep.fit began"):
        worker.suggest("late", SPACE["x"])


def test_a_worker_without_the_trial_is_fenced(house):
    worker, other = house.worker("0"), house.worker("1")
    worker.begin()
    other.number = worker.number
    for message in (lambda: other.epoch(0, 1.0), other.end, lambda: other.suggest("y", SPACE["x"])):
        with pytest.raises(TrialTaken):
            message()
    worker.end()
    with pytest.raises(TrialTaken):
        worker.end()


def test_trials_end_when_the_budget_is_used_up(tmp_path):
    with a_house(tmp_path, trials=3) as house:
        worker = house.worker("0")
        assert [worker.train() for _ in range(3)] == [0, 1, 2]
        assert worker.ask() == {"end": True}
        assert house.study.over


def test_an_idle_worker_waits_for_the_last_trial_and_leaves_when_it_has_ended(tmp_path):
    with a_house(tmp_path, trials=1) as house, ThreadPoolExecutor() as threads:
        busy, idle = house.worker("0"), house.worker("1")
        busy.begin()
        answers = [threads.submit(house.worker(name).ask) for name in ("1", "2", "3")]
        assert not any(answer.done() for answer in answers)
        busy.end()
        assert [answer.result(30) for answer in answers] == [{"end": True}] * 3
        assert idle.ask() == {"end": True}


def test_many_workers_share_a_budget(tmp_path):
    with a_house(tmp_path, trials=40) as house, ThreadPoolExecutor(8) as threads:

        def work(name: int) -> list[int]:
            worker, numbers = house.worker(str(name)), []
            while "number" in worker.ask():
                worker.suggest("x", SPACE["x"])
                worker.start()
                worker.epoch(0, 0.5)
                worker.end()
                numbers.append(worker.number)
            return numbers

        assert sorted(itertools.chain(*threads.map(work, range(8)))) == list(range(40))
        assert len({house.stored(number).name for number in range(40)}) == 40
        assert house.study.over


def test_a_grid_ends_the_study_with_each_point_once(tmp_path):
    space = {"a": CategoricalDistribution(["p", "q"]), "b": IntDistribution(1, 3)}
    with a_house(tmp_path, sampler="grid(a=['p', 'q'], b=[1, 2, 3])", trials=50) as house:
        with ThreadPoolExecutor(2) as threads:

            def work(name: str) -> None:
                worker = house.worker(name)
                while "number" in worker.ask():
                    for parameter, domain in space.items():
                        worker.suggest(parameter, domain)
                    worker.start()
                    worker.end()

            list(threads.map(work, ["0", "1"]))
        points = [tuple(trial.params.values()) for trial in house.search.trials()]
        assert sorted(points) == [(letter, number) for letter in "pq" for number in (1, 2, 3)]
        assert house.study.over
    with a_house(tmp_path, sampler="grid(a=['p', 'q'], b=[1, 2, 3])", trials=50) as house:
        assert house.worker("0").ask() == {"end": True}


def test_the_last_point_of_a_grid_that_runs_elsewhere_is_not_given_out_again(tmp_path):
    space = {"b": IntDistribution(1, 2)}
    with a_house(tmp_path, sampler="grid(b=[1, 2])", trials=50) as house, ThreadPoolExecutor() as threads:
        first, second = house.worker("0"), house.worker("1")
        first.begin(space)
        second.begin(space)
        third = threads.submit(house.worker("2").ask)
        first.end()
        second.end()
        assert third.result(30) == {"end": True}
        assert len(house.search.trials()) == 2


def test_the_timeout_begins_no_more_trials_and_says_so(tmp_path):
    with a_house(tmp_path, timeout=0.2) as house:
        worker = house.worker("0")
        worker.begin()
        threading.Event().wait(0.25)
        worker.end()
        assert worker.ask() == {"end": True}
        assert house.study.over
        assert house.study.stopped == "its timeout of 0.2 s is over"


def test_enqueued_parameters_come_first(tmp_path):
    with a_house(tmp_path, enqueue=[{"x": 0.125}], options={"enqueue": [{"x": -0.5}]}) as house:
        worker = house.worker("0")
        for value in (0.125, -0.5):
            worker.ask()
            assert worker.suggest("x", SPACE["x"]) == value
            worker.start()
            worker.end()


def test_an_enqueued_value_that_the_domain_does_not_have_is_refused(tmp_path):
    with a_house(tmp_path, enqueue=[{"x": 17.0}]) as house:
        worker = house.worker("0")
        worker.ask()
        with pytest.raises(StudyError, match=r"x cannot be 17\.0\. It must be one of \[-1\.0, 1\.0\]"):
            worker.suggest("x", SPACE["x"])


def test_a_fixed_parameter_keeps_its_value(tmp_path):
    with a_house(tmp_path, options={"fixed": {"x": 0.25}}) as house:
        worker = house.worker("0")
        for _ in range(3):
            worker.train()
        assert {trial.params["x"] for trial in house.search.trials()} == {0.25}


def test_one_parameter_with_two_kinds_of_domain_is_refused(house):
    worker = house.worker("0")
    worker.ask()
    worker.suggest("x", SPACE["x"])
    with pytest.raises(StudyError, match="Optuna does not accept the domain of x"):
        worker.suggest("x", IntDistribution(1, 5))


@pytest.mark.parametrize("name", ["", "x" * 513, "nul\x00", "\ud800"])
def test_a_parameter_with_a_name_that_no_database_holds_is_refused(house, name):
    worker = house.worker("0")
    worker.ask()
    with pytest.raises(StudyError, match="A parameter's name must be text of 1 to 512 characters"):
        worker.suggest(name, SPACE["x"])


def test_attributes_go_to_optuna(house, tmp_path):
    worker = house.worker("0")
    worker.begin()
    for kind, key, value in (("user", "note", [1, "\x00"]), ("system", "mark", 2), ("constraint", "memory", 0.5)):
        worker.attribute(kind, key, value)
    worker.end()
    trial = optunas_trials(f"sqlite:///{tmp_path}/sweep.db")[0]
    assert (trial.user_attrs, trial.system_attrs["mark"]) == ({"note": [1, "\x00"], "run": house.run(0).name}, 2)
    assert trial.constraints == {"memory": 0.5}
    with pytest.raises(TrialTaken):
        worker.attribute("user", "late", 1)


@pytest.mark.parametrize(("state", "value"), [("COMPLETE", None), ("COMPLETE", math.nan)])
def test_a_complete_trial_without_a_value_has_failed(house, state, value):
    worker = house.worker("0")
    worker.begin()
    assert worker.end(state, value)["state"] == "FAIL"


# What becomes of trials whose worker is gone.


def test_a_killed_workers_trial_is_run_again_under_its_name_and_has_its_epochs_until_then(house, tmp_path):
    worker = house.worker("0")
    first = worker.begin()
    worker.epoch(0, 1.0)
    house.gone("0", "killed by SIGKILL", killed=True)
    run = house.stored(0)
    assert (run.state, run.attempt, run.epoch, run.best) == ("WAITING", 1, 1, 1.0)
    waiting = optunas_trials(f"sqlite:///{tmp_path}/sweep.db")[0]
    assert (waiting.state.name, waiting.intermediate_values) == ("WAITING", {0: 1.0})
    again = house.worker("1").begin()
    assert (house.run(0).epoch, house.run(0).best) == (0, None)
    assert (again["number"], again["name"], again["seed"], again["attempt"]) == (0, first["name"], first["seed"], 1)
    with pytest.raises(TrialTaken):
        worker.epoch(1, 1.0)


def test_a_resumed_trial_has_the_epochs_of_its_checkpoint_and_then_its_own(house, tmp_path):
    worker = house.worker("0")
    worker.begin()
    for epoch, loss in enumerate([1.0, 0.5, 0.25, 0.125]):
        worker.epoch(epoch, loss)
    house.gone("0", "killed by SIGKILL", killed=True)
    again = house.worker("1")
    answer = again.ask()
    assert answer["directory"] == house.run(0).directory
    again.suggest("x", SPACE["x"])
    again.start(10)
    again.resume(0, 1.0, 0.5)
    assert (house.run(0).epoch, house.run(0).best, house.run(0).best_epoch) == (2, 0.5, 1)
    assert again.epoch(2, 0.75)["verdict"] == "go"
    again.end(value=0.5)
    (trial,) = optunas_trials(f"sqlite:///{tmp_path}/sweep.db")
    assert trial.intermediate_values == {0: 1.0, 1: 0.5, 2: 0.75}
    writer = house.writer
    assert writer.store.metrics(writer.record.study_id)[0] == {0: {"loss": 1.0}, 1: {"loss": 0.5}, 2: {"loss": 0.75}}


def test_a_resumed_trial_stands_at_the_rungs_that_it_had_reached_with_its_values_there(tmp_path):
    with a_house(tmp_path, pruner="halving(min_resource=1, reduction_factor=2)") as house:
        worker = house.worker("0")
        worker.begin()
        losses = [1.0, 0.5, 0.25, 0.125, 0.1]
        for epoch, loss in enumerate(losses):
            worker.epoch(epoch, loss)
        rungs = house.search.trials()[0].system_attrs
        assert len([key for key in rungs if key.startswith("completed_rung_")]) == 3
        house.gone("0", "killed by SIGKILL", killed=True)
        again = house.worker("1")
        again.begin()
        assert not any(key.startswith("completed_rung_") for key in house.search.trials()[0].system_attrs)
        again.resume(0, *losses)
        house.settle()
        assert house.search.trials()[0].system_attrs == rungs


def test_a_trial_whose_worker_is_killed_three_times_has_failed(house):
    for name in "012":
        house.worker(name).begin()
        house.gone(name, "killed by SIGKILL", killed=True)
    assert house.stored(0).state == "FAIL"
    assert house.worker("3").begin()["number"] == 1


def test_a_trial_whose_worker_died_by_what_it_ran_has_failed(house):
    house.worker("0").begin()
    house.gone("0", "died by SIGSEGV", killed=False)
    assert (house.stored(0).state, house.stored(0).reason) == ("FAIL", "its worker died by SIGSEGV")


def test_a_worker_that_is_gone_twice_is_gone_once(house):
    house.worker("0").begin()
    for _ in range(2):
        house.gone("0", "died by SIGSEGV", killed=False)
    assert house.heard.ends == [(0, "FAIL")]


def test_a_worker_that_is_gone_while_it_waits_is_given_no_trial(tmp_path):
    with a_house(tmp_path, trials=1) as house:
        busy = house.worker("0")
        busy.begin()
        house.worker("1")
        idle = house.send("1", wire.Ask())
        house.gone("1", "killed by SIGKILL", killed=True)
        house.gone("0", "killed by SIGKILL", killed=True)
        assert house.worker("2").ask()["number"] == 0
        assert idle.answers.empty()


def test_an_end_that_is_under_way_is_ended_by_nobody_else(house, monkeypatch):
    worker = house.worker("0")
    worker.begin()
    tell = house.search.tell

    def tell_while_the_worker_dies(*arguments, **settings):
        house.loop.post(ev.Exited("0", "killed by SIGKILL", killed=True))
        return tell(*arguments, **settings)

    monkeypatch.setattr(house.search, "tell", tell_while_the_worker_dies)
    assert worker.end()["state"] == "COMPLETE"
    assert house.heard.ends == [(0, "COMPLETE")]


# What stops them.


def test_a_fault_of_ours_at_a_trials_end_is_not_waited_for(house, monkeypatch):
    worker = house.worker("0")
    worker.begin()
    with monkeypatch.context() as patched:
        patched.setattr(house.search, "tell", lambda *_, **__: 1 / 0)
        with pytest.raises(TrialTaken):
            worker.end()
    assert house.study.over
    with pytest.raises(ZeroDivisionError):
        house.loop.raise_error()


def test_a_stopped_study_requeues_at_the_next_epoch(house):
    worker = house.worker("0")
    worker.begin()
    house.obey(Command("stop", None, "by hand"))
    assert worker.epoch(0, 1.0) == {"verdict": "requeue", "reason": "by hand"}
    worker.end("WAITING", None, "by hand")
    assert house.study.over
    assert worker.ask() == {"end": True}
    assert house.stored(0).state == "WAITING"


def test_a_run_that_is_pruned_by_hand_ends_at_its_next_epoch(house):
    worker = house.worker("0")
    worker.begin()
    house.obey(Command("prune", 0, "by hand"))
    house.obey(Command("prune", 99, "by hand"))
    assert worker.epoch(0, 1.0) == {"verdict": "prune", "reason": "by hand"}


def test_five_failures_in_a_row_with_one_error_stop_the_study(house):
    worker = house.worker("0")
    for number in range(5):
        worker.begin()
        worker.end("FAIL", None, f"ValueError: bad at epoch {number}")
    assert "5 trials in a row failed in the same way" in str(house.study.error)
    assert worker.ask() == {"end": True}


def test_failures_that_differ_or_are_not_in_a_row_stop_nothing(house):
    worker = house.worker("0")
    for _ in range(4):
        worker.begin()
        worker.end("FAIL", None, "ValueError: bad")
    worker.train()
    worker.begin()
    worker.end("FAIL", None, "ValueError: bad")
    worker.begin()
    worker.end("FAIL", None, "TypeError: worse")
    assert house.study.error is None


# Going on with a study.


def test_a_study_goes_on_where_it_was(tmp_path):
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        worker.train(0.5)
        first = worker.begin()
        worker.epoch(0, 1.0)
        house.stop("Ctrl-C")
        worker.end("WAITING", None, "Ctrl-C")
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        again = worker.begin()
        assert (again["number"], again["name"], again["attempt"]) == (1, first["name"], 1)
        worker.end()
        assert worker.train() == 2


def test_a_study_goes_on_after_its_coordinator_died(tmp_path):
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        worker.train(0.5)
        worker.begin()
        worker.epoch(0, 1.0)
        house.abandon()
        house.close = lambda: None
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        again = worker.begin()
        assert (again["number"], again["attempt"]) == (1, 1)
        assert house.run(1).epoch == 0
        worker.epoch(0, 42.0)
        worker.end(value=42.0)
        assert optunas_trials(f"sqlite:///{tmp_path}/sweep.db")[1].intermediate_values == {0: 42.0}


def test_a_trial_that_ended_while_nobody_coordinated_stays_ended(tmp_path):
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        worker.begin()
        house.stop("Ctrl-C")
        worker.end("WAITING", None, "Ctrl-C")
    with optunas_own(f"sqlite:///{tmp_path}/sweep.db") as storage:
        study = optuna.load_study(study_name="study", storage=storage)
        assert study.ask().number == 0
        study.tell(0, 0.5)
    with a_house(tmp_path) as house:
        assert house.worker("0").begin()["number"] == 1
        assert (house.stored(0).state, house.stored(0).reason) == (
            "COMPLETE",
            "ended by another process in Optuna's tables",
        )


def test_a_finished_study_ends_at_once_and_more_trials_go_on(tmp_path):
    with a_house(tmp_path, trials=2) as house:
        worker = house.worker("0")
        worker.train()
        worker.train()
    with a_house(tmp_path, trials=2) as house:
        assert house.worker("0").ask() == {"end": True}
        assert house.study.over
    with a_house(tmp_path, trials=2, options={"trials": 3}) as house:
        assert house.worker("0").train() == 2


def test_what_the_first_start_enqueued_is_not_enqueued_again_but_what_is_asked_for_again_is(tmp_path):
    for start in (0, 1):
        with a_house(tmp_path, enqueue=[{"x": 0.125}], options={"enqueue": [{"x": -0.5}]}) as house:
            worker = house.worker("0")
            worker.train()
            if start == 0:
                worker.train()
            trials = house.search.trials()
    assert [trial.params["x"] for trial in trials] == [0.125, -0.5, -0.5]


def test_a_second_coordinator_is_refused_and_names_the_first(tmp_path):
    with a_house(tmp_path) as house:
        house.worker("0").train()
        with (
            a_house(tmp_path) as second,
            pytest.raises(StudyError, match=f"already running, in process {os.getpid()} on "),
        ):
            second.worker("0")


def another_space(tmp_path, space, **declaration):
    """What is said of a study file that has changed to another search space, once trials of the first stand."""
    with a_house(tmp_path, hash="1" * 64) as house:
        house.worker("0").train()
    before = optunas_trials(f"sqlite:///{tmp_path}/sweep.db")
    with a_house(tmp_path, **{"hash": "2" * 64, **declaration}) as house:
        with pytest.raises(StudyError) as refusal:
            house.worker("0").begin(space)
        house.refuse(refusal.value)
    assert [trial.number for trial in optunas_trials(f"sqlite:///{tmp_path}/sweep.db")] == [0] == [len(before) - 1]
    return str(refusal.value)


@pytest.mark.parametrize(
    ("space", "got"),
    [
        (
            {"x": FloatDistribution(-1.0, 2.0)},
            "The range of x has grown: it is [-1.0, 1.0] in the trials of study study, and now [-1.0, 2.0]. To",
        ),
        ({"y": SPACE["x"]}, "The trials of study study have no parameter y. To start"),
        ({}, "The trials of study study have a parameter x, which is gone. To start"),
    ],
)
def test_another_search_space_is_refused_with_the_command_that_starts_it_under_a_new_name(tmp_path, space, got):
    said = another_space(tmp_path, space)
    assert got in said
    assert "study.run(name='study_2')" in said
    assert another_space_again(tmp_path, space) == said


def test_a_trial_that_fails_before_its_parameters_says_so_and_the_space_is_compared_by_the_next(tmp_path):
    with a_house(tmp_path, hash="1" * 64) as house:
        house.worker("0").train()
    with a_house(tmp_path, hash="2" * 64) as house:
        worker = house.worker("0")
        worker.ask()
        worker.say(wire.Begin(worker.number, None, None, None, failed=True))
        assert worker.end("FAIL", reason="NameError: X")["reason"] == "NameError: X"
    with a_house(tmp_path, hash="2" * 64) as house:
        with pytest.raises(StudyError, match="have no parameter y"):
            house.worker("0").begin({"y": SPACE["x"]})
        house.refuse(StudyError("it cannot be"))
    with a_house(tmp_path, hash="2" * 64, trials=4) as house:
        house.worker("0").train()
        assert house.study.error is None
    with a_house(tmp_path, hash="2" * 64, trials=5) as house:
        house.worker("0")
        assert house.search.same_space


def another_space_again(tmp_path, space):
    """What is said at a second try: the first has changed nothing."""
    with a_house(tmp_path, hash="2" * 64) as house:
        with pytest.raises(StudyError) as refusal:
            house.worker("0").begin(space)
        house.refuse(refusal.value)
    return str(refusal.value)


def test_another_direction_is_refused(tmp_path):
    assert "Study study has the direction minimize, and the study file now says maximize." in another_space(
        tmp_path, SPACE, direction=["maximize"]
    )


def test_a_study_of_plain_optuna_is_not_taken_over(tmp_path):
    Store(f"sqlite:///{tmp_path}/sweep.db", create=True).close()
    with optunas_own(f"sqlite:///{tmp_path}/sweep.db") as storage:
        optuna.create_study(study_name="study", storage=storage)
    with (
        a_house(tmp_path) as house,
        pytest.raises(StudyError, match="Study study in this database was made with Optuna; sweep did not start it"),
    ):
        house.worker("0")


def test_a_refused_study_leaves_no_folder_behind(tmp_path):
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        (tmp_path / "runs" / "study" / "workers").mkdir(parents=True)
        (tmp_path / "runs" / "study" / "workers" / "worker-0.log").write_text("loading\n")
        worker.ask()
        house.refuse(StudyError("it cannot be"))
        house.gone("0", "left with exit status 0", killed=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["protect", "keep"])  # its former name, which may be in a database
def test_a_protected_trial_is_not_pruned_unless_it_breaks_or_by_hand(tmp_path, verb):
    with a_house(tmp_path, pruner="threshold(upper=1.0)") as house:
        worker, other, third = (house.worker(name) for name in "012")
        for one in (worker, other, third):
            one.begin()
        assert third.epoch(0, 2.0)["verdict"] == "prune"
        for number in (0, 1, 99):
            house.obey(Command(verb, number, "by hand"))
        assert worker.epoch(0, 2.0)["verdict"] == "go"
        assert worker.epoch(1, math.nan)["verdict"] == "prune"
        house.obey(Command("prune", 1, "by hand"))
        assert other.epoch(0, 2.0) == {"verdict": "prune", "reason": "by hand"}


def test_a_verdict_is_stored_in_numbers_and_answered_as_text(tmp_path):
    with a_house(tmp_path, pruner="threshold(upper=1.0)", trials=3) as house:
        worker = house.worker("0")
        worker.begin()
        said = f"threshold: {house.study.declaration.objective[0]} 2.00 at epoch 1 is above the upper bound 1"
        assert worker.epoch(0, 2.0) == {"verdict": "prune", "reason": said}
        ended = worker.end("PRUNED", reason=said)
        assert (ended["state"], ended["reason"]) == ("PRUNED", said)
        run = house.stored(0)
        assert (run.reason, run.why) == (None, said)
        assert (run.verdict.rule, run.verdict.value, run.verdict.epoch_index) == ("threshold", 2.0, 0)
        assert (run.verdict.threshold, run.verdict.rivals) == (1.0, None)


def test_a_verdict_that_a_person_or_a_later_epoch_overrules_is_not_stored(tmp_path):
    with a_house(tmp_path, pruner="threshold(upper=1.0)", trials=3) as house:
        worker, other, third = (house.worker(name) for name in "012")
        for one in (worker, other, third):
            one.begin()
            assert one.epoch(0, 2.0)["verdict"] == "prune"
        house.obey(Command("prune", 0, "by hand"))
        worker.end("PRUNED", reason=worker.epoch(1, 2.0)["reason"])
        assert other.epoch(1, 0.5)["verdict"] == "go"
        other.end("PRUNED", reason="its own")
        third.end("COMPLETE", 2.0)
        ended = [(house.stored(number).why, house.stored(number).verdict) for number in range(3)]
        assert ended == [("by hand", None), ("its own", None), (None, None)]


def test_a_pruned_run_is_revived_once_as_a_trial_more_that_starts_where_it_stopped(tmp_path):
    with a_house(tmp_path, pruner="threshold(upper=1.0)", trials=2) as house:
        worker = house.worker("0")
        first = worker.begin()
        assert worker.epoch(0, 2.0)["verdict"] == "prune"
        worker.end("PRUNED", reason="threshold")
        house.obey(Command("revive", 0, "by hand"))
        wait_for(lambda: house.heard.messages == [f"{first['name']} is not revived: its checkpoint is gone"])
        assert house.study.budget == 2
        checkpoints = Path(first["directory"]) / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / "0-00000001.npz").touch()
        for _ in range(2):
            house.obey(Command("revive", 0, "by hand"))
        wait_for(lambda: house.study.budget == 3)
        answer = worker.ask()
        assert (answer["number"], answer["directory"]) == (1, first["directory"])
        assert worker.suggest("x", SPACE["x"]) == house.run(0).params["x"]
        worker.start(10)
        worker.resume(0, 2.0)
        assert house.run(1).directory != first["directory"]
        assert house.run(1).revives == 0
        assert worker.epoch(1, 2.0)["verdict"] == "go", "it is shielded"
        worker.end(value=2.0)
        worker.train()
        assert "end" in worker.ask()
        house.obey(Command("revive", 2, "by hand"))  # complete
        assert house.study.budget == 3


def test_a_run_of_a_study_that_has_ended_is_revived_when_it_goes_on(tmp_path):
    with a_house(tmp_path, pruner="threshold(upper=1.0)", trials=1) as house:
        worker = house.worker("0")
        first = worker.begin()
        worker.epoch(0, 2.0)
        worker.end("PRUNED", reason="threshold")
    store = Store(f"sqlite:///{tmp_path}/sweep.db")
    study = store.study("study")
    queue_revival(store, study, store.runs(study.study_id)[0])
    with pytest.raises(StudyError, match="already been revived"):
        queue_revival(store, study, store.runs(study.study_id)[0])
    store.close()
    with a_house(tmp_path, options={"trials": 2}) as house:
        answer = house.worker("0").ask()
        assert (answer["number"], answer["directory"]) == (1, first["directory"])


DEAD = Finding("dead-relu", "all units are zero", "lower the learning rate", severe=True, since=1)


def test_findings_stand_until_others_are_told(house):
    worker = house.worker("0")
    worker.begin()
    assert worker.epoch(0, 1.0, findings=[DEAD])["verdict"] == "go"
    worker.epoch(1, 1.0)
    assert house.run(0).findings == [DEAD]
    worker.epoch(2, 1.0, findings=[])
    assert house.run(0).findings == []


def test_a_run_that_is_broken_is_pruned_for_it_unless_it_is_kept(house):
    worker, other = house.worker("0"), house.worker("1")
    worker.begin()
    assert worker.epoch(0, 1.0, findings=[DEAD], broken="dead-relu: all") == {
        "verdict": "prune",
        "reason": "dead-relu: all",
    }
    other.begin()
    house.study.live[other.number].shielded = True
    assert other.epoch(0, 1.0, findings=[DEAD], broken="dead-relu: all")["verdict"] == "go"
    assert other.epoch(1, math.nan)["verdict"] == "prune"


@pytest.mark.parametrize(("broken", "verdict"), [("prune", "prune"), ("report", "go"), ("ignore", "go")])
def test_a_loss_that_is_no_number_beside_a_finite_objective_prunes_where_broken_runs_are_pruned(
    tmp_path, broken, verdict
):
    with a_house(tmp_path, broken=broken) as house:
        worker = house.worker("0")
        worker.begin()
        assert worker.epoch(0, 1.0, val_loss=math.nan)["verdict"] == verdict
        assert worker.epoch(1, math.nan)["verdict"] == "prune"


def test_what_a_trial_imports_is_in_its_snapshot_and_in_those_of_later_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.snapshot.LARGEST", 30)
    with a_house(tmp_path) as house:
        snapshot = Snapshot("tiny.py", {"tiny.py": "x = 1"})
        for name in "01":
            house.say(name, wire.Hello(dict(house.declaration), snapshot.as_text(), wire.PROTOCOL))
        first, second = (Worker(house, name) for name in "01")
        first.begin()
        second.begin()
        house.say("0", wire.Imported(0, {"a.py": "a = 1"}))
        house.say("1", wire.Imported(1, {"b.py": "b = 1"}))
        first.end()
        second.end()
        assert house.heard.messages == []
        first.begin()
        house.say("0", wire.Imported(2, {"c.py": "c = 1" * 10}))
        first.end()
        assert ["it alone is kept" in message for message in house.heard.messages] == [True]
        store = house.writer.store
        kept = [Snapshot.from_text(store.snapshot(house.stored(number).snapshot)) for number in range(3)]
    assert [sorted(each.files) for each in kept] == [["a.py", "tiny.py"], ["a.py", "b.py", "tiny.py"], ["tiny.py"]]
    assert kept[2].left_out == ["a.py", "b.py", "c.py"]
