"""`sweep import`: plain studies of Optuna's, and log directories that others wrote for TensorBoard."""

import contextlib
import json
import math
import os
import shlex
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from sweep.cli import run as sweep
from sweep.control.consistency import check_database
from sweep.control.imports import Import
from sweep.errors import StudyError
from sweep.names import KeyTable, decode
from sweep.store import Store
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import RunWriter, read
from sweep.tensorboard.log_directory import read_log_directory
from tests.control.memory import comparable, optunas_trials
from tests.databases import optunas_own
from tests.refusals import refusal_of

STUDY = """
import sweep

def train(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    trial.suggest_int("units", 1, 8)
    trial.suggest_categorical("act", ["relu", "tanh", None])
    for step in range(3):
        trial.report(x * x + step, step)
    return x * x

study = sweep.Study(train, objective="{objective}", direction="minimize", name="{name}", pruner="nop", seed=3)
"""


def objective(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    trial.suggest_int("units", 1, 8)
    trial.suggest_categorical("act", ["relu", "tanh", None])
    trial.set_user_attr("note", {"number": trial.number})
    for step in range(3):
        trial.report(math.nan if trial.number == 4 else x * x + step, step)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError("no")
    return math.inf if trial.number == 3 else x * x


def make_study(url: str, name: str = "plain") -> None:
    """A study of Optuna's with a trial in each state, a value that is infinite, and reports that are NaN."""
    with optunas_own(url) as storage, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.RandomSampler(seed=1)
        study = optuna.create_study(study_name=name, storage=storage, sampler=sampler)
        study.set_user_attr("owner", "me")
        study.optimize(objective, n_trials=6, catch=(ValueError,))
        study.enqueue_trial({"x": 0.5})
        study.ask()  # begins the one that was enqueued
        study.enqueue_trial({"x": 0.25})


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SWEEP_STORAGE", "SWEEP_LOGDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def source(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    make_study(url)
    return url


def runs_of(url, name):
    store = Store(url)
    try:
        study = store.study(name)
        return study, store.runs(study.study_id), store.metrics(study.study_id)
    finally:
        store.close()


def check(url):
    store = Store(url)
    try:
        return check_database(store)
    finally:
        store.close()


def raw_rows(path):
    """Every row of Optuna's tables in an SQLite database."""
    import sqlite3

    with sqlite3.connect(path) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        found = {name: database.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names if "sweep" not in name}
    database.close()
    return found


STATES = ["COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]


def test_a_study_of_another_database_is_copied_exactly_and_gets_names_and_curves(source, empty_storage_url, capsys):
    assert sweep(["import", source, "plain", "--storage", empty_storage_url]) == 0
    out, err = capsys.readouterr()
    assert "plain: 6 runs (4 COMPLETE, 1 FAIL, 1 PRUNED)" in out
    assert "1 RUNNING, 1 WAITING: kept as trials, without a run until they end" in out + err
    assert comparable(optunas_trials(empty_storage_url, "plain")) == comparable(optunas_trials(source, "plain"))
    with optunas_own(empty_storage_url) as storage:
        assert optuna.load_study(study_name="plain", storage=storage).user_attrs == {"owner": "me"}

    study, runs, metrics = runs_of(empty_storage_url, "plain")
    trials = optunas_trials(source, "plain")
    assert [run.state for run in runs] == STATES
    assert [run.number for run in runs] == list(range(6))
    keys = KeyTable(table=study.keys)
    for run, trial in zip(runs, trials, strict=False):
        assert decode(run.name, keys).params == trial.params == run.params
        assert (run.directory, run.added) == (None, False)
    assert runs[0].values == trials[0].values
    assert (runs[1].why, runs[2].why) == ("pruned before it was imported", "failed before it was imported")
    assert metrics[0] == {step: {"value": value} for step, value in trials[0].intermediate_values.items()}
    assert math.isnan(metrics[4][0]["value"])
    assert (runs[1].epoch, runs[1].last, runs[3].values) == (2, trials[1].intermediate_values[1], [math.inf])
    assert check(empty_storage_url) == []
    assert sweep(["studies", "--storage", empty_storage_url]) == 0
    assert "finished" in capsys.readouterr().out


def test_an_imported_study_goes_on_under_its_numbers(source, tmp_path, capsys):
    assert sweep(["import", source, "plain", "--name", "here", "--objective", "loss"]) == 0
    (tmp_path / "here.py").write_text(STUDY.format(objective="loss", name="here"))
    assert sweep(["start", "here.py", "--trials", "8", "--workers", "1"]) == 0
    _, runs, _ = runs_of("sqlite:///sweep.db", "here")
    assert [run.number for run in runs] == [0, 1, 2, 3, 4, 5, 7, 8]  # t0006 is another program's, and RUNNING
    assert runs[6].params["x"] == 0.25, "the one that waited"
    assert check("sqlite:///sweep.db") == []


def test_a_study_in_the_same_database_stays_in_place(source, tmp_path, capsys):
    before = raw_rows(tmp_path / "optuna.db")
    (tmp_path / "plain.py").write_text(STUDY.format(objective="value", name="plain"))
    start = ["start", "plain.py", "--trials", "7", "--workers", "1", "--storage", source]
    assert sweep(start) == 2
    said = refusal_of(capsys.readouterr().err.splitlines()[-2] + "\n" + "       hint")
    assert "Study plain in this database was made with Optuna; sweep did not start it." in said
    assert raw_rows(tmp_path / "optuna.db") == before
    assert not (tmp_path / "runs").exists()

    line = ["import", source, "plain", "--storage", source]
    assert sweep(line) == 2, "nobody to ask"
    assert sweep([*line, "--name", "other", "--yes"]) == 2
    assert raw_rows(tmp_path / "optuna.db") == before
    assert sweep([*line, "--yes"]) == 0
    assert raw_rows(tmp_path / "optuna.db") == before
    assert sweep(start) == 0
    study, runs, _ = runs_of(source, "plain")
    assert [run.number for run in runs] == [0, 1, 2, 3, 4, 5, 7]
    assert study.space["x"] == [
        '{"name": "FloatDistribution", "attributes": {"step": null, "low": -1.0, "high": 1.0, "log": false}}'
    ]
    assert check(source) == []
    capsys.readouterr()
    assert sweep([*line, "--yes"]) == 2
    assert "is one of sweep's already" in refusal_of(capsys.readouterr().err)


def test_a_study_in_the_same_server_stays_in_place(postgresql):
    url = postgresql.create()
    make_study(url)
    before = comparable(optunas_trials(url, "plain"))
    assert sweep(["import", url, "plain", "--storage", url, "--yes"]) == 0
    assert comparable(optunas_trials(url, "plain")) == before
    _, runs, _ = runs_of(url, "plain")
    assert [run.state for run in runs] == STATES
    assert check(url) == []


def test_a_dry_run_shows_everything_and_changes_nothing(source, tmp_path, capsys):
    before = raw_rows(tmp_path / "optuna.db")
    assert sweep(["import", source, "plain", "--dry-run", "--events"]) == 0
    out, err = capsys.readouterr()
    assert "plain: 6 runs (4 COMPLETE, 1 FAIL, 1 PRUNED)" in out
    assert "Nothing was imported." in out + err
    assert sweep(["import", source, "plain", "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["imported"], shown["counts"]) == (False, {"COMPLETE": 4, "PRUNED": 1, "FAIL": 1})
    assert shown["unfinished"] == {"RUNNING": 1, "WAITING": 1}
    assert (shown["objective"], shown["direction"], len(shown["names"])) == (["value"], ["minimize"], 6)
    assert raw_rows(tmp_path / "optuna.db") == before
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.db"]


def test_event_files_have_hparams_and_curves_under_the_names_of_the_runs(source, tmp_path):
    assert sweep(["import", source, "plain", "--events", "--json"]) == 0
    study, runs, _ = runs_of("sqlite:///sweep.db", "plain")
    assert study.directory == f"{tmp_path}/runs/plain"
    for run in runs:
        assert run.directory == f"{tmp_path}/runs/plain/{run.name}"
        summaries = [event.summary for event in read(Path(run.directory)) if event.HasField("summary")]
        (start,) = filter(None, map(hparams.parse_start, summaries))
        assert start[0] == run.name
        assert start[1]["x"] == run.params["x"]
        ends = [end for end in map(hparams.parse_end, summaries) if end is not None]
        assert ends == ["SUCCESS" if run.state == "COMPLETE" else "FAILURE"]
    found = read_log_directory(tmp_path / "runs" / "plain")
    assert [len(session.metrics.get("value", ())) for session in found.sessions] != []
    assert check("sqlite:///sweep.db") == []
    assert sweep(["rm", "plain", "--yes"]) == 0
    assert not (tmp_path / "runs" / "plain").exists()


def test_event_files_that_cannot_be_written_leave_nothing(source, tmp_path, capsys):
    (tmp_path / "runs" / "plain").mkdir(parents=True)
    assert sweep(["import", source, "plain", "--events"]) == 2
    assert "There already is a folder" in refusal_of(capsys.readouterr().err)
    assert not (tmp_path / "sweep.db").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([], "Give the database and the name of the study in it"),
        (["sqlite:///optuna.db"], "Give the database and the name of the study in it"),
        (["sqlite:///optuna.db", "plan"], "No such study in sqlite:///optuna.db: plan. Did you mean plain?"),
        (["sqlite:///none.db", "plain"], "No database at none.db"),
        (["sqlite:///optuna.db", "plain", "--name", "a b"], "Give it another one with --name."),
        (["sqlite:///optuna.db", "plain", "--direction", "minimize"], "--direction applies only with --tensorboard"),
        (["sqlite:///optuna.db", "plain", "--objective", "a", "--objective", "b"], "has 1 objective"),
        (["--tensorboard", "nowhere"], "No such log directory: nowhere."),
        (["--tensorboard", ".", "a", "b"], "Too many arguments: a b."),
    ],
)
def test_what_cannot_be_imported_is_refused_in_a_sentence(source, capsys, line, said):
    assert sweep(["import", *line]) == 2
    assert said in refusal_of(capsys.readouterr().err)


def test_a_name_that_is_taken_is_refused(source, capsys):
    assert sweep(["import", source, "plain"]) == 0
    capsys.readouterr()
    assert sweep(["import", source, "plain"]) == 2
    assert "Give this one another name with --name." in refusal_of(capsys.readouterr().err)


def test_the_objectives_of_a_study_have_the_names_that_optuna_knows(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    with optunas_own(url) as storage, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # set_metric_names is experimental
        study = optuna.create_study(study_name="two", storage=storage, directions=["minimize", "maximize"])
        study.set_metric_names(["loss", "speed"])
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=2)
        study.add_trial(optuna.create_trial(values=[0.5, 2.0], params={}, distributions={}))
    assert sweep(["import", url, "two", "--events"]) == 0
    made, runs, _ = runs_of("sqlite:///sweep.db", "two")
    assert (made.declaration.objective, made.declaration.direction) == (["loss", "speed"], ["minimize", "maximize"])
    assert runs[2].values == [0.5, 2.0]
    assert check("sqlite:///sweep.db") == []


def test_a_choice_that_no_name_can_hold_leaves_its_run_without_one(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/optuna.db"
    with optunas_own(url) as storage, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a choice that is a list
        study = optuna.create_study(study_name="lists", storage=storage)
        study.optimize(lambda trial: len(trial.suggest_categorical("layers", [[8], [8, 8]])), n_trials=2)
    assert sweep(["import", url, "lists", "--events"]) == 0
    assert "whose parameters no run name can hold" in capsys.readouterr().out
    _, runs, _ = runs_of("sqlite:///sweep.db", "lists")
    assert [(run.name, run.directory, run.state) for run in runs] == [(None, None, "COMPLETE")] * 2


def test_steps_below_zero_are_imported_with_their_events(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    with optunas_own(url) as storage:
        study = optuna.create_study(study_name="early", storage=storage)
        study.add_trial(optuna.create_trial(value=0.5, intermediate_values={-1: 1.0, 0: 0.5}))
    assert sweep(["import", url, "early", "--events"]) == 0
    _, (run,), metrics = runs_of("sqlite:///sweep.db", "early")
    assert metrics[0] == {-1: {"value": 1.0}, 0: {"value": 0.5}}
    (session,) = read_log_directory(Path(run.directory)).sessions
    assert session.metrics["value"] == metrics_of("value", metrics[0])
    for command in (["runs", "early"], ["show", "early", "0"], ["export", "early"], ["db", "check"]):
        assert sweep(command) == 0


def metrics_of(name, epochs):
    return {step: named[name] for step, named in epochs.items()}


@pytest.mark.parametrize("where", ["events", "database"])
@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt, StudyError])
def test_an_import_that_fails_leaves_no_folder(source, tmp_path, monkeypatch, where, problem):
    place, name = {"events": (RunWriter, "text"), "database": (Import, "_write_runs")}[where]

    def fail(*_given, **_named):
        raise problem("no")

    (tmp_path / "there").mkdir()
    monkeypatch.setattr(place, name, fail)
    for logdir in ("new/runs", "there"):
        with contextlib.suppress(RuntimeError, KeyboardInterrupt):
            assert sweep(["import", source, "plain", "--events", "--logdir", logdir]) != 0
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "there").iterdir()) == []


# TensorBoard.


def start_record(params, started=0.0):
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=started, group_name="group")
    for name, value in params.items():
        kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
        setattr(info.hparams[name], kind, value)
    return record(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=info))


