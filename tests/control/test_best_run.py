"""The best run is the same for us, for Optuna and for `--keep best:1`, whatever trials report, return and break."""

import math
import tempfile
from pathlib import Path

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.control.consistency import check_database
from sweep.quantities import sort_runs
from sweep.rundir import weights_file
from sweep.store import Store
from sweep.view.runs import best_run, rank
from tests.control.workers import a_house
from tests.databases import optunas_own


def test_a_constraint_is_with_the_run_as_soon_as_it_is_set_and_anew_when_the_trial_runs_again(tmp_path):
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        worker.begin()
        worker.attribute("constraint", "size", 2.0)
        worker.attribute("user", "note", "constraints:no")
        assert house.run(0).constraints == {"size": 2.0}
        worker.end("WAITING", None, "its worker was killed")
        worker.begin()
        assert house.run(0).constraints == {}
        worker.attribute("constraint", "size", -2.0)
        worker.end(value=1.0)
        assert (house.stored(0).constraints, house.stored(0).feasible) == ({"size": -2.0}, True)
    store = Store(f"sqlite:///{tmp_path}/sweep.db")
    assert check_database(store) == []
    store.close()


NUMBERS = st.one_of(st.integers(-2, 2).map(float), st.sampled_from([math.inf, -math.inf, math.nan]))
TRIALS = st.fixed_dictionaries(
    {
        "epochs": st.lists(NUMBERS, max_size=3),
        "end": st.sampled_from(["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL"]),
        "value": NUMBERS,  # as with a penalty or a mean of folds, nothing that an epoch reported
        "constraints": st.dictionaries(st.sampled_from(["size", "time"]), st.integers(-1, 1).map(float), max_size=2),
    }
)


def train(worker, trial):
    """One trial, whose run has weights."""
    directory = Path(worker.begin()["directory"])
    for name, bound in trial["constraints"].items():
        worker.attribute("constraint", name, bound)
    for epoch, loss in enumerate(trial["epochs"]):
        worker.epoch(epoch, loss)
    directory.mkdir(parents=True, exist_ok=True)
    weights_file(directory).write_bytes(b"")
    worker.end(trial["end"], trial["value"], None if trial["end"] == "COMPLETE" else f"reason {worker.number}")


@settings(max_examples=15, deadline=None)
@given(trials=st.lists(TRIALS, min_size=1, max_size=6), direction=st.sampled_from(["minimize", "maximize"]))
def test_ours_is_optunas_best_trial_and_its_weights_are_kept(trials, direction):
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/sweep.db"
        with a_house(Path(folder), direction=[direction], options={"keep": "best:1"}) as house:
            worker = house.worker("0")
            for trial in trials:
                train(worker, trial)
        with optunas_own(url) as storage:
            try:
                theirs = optuna.load_study(study_name="study", storage=storage).best_trial
            except ValueError:  # no trial is complete and feasible
                theirs = None
        store = Store(url)
        study = store.study("study")
        runs = store.runs(study.study_id)
        ours = best_run(study, runs)
        assert check_database(store) == []
        assert (ours and (ours.number, ours.value)) == (theirs and (theirs.number, theirs.value))
        ranked = rank(study, runs)
        by_value = sort_runs(study, runs, "value", lambda: store.last_metrics(study.study_id))
        assert by_value[: len(ranked)] == ranked
        kept = {run.number for run in runs if weights_file(Path(run.directory)).exists()}
        assert kept == ({ours.number} if ours else set())
        store.close()
