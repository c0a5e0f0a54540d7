"""A study's folder as it arrives on a node."""

import os

import pytest
import sqlalchemy as sa

from sweep.cluster import archive
from sweep.cluster.archive import pack, unpack
from sweep.control.folder import mark
from sweep.errors import SweepError


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * 10)


def arrived(folder):
    """The files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_study_arrives_without_environments_databases_hidden_files_and_the_log_directory(tmp_path):
    study, node = tmp_path / "study", tmp_path / "node" / "study"
    sent = ["data/a.csv", "env/__init__.py", "env/step.py", "wine.py"]
    fill(
        study, [*sent, "mine/pyvenv.cfg", "mine/lib/a.py", "runs/wine/events", ".git/pack", "sweep.db", "sweep.db-wal"]
    )
    (study / "wine.py").chmod(0o755)
    unpack(pack(study, study / "runs"), node)
    assert arrived(node) == sent
    assert (node / "data/a.csv").read_text() == "x" * 10
    assert os.access(node / "wine.py", os.X_OK)


def test_the_folders_of_studies_are_not_sent_wherever_they_are(tmp_path):
    """`sweep confirm` trains a folder of links: one leads to the log directory of the study whose runs it repeats."""
    study, node = tmp_path / "study", tmp_path / "node" / "study"
    fill(tmp_path, ["runs/wine/events", "runs/digits/events", "data/databases.json"])
    for name in ("wine", "digits"):
        mark(tmp_path / "runs" / name, sa.make_url(f"sqlite:///{tmp_path}/sweep.db"))
    fill(study, ["wine.py"])
    for name in ("runs", "data"):
        (study / name).symlink_to(tmp_path / name)
    unpack(pack(study, tmp_path / "runs" / "wine"), node)
    assert arrived(node) == ["data/databases.json", "wine.py"]


def test_a_folder_that_another_process_has_unpacked_stays_as_it_is(tmp_path):
    fill(tmp_path / "study", ["wine.py"])
    packed = pack(tmp_path / "study", tmp_path / "runs")
    unpack(packed, tmp_path / "node" / "study")
    fill(tmp_path / "node" / "study", ["written.txt"])
    unpack(packed, tmp_path / "node" / "study")
    assert arrived(tmp_path / "node") == ["study/wine.py", "study/written.txt"]


def test_a_folder_that_is_too_large_is_refused_and_what_is_skipped_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST", 40)
    fill(tmp_path, ["wine.py", "data/a.csv", ".git/pack", "sweep.db", "runs/wine/events", "venv/pyvenv.cfg", "venv/a"])
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    pack(tmp_path, tmp_path / "runs")
    fill(tmp_path, ["data/b.csv", "data/c.csv", "data/d.csv"])
    with pytest.raises(SweepError, match=r"it holds more than 4e-05 MB\. Put the study file in a folder"):
        pack(tmp_path, tmp_path / "runs")


def test_a_link_that_leads_back_is_refused_and_another_is_followed(tmp_path):
    study, node = tmp_path / "study", tmp_path / "node"
    fill(study, ["wine.py", "below/a.py"])
    fill(tmp_path, ["data/a.csv"])
    (study / "data").symlink_to(tmp_path / "data")
    unpack(pack(study, study / "runs"), node)
    assert arrived(node) == ["below/a.py", "data/a.csv", "wine.py"]
    (study / "below" / "back").symlink_to(study)
    with pytest.raises(SweepError, match=r"the link .*/below/back leads back"):
        pack(study, study / "runs")