def record(tag, data):
    described = metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def end_record(status):
    info = plugin_data_pb2.SessionEndInfo(status=status)
    return record(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))


def test_a_run_whose_record_has_no_time_began_with_its_first_event(tmp_path):
    write_session(tmp_path / "logs" / "a", {"units": 1.0}, started=0.0, train=[1.0])
    (session,) = read_log_directory(tmp_path / "logs").sessions
    assert session.started == next(read(tmp_path / "logs" / "a")).wall_time


def write_session(folder, params, *, started, train=(), validation=(), own=None, status=None):
    """A run as Keras' callbacks write it: curves in `train` and `validation`, and perhaps a scalar of its own."""
    with RunWriter(folder) as writer:
        writer.add(start_record(params, started), 0)
        if own is not None:
            writer.scalars(1, own)
        if status is not None:
            writer.add(end_record(status), 0)
    for group, curve in (("train", train), ("validation", validation)):
        if curve:
            with RunWriter(folder / group) as writer:
                for step, value in enumerate(curve):
                    writer.scalars(step, {"epoch_loss": value, "batch_loss": 9.0})


@pytest.fixture
def logs(tmp_path):
    """Four runs with parameters of each type, one without, and an experiment."""
    folder = tmp_path / "logs"
    first = {"units": 16.0, "rate": 1.0, "drop": 0.0, "adam": True, "act": "relu"}
    second = {"units": 32.0, "rate": 0.5, "drop": 1.0, "adam": False, "act": "tanh"}
    write_session(folder / "a", second, started=200.0, train=[2.0, 1.0], validation=[3.0, 2.5])
    write_session(folder / "b", first, started=100.0, train=[4.0, 3.0], validation=[5.0, 4.5], status=1)
    write_session(folder / "deep" / "c", first, started=300.0, validation=[1.0, math.nan])
    write_session(folder / "d", first, started=400.0, validation=[0.5], status=2)
    with RunWriter(folder / "other") as writer:
        writer.scalars(0, {"loss": 1.0})
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name="drop", domain_interval=api_pb2.Interval(min_value=0.0, max_value=0.5)),
            api_pb2.HParamInfo(name="units", domain_interval=api_pb2.Interval(min_value=16.0, max_value=64.0)),
        ],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(group="validation", tag="epoch_loss"))],
    )
    with RunWriter(folder) as writer:
        writer.add(record(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment)), 0)
    return folder


