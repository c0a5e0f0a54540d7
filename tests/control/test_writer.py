"""What a coordinator writes stands in Optuna's tables and ours once, whatever becomes of its transactions."""

import math

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweep.control.lease import LeaseLost, claim
from sweep.core.events import Changes
from sweep.store.database import DatabaseFault
from sweep.store.lease import new_owner
from sweep.store.tables import commands, metrics, studies
from tests.control.memory import Memory, a_study, comparable, exact, optunas_trials
from tests.databases import Commits, optunas_own
from tests.store_builder import build_store

FLOATS = [0.0, -0.0, 1e-308, 1.7976931348623157e308, 0.1, math.inf, -math.inf, math.nan, -123456789.123456789]


@pytest.fixture
def study(storage_url):
    with a_study(storage_url) as memory:
        yield memory


def train(study: Memory) -> optuna.Trial:
    """A trial with everything that a trial can have."""
    trial = study.ask()
    suggest = study.search.suggest
    suggest(trial, "rate", FloatDistribution(1e-5, 1e-1, log=True))
    suggest(trial, "stepped", FloatDistribution(0.0, 1.0, step=0.25))
    suggest(trial, "width", IntDistribution(8, 64, log=True))
    suggest(trial, "wide", IntDistribution(0, 2**62))
    suggest(trial, "kind", CategoricalDistribution(["a", "ä ", "日本", "", "\x00", "\ud800", 'quo"te']))
    suggest(trial, "mixed", CategoricalDistribution([None, True, 3, 2.5, 2**70, math.inf]))
    suggest(trial, "name with spaces, ünicode and 'quotes'", IntDistribution(1, 1))
    for step, value in enumerate(FLOATS):
        study.search.report(trial, step, value)
        study.ledger.epoch(trial.number, step, {"loss": value, "val loss": -value})
    trial.set_user_attr("note", {"nested": [1, None, "\x00"]})
    trial.set_constraint("memory", 0.5)
    return trial


def test_optuna_reads_what_was_written(storage_url, study):
    study.search.tell(train(study), TrialState.COMPLETE, [0.25])
    study.search.tell(train(study), TrialState.FAIL, None)
    study.search.tell(train(study), TrialState.PRUNED, None)
    study.search.tell(train(study), TrialState.COMPLETE, [math.inf])
    train(study)
    study.search.enqueue([{"rate": 0.01}])
    study.flush()
    assert comparable(optunas_trials(storage_url)) == comparable(study.trials())
    states = ["COMPLETE", "FAIL", "PRUNED", "COMPLETE", "RUNNING", "WAITING"]
    assert [trial.state.name for trial in study.trials()] == states


def test_several_objectives_are_written_in_their_order(storage_url):
    directions = {"objective": ["loss", "size"], "direction": ["minimize", "maximize"]}
    with a_study(storage_url, **directions) as study:
        study.search.tell(study.ask(), TrialState.COMPLETE, [1.0, -math.inf])
        study.flush()
        assert optunas_trials(storage_url)[0].values == [1.0, -math.inf]
        with optunas_own(storage_url) as storage:
            read = optuna.load_study(study_name="study", storage=storage)
            assert [direction.name for direction in read.directions] == ["MINIMIZE", "MAXIMIZE"]


def test_the_store_reads_every_metric_of_every_epoch(study):
    train(study)
    study.flush()
    epochs = study.store.metrics(study.record.study_id)[0]
    for name, sign in (("loss", 1), ("val loss", -1)):
        assert [exact(epochs[step][name]) for step in epochs] == [exact(sign * value) for value in FLOATS]


def test_a_message_with_characters_that_no_database_holds_is_written_escaped(study):
    trial = train(study)
    reason = "ValueError: \x00 and \ud800 " + "long " * 50_000
    study.ledger.update(trial.number, reason=reason, traceback="\x00", family="\udfff")
    study.flush()
    run = study.store.runs(study.record.study_id)[0]
    assert run.reason == reason.replace("\x00", "\\x00").replace("\ud800", "\\ud800")
    assert (run.traceback, run.family) == ("\\x00", "\\udfff")


