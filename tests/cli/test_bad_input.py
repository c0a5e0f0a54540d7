"""Bad input: one line on standard error, exit status 2, and nothing written."""

import os
import sqlite3

import pytest

from sweep.cli import run as sweep
from tests.control.started import Folder
from tests.refusals import refusal_of
from tests.store_builder import add_study, build_store, run

HEAD = "import sweep\nimport optuna\n\n"
TRAIN = "def train(trial):\n    x = trial.suggest_float('x', -1, 1)\n    return x\n\n"
STUDY = "study = sweep.Study(train, objective='loss', direction='minimize', trials=2, workers=1, pruner='nop')\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("SWEEP_STORAGE", "SWEEP_LOGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(HEAD + TRAIN + STUDY)
    return tmp_path


def everything(folder):
    """All files and folders below, the files with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def refusal(folder, capsys, *arguments: str) -> str:
    """What a command that is refused in this process prints, in one line."""
    before = everything(folder)
    assert sweep(list(arguments)) == 2
    said = refusal_of(capsys.readouterr().err)
    assert everything(folder) == before
    return said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.py"], "No such study file: none.py. The files there are syntax.py, tiny.py."),
        (["text.txt"], "text.txt is not a Python file. The name of a study file ends in .py."),
        (["syntax.py"], "The study file syntax.py is not valid Python: line 1"),
        (["tiny.py", "--trials", "0"], "--trials must be a whole number of at least 1, not 0."),
        (["tiny.py", "--trials", "-3"], "--trials must be a whole number of at least 1, not -3."),
        (["tiny.py", "--trials", "many"], "--trials must be a whole number of at least 1, not 'many'."),
        (["tiny.py", "--epochs", "0"], "--epochs must be a whole number of at least 1, not 0."),
        (["tiny.py", "--workers", "-1"], "--workers must be a whole number from 0"),
        (["tiny.py", "--timeout", "0"], "--timeout must be a time above 0"),
        (["tiny.py", "--timeout", "soon"], "not 'soon'."),
        (
            ["tiny.py", "--broken", "raport"],
            "must be prune, report or ignore, not 'raport'. Did you mean report?",
        ),
        (["tiny.py", "--seed", "-1"], "--seed must be a whole number from 0 to 4294967295, not -1."),
        (["tiny.py", "--sampler", "tpee"], "No such sampler: tpee. Did you mean tpe? The samplers are tpe, random"),
        (["tiny.py", "--pruner", "median(n_startup=5)"], "n_startup_trials"),
        (["tiny.py", "--name", "a/b"], "--name must be a name of up to 80 letters"),
        (["tiny.py", "--trails", "3"], "No such option: --trails"),
        ([], "Missing argument"),
        (["tiny.py", "--storage", "mysql://x/y"], "Studies are kept in SQLite or PostgreSQL, not in 'mysql'."),
        (["tiny.py", "--storage", "sqlite:///none/sweep.db"], "mkdir -p none"),
        (["tiny.py", "--storage", "sqlite:///text.txt"], "text.txt is not an SQLite database"),
        (["tiny.py", "--storage", "sqlite:///theirs.db"], "it has the table theirs"),
        (["tiny.py", "--storage", "sqlite:///folder"], "folder is a directory, not an SQLite database."),
        (["tiny.py", "--storage", "postgresql://127.0.0.1:1/x"], "Cannot use the database"),
        (["tiny.py", "--logdir", "text.txt"], "Cannot write to the log directory"),
        (["tiny.py", "--logdir", "text.txt/runs"], "Cannot write to the log directory"),
        (["tiny.py", "--logdir", "/proc/runs"], "Cannot write to the log directory"),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_any_worker(folder, capsys, arguments, expected):
    (folder / "text.txt").write_text("this is no database at all")
    (folder / "syntax.py").write_text("def train(:\n")
    (folder / "folder").mkdir()
    with sqlite3.connect(folder / "theirs.db") as connection:
        connection.execute("CREATE TABLE theirs (number INTEGER)")
    connection.close()
    assert expected in refusal(folder, capsys, "start", *arguments)


def test_sqlite_on_a_network_file_system_is_refused(folder, capsys, monkeypatch):
    monkeypatch.setattr("sweep.store.sqlite_file.file_system", lambda path: "nfs4")
    assert "PostgreSQL: --storage postgresql://" in refusal(folder, capsys, "start", "tiny.py")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_log_directory_of_somebody_else_is_refused(folder, capsys):
    (folder / "closed").mkdir(mode=0o500)
    assert "Cannot write to" in refusal(folder, capsys, "start", "tiny.py", "--logdir", "closed")


FILES = {
    "no study": (TRAIN, "tiny.py does not bind a sweep.Study to the name `study`. Write: study"),
    "another study": (TRAIN + "study = 3\n", "to the name `study`, but a int."),
    "import": ("import nothing_of_this_name\n" + TRAIN + STUDY, "No module named 'nothing_of_this_name' (line 4)"),
    "exit": ("import sys\nsys.exit(1)\n" + TRAIN + STUDY, "SystemExit"),
    "hard exit": ("import os\nos._exit(1)\n" + TRAIN + STUDY, "A worker could not load the study file"),
    "direction": (
        TRAIN + STUDY.replace("minimize", "lowest"),
        'A direction must be "minimize" or "maximize", not \'lowest\'.',
    ),
    "trials": (TRAIN + STUDY.replace("trials=2", "trials=0"), "trials must be a whole number of at least 1, not 0."),
    "workers": (TRAIN + STUDY.replace("workers=1", "workers=-1"), "workers must be a whole number from 0"),
    "two objectives": (
        TRAIN
        + STUDY.replace("'loss'", "['a', 'b']")
        .replace("'minimize'", "['minimize', 'maximize']")
        .replace("nop", "median"),
        "A study with several objectives cannot prune",
    ),
    "no function": (TRAIN + STUDY.replace("sweep.Study(train", "sweep.Study('train'"), "the function that trains"),
    "choice": (TRAIN.replace("suggest_float('x', -1, 1)", "suggest_categorical('x', [(1, 2), 3])") + STUDY, "(1, 2)"),
    "same choices": (TRAIN.replace("suggest_float('x', -1, 1)", "suggest_categorical('x', [1, True])") + STUDY, "True"),
    "long name": (TRAIN.replace("('x', -1, 1)", "('x' * 600, -1, 1)") + STUDY, "not one of 600 characters"),
    "enqueued": (
        TRAIN + STUDY.replace("trials=2", "trials=2, enqueue=[{'x': 7.0}]"),
        "x cannot be 7.0. It must be one of [-1.0, 1.0].",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_an_impossible_study_file_is_refused(folder, kind):
    content, expected = FILES[kind]
    (folder / "tiny.py").write_text(HEAD + content)
    refused_start(folder, expected)


def refused_start(folder, expected: str, *options: str) -> None:
    """`sweep start` of tiny.py is refused by a worker or because of what it says."""
    before = everything(folder)
    study = Folder(folder, None)
    done = study.start(*options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in refusal_of(done.stderr)
    assert everything(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "y=1"], "The study has no parameter 'y'. Its parameters are x."),
        (["--set", "x=17"], "x cannot be 17. It must be one of [-1.0, 1.0]."),
        (["--set", "x"], "--set must be parameters by name, such as learning_rate=0.01, not 'x'."),
        (["--enqueue", "xx=0.5"], "The study has no parameter 'xx'. Did you mean x?"),
        (["--enqueue", "@none.json"], "none.json must hold a JSON object"),
        (["--from", "other"], "--from must be STUDY:best:N or STUDY:all, such as diabetes:best:5, not 'other'."),
    ],
)
def test_options_about_parameters_that_cannot_be_are_refused(folder, options, expected):
    refused_start(folder, expected, *options)


FIT = """
import keras
import numpy as np