def test_a_log_directory_of_others_is_a_finished_study(logs, tmp_path, capsys):
    assert sweep(["import", "--tensorboard", "logs", "--direction", "minimize"]) == 0
    out, err = capsys.readouterr()
    assert "logs: 4 runs (2 COMPLETE, 2 FAIL)" in out
    assert "1 directory without hyperparameters left out: other" in err
    study, runs, metrics = runs_of("sqlite:///sweep.db", "logs")
    assert (study.declaration.objective, study.space) == (["val_loss"], {})
    assert [Path(run.directory).relative_to(logs).as_posix() for run in runs] == ["b", "a", "deep/c", "d"]
    assert runs[0].params == {"units": 16, "rate": 1.0, "drop": 0.0, "adam": True, "act": "relu"}
    assert {name: type(value) for name, value in runs[1].params.items()} == {
        "units": int,
        "rate": float,
        "drop": float,
        "adam": bool,
        "act": str,
    }
    assert [run.state for run in runs] == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    assert [run.value for run in runs] == [4.5, 2.5, None, None]
    assert [run.started for run in runs] == [100.0, 200.0, 300.0, 400.0]
    assert runs[2].why == "the last val_loss is NaN in c"
    assert metrics[0] == {0: {"loss": 4.0, "val_loss": 5.0}, 1: {"loss": 3.0, "val_loss": 4.5}}
    assert decode(runs[1].name, KeyTable(table=study.keys)).params == runs[1].params
    assert check("sqlite:///sweep.db") == []
    assert not (logs / "databases.json").exists(), "it is not ours"
    assert sweep(["best", "logs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["number"] == 1
    assert sweep(["rm", "logs", "--logdir", str(tmp_path), "--dry-run"]) == 0
    assert "from the database alone" in "".join(capsys.readouterr())
    with optunas_own("sqlite:///sweep.db") as storage:
        trials = optuna.load_study(study_name="logs", storage=storage).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL] * 2
    assert trials[1].params == runs[1].params
    assert sweep(["rm", "logs", "--logdir", str(tmp_path), "--yes"]) == 0
    assert "was left" in capsys.readouterr().err
    assert (logs / "a" / "train").is_dir(), "it is not ours"


def test_names_have_the_parameters_in_the_order_of_the_experiment_and_then_by_name(logs, capsys):
    line = ["import", "--tensorboard", "logs", "--direction", "minimize", "--json"]
    assert sweep([*line, "--dry-run"]) == 0
    before = json.loads(capsys.readouterr().out)["names"]
    assert sweep(line) == 0
    assert json.loads(capsys.readouterr().out)["names"] == before
    _, runs, _ = runs_of("sqlite:///sweep.db", "logs")
    assert [run.name for run in runs] == before
    assert [list(run.params) for run in runs] == [["drop", "units", "act", "adam", "rate"]] * 4


def test_with_events_the_runs_have_directories_that_are_called_as_they_are(logs, tmp_path):
    line = ["import", "--tensorboard", "logs", "tuned", "--direction", "maximize", "--objective", "loss", "--events"]
    assert sweep(line) == 0
    study, runs, _ = runs_of("sqlite:///sweep.db", "tuned")
    assert study.directory == f"{tmp_path}/runs/tuned"
    assert [Path(run.directory).name for run in runs] == [run.name for run in runs]
    assert [run.value for run in runs[:2]] == [3.0, 1.0]
    assert runs[2].why == "it has no loss in c"
    found = read_log_directory(tmp_path / "runs" / "tuned")
    assert [session.params["units"] for session in found.sessions] == [16, 32, 16, 16]
    assert found.sessions[0].metrics["val_loss"] == {0: 5.0, 1: 4.5}
    assert sweep(["rm", "tuned", "--yes"]) == 0
    assert (logs / "a").is_dir()


def test_a_run_is_read_once_wherever_links_lead_and_a_pipe_is_no_event_file(tmp_path):
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    write_session(logs / "run", {"rate": 0.5}, started=100.0, train=[1.0])
    write_session(elsewhere / "linked", {"rate": 0.25}, started=200.0, train=[2.0])
    (logs / "a loop").symlink_to(logs)
    (logs / "run" / "up").symlink_to(logs)
    (logs / "latest").symlink_to(logs / "run")
    (logs / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(logs)
    os.mkfifo(logs / "run" / "events.out.tfevents.1")
    found = read_log_directory(logs)
    assert [session.path for session in found.sessions] == [logs / "run", logs / "more" / "linked"]
    assert [session.metrics for session in found.sessions] == [{"loss": {0: 1.0}}, {"loss": {0: 2.0}}]
    (tmp_path / "link").symlink_to(logs)
    assert [session.path.name for session in read_log_directory(tmp_path / "link").sessions] == ["run", "linked"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "is to be small or large. Pass --direction minimize or --direction maximize."),
        (["--direction", "down"], "A direction must be minimize or maximize, not down."),
        (
            ["--direction", "minimize", "--objective", "f1"],
            "No run has a metric f1. Choose one with --objective: loss,",
        ),
    ],
)
def test_nothing_is_guessed_about_the_objective(logs, capsys, more, said):
    assert sweep(["import", "--tensorboard", "logs", *more]) == 2
    assert said in refusal_of(capsys.readouterr().err)


