"""`sweep rm` and `sweep clean`: shown before, asked for, and then done."""

from pathlib import Path

import pytest

from sweep.cli import run as sweep
from sweep.store import Store
from sweep.view.cells import shown_size
from tests.refusals import refusal_of
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study of three runs with files, two of them ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    runs = []
    for number, state in enumerate(("COMPLETE", "PRUNED", "RUNNING")):
        directory = tmp_path / "runs" / "diabetes" / f"run-{number}"
        (directory / "checkpoints").mkdir(parents=True)
        (directory / "checkpoints" / "0-00000001.npz").write_bytes(b"0" * 3000)
        (directory / "events.out.tfevents.1").write_bytes(b"0" * 1000)
        (directory / "weights.npz").write_bytes(b"0" * 500)
        runs.append(run(number, 1.0, state=state, directory=str(directory)))
    store = build_store(tmp_path)
    add_study(store, runs=runs, directory=str(tmp_path / "runs" / "diabetes"))
    store.close()
    return tmp_path / "runs" / "diabetes"


def left(folder: Path, number: int) -> set[str]:
    return {path.name.partition(".")[0] for path in (folder / f"run-{number}").iterdir()}


def test_a_dry_run_says_what_would_go_and_removes_nothing(folder, capsys):
    assert sweep(["clean", "diabetes", ".", "--dry-run"]) == 0
    out = capsys.readouterr()
    assert "4.0 kB" in out.out
    assert "of 2 runs would be removed, 8.0 kB" in out.out + out.err
    assert sweep(["rm", "diabetes", "--dry-run"]) == 0
    assert all(left(folder, number) == {"checkpoints", "events", "weights"} for number in range(3))


def test_ended_runs_that_match_lose_their_checkpoints_and_events(folder, capsys):
    assert sweep(["clean", "diabetes", "--where", "state = 'pruned'", "--yes"]) == 0
    assert left(folder, 0) == {"checkpoints", "events", "weights"}
    assert left(folder, 1) == {"weights"}
    assert "4.0 kB are free again" in capsys.readouterr().err
    assert sweep(["clean", "diabetes", ".", "--only", "weights", "--yes"]) == 0
    assert left(folder, 0) == {"checkpoints", "events"}
    assert left(folder, 2) == {"checkpoints", "events", "weights"}, "it runs"


def test_a_run_whose_checkpoint_was_cleaned_is_not_revived_and_how_to_train_it_anew_is_said(folder, capsys):
    assert sweep(["clean", "diabetes", "--where", "state = 'pruned'", "--only", "checkpoints", "--yes"]) == 0
    capsys.readouterr()
    assert sweep(["revive", "diabetes", "1"]) == 2
    said = refusal_of(capsys.readouterr().err)
    name = "dnn-lr=0.002-bs=32-t0001"
    assert said.startswith(f"sweep: Cannot revive {name}: it has no checkpoint. ")
    assert said.endswith(f"sweep start /somewhere/studies/diabetes.py --enqueue {name}")


def test_a_study_is_removed_with_its_folder(folder, capsys):
    assert sweep(["rm", "diabetes", "--yes"]) == 0
    assert not folder.exists()
    store = Store("sqlite:///sweep.db")
    assert store.studies() == []
    store.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rm", "diabetes"], "no terminal to ask on"),
        (["clean", "diabetes", "."], "no terminal to ask on"),
        (["clean", "diabetes", "--yes"], "Nothing to clean: give a pattern or --where."),
        (["clean", "diabetes", ".", "--only", "everything"], "No such kind of file to clean: everything."),
        (["rm", "other", "--yes"], "No such study: other."),
    ],
)
def test_a_refusal_removes_nothing(folder, capsys, arguments, said):
    assert sweep(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert all(left(folder, number) == {"checkpoints", "events", "weights"} for number in range(3))


def test_studies_say_what_they_take(folder, capsys):
    assert sweep(["studies"]) == 0
    assert " 14 kB " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_are_those_of_people(count, shown):
    assert shown_size(int(count)) == shown
