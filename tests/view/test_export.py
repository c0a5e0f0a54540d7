"""What others read: JSON objects and exports."""

import csv
import io
import json
import math
from datetime import datetime

import optuna
import pytest

from sweep.core.pruners import Verdict
from sweep.finding import Finding, Picture
from sweep.names import parse_value
from sweep.store import Store
from sweep.view.export import write_study
from sweep.view.runs import run_object
from tests.databases import optunas_own
from tests.serve.asking import Client
from tests.store_builder import TRACEBACK, add_epochs, add_example, add_study, build_store, run

KEYS = [
    *("study", "number", "name", "family", "architecture", "params", "state", "epoch"),
    *("epochs_planned", "value", "values"),
    *("last", "best", "best_epoch_index", "feasible", "constraints"),
    *("mean", "sd", "n", "repeats", "metrics"),
    *("started", "duration", "reason", "verdict", "findings", "directory", "trainings"),
]


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def exported(store, study, form):
    file = io.StringIO()
    write_study(store, study, form, file)
    return file.getvalue()


def test_a_run_has_exactly_the_keys_that_are_promised(store):
    study = add_study(store, runs=[run(0, 0.5)])
    assert list(run_object(study, store.runs(study.study_id)[0], {})) == KEYS


def test_nan_and_infinity_are_null(store):
    study = add_study(store, runs=[run(0, math.nan, params={"lr": math.inf, "bs": 32})])
    made = run_object(study, store.runs(study.study_id)[0], {"loss": math.nan, "mae": 0.5})
    assert (made["last"], made["params"], made["metrics"]) == (
        None,
        {"lr": None, "bs": 32},
        {"loss": None, "mae": 0.5},
    )
    json.dumps(made, allow_nan=False)


def test_a_run_says_what_train_returned_beside_its_best_and_last_epoch(store):
    runs = [
        run(0, 0.5, last=0.6, values=[2.5], constraints={"size": 1.5, "time": -math.inf}),
        run(1, 0.4, values=[-math.inf]),
        run(2, 0.3, state="PRUNED"),
    ]
    study = add_study(store, runs=runs)
    first, second, third = json.loads(exported(store, study, "json"))
    assert (first["value"], first["values"], first["best"], first["last"]) == (2.5, {"val_loss": 2.5}, 0.5, 0.6)
    assert (first["feasible"], first["constraints"]) == (False, {"size": 1.5, "time": None})
    assert (second["value"], second["feasible"], second["constraints"]) == (None, None, {})
    assert (third["value"], third["values"], third["best"]) == (None, None, 0.3)
    lines = list(csv.DictReader(io.StringIO(exported(store, study, "csv"))))
    assert [line["value"] for line in lines] == ["2.5", "-inf", ""]
    assert [line["feasible"] for line in lines] == ["false", "", ""]
    assert [(line["constraint.size"], line["constraint.time"]) for line in lines] == [
        ("1.5", "-inf"),
        ("", ""),
        ("", ""),
    ]


def test_a_verdict_is_written_in_numbers_and_as_text(store):
    details = {"percentile": 50.0, "best_epoch_index": 2}
    verdict = Verdict("median", "val_loss", 0.5, 3, -math.inf, 8, details)
    runs = [run(0, 0.5, state="PRUNED", verdict=verdict), run(1, 0.4, state="PRUNED", reason="by hand")]
    study = add_study(store, runs=runs)
    first, second = json.loads(exported(store, study, "json"))
    assert (
        first["reason"] == "median: the best val_loss, 0.500 at epoch 3, is above -inf, the median of 8 runs at epoch 4"
    )
    shared = {"rule": "median", "objective": "val_loss", "value": 0.5, "epoch_index": 3, "rivals": 8}
    assert first["verdict"] == {**shared, "threshold": None, "details": details}
    assert (second["reason"], second["verdict"]) == ("by hand", None)
    lines = list(csv.DictReader(io.StringIO(exported(store, study, "csv"))))
    columns = ("rule", "value", "epoch_index", "threshold", "rivals")
    assert [lines[0][f"verdict.{name}"] for name in columns] == ["median", "0.5", "3", "-inf", "8"]
    assert [lines[1][f"verdict.{name}"] for name in columns] == [""] * 5
    assert [line["reason"] for line in lines] == [first["reason"], "by hand"]