def test_a_log_directory_without_hparams_is_refused(tmp_path, capsys):
    with RunWriter(tmp_path / "logs" / "run") as writer:
        writer.scalars(0, {"loss": 1.0})
    assert sweep(["import", "--tensorboard", "logs", "--direction", "minimize"]) == 2
    assert "has hyperparameters for TensorBoard's HParams" in refusal_of(capsys.readouterr().err)


def test_what_tensorflow_and_keras_write_is_read(tmp_path, capsys):
    """Both ways of TensorBoard's tutorial on HParams, and Keras' own callback."""
    import keras
    import numpy as np
    import tensorflow as tf
    from tensorboard.plugins.hparams import api as hp

    units = hp.HParam("num_units", hp.IntInterval(2, 64))
    dropout = hp.HParam("dropout", hp.RealInterval(0.1, 0.5))
    optimizer = hp.HParam("optimizer", hp.Discrete(["adam", "sgd"]))
    with tf.summary.create_file_writer("tutorial").as_default():
        hp.hparams_config([units, dropout, optimizer], [hp.Metric("accuracy", display_name="Accuracy")])
    for number, values in enumerate(
        ({units: 16, dropout: 0.1, optimizer: "adam"}, {units: 32, dropout: 0.5, optimizer: "sgd"})
    ):
        with tf.summary.create_file_writer(f"tutorial/run-{number}").as_default():
            hp.hparams(values)
            tf.summary.scalar("accuracy", 0.5 + 0.25 * number, step=1)
    assert sweep(["import", "--tensorboard", "tutorial", "--direction", "maximize"]) == 0
    _, runs, _ = runs_of("sqlite:///sweep.db", "tutorial")
    assert {run.params["num_units"]: (run.value, run.params["optimizer"]) for run in runs} == {
        16: (0.5, "adam"),
        32: (0.75, "sgd"),
    }
    assert all(type(run.params["num_units"]) is int and type(run.params["dropout"]) is float for run in runs)

    x = np.arange(8.0).reshape(8, 1)
    for width in (1, 2):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(width), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        folder = f"keras/{width}"
        callbacks = [keras.callbacks.TensorBoard(folder), hp.KerasCallback(folder, {units: width})]
        history = model.fit(x, x, epochs=2, validation_split=0.25, verbose=0, callbacks=callbacks)
        assert set(history.history) == {"loss", "val_loss"}
    line = ["import", "--tensorboard", "keras", "--objective", "val_loss", "--direction", "minimize"]
    assert sweep(line) == 0
    _, runs, metrics = runs_of("sqlite:///sweep.db", "keras")
    assert [(run.state, run.params, run.epoch) for run in runs] == [
        ("COMPLETE", {"num_units": 1}, 2),
        ("COMPLETE", {"num_units": 2}, 2),
    ]
    assert {name for epochs in metrics[1].values() for name in epochs} >= {"loss", "val_loss"}
    assert [metrics[1][epoch]["val_loss"] for epoch in (0, 1)] == pytest.approx(history.history["val_loss"], rel=1e-5)
    assert runs[1].value == metrics[1][1]["val_loss"]
    assert check("sqlite:///sweep.db") == []