def test_what_is_written_again_changes_what_stands_there(storage_url, study):
    trial = train(study)
    study.flush()
    trial.set_user_attr("note", "another")
    study.search.report(trial, 100, 0.5)
    study.flush()
    study.search.tell(trial, TrialState.COMPLETE, [0.5])
    study.flush()
    assert comparable(optunas_trials(storage_url)) == comparable(study.trials())


def test_a_flush_without_changes_writes_nothing(study):
    train(study)
    study.flush()
    beat = study.store.study("study").beat
    study.flush()
    assert study.store.study("study").beat == beat


@pytest.mark.parametrize("how", ["refused", "unanswered"])
def test_a_commit_that_fails_or_whose_answer_is_lost_leaves_nothing_doubled_or_lost(storage_url, study, how):
    fault = getattr(Commits(study.store.engine), how)
    running = train(study)
    with fault(), pytest.raises(DatabaseFault):
        study.flush()
    study.search.tell(train(study), TrialState.COMPLETE, [0.5])
    study.search.report(running, 100, 0.5)
    with fault(), pytest.raises(DatabaseFault):
        study.flush()
    study.flush()
    assert comparable(optunas_trials(storage_url)) == comparable(study.trials())
    assert [len(epochs) for epochs in study.store.metrics(study.record.study_id).values()] == [len(FLOATS)] * 2
    assert [run.number for run in study.store.runs(study.record.study_id)] == [0, 1]


@pytest.mark.parametrize("how", ["done", "refused", "unanswered"])
def test_a_trial_that_is_run_again_loses_its_epochs_in_optunas_rows_and_in_ours(storage_url, study, how):
    trial = train(study)
    if how == "done":
        study.flush()
    else:
        with getattr(Commits(study.store.engine), how)(), pytest.raises(DatabaseFault):
            study.flush()
    study.search.storage.wait(trial._trial_id)
    study.ledger.wait(trial.number, None)
    study.flush()
    waiting = optunas_trials(storage_url)[0]
    assert (waiting.state, len(waiting.intermediate_values)) == (TrialState.WAITING, len(FLOATS))
    assert waiting.params == study.trials()[0].params
    run = study.store.runs(study.record.study_id)[0]
    assert (run.state, run.attempt) == ("WAITING", 1)
    study.search.storage.forget(study.search.again(0)._trial_id)
    study.ledger.forget(0)
    study.flush()
    assert optunas_trials(storage_url)[0].intermediate_values == {}
    assert study.store.metrics(study.record.study_id) == {}
    assert study.store.runs(study.record.study_id)[0].epoch == 0


def test_a_trial_that_is_run_again_before_anything_was_written_has_its_new_epochs_only(storage_url, study):
    trial = train(study)
    study.flush()
    study.search.storage.wait(trial._trial_id)
    study.ledger.wait(trial.number, None)
    again = study.search.again(trial.number)
    study.search.storage.forget(again._trial_id)
    study.ledger.forget(again.number)
    study.search.report(again, 0, 42.0)
    study.ledger.epoch(again.number, 0, {"loss": 42.0})
    study.flush()
    assert comparable(optunas_trials(storage_url)) == comparable(study.trials())
    assert optunas_trials(storage_url)[0].intermediate_values == {0: 42.0}
    assert study.store.metrics(study.record.study_id) == {0: {0: {"loss": 42.0}}}


def test_attributes_of_the_study_are_written_over_nobody_elses(storage_url, study):
    study.search.study.set_user_attr("ours", 1)
    study.flush()
    with optunas_own(storage_url) as storage:
        theirs = optuna.load_study(study_name="study", storage=storage)
        theirs.set_user_attr("ours", 2)
        theirs.set_user_attr("theirs", 3)
        study.search.study.set_user_attr("more", 4)
        study.flush()
        read = optuna.load_study(study_name="study", storage=storage).user_attrs
    assert read == {"ours": 2, "theirs": 3, "more": 4}


def test_commands_are_taken_once_and_in_their_order(study):
    study_id = study.record.study_id
    study.store.command(study_id, "prune", numbers=[3, 1], reason="by hand")
    study.store.command(study_id, "stop", reason="enough")
    study.store.command(study_id + 1, "stop", reason="another study's")
    taken = [(command.verb, command.number, command.reason) for command in study.writer.take_commands()]
    assert taken == [("prune", 3, "by hand"), ("prune", 1, "by hand"), ("stop", None, "enough")]
    assert study.writer.take_commands() == []


