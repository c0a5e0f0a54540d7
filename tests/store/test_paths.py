"""Paths as a database keeps them, and databases of earlier versions whose paths were absolute."""

import json
import shutil
import sqlite3

import pytest
import sqlalchemy as sa
from hypothesis import given, strategies

from sweep.cli import run as sweep
from sweep.store import Store
from sweep.store.paths import base_of, change_folder, kept, whole
from sweep.store.tables import runs, studies
from tests.store_builder import add_study, build_store, run
from tests.version_0_1 import FOLDER, unpack


@pytest.mark.parametrize(
    ("path", "base", "text"),
    [
        ("/home/me/wine/runs/study", "/home/me/wine", "runs/study"),
        ("/home/me/wine/runs/study", "/home/me/wine/db", "../runs/study"),
        ("/home/me/winery", "/home/me/wine", "../winery"),
        ("/home/me/wine/..runs", "/home/me/wine", "..runs"),
        ("/home/me/wine/.runs", "/home/me/wine", ".runs"),
        ("/home/me/wine", "/home/me/wine", "."),
        ("/scratch/runs", "/home/me/wine", "/scratch/runs"),
        ("/runs/study", "/", "runs/study"),
        ("/runs/study", None, "/runs/study"),
    ],
)
def test_a_path_is_kept_relative_where_it_can_be_moved_along_and_reads_back(path, base, text):
    assert kept(path, base) == text
    assert whole(text, base) == path


PARTS = strategies.lists(strategies.sampled_from(["a", "b", "..a", ".b", "a b", "ä", "..."]), max_size=4)


@given(PARTS, PARTS)
def test_every_path_reads_back_from_every_base(path, base):
    path, base = f"/{'/'.join(path)}", f"/{'/'.join(base)}"
    assert whole(kept(path, base), base) == path


def test_an_sqlite_file_has_a_base_wherever_its_link_is_and_a_server_has_none(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "sweep.db").touch()
    (tmp_path / "link.db").symlink_to("real/sweep.db")
    assert base_of(sa.make_url(f"sqlite:///{tmp_path}/link.db")) == str((tmp_path / "real").resolve())
    assert base_of(sa.make_url("postgresql://host/sweep")) is None


def as_kept(store):
    """What the tables say: each study's folder and file, each run's directory."""
    with store.engine.connect() as connection:
        places = connection.execute(sa.select(studies.c.directory, studies.c.declaration)).all()
        directories = connection.execute(sa.select(runs.c.directory).order_by(runs.c.number)).scalars().all()
    return [(folder, json.loads(text)["file"]) for folder, text in places], directories


def test_runs_stay_where_they_are_when_a_study_gets_another_folder(tmp_path):
    store = build_store(tmp_path)
    old, new = f"{tmp_path}/runs/diabetes", f"{tmp_path}/other/diabetes"
    study = add_study(
        store, runs=[run(0, 1.0, directory=f"{old}/a"), run(1, 1.0, directory="/scratch/b")], directory=old
    )
    with store.engine.begin() as connection:
        change_folder(connection, study.study_id, old, new, moved=False)
        connection.execute(sa.update(studies).values(directory=kept(new, store.base)))
    assert as_kept(store) == (
        [("other/diabetes", "/somewhere/studies/diabetes.py")],
        ["../../runs/diabetes/a", "/scratch/b"],
    )
    assert [found.directory for found in store.runs(study.study_id)] == [f"{old}/a", "/scratch/b"]
    store.close()


def test_a_database_of_version_0_1_is_migrated_to_relative_paths(tmp_path):
    store = Store(unpack(tmp_path), create=True)
    places, directories = as_kept(store)
    assert {folder for folder, _ in places} == {f"runs/{study.name}" for study in store.studies()}
    assert {file for _, file in places} == {f"studies/{study.name}.py" for study in store.studies()}
    assert not any("/" in directory for directory in directories if directory is not None)
    study = store.study("folds")
    assert study.directory == f"{tmp_path}/runs/folds"
    assert study.declaration.file == f"{tmp_path}/studies/folds.py"
    assert all(found.directory == f"{tmp_path}/runs/folds/{found.name}" for found in store.runs(study.study_id))
    store.close()


def moved_before(folder, *, as_if_in):
    """The database and the files of version 0.1, whose paths say that they are in another folder."""
    url = unpack(folder)
    with sqlite3.connect(folder / "sweep.db") as database:
        for table, column in (("studies", "directory"), ("studies", "declaration"), ("runs", "directory")):
            database.execute(f"UPDATE sweep_{table} SET {column} = replace({column}, ?, ?)", (str(folder), as_if_in))
    database.close()
    return url


def test_a_folder_that_was_moved_before_its_database_is_migrated_is_found_beside_it(tmp_path):
    store = Store(moved_before(tmp_path, as_if_in=FOLDER), create=True)
    study = store.study("folds")
    assert (study.directory, study.declaration.file) == (f"{tmp_path}/runs/folds", f"{tmp_path}/studies/folds.py")
    assert all(found.directory == f"{tmp_path}/runs/folds/{found.name}" for found in store.runs(study.study_id))
    gone = store.study("reporting")  # it has no folder anywhere
    assert gone.directory == f"{FOLDER}/runs/reporting"
    store.close()


def test_the_upgrade_lists_the_studies_whose_folder_it_has_found_elsewhere(tmp_path, capsys):
    url = moved_before(tmp_path, as_if_in=FOLDER)
    assert sweep(["db", "upgrade", "--storage", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = f"folds: its folder is {tmp_path}/runs/folds, beside the database; it was {FOLDER}/runs/folds"
    assert found in lines
    assert not any(line.startswith("reporting: its folder") for line in lines)
    assert sweep(["db", "upgrade", "--storage", url]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_of_a_folder_and_its_copy_the_one_that_names_the_database_is_meant(tmp_path, marked):
    old, new = tmp_path / "old", tmp_path / "new"
    url = moved_before(new, as_if_in=str(old))
    shutil.copytree(new / "runs", old / "runs")
    if not marked:  # as by a version before marks
        (new / "runs" / "folds" / "databases.json").unlink()
    store = Store(url, create=True)
    assert store.study("folds").directory == str((new if marked else old) / "runs" / "folds")
    store.close()