# What others wrote stays.


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def others(tmp_path):
    """A study of runs that others wrote, one of them nested; beside its directory is one that belongs to no run."""
    folder = tmp_path / "mine"
    write_session(folder / "x" / "a", {"rate": 0.5}, started=100.0, own={"loss": 1.0})
    write_session(folder / "b", {"rate": 0.25}, started=200.0, own={"loss": 2.0})
    for run in ("b", "x/a"):
        (folder / run / "checkpoints").mkdir()
        (folder / run / "checkpoints" / "1.npz").write_text("theirs")
        (folder / run / "weights.npz").write_text("theirs")
    (folder / "a").mkdir()
    (folder / "a" / "notes.txt").write_text("theirs")
    assert sweep(["import", "--tensorboard", "mine", "--direction", "minimize"]) == 0
    return folder


CONTINUING = """
import sweep

def train(trial):
    return trial.suggest_float("rate", 0.0, 1.0)

study = sweep.Study(train, objective="loss", direction="minimize", name="mine", pruner="nop")
"""


@pytest.mark.parametrize("goes_on", [False, True])
def test_whatever_is_removed_of_an_imported_study_the_files_that_others_wrote_stay(others, tmp_path, capsys, goes_on):
    before = contents(others)
    if goes_on:
        (tmp_path / "mine.py").write_text(CONTINUING)
        start = ["start", "mine.py", "--trials", "3", "--workers", "1", "--logdir", ".", "--keep", "best:1"]
        assert sweep(start) == 0
    (_, runs, _) = runs_of("sqlite:///sweep.db", "mine")
    capsys.readouterr()
    for kinds in ([], ["--only", "weights"]):
        for how in ("--dry-run", "--yes"):
            assert sweep(["clean", "mine", "t000[01]$", *kinds, how]) == 0
            assert "others wrote the files of 2 runs, which were left" in "".join(capsys.readouterr())
    for how in ("--dry-run", "--yes"):
        assert sweep(["rm", "mine", "0", how]) == 0
        assert "others wrote the files of 1 run, which were left" in "".join(capsys.readouterr())
    if goes_on:
        assert Path(runs[2].directory).is_dir()
        assert sweep(["rm", "mine", "2", "--yes"]) == 0
        assert "others wrote" not in "".join(capsys.readouterr())
        assert not Path(runs[2].directory).exists()
    assert sweep(["rm", "mine", "--logdir", ".", "--yes"]) == 0
    assert "others wrote" in "".join(capsys.readouterr())
    assert contents(others).items() >= before.items()