def test_a_study_that_was_deleted_is_not_written_to(storage_url, study):
    train(study)
    study.flush()
    with optunas_own(storage_url) as storage:
        optuna.delete_study(study_name="study", storage=storage)
    study.ask()
    with pytest.raises(LeaseLost, match="deleted"):
        study.flush()
    with pytest.raises(LeaseLost):
        study.writer.beat()
    with optunas_own(storage_url) as storage:
        assert optuna.get_all_study_names(storage) == []


def test_a_study_of_the_name_of_a_deleted_one_begins_anew(storage_url, study):
    train(study)
    study.store.command(study.record.study_id, "stop", reason="of the old one")
    study.flush()
    with optunas_own(storage_url) as storage:
        optuna.delete_study(study_name="study", storage=storage)
    new = Memory(study.store)
    new.ask()
    new.flush()
    assert len(study.store.runs(new.record.study_id)) == 1
    assert study.store.metrics(new.record.study_id) == {}
    assert new.writer.take_commands() == []


def test_a_coordinator_whose_study_another_has_taken_writes_nothing(storage_url, study):
    train(study)
    study.flush()
    study.writer.release()
    record = study.store.study("study")
    claim(study.store, record, new_owner())
    study.ask()
    with pytest.raises(LeaseLost, match="another coordinator"):
        study.flush()
    assert len(optunas_trials(storage_url)) == 1


def test_a_trial_that_somebody_else_ends_is_noticed(storage_url, study):
    for _ in range(3):
        train(study)
    study.flush()
    with optunas_own(storage_url) as storage:
        theirs = optuna.load_study(study_name="study", storage=storage)
        theirs.tell(1, 0.125)
        theirs.tell(2, state=TrialState.FAIL)
    ended = study.writer.ended_elsewhere([0, 1, 2])
    assert [(number, trial.state.name, trial.values) for number, trial in ended.items()] == [
        (1, "COMPLETE", [0.125]),
        (2, "FAIL", None),
    ]
    assert study.writer.ended_elsewhere([]) == {}


def test_a_released_study_has_no_owner(study):
    study.writer.release()
    assert study.store.study("study").owner is None


def test_tables_hold_no_rows_of_other_studies(storage_url):
    with a_study(storage_url, name="one") as one:
        two = Memory(one.store, name="two")
        for study in (one, two):
            train(study)
            study.flush()
        with one.store.engine.connect() as connection:
            for table in (metrics, studies, commands):
                connection.execute(sa.select(table)).all()
        one.ledger.forget(0)
        one.flush()
        assert one.store.metrics(one.record.study_id) == {}
        assert len(two.store.metrics(two.record.study_id)[0]) == len(FLOATS)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_file_that_was_removed_is_not_written_to(tmp_path, replaced):
    build_store(tmp_path).close()
    with a_study(f"sqlite:///{tmp_path}/sweep.db") as study:
        for path in tmp_path.glob("sweep.db*"):
            path.unlink()
        if replaced:
            build_store(tmp_path).close()
        study.ask()
        with pytest.raises(LeaseLost):
            study.flush()


def test_trials_that_are_claimed_together_are_in_the_tables_with_their_runs(storage_url, study):
    train(study)
    study.flush()
    with optunas_own(storage_url) as storage:
        optuna.load_study(study_name="study", storage=storage).ask()  # somebody else has number 1
    study.search.storage.numbering = study.writer.claim
    assert [trial.number for trial in study.search.ask_several(3)] == [2, 3, 4]
    assert [trial.number for trial in optunas_trials(storage_url)] == [0, 1, 2, 3, 4]
    assert [run.number for run in study.store.runs(study.record.study_id)] == [0, 2, 3, 4]


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_trial_ends_in_the_tables_with_its_run_and_not_before(storage_url, study, state):
    trial = study.ask()
    study.flush()
    study.search.tell(trial, state, [0.25] if state == TrialState.COMPLETE else None)
    study.writer.write(Changes())  # as from the sampling thread, before the core has heard of it
    assert [there.state.name for there in optunas_trials(storage_url)] == ["RUNNING"]
    study.flush()
    assert [there.state for there in optunas_trials(storage_url)] == [state]
    assert [run.state for run in study.store.runs(study.record.study_id)] == [state.name]