def train(trial):
    width = trial.suggest_int("width", 1, 4)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(width), keras.layers.Dense(1)])
    model.compile(loss="mae")
    value = sweep.fit(trial, model, np.ones((8, 1)), np.ones((8, 1)), epochs=1, verbose=0)
    {after}
    return value

"""


@pytest.mark.slow
def test_an_objective_that_no_epoch_reports_is_refused_with_the_metrics_there_are(folder):
    (folder / "tiny.py").write_text(HEAD + FIT.format(after="") + STUDY.replace("'loss'", "'val_loss'"))
    refused_start(
        folder,
        "No epoch reports 'val_loss' without validation data. Each epoch reports loss. Give sweep.fit",
    )


@pytest.mark.slow
def test_a_parameter_that_is_suggested_after_fit_began_is_refused_and_leaves_nothing(folder):
    (folder / "tiny.py").write_text(HEAD + FIT.format(after="trial.suggest_float('late', 0, 1)") + STUDY)
    refused_start(folder, "Parameter 'late' was suggested after sweep.fit began")


@pytest.mark.slow
def test_a_study_that_has_changed_is_refused_and_what_stands_is_left_as_it_is(folder):
    study = Folder(folder, None)
    assert study.start().returncode == 0
    other = TRAIN.replace("-1, 1", "-1, 2") + STUDY.replace("trials=2", "trials=9")
    (folder / "tiny.py").write_text(HEAD + other)
    runs = [vars(run) for run in study.runs()]
    for content, expected in (
        (other, "The range of x has grown: it is [-1.0, 1.0] in the trials of study tiny, and now [-1.0, 2.0]."),
        (other, "from the best runs of this one: sweep start tiny.py --name tiny_2 --from tiny:best:5"),
        (
            TRAIN + STUDY.replace("minimize", "maximize"),
            "Study tiny has the direction minimize, and the study file now",
        ),
        (
            TRAIN + STUDY.replace("'loss'", "'accuracy'"),
            "Study tiny has the objective loss, and the study file now says",
        ),
    ):
        (folder / "tiny.py").write_text(HEAD + content)
        done = study.start()
        assert done.returncode == 2, done.stderr
        assert expected in refusal_of(done.stderr)
        assert [vars(run) for run in study.runs()] == runs
        assert len(study.trials()) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runs", "tiny", "--filter", "(dnn"], "(dnn"),
        (["runs", "tiny", "--filter", "a**"], "at character 3"),
        (["prune", "tiny", "[", "--yes"], "["),
        (["show", "nothing"], "nothing"),
        (["runs", "tiny", "--sort", "lrr"], "lr"),
    ],
)
def test_an_impossible_read_is_refused_as_well(folder, capsys, arguments, expected):
    store = build_store(folder)
    add_study(store, "tiny", [run(0, 0.5)])
    store.close()
    assert sweep(arguments) == 2
    assert expected in refusal_of(capsys.readouterr().err)


BOUNDS = {
    "int": "suggest_int('x', 1, 10**400)",
    "float": "suggest_float('x', 1, 10**400)",
    "width": "suggest_float('x', -1e308, 1e308)",
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_bounds_that_no_sampler_can_hold_are_refused(folder, capsys, kind):
    train = TRAIN.replace("suggest_float('x', -1, 1)", BOUNDS[kind])
    (folder / "tiny.py").write_text(HEAD + train + STUDY.replace("workers=1", "workers=0"))
    said = refusal(folder, capsys, "start", "tiny.py")
    assert "The bounds of parameter 'x' are too far apart for a float." in said


@pytest.mark.parametrize("option", ["--logdir", "--storage"])
def test_a_path_that_is_too_long_is_refused_in_a_line(folder, capsys, option):
    said = refusal(folder, capsys, "start", "tiny.py", option, "n" * 300)
    assert "File name too long: " in said
    assert len(said) < 400


def test_the_greatest_and_smallest_numbers_are_shown_by_every_command(folder, capsys):
    values = [1.7976931348623157e308, -1e308, 5e-324, 1e308]
    train = f"""def train(trial):
    trial.suggest_float('x', -8e307, 8e307)
    value = {values}[trial.number % 4]
    for step in range(2):
        trial.report(value, step)
    return value

"""
    (folder / "tiny.py").write_text(HEAD + train + STUDY.replace("workers=1", "workers=0").replace("=2", "=12"))
    assert sweep(["start", "tiny.py", "--pruner", "median(n_startup_trials=2)"]) == 0
    for words in ("runs tiny", "show tiny 1", "best tiny", "studies", "export tiny", "names tiny", "db check"):
        assert sweep(words.split()) == 0, words


def test_an_error_of_a_megabyte_and_an_objective_of_300_characters_are_kept(folder, capsys):
    train = TRAIN.replace("return x", "raise ValueError('long ' * 200_000)")
    (folder / "tiny.py").write_text(HEAD + train + STUDY.replace("workers=1", "workers=0"))
    assert sweep(["start", "tiny.py"]) == 0
    assert sweep(["show", "tiny", "0"]) == 0
    plain = STUDY.replace("workers=1", "workers=0, name='long'").replace("'loss'", "'l' * 300")
    (folder / "tiny.py").write_text(HEAD + TRAIN + plain)
    assert sweep(["start", "tiny.py"]) == 0
    assert sweep(["runs", "long"]) == 0