def test_a_folder_that_an_imported_study_would_have_had_is_not_its_own(source, tmp_path):
    (tmp_path / "runs" / "plain").mkdir(parents=True)
    (tmp_path / "runs" / "plain" / "notes.txt").write_text("theirs")
    assert sweep(["import", source, "plain"]) == 0
    assert sweep(["rm", "plain", "--yes"]) == 0
    assert contents(tmp_path / "runs" / "plain") == {Path("notes.txt"): b"theirs"}


def test_no_command_is_said_to_train_what_was_removed_from_a_study_without_a_file(source, capsys):
    assert sweep(["import", source, "plain"]) == 0
    capsys.readouterr()
    assert sweep(["rm", "plain", "0", "--yes"]) == 0
    assert capsys.readouterr().err.strip() == "1 run of plain is removed"


def test_where_only_optuna_has_studies_the_command_that_takes_one_over_is_said(source, capsys):
    make_study(source, "another")
    assert sweep(["studies", "--storage", source]) == 2
    line = refusal_of(capsys.readouterr().err).partition("take over one of Optuna's: sweep ")[2]
    assert sweep([*shlex.split(line), "--yes"]) == 0
    assert sweep(["rm", "another", "--storage", source, "--yes"]) == 0
    make_study(source, "another")
    capsys.readouterr()
    assert sweep(["studies", "--storage", source]) == 0
    said = capsys.readouterr().err
    assert "no studies yet, but 2 studies of Optuna's, another, plain" in said
    line = said.partition("with `sweep ")[2].partition("`")[0]
    assert sweep([*shlex.split(line), "--yes"]) == 0
    assert sweep(["studies", "--storage", source, "--json"]) == 0


def test_event_files_that_the_import_wrote_are_removed_with_their_runs(source, tmp_path):
    assert sweep(["import", source, "plain", "--events"]) == 0
    _, runs, _ = runs_of("sqlite:///sweep.db", "plain")
    assert sweep(["rm", "plain", "0", "--yes"]) == 0
    assert not Path(runs[0].directory).exists()
    assert sweep(["clean", "plain", ".", "--yes"]) == 0
    assert list(Path(runs[1].directory).iterdir()) == []