def test_the_values_of_several_objectives_are_written_by_name(store):
    objectives = {"objective": ["loss", "size"], "direction": ["minimize", "maximize"]}
    study = add_study(store, runs=[run(0, values=[0.5, 33.0]), run(1, state="FAIL")], **objectives)
    first, second = json.loads(exported(store, study, "json"))
    assert (first["value"], first["values"], second["values"]) == (0.5, {"loss": 0.5, "size": 33.0}, None)
    lines = list(csv.DictReader(io.StringIO(exported(store, study, "csv"))))
    assert [(line["value.loss"], line["value.size"]) for line in lines] == [("0.5", "33.0"), ("", "")]


def test_json_holds_every_trial_with_its_values_by_epoch(store):
    study = add_study(store, runs=[run(0, 0.25, epoch=2), run(1, None, state="FAIL", epoch=0, traceback=TRACEBACK)])
    add_epochs(store, study, 0, [{"loss": 0.5, "val_loss": 0.75}, {"loss": math.nan, "val_loss": 0.25}])
    first, second = json.loads(exported(store, study, "json"))
    assert first["epochs"] == [
        {"epoch_index": 0, "loss": 0.5, "val_loss": 0.75},
        {"epoch_index": 1, "loss": None, "val_loss": 0.25},
    ]
    assert first["metrics"] == {"loss": None, "val_loss": 0.25}
    assert (second["epochs"], second["state"], second["traceback"]) == ([], "FAIL", TRACEBACK)


