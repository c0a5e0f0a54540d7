"""`sweep rerun`: a run trained again from what is kept of it."""

import sqlite3

import pytest

from sweep.cli import run as sweep
from sweep.snapshot import Snapshot
from sweep.store import Store
from sweep.store.tables import runs
from tests.control.started import Folder
from tests.refusals import refusal_of

pytestmark = pytest.mark.slow

BODY = """
    import random
    import neighbour
    scale = float(open(os.path.join(os.path.dirname(__file__), "scale.txt")).read())
    x = trial.suggest_float("x", -1, 1)
    for epoch in range(3):
        trial.report(x * scale + random.random() + neighbour.shift, epoch)
    if trial.params["x"] > 10:
        raise ValueError
    return x
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study of two runs that imports a neighbour, draws random numbers and reads a file beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    (tmp_path / "neighbour.py").write_text("shift = 1.0\n")
    (tmp_path / "scale.txt").write_text("2.0")
    folder = Folder(tmp_path, BODY, "trials=2, workers=1, seed=7")
    file = tmp_path / "tiny.py"
    file.write_text(f"import neighbour\n{file.read_text()}")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_is_the_same_again_also_when_its_files_have_changed_since(folder, capsys):
    (folder.path / "neighbour.py").write_text("shift = 5.0\n")
    (folder.path / "tiny.py").write_text("raise SystemExit")
    assert sweep(["rerun", "tiny", "1"]) == 0
    assert "the same in all 3 epochs, to the last bit" in capsys.readouterr().out
    there = {path.name for path in folder.path.iterdir() if "sweep.db" not in path.name}
    assert there - {"__pycache__"} == {"neighbour.py", "runs", "scale.txt", "tiny.py"}
    assert len(folder.runs()) == 2


def test_a_module_that_train_imports_is_in_the_snapshot_of_its_first_run(folder, capsys):
    (folder.path / "late.py").write_text("shift = 1.0\n")
    file = folder.path / "tiny.py"
    file.write_text(file.read_text().replace("    import random\n", "    import random, late\n    x = late.shift\n"))
    assert folder.start("--name", "lazy").returncode == 0
    (folder.path / "late.py").write_text("raise SystemExit\n")
    for number in range(2):
        assert sweep(["rerun", "lazy", str(number)]) == 0
    assert "as they are today" not in capsys.readouterr().err


def test_what_the_snapshot_does_not_hold_is_named(folder, capsys):
    with sqlite3.connect(folder.path / "sweep.db") as connection:
        (text,) = connection.execute("SELECT content FROM sweep_snapshots").fetchone()
        kept = Snapshot.from_text(text)
        alone = Snapshot(kept.main, {kept.main: kept.files[kept.main]})
        connection.execute("UPDATE sweep_snapshots SET content = ?", [alone.as_text()])
    connection.close()
    assert sweep(["rerun", "tiny", "1"]) == 0
    assert "as they are today, since the snapshot does not hold them: neighbour.py" in capsys.readouterr().err


def test_what_has_become_of_it_is_shown(folder, capsys):
    (folder.path / "scale.txt").write_text("2.5")
    assert sweep(["rerun", "1"]) == 1
    out = capsys.readouterr().out
    assert "not the same in 3 epochs: furthest apart, by " in out
    assert "loss" in out


def test_a_run_that_was_revived_is_refused_and_the_one_it_goes_back_to_is_named(folder, capsys):
    with sqlite3.connect(folder.path / "sweep.db") as connection:
        connection.execute("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (2, 'revives', '0')")
    connection.close()
    assert sweep(["rerun", "tiny", "1"]) == 2
    said = refusal_of(capsys.readouterr().err)
    assert said.endswith("from the checkpoint of t0000. Rerun that run instead: sweep rerun tiny t0000")


def test_a_run_of_which_no_snapshot_is_kept_is_refused(folder, capsys):
    store = Store(folder.url)
    with store.engine.begin() as connection:
        connection.execute(runs.update().values(snapshot=None))
    store.close()
    assert sweep(["rerun", "1"]) == 2
    assert "no snapshot of its study file was kept" in capsys.readouterr().err
