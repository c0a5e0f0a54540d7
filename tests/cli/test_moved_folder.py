"""A project folder that is moved or copied works at its new place, from any working directory."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sweep as library
from sweep.cli import run as sweep
from sweep.cli.tensorboard import find_board
from sweep.control.tensorboard import run_names
from sweep.store import Store
from tests.databases import PostgreSQL
from tests.refusals import refusal_of
from tests.serve.asking import Client
from tests.tiny_study import STUDY


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file below a folder with its digest and when it was written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def trained(folder: Path, storage: str | None = None) -> str:
    """A project folder with a study of three trials; the URL of its database."""
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "tiny.py").write_text(STUDY)
    url = storage or f"sqlite:///{folder}/sweep.db"
    start = ["start", f"{folder}/studies/tiny.py", "--storage", url, "--logdir", f"{folder}/runs"]
    assert sweep([*start, "--trials", "3", "--workers", "1"]) == 0
    return url


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory that has nothing to do with the project folder."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.delenv("SWEEP_LOGDIR", raising=False)
    return tmp_path / "cwd"


@pytest.fixture(params=["copied", "moved"])
def project(request, tmp_path, elsewhere):
    """A project folder at its new place, its database's URL there, and the old place if that is still there."""
    old, new = tmp_path / "old", tmp_path / "far" / "new"
    trained(old)
    new.parent.mkdir()
    if request.param == "moved":
        shutil.move(old, new)
        return new, f"sqlite:///{new}/sweep.db", None
    shutil.copytree(old, new, symlinks=True)
    return new, f"sqlite:///{new}/sweep.db", old


