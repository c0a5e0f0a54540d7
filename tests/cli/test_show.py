"""`sweep show`."""

import json

import pytest

from sweep.cli import run as sweep
from sweep.core.pruners import Verdict
from sweep.finding import Finding
from tests.refusals import refusal_of
from tests.store_builder import TRACEBACK, add_epochs, add_example, add_study, run


def show(capsys, *arguments, status=0):
    assert sweep(["show", *arguments]) == status
    return capsys.readouterr()


def test_a_run_is_shown_whole(store, capsys, tmp_path):
    params = {"learning_rate": 0.1 + 0.2, "batch_size": 32, "dropout": 0.5}
    runs = [
        run(0, 0.25),
        run(
            1,
            0.5,
            params=params,
            state="PRUNED",
            verdict=Verdict("threshold", "val_loss", 0.5, 2, 0.3),
            epoch=3,
            best_epoch=1,
            attempt=1,
            interruptions=["after 2 epochs: its worker was killed"],
        ),
    ]
    study = add_study(store, runs=runs, file=str(tmp_path / "diabetes.py"))
    add_epochs(
        store,
        study,
        1,
        [{"loss": 2.0, "val_loss": 1.5}, {"loss": 1.0, "val_loss": 0.5}, {"loss": 0.9, "val_loss": 0.7}],
    )
    lines = [" ".join(line.split()) for line in show(capsys, "1").out.splitlines()]
    for line in [
        "dnn-lr=0.30000000000000004-bs=32-drop=0.5-t0001",
        "diabetes, run 1: PRUNED after 3 of 60 epochs in 11s",
        "best run t0000 with value 0.25",
        "val_loss best 0.5 at epoch 2, last 0.5",
        "reason threshold: val_loss 0.500 at epoch 3 is above the upper bound 0.3",
        "learning_rate lr 0.30000000000000004 0.001",
        "batch_size bs 32 the same",
        "dropout drop 0.5 (not there)",
        "loss █▁▁ 2 0.9 2 0.9",
        "2 1.000 0.5000 best",
        "attempts 1, after 2 epochs: its worker was killed",
        "2, which came to its end",
        "seed 1001",
        "directory /somewhere/runs/diabetes/dnn-lr=0.30000000000000004-bs=32-drop=0.5-t0001",
        "TensorBoard sweep tensorboard diabetes '-t0001$'",
        "again sweep start diabetes.py --enqueue dnn-lr=0.30000000000000004-bs=32-drop=0.5-t0001",
    ]:
        assert line in lines


@pytest.mark.parametrize("arguments", [["17"], ["t0017"], ["diabetes", "17"], ["diabetes", "dnn-lr=0.018-bs=32-t0017"]])
def test_a_run_is_called_by_number_or_name_with_its_study_or_without(store, capsys, arguments):
    add_study(store, runs=[run(17)])
    said = show(capsys, *arguments)
    assert said.out.startswith("dnn-lr=0.018-bs=32-t0017\n")
    assert said.err == ("" if len(arguments) == 2 else "study diabetes\n")


def test_a_failed_run_is_shown_with_its_traceback(store, capsys):
    add_study(store, runs=[run(0, None, state="FAIL", traceback=TRACEBACK, reason="ValueError: no", epoch=0)])
    assert show(capsys, "0").out.endswith(f"{TRACEBACK}\n")


def test_a_run_that_has_no_name_yet_is_shown(store, capsys):
    add_study(store, runs=[run(0, None, name=None, params={}, state="RUNNING", epoch=0, duration=None, directory=None)])
    assert "its name is fixed when training begins" in show(capsys, "0").out


@pytest.mark.parametrize("share", [1.0, None])
def test_a_run_that_the_pruner_leaves_alone_is_said_to_be_it(store, capsys, share):
    add_study(store, runs=[run(0)], unpruned=share)
    assert sweep(["show", "0"]) == 0
    assert ("drawn by --unpruned" in capsys.readouterr().out) == (share is not None)


def test_the_best_run_is_said_to_be_it(store, capsys):
    add_study(store, runs=[run(0, 0.25), run(1, 0.5)])
    assert "the best run of its study" in show(capsys, "0").out


def test_a_run_is_shown_as_json_with_its_epochs(store, capsys):
    study = add_example(store, count=4)
    shown = json.loads(show(capsys, "1", "--json").out)
    assert shown["number"] == 1
    assert len(shown["epochs"]) == store.runs(study.study_id)[1].epoch


def test_an_unknown_run_is_refused_in_one_line(store, capsys):
    add_study(store, runs=[run(0)])
    said = show(capsys, "99", status=2)
    assert said.out == ""
    assert refusal_of(said.err) == "sweep: No run 99 in study diabetes (t0000 to t0000)."


def test_every_finding_is_shown_with_its_evidence_and_remedy(store, capsys):
    findings = [
        Finding("dead-relu", "all 4 units are zero", "lower the rate", since=2),
        Finding("data-leak", "9% of rows", "split"),
    ]
    add_study(store, runs=[run(0, 0.5, findings=findings)])
    lines = [" ".join(line.split()) for line in show(capsys, "0").out.splitlines()]
    assert "finding dead-relu since epoch 3: all 4 units are zero; lower the rate" in lines
    assert "data-leak since epoch 1: 9% of rows; split" in lines


def test_a_run_that_was_revived_names_the_one_that_goes_on_and_that_one_names_it(store, capsys):
    add_study(store, runs=[run(0, 0.5, state="PRUNED"), run(1, 0.25, revives=0)])
    assert "by t0001, from its checkpoint" in " ".join(show(capsys, "0").out.split())
    assert "revives t0000, from its checkpoint" in " ".join(show(capsys, "1").out.split())
    assert json.loads(show(capsys, "1", "--json").out)["revives"] == 0
