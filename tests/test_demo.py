"""The whole line: `sweep start` on real studies, and every run read back through TensorBoard's own HTTP API."""

import fcntl
import html
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.names import Value, format_value
from tests.tensorboard_server import Server, tensorboard

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DEMO = [str(ROOT / "studies" / "diabetes.py"), "--trials", "8", "--epochs", "6"]
STARTS = {"diabetes": DEMO, "ends": [str(ROOT / "tests" / "data_studies" / "ends.py")]}
SECONDS = 300

STATUS = {"COMPLETE": "STATUS_SUCCESS", "PRUNED": "STATUS_FAILURE", "FAIL": "STATUS_FAILURE"}


@dataclass
class Swept:
    """A finished study: its folder, its trials as `sweep export` writes them, and a TensorBoard on its runs."""

    name: str
    folder: Path
    trials: list[dict[str, Any]]
    server: Server

    def ended(self, end: str) -> dict[str, Any]:
        """The trial of the study `ends` that was made to end so."""
        (trial,) = [trial for trial in self.trials if trial["params"]["end"] == end and trial["number"] > 2]
        return trial


def sweep(folder: Path, *arguments: str) -> str:
    """What a command prints, run in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
    command = [sys.executable, "-m", "sweep", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory):
    """The folder of a study that has been swept, once for all the processes that share the tests."""
    together = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        together = together.parent

    def swept(name):
        folder = together / f"swept-{name}"
        with open(together / f"swept-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "finished").exists():
                folder.mkdir()
                sweep(folder, "start", *STARTS[name])
                (folder / "finished").touch()
        return folder

    return swept


@pytest.fixture(scope="module", params=STARTS)
def swept(request, folder_of):
    folder = folder_of(request.param)
    trials = json.loads(sweep(folder, "export", request.param, "--format", "json"))
    with tensorboard(folder / "runs" / request.param) as server:
        server.wait_for(
            server.session_groups, lambda groups: len(groups) == len(trials) and all(map(has_ended, groups.values()))
        )
        yield Swept(request.param, folder, trials, server)


def has_ended(group: dict[str, Any]) -> bool:
    """Whether TensorBoard has loaded a run to its end."""
    return group["sessions"][0]["status"] != "STATUS_UNKNOWN"


def columns(trial: dict[str, Any]) -> dict[str, Any]:
    """A trial's parameters as TensorBoard is to show them: a choice of several kinds of value is text."""
    mixed = {"batch_size"} if trial["study"] == "ends" else set()
    return {name: as_text(value) if name in mixed else value for name, value in trial["params"].items()}


def as_text(value: Value) -> str:
    return value if isinstance(value, str) else format_value(value)


def test_every_trial_is_a_run_by_its_name(swept):
    assert len(swept.trials) == 8
    assert sorted(swept.server.runs()) == sorted(trial["name"] for trial in swept.trials)


@pytest.mark.parametrize("swept", ["ends"], indirect=True)
def test_runs_were_pruned_and_failed_in_every_way(swept):
    states = [trial["state"] for trial in swept.trials]
    assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "PRUNED", "FAIL", "FAIL", "COMPLETE"]
    assert [trial["epoch"] for trial in swept.trials] == [4, 4, 4, 1, 1, 1, 1, 4]
    assert {trial["family"] for trial in swept.trials} == {"mlp", "dnn", "net"}
    assert swept.ended("prune")["reason"].startswith("threshold: val_loss ")
    assert swept.ended("diverge")["reason"] == "val_loss is NaN at epoch 1"
    assert swept.ended("raise")["reason"] == "ValueError: no <more> *epochs*"
    assert swept.ended("crash")["reason"] == "its worker died by SIGSEGV"
    assert (swept.ended("kill")["attempt"], swept.ended("kill")["reason"]) == (1, None)


