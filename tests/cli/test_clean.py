"""`sweep rm` and `sweep clean`: shown before, asked for, and then done."""

import json
from pathlib import Path

import pytest

from sweep.cli import run as sweep
from sweep.store import Store
from sweep.words import shown_size
from tests.control.workers import a_house
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


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder in which a study of four trials has trained, with a file in each run's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    with a_house(tmp_path, options={"trials": 4}, file=str(tmp_path / "study.py")) as house:
        worker = house.worker("0")
        for _ in range(4):
            worker.train()
    for run_ in runs_of_study():
        Path(run_.directory).mkdir(parents=True)
        (Path(run_.directory) / "weights.npz").write_bytes(b"0" * 500)
    return tmp_path


def runs_of_study():
    store = Store("sqlite:///sweep.db")
    try:
        return store.runs(store.study("study").study_id)
    finally:
        store.close()


def numbers():
    return [run_.number for run_ in runs_of_study()]


def test_a_dry_run_shows_which_runs_would_go_and_removes_nothing(study, capsys):
    assert sweep(["rm", "study", "t0001", "3", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["500", "500"]
    assert [line[-5:] for line in out.splitlines()] == ["t0001", "t0003"]
    assert numbers() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        (["2"], [0, 1, 3]),
        (["t0002", "2", "0"], [1, 3]),
        (["--filter", "t000[12]$"], [0, 3]),
        (["--where", "number >= 2"], [0, 1]),
        (["--filter", "t000[12]$", "--where", "number = 2"], [0, 1, 3]),
        (["--filter", "nothing"], [0, 1, 2, 3]),
    ],
)
def test_runs_are_removed_that_are_named_or_match(study, capsys, chosen, left):
    assert sweep(["rm", "study", *chosen, "--yes"]) == 0
    assert numbers() == left
    assert sorted(int(path.name[-1]) for path in (study / "runs" / "study").glob("*-t*")) == left
    assert sweep(["db", "check"]) == 0


def test_how_many_trials_are_to_be_trained_in_their_place_is_said(study, capsys):
    assert sweep(["rm", "study", "2", "3", "--yes"]) == 0
    said = capsys.readouterr().err.strip()
    assert said.startswith("2 runs of study are removed; to train 2 trials more: sweep start ")
    assert said.endswith(" --trials 4"), "the file may say fewer than the study was started with"


def test_what_is_removed_is_said_in_json(study, capsys):
    for more, removed in (["--dry-run"], False), (["--yes"], True):
        assert sweep(["rm", "study", "1", "--json", *more]) == 0
        found = json.loads(capsys.readouterr().out)
        name = found["runs"][0]["run"]
        assert name.endswith("-t0001")
        assert found == {
            "study": "study", "runs": [{"number": 1, "run": name, "bytes": 500}], "bytes": 500, "removed": removed,
        }  # fmt: skip
    assert sweep(["rm", "study", "--json", "--yes"]) == 0
    directory = str(study / "runs" / "study")
    assert json.loads(capsys.readouterr().out) == {
        "study": "study", "runs": 3, "directory": directory, "removed": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1"], "no terminal to ask on"),
        (["9", "--yes"], "No run 9 in study study"),
        (["", "--yes"], "A run's name is empty. Give its number, such as 17 or t0017, or its full name."),
        (["1", " ", "--yes"], "A run's name is empty."),
        (["1", "--filter", "x", "--yes"], "Runs are named, and so is a pattern or a condition."),
        (["1", "--server", "http://127.0.0.1:1", "--yes"], "Single runs cannot be removed through a service"),
    ],
)
def test_a_refusal_removes_no_run(study, capsys, arguments, said):
    assert sweep(["rm", "study", *arguments]) == 2
    assert said in refusal_of(capsys.readouterr().err)
    assert numbers() == [0, 1, 2, 3]


def test_a_removal_that_was_killed_is_finished_by_the_same_command(study, capsys):
    class Killed(BaseException):
        pass

    def die(*_arguments):
        raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sweep.control.removal._remove_folder", die)
        with pytest.raises(Killed):
            sweep(["rm", "study", "--yes"])
    assert (study / "runs" / "study").is_dir()
    assert sweep(["rm", "study", "--yes"]) == 2
    assert "No such study: study." in capsys.readouterr().err
    assert list((study / "runs").iterdir()) == []


def test_files_of_removed_runs_can_be_kept(study):
    assert sweep(["rm", "study", "1", "--keep-files", "--yes"]) == 0
    assert numbers() == [0, 2, 3]
    assert len(list((study / "runs" / "study").glob("*-t0001"))) == 1
