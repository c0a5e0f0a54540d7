"""A preview: what a study will look like, with nothing trained and nothing written."""

import textwrap

import pytest

from sweep.control.preview import fitting, preview, preview_here
from sweep.errors import RunNameError, StudyError, SweepError
from sweep.study_file import load

HEAD = """
    import keras, numpy as np, optuna, sweep
    X = np.ones((8, 3), "float32")
    Y = np.ones((8, 1), "float32")

    def network(width=4, name="net"):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width), keras.layers.Dense(1)], name=name)
        model.compile("adam", "mse")
        return model
"""
TAIL = """
    study = sweep.Study(train, objective="val_loss", direction="minimize")
"""


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    """Writes a study file of a `train` function, in a working directory of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def write(train, head=HEAD, tail=TAIL):
        file = tmp_path / "study.py"
        file.write_text(textwrap.dedent(head) + textwrap.dedent(train) + textwrap.dedent(tail))
        return file

    yield write
    assert not list((tmp_path / "work").iterdir()), "a preview wrote something"


BRANCHES = """
    def train(trial):
        if trial.suggest_categorical("family", ["mlp", "dnn"]) == "dnn":
            model = network(trial.suggest_int("width", 2, 9), "dnn")
        else:
            trial.suggest_float("dropout", 0.0, 0.5)
            model = network(name="mlp")
        value = sweep.fit(trial, model, X, Y, validation_data=(X, Y), compiled=COMPILED)
        open("trained", "w").close()
"""


def here(file, **given):
    """A preview in this process, which has loaded TensorFlow already; `preview` starts a process for each."""
    return preview_here(load(file), **given)


@pytest.mark.parametrize(
    ("seen_by", "compiled"),
    [(lambda file: preview(str(file)), "'auto'"), (here, "False")],
    ids=["in a process of its own", "here"],
)
def test_examples_of_every_branch_are_named_as_their_runs_will_be(study_file, seen_by, compiled):
    seen = seen_by(study_file(BRANCHES.replace("COMPILED", compiled)))
    assert {run.family for run in seen.runs} == {"mlp", "dnn"}
    dnn = next(run for run in seen.runs if run.family == "dnn")
    assert dnn.name == f"dnn-{dnn.params['width']}-width={dnn.params['width']}-t{dnn.number:04d}"
    assert seen.keys == {"family": "", "width": "width", "dropout": "drop"}
    assert {name: seen.domain(name) for name in seen.space} == {
        "family": "mlp, dnn",
        "width": "[2, 9]",
        "dropout": "[0.0, 0.5]",
    }
    assert seen.warnings() == []


def test_an_objective_that_trains_by_keras_alone_trains_nothing(study_file):
    file = study_file("""
    def train(trial):
        model = network(trial.suggest_int("width", 2, 9))
        model.fit(X, Y)
        open("trained", "w").close()
    """)
    runs = here(file, examples=2).runs
    assert [run.name for run in runs] == [f"study-width={run.params['width']}-t{run.number:04d}" for run in runs]
    assert len(runs) == 2


def test_keras_that_only_the_objective_imports_trains_nothing_either(study_file):
    head = "import sweep\n"
    file = study_file(
        """
    def train(trial):
        import keras, numpy as np
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(trial.suggest_int("width", 2, 9))])
        model.compile("adam", "mse")
        model.fit(np.ones((8, 3)), np.ones((8, 1)))
        open("trained", "w").close()
    """,
        head=head,
    )
    assert len(preview(str(file), examples=2).runs) == 2


def test_an_objective_that_reports_stops_at_its_first_report(study_file):
    file = study_file(
        """
    def train(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        try:
            trial.report(x, 0)
        except Exception:
            pass
        open("trained", "w").close()
    """,
        head="import sweep\n",
    )
    assert len(preview(str(file), examples=3).runs) == 3


def test_an_unknown_objective_is_refused_with_the_metrics_there_are(study_file):
    file = study_file(BRANCHES.replace("COMPILED", "'auto'"), tail=TAIL.replace("val_loss", "val_acc"))
    with pytest.raises(SweepError, match=r"reports the objective 'val_acc'\. Each epoch reports loss, val_loss"):
        here(file)


def test_a_preview_in_this_process_leaves_keras_as_it_was(study_file):
    import keras

    before = keras.Model.fit
    seen = preview_here(load(study_file(BRANCHES.replace("COMPILED", "'auto'"))), examples=4)
    assert len(seen.runs) == 4
    assert keras.Model.fit is before


PLAIN = """
    def train(trial):
        if trial.suggest_categorical("kind", ["a", "b"]) == "a":
            return trial.suggest_float("x", 0.0, 1.0)
        return float(trial.suggest_int("n", 1, 4))
"""


def test_parameters_are_checked_against_the_domains_they_have(study_file):
    seen = preview(str(study_file(PLAIN, head="import sweep\n")))
    assert seen.params({"kind": "a", "x": 1}) == {"kind": "a", "x": 1.0}
    with pytest.raises(StudyError, match=r"no parameter 'kinds'. Did you mean kind"):
        seen.params({"kinds": "a"})
    with pytest.raises(StudyError, match=r"n cannot be 7\. It must be one of \[1, 4\]"):
        seen.params({"n": 7})
    assert seen.params_of("study-kind=b-n=3-t0004") == {"kind": "b", "n": 3}
    with pytest.raises(RunNameError):
        seen.params_of("nothing")
    assert fitting(seen, [{"kind": "a", "other": 1}, {"kind": "c"}]) == [{"kind": "a"}]