def test_every_metric_of_every_epoch_is_the_stores(swept):
    """But for a learning rate that stays what its hyperparameter says, which has no scalar."""
    for trial in swept.trials:
        assert [epoch["epoch_index"] for epoch in trial["epochs"]] == list(range(trial["epoch"]))
        for metric in {name for epoch in trial["epochs"] for name in epoch} - {"epoch_index", "learning_rate"}:
            shown = swept.server.wait_for(lambda: swept.server.scalars(trial["name"], metric), bool)  # noqa: B023
            kept = [(epoch["epoch_index"], epoch[metric]) for epoch in trial["epochs"]]
            as_float32 = [(step, math.nan if value is None else float(np.float32(value))) for step, value in kept]
            np.testing.assert_array_equal(shown, as_float32, err_msg=f"{metric} of {trial['name']}")


def test_the_best_value_is_beside_the_last(swept):
    for trial in swept.trials:
        expected = [] if trial["best"] is None else [(trial["epoch"] - 1, float(np.float32(trial["best"])))]
        tags = swept.server.scalar_tags()[trial["name"]]
        assert (swept.server.scalars(trial["name"], "best/val_loss") if "best/val_loss" in tags else []) == expected


def test_every_weight_has_a_histogram_in_every_epoch(swept):
    tags = swept.server.histogram_tags()
    for trial in swept.trials:
        weights = [tag for tag in tags[trial["name"]] if not tag.startswith("gradients/")]
        layers = 1 + trial["params"].get("depth", 1)
        assert len(weights) == 2 * layers, trial["name"]
        for tag in weights:
            histograms = swept.server.histograms(trial["name"], tag)
            assert list(histograms) == list(range(trial["epoch"]))
            units = {sum(count for _, _, count in table) for table in histograms.values()}
            assert len(units) == 1, f"{tag} of {trial['name']}"


def test_gradients_have_histograms_where_they_were_asked_for(swept):
    tags = swept.server.histogram_tags()
    for trial in swept.trials:
        gradients = {tag.removeprefix("gradients/") for tag in tags[trial["name"]] if tag.startswith("gradients/")}
        weights = {tag for tag in tags[trial["name"]] if not tag.startswith("gradients/")}
        assert gradients == (weights if swept.name == "ends" else set())


def test_every_run_has_its_graph(swept):
    graphs = swept.server.get("data/plugin/graphs/info")
    for trial in swept.trials:
        name = trial["name"]
        assert graphs[name]["run_graph"], name
        assert swept.server.graph(name).count("MatMul") >= 1 + trial["params"].get("depth", 1)
        if trial["family"] != "net":  # a subclassed model has no graph of layers
            layers = swept.server.graph(name, tag="keras", conceptual="true")
            assert layers.count('s: "Dense"') == 1 + trial["params"].get("depth", 1)


def test_every_run_is_a_session_group_with_its_parameters_their_types_and_its_status(swept):
    groups = swept.server.session_groups()
    assert sorted(groups) == sorted(trial["name"] for trial in swept.trials)
    for trial in swept.trials:
        expected = columns(trial)
        shown = groups[trial["name"]]["hparams"]
        assert shown == expected
        assert {name: isinstance(value, bool) for name, value in shown.items()} == {
            name: isinstance(value, bool) for name, value in expected.items()
        }
        (session,) = groups[trial["name"]]["sessions"]
        assert (session["name"], session["status"]) == (trial["name"], STATUS[trial["state"]])
        assert session["endTimeSecs"] >= session["startTimeSecs"]


def test_every_column_of_the_parameters_can_be_sorted(swept):
    types = {column["name"]: column["type"] for column in swept.server.experiment()["hparamInfos"]}
    assert set(types) == {name for trial in swept.trials for name in trial["params"]}
    assert "DATA_TYPE_UNSET" not in types.values()
    for name in types:
        ordered = swept.server.session_groups(colParams=[{"hparam": name, "order": "ORDER_ASC"}])
        assert len(ordered) == len(swept.trials)


def test_every_text_says_the_state_the_reason_and_every_parameter(swept):
    for trial in swept.trials:
        *_, text = swept.server.texts(trial["name"], "run").values()
        assert f"<strong>{trial['name']}</strong>" in text
        reason = html.escape(trial["reason"] or "", quote=False)
        assert f"<strong>{trial['state']}</strong>{f': {reason}' if reason else ''}</p>" in text
        for name, value in trial["params"].items():
            assert f"<td>{name}</td>\n<td>{as_text(value)}</td>" in text
