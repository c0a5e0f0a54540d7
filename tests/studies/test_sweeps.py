"""Each study, started as a user starts it, with few trials and epochs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from tests.databases import optunas_own
from tests.studies.test_wine import write_table

STUDIES = Path(__file__).parents[2] / "studies"


def sweep(folder: Path, *arguments: object) -> str:
    """What a `sweep` command prints that is run in a folder."""
    surroundings = os.environ | {"PYTHONPATH": str(STUDIES.parent), "SWEEP_WINE_CSV": str(folder / "white.csv")}
    for name in ("SWEEP_STORAGE", "SWEEP_LOGDIR"):
        surroundings.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *map(str, arguments)],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "families", "metric"),
    [
        ("diabetes", {"mlp", "dnn"}, "val_loss"),
        ("wine", {"mlp", "dnn", "dnn_broke"}, "val_loss"),
        ("digits", {"cnn", "mlp"}, "val_accuracy"),
        ("optuna_plain", {"optuna_plain"}, "accuracy"),
    ],
)
def test_a_study_runs_and_is_listed_with_its_families_and_its_objective(tmp_path, study, families, metric):
    write_table(tmp_path / "white.csv", 200)
    sweep(tmp_path, "start", STUDIES / f"{study}.py", "--trials", 4, "--epochs", 2, "--workers", 1, "--pruner", "nop")
    runs = json.loads(sweep(tmp_path, "runs", study, "--json"))
    assert [run["number"] for run in runs] == [0, 1, 2, 3]
    broken = [run for run in runs if run["family"] == "dnn_broke"]
    assert {run["state"] for run in runs if run not in broken} == {"COMPLETE"}
    assert all(run["state"] == "PRUNED" and run["reason"].startswith("symmetric-neurons") for run in broken)
    assert {run["family"] for run in runs} <= families
    assert all(metric in run["metrics"] for run in runs)
    assert all((tmp_path / run["directory"]).is_dir() for run in runs)
    (best,) = json.loads(sweep(tmp_path, "best", study, "-n", 1, "--json"))
    with optunas_own(f"sqlite:///{tmp_path}/sweep.db") as storage:
        theirs = optuna.load_study(study_name=study, storage=storage).best_trial
    assert (best["number"], best["value"]) == (theirs.number, theirs.value)
    if study == "wine":
        assert [run["family"] for run in runs[:3]] == ["mlp", "dnn", "dnn_broke"]