def test_a_folder_that_was_moved_or_copied_just_works(project, elsewhere, capsys):
    new, url, old = project
    before = contents(old) if old is not None else None
    at = ["--storage", url]
    capsys.readouterr()

    assert sweep(["show", "tiny", "0", *at]) == 0
    assert f"{new}/runs/tiny/" in capsys.readouterr().out
    assert sweep(["runs", "tiny", "--json", *at]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(Path(one["directory"]).is_dir() and one["directory"].startswith(f"{new}/") for one in found)
    assert sweep(["best", "tiny", "--save", f"{elsewhere}/best.npz", *at]) == 0
    assert np.load(elsewhere / "best.npz")
    assert library.load(found[0]["directory"])["x"].shape == (1,)
    board = find_board("tiny", None, None, None, url)
    assert run_names(board.directory) == {one["name"] for one in found}
    assert sweep(["db", "check", *at]) == 0
    capsys.readouterr()

    client = Client(Store(url), elsewhere, studies=new / "studies")
    assert client.get("/api/studies/tiny").json()["file"] == f"{new}/studies/tiny.py"
    assert f"{new}/runs/tiny/" in client.get("/studies/tiny/runs/0").text
    client.close()

    assert sweep(["start", f"{new}/studies/tiny.py", "--trials", "5", "--workers", "1", *at]) == 0
    assert len(list((new / "runs" / "tiny").glob("tiny-*"))) == 5
    store = Store(url)
    assert store.study("tiny").directory == f"{new}/runs/tiny"
    assert store.study("tiny").declaration.file == f"{new}/studies/tiny.py"
    store.close()

    assert sweep(["clean", "tiny", "t0000", "--only", "weights", "--yes", *at]) == 0
    assert len(list((new / "runs" / "tiny").glob("*/weights.npz"))) == 4
    assert sweep(["rm", "tiny", "--yes", *at]) == 0
    assert not (new / "runs" / "tiny").exists()
    assert {path.name for path in elsewhere.iterdir()} == {"best.npz", "best.json"}
    if before is not None:
        assert contents(old) == before


@pytest.fixture(params=["sqlite", "postgresql"])
def apart(request, tmp_path, elsewhere):
    """A study whose log directory was moved alone, with its study file; the URL of its database."""
    server: PostgreSQL | None = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    url = trained(tmp_path / "old", server.create() if server is not None else f"sqlite:///{tmp_path}/db/sweep.db")
    shutil.move(tmp_path / "old", tmp_path / "new")
    return url


@pytest.fixture(autouse=True)
def _database_folder(tmp_path):
    (tmp_path / "db").mkdir()


def directories(url):
    store = Store(url)
    try:
        study = store.study("tiny")
        return study.directory, study.declaration.file, [run.directory for run in store.runs(study.study_id)]
    finally:
        store.close()


@pytest.mark.parametrize("named", ["runs", "runs/tiny"])
def test_a_log_directory_that_was_moved_alone_is_relocated_after_a_look(apart, tmp_path, capsys, named):
    at = ["--storage", apart]
    capsys.readouterr()
    assert sweep(["db", "check", *at]) == 0
    out = capsys.readouterr().out
    assert f"no folder at {tmp_path}/old/runs/tiny, where 3 runs should be" in out
    assert "sweep db relocate tiny NEWDIR" in out

    before = directories(apart)
    relocate = ["db", "relocate", "tiny", f"{tmp_path}/new/{named}", *at]
    assert sweep([*relocate, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path}/old/runs/tiny -> {tmp_path}/new/runs/tiny" in out
    assert f"{tmp_path}/old/studies/tiny.py -> {tmp_path}/new/studies/tiny.py" in out
    assert "3 runs there" in out
    assert sweep(relocate) == 2
    assert "Pass --yes" in refusal_of(capsys.readouterr().err.splitlines()[-2] + "\n" + "       Pass --yes")
    assert directories(apart) == before

    assert sweep([*relocate, "--yes"]) == 0
    folder, file, runs = directories(apart)
    assert (folder, file) == (f"{tmp_path}/new/runs/tiny", f"{tmp_path}/new/studies/tiny.py")
    assert len(runs) == 3
    assert all(Path(run).parent == Path(folder) and Path(run).is_dir() for run in runs)
    capsys.readouterr()
    assert sweep(["db", "check", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out) == {"studies": ["tiny"], "wrong": [], "missing": []}
    assert sweep(["start", f"{tmp_path}/new/studies/tiny.py", "--trials", "4", "--workers", "1", *at]) == 0
    assert len(list(Path(folder).glob("tiny-*"))) == 4


def test_a_place_without_the_studys_folder_is_refused(apart, tmp_path, capsys):
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    assert sweep(["db", "relocate", "tiny", f"{tmp_path}/empty", "--yes", "--storage", apart]) == 2
    assert f"No folder of study tiny at {tmp_path}/empty." in refusal_of(capsys.readouterr().err)


def test_a_run_whose_directory_was_removed_is_listed_and_nothing_is_wrong(tmp_path, elsewhere, capsys):
    url = trained(tmp_path / "here")
    _, _, runs = directories(url)
    shutil.rmtree(runs[1])
    capsys.readouterr()
    assert sweep(["db", "check", "--storage", url]) == 0
    out = capsys.readouterr().out
    assert f"tiny: 1 run without a directory in {tmp_path}/here/runs/tiny: t0001" in out
    assert "nothing wrong" in out


def test_a_start_with_another_log_directory_leaves_earlier_runs_where_they_are(tmp_path, elsewhere):
    url = trained(tmp_path / "here")
    start = ["start", f"{tmp_path}/here/studies/tiny.py", "--storage", url, "--workers", "1"]
    assert sweep([*start, "--trials", "4", "--logdir", f"{tmp_path}/other"]) == 0
    folder, _, runs = directories(url)
    assert folder == f"{tmp_path}/other/tiny"
    assert [Path(run).parent for run in runs] == [tmp_path / "here" / "runs" / "tiny"] * 3 + [Path(folder)]
    assert all(Path(run).is_dir() for run in runs)
    shutil.move(tmp_path / "other" / "tiny", tmp_path / "tiny")  # moved alone, and named at the start
    assert sweep([*start, "--trials", "5", "--logdir", f"{tmp_path}"]) == 0
    _, _, runs = directories(url)
    assert [Path(run).parent for run in runs] == [tmp_path / "here" / "runs" / "tiny"] * 3 + [tmp_path / "tiny"] * 2


def test_a_log_directory_behind_a_link_of_the_folder_is_found_through_it(tmp_path, elsewhere):
    """As `runs -> /scratch/me/runs`: a copy that follows links has the runs themselves."""
    here, far = tmp_path / "here", tmp_path / "far" / "away"
    here.mkdir()
    far.mkdir(parents=True)
    (here / "runs").symlink_to(far)
    url = trained(here)
    start = ["start", f"{here}/studies/tiny.py", "--workers", "1"]
    assert sweep([*start, "--storage", url, "--trials", "4"]) == 0
    folder, _, runs = directories(url)
    assert folder == f"{here}/runs/tiny"
    assert [Path(run).parent for run in runs] == [Path(folder)] * 4
    before = contents(far)

    shutil.copytree(here, tmp_path / "copy")  # follows links
    copy = f"sqlite:///{tmp_path}/copy/sweep.db"
    folder, _, runs = directories(copy)
    assert folder == f"{tmp_path}/copy/runs/tiny"
    assert all(Path(run).is_dir() for run in runs)
    assert sweep(["start", f"{tmp_path}/copy/studies/tiny.py", "--storage", copy, "--trials", "5"]) == 0
    assert len(list((tmp_path / "copy" / "runs" / "tiny").glob("tiny-*"))) == 5
    assert contents(far) == before
