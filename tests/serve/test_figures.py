"""Optuna's figures as JSON for Plotly, out of Optuna's own tables."""

import dataclasses
import json

import pytest

from sweep.serve import figures as module
from sweep.serve.figures import KINDS, Figures
from sweep.view.snapshots import Snapshots
from tests.serve.optuna_study import add_optuna_study
from tests.store_builder import add_study, build_store, run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    built = build_store(tmp_path_factory.mktemp("figures"))
    add_optuna_study(built, 8)
    add_optuna_study(built, 1, "one")
    add_study(built, "ours", [run(0, 0.5), run(1, 0.4)])
    add_study(built, "several", [run(0, 0.5)], objective=["a", "b"], direction=["minimize", "minimize"])
    yield built
    built.close()


def figure(store, study, kind):
    return json.loads(Figures(store).of(Snapshots(store).of(store.study(study)), kind, running=False))


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_has_data_and_a_layout_and_no_colours_of_its_own(store, kind):
    given = figure(store, "both", kind)
    assert given["data"]
    assert not given["layout"].get("template")


def test_the_history_has_each_complete_trial(store):
    drawn = figure(store, "both", "history")["data"][0]
    assert len(drawn["x"] if isinstance(drawn["x"], list) else list(range(8))) == 8


@pytest.mark.parametrize(
    ("study", "kind", "said"),
    [
        ("one", "importances", "as soon as 2 runs are complete"),
        ("ours", "history", "Optuna's tables do not have this study"),
        ("several", "history", "one objective"),
    ],
)
def test_where_there_is_no_figure_it_is_said_why(store, study, kind, said):
    assert said in figure(store, study, kind)["message"]


def test_a_figure_of_many_trials_is_made_of_the_best_and_the_newest(store, monkeypatch):
    monkeypatch.setattr(module, "MOST_TRIALS", 4)
    study = module._load(store, store.study("both"))
    values = [trial.value for trial in study.trials]
    kept = [trial.value for trial in module._reduced(study).trials]
    assert set(kept) == set(sorted(values)[:2]) | set(values[-2:])


def test_a_figure_is_made_once_until_a_run_ends(store, monkeypatch):
    made = []
    monkeypatch.setattr(Figures, "_make", lambda self, snapshot, kind: made.append(kind) or "{}")
    figures, snapshot = Figures(store), Snapshots(store).of(store.study("both"))
    for _ in range(3):
        figures.of(snapshot, "history", running=True)
    assert made == ["history"]


def test_while_a_study_runs_its_figure_may_be_some_seconds_old_and_after_its_end_not(store, monkeypatch):
    made = []
    monkeypatch.setattr(Figures, "_make", lambda self, snapshot, kind: made.append(kind) or "{}")
    figures, snapshot = Figures(store), Snapshots(store).of(store.study("both"))
    figures.of(snapshot, "history", running=True)
    snapshot = dataclasses.replace(snapshot, counts={"COMPLETE": 9})
    figures.of(snapshot, "history", running=True)
    assert len(made) == 1
    figures.of(snapshot, "history", running=False)
    assert len(made) == 2