def test_json_lines_hold_the_same_objects_as_json(store):
    study = add_example(store, count=12)
    lines = exported(store, study, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(exported(store, study, "json"))


@pytest.mark.parametrize(("form", "expected"), [("json", []), ("jsonl", None), ("csv", None)])
def test_a_study_without_runs_is_exported_empty(store, form, expected):
    text = exported(store, add_study(store), form)
    assert json.loads(text) == expected if form == "json" else len(text.splitlines()) == (form == "csv")


def test_csv_holds_a_line_for_each_epoch_of_each_trial(store):
    study = add_example(store, count=12)
    rows = list(csv.DictReader(io.StringIO(exported(store, study, "csv"))))
    for made in store.runs(study.study_id):
        mine = [row for row in rows if row["number"] == str(made.number)]
        epochs = store.metrics(study.study_id, [made.number]).get(made.number, {})
        assert len(mine) == max(1, len(epochs))
        assert [float(row["metric.val_loss"]) for row in mine if row["epoch_index"]] == [
            epochs[epoch]["val_loss"] for epoch in sorted(epochs)
        ]


def test_csv_holds_the_exact_parameters(store):
    params = {
        "lr": 0.1 + 0.2,
        "tiny": 5e-324,
        "bs": 32,
        "aug": True,
        "opt": None,
        "base": "bert, uncased",
        "odd": "a b",
    }
    study = add_study(store, runs=[run(0, params=params, epoch=0), run(1, params={"lr": 1.0}, epoch=0)])
    first, second = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    read = {name: parse_value(first[f"param.{name}"]) for name in ("lr", "tiny", "bs", "aug", "opt")}
    assert read == {name: params[name] for name in read}
    assert (first["param.base"], first["param.odd"]) == ("bert, uncased", "a b")
    assert (second["param.lr"], second["param.base"]) == ("1.0", "")


def test_csv_has_nan_and_infinity(store):
    study = add_study(store, runs=[run(0, math.nan, epoch=1)])
    add_epochs(store, study, 0, [{"loss": math.inf, "val_loss": math.nan}])
    (row,) = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    assert (row["last"], row["best"], row["metric.loss"], row["metric.val_loss"]) == ("nan", "", "inf", "nan")


def test_a_metric_that_only_early_epochs_have_has_its_column(store):
    study = add_study(store, runs=[run(0, epoch=2)])
    add_epochs(store, study, 0, [{"loss": 0.5, "warmup": 1.0}, {"loss": 0.25}])
    first, second = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    assert (first["metric.warmup"], second["metric.warmup"]) == ("1.0", "")


def test_findings_are_objects_in_json_and_kinds_in_csv(store):
    picture = Picture("weights", [[0.5]], [[1.0]])
    findings = [
        Finding("dead-relu", "all", "do", layer="dense", severe=True, picture=picture),
        Finding("data-leak", "", ""),
    ]
    study = add_study(store, runs=[run(0, 0.5, findings=findings)])
    (found,) = json.loads(exported(store, study, "json"))
    dead = {"kind": "dead-relu", "evidence": "all", "remedy": "do", "layer": "dense", "severe": True}
    assert found["findings"][0] == {**dead, "confidence": "certain", "since_epoch_index": 0}
    (line,) = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    assert line["findings"] == "dead-relu data-leak"


@pytest.fixture
def noted(storage_url):
    """A study of two objectives with a constraint, whose first trial has user attributes and whose second one runs."""
    store = Store(storage_url)
    runs = [
        run(0, 0.5, values=[0.5, 12.0], constraints={"size": -1.0}, started=1.7e9),
        run(1, state="RUNNING", started=None, values=None),
    ]
    both = {"objective": ["loss", "time"], "direction": ["minimize", "minimize"]}
    study = add_study(store, runs=runs, **both)
    with optunas_own(storage_url) as storage:
        made = optuna.create_study(study_name=study.name, storage=storage, directions=both["direction"])
        trial = optuna.create_trial(values=[0.5, 12.0], user_attrs={"note": "=1+1", "shape": [1, math.inf], "run": "x"})
        trial.datetime_start = datetime.fromtimestamp(1.7e9)  # Optuna has local times without a zone
        trial.datetime_complete = datetime.fromtimestamp(1.7e9 + 60.125)
        made.add_trial(trial)
        made.ask()
        assert made._study_id == study.study_id
    yield store, store.study(study.name)
    store.close()


def test_times_are_iso_8601_with_a_zone_and_user_attributes_are_written(noted):
    store, study = noted
    first, second = json.loads(exported(store, study, "json"))
    assert (first["started"], first["ended"]) == ("2023-11-14T22:13:20.000+00:00", "2023-11-14T22:14:20.125+00:00")
    assert first["user_attributes"] == {"note": "=1+1", "shape": [1, None]}
    assert (first["values"], first["constraints"]) == ({"loss": 0.5, "time": 12.0}, {"size": -1.0})
    assert (second["started"], second["ended"], second["user_attributes"]) == (None, None, {})
    one, two = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    assert (one["started"], one["ended"]) == ("2023-11-14T22:13:20.000+00:00", "2023-11-14T22:14:20.125+00:00")
    assert (one["value.loss"], one["value.time"], one["constraint.size"]) == ("0.5", "12.0", "-1.0")
    assert one["attribute.note"].endswith("=1+1")
    assert one["attribute.shape"] == "[1, Infinity]"
    assert "attribute.run" not in one
    assert (two["started"], two["ended"], two["attribute.note"]) == ("", "", "")


def test_a_service_gives_what_optunas_tables_have_of_each_trial(noted, tmp_path):
    store, study = noted
    client = Client(store, tmp_path)
    rows = client.get(f"/api/records/studies/{study.name}/notes").json()
    assert [row[:2] for row in rows] == [[0, 1.7e9 + 60.125], [1, None]]
    assert json.loads(rows[0][2]) == {"note": "=1+1", "shape": [1, math.inf]}
    client.close()


def test_a_text_that_would_be_a_formula_is_none_in_csv_and_numbers_stay_numbers(store):
    params = {
        "=1+1": "=cmd|' /C calc'!A0",
        "b": "+1-1",
        "c": -0.5,
        "d": "-inf",
        "e": "@SUM(1)",
        "f": "\t=1",
        "g": "a=1",
    }
    study = add_study(store, runs=[run(0, -0.25, params=params, reason="-=+")])
    (row,) = csv.DictReader(io.StringIO(exported(store, study, "csv")))
    assert row["param.=1+1"] == "'=cmd|' /C calc'!A0"
    shown = [row[f"param.{name}"] for name in "bcdefg"]
    assert shown == ["'+1-1", "-0.5", "-inf", "'@SUM(1)", "'\t=1", "a=1"]
    assert (float(row["last"]), row["reason"]) == (-0.25, "'-=+")
