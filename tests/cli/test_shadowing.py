"""Files with the names of Python's own modules, in the working directory or beside the study file, shadow nothing."""

import subprocess
import sys
import textwrap

import pytest

STUDY = """
    import numpy as np
    import sweep
    from neighbour import EPOCHS
    from project.rows import ROWS

    def train(trial):
        trial.suggest_float("x", 0, 1)
        epochs = sweep.epochs(trial, EPOCHS)
        for epoch in epochs:
            epochs.report({"loss": float(ROWS)}, {"weights": np.zeros(2)})
        return epochs.value

    study = sweep.Study(train, objective="loss", direction="minimize", trials=2, workers=1)
"""


def run(folder, *arguments):
    """A command of `sweep` in a folder, as the installed script runs it: without the folder on the path."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sweep", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path):
    """A working directory and a folder of study files, both full of files that nobody is to import."""
    studies = tmp_path / "studies"
    (tmp_path / "project").mkdir()
    studies.mkdir()
    for name in ("random", "types", "queue", "json", "logging", "copy", "sweep", "numbers", "calendar", "secrets"):
        for folder in (tmp_path, studies):
            (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} is shadowed')\n")
    for name in ("numpy", "optuna", "sqlalchemy", "keras"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} is shadowed')\n")
    (tmp_path / "project" / "rows.py").write_text("ROWS = 7\n")
    (studies / "neighbour.py").write_text("EPOCHS = 2\n")
    (studies / "tiny.py").write_text(textwrap.dedent(STUDY))
    return tmp_path


def test_a_study_runs_and_imports_its_own_modules_from_both(project):
    run(project, "names", "studies/tiny.py")
    said = run(project, "start", "studies/tiny.py")
    assert "2 complete" in said
    assert "COMPLETE" in run(project, "runs")
    assert "best.npz is the state of" in run(project, "best", "--save", "best.npz")


@pytest.mark.slow
def test_keras_loads_what_it_needs(project):
    file = project / "studies" / "tiny.py"
    file.write_text("import keras\n" + file.read_text())
    assert "2 complete" in run(project, "start", "studies/tiny.py")
