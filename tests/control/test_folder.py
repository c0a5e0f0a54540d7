"""A folder that studies of two databases name: nobody removes the other's files, and one trains there at a time."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sweep.cli import run as sweep
from sweep.control.folder import MARK, Hold, mark, others, unmark
from sweep.errors import StudyError
from sweep.store import Store
from sweep.store.database import parse_url
from tests.control.workers import a_house
from tests.refusals import refusal_of


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A study with files, in old.db and, as a copy, in new.db."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    with a_house(tmp_path, "sqlite:///old.db") as house:
        house.worker("0").train()
    (tmp_path / "runs" / "study" / "weights.npz").write_bytes(b"0")
    assert sweep(["db", "copy", "sqlite:///old.db", "sqlite:///new.db"]) == 0
    return tmp_path / "runs" / "study"


def names(url):
    store = Store(url)
    try:
        return [study.name for study in store.studies()]
    finally:
        store.close()


def test_a_copy_says_that_both_name_the_folder_and_how_to_drop_the_original(copied, capsys):
    capsys.readouterr()
    assert sweep(["db", "copy", "sqlite:///old.db", "sqlite:///third.db"]) == 0
    assert "sweep rm study --keep-files --storage sqlite:///old.db" in capsys.readouterr().err


@pytest.mark.parametrize(("removed", "kept"), [("old", "new"), ("new", "old")])
@pytest.mark.parametrize("more", [["--yes"], ["--dry-run"]])
def test_a_folder_that_another_database_names_is_not_removed(copied, capsys, removed, kept, more):
    capsys.readouterr()
    assert sweep(["rm", "study", "--storage", f"sqlite:///{removed}.db", *more]) == 2
    said = capsys.readouterr().err
    assert f"{kept}.db also has study " in said
    assert "use --keep-files" in said
    refusal_of(said)
    assert names(f"sqlite:///{removed}.db") == ["study"]
    assert (copied / "weights.npz").exists()


def test_the_original_is_dropped_with_its_files_left_and_the_copy_is_then_removed_with_them(copied):
    assert sweep(["rm", "study", "--storage", "sqlite:///old.db", "--keep-files", "--yes"]) == 0
    assert names("sqlite:///old.db") == []
    assert (copied / "weights.npz").exists()
    assert sweep(["rm", "study", "--storage", "sqlite:///new.db", "--yes"]) == 0
    assert not copied.exists()


def test_a_copy_whose_database_is_gone_keeps_nothing(copied):
    (copied.parent.parent / "new.db").unlink()
    assert sweep(["rm", "study", "--storage", "sqlite:///old.db", "--yes"]) == 0
    assert not copied.exists()


def test_two_databases_do_not_train_into_one_folder_at_once(copied, tmp_path):
    refused = pytest.raises(StudyError, match=r"The study of another database, .*old\.db, is training into")
    with a_house(tmp_path, "sqlite:///old.db") as house:
        house.worker("0").begin()
        with a_house(tmp_path, "sqlite:///new.db") as other, refused:
            other.worker("0")
        with a_house(tmp_path, "sqlite:///third.db") as third, refused:
            third.worker("0").begin()
        assert not Path("third.db").exists(), "a study that is refused leaves nothing"
    with a_house(tmp_path, "sqlite:///new.db") as other:
        other.worker("0").train()


def test_a_folder_moved_or_copied_with_its_database_names_that_one(tmp_path):
    folder = tmp_path / "a" / "runs" / "study"
    folder.mkdir(parents=True)
    (tmp_path / "a" / "sweep.db").touch()
    mark(folder, parse_url(f"sqlite:///{tmp_path}/a/sweep.db"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for place in ("a", "b"):
        assert others(tmp_path / place / "runs" / "study", parse_url(f"sqlite:///{tmp_path}/{place}/sweep.db")) == []


def test_a_servers_database_is_named_without_user_and_password(tmp_path):
    url = parse_url("postgresql://me:secret@server:5433/sweep?host=/tmp/sockets&password=secret")
    mark(tmp_path, url, url)
    shown = "postgresql://server:5433/sweep?host=%2Ftmp%2Fsockets"
    assert json.loads((tmp_path / MARK).read_text())["databases"] == [shown]
    assert others(tmp_path, url) == []
    assert others(tmp_path, parse_url("sqlite:///sweep.db")) == [shown]
    unmark(tmp_path, url)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[", "[1]", "{}", '{"x": 1}'])
def test_a_mark_that_nobody_can_read_names_nobody(tmp_path, text):
    (tmp_path / MARK).write_text(text)
    assert others(tmp_path, parse_url("sqlite:///sweep.db")) == []


def test_a_folder_is_free_again_when_it_is_let_go(tmp_path):
    ours, theirs = (parse_url(f"sqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    hold = Hold(tmp_path, ours)
    Hold(tmp_path, ours).release()  # one database's coordinators are kept apart by its lease
    with pytest.raises(StudyError, match=r"a\.db, is training into"):
        Hold(tmp_path, theirs)
    hold.release()
    Hold(tmp_path, theirs).release()
