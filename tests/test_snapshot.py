"""Snapshots of study files: what is taken, and laid out again."""

import sys

import pytest

from sweep import snapshot
from sweep.errors import StudyError
from sweep.snapshot import Imports, Snapshot, take


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study file that has imported a neighbour and a package, beside data and a module that it has not."""
    folder = tmp_path / "studies"
    (folder / "parts").mkdir(parents=True)
    (folder / ".venv" / "site-packages").mkdir(parents=True)
    texts = {
        "tiny_study.py": "import tiny_neighbour, parts.tiny_layers, tiny_installed\n",
        "tiny_neighbour.py": "x = 'ä'\n",
        "parts/__init__.py": "",
        "parts/tiny_layers.py": "y = 2\n",
        "unused.py": "z = 3\n",
        ".venv/site-packages/tiny_installed.py": "",
        "data.csv": "1,2\n",
        "parts/more.csv": "3,4\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder / ".venv" / "site-packages"))
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    __import__("tiny_study")
    yield folder / "tiny_study.py"
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_it_has_the_study_file_and_what_it_imported_from_beside_it(study):
    taken = take(study)
    assert taken.main == "tiny_study.py"
    assert sorted(taken.files) == ["parts/__init__.py", "parts/tiny_layers.py", "tiny_neighbour.py", "tiny_study.py"]
    assert taken.files["tiny_neighbour.py"] == "x = 'ä'\n"
    assert take(None) is None


def test_its_hash_tells_whether_anything_changed(study):
    before = take(study).hash
    assert take(study).hash == before
    (study.parent / "tiny_neighbour.py").write_text("x = 'b'\n")
    assert take(study).hash != before


def test_it_is_laid_out_with_links_to_the_data_beside_it(study, tmp_path):
    kept = Snapshot.from_text(take(study).as_text())
    (study.parent / "tiny_neighbour.py").write_text("changed since")
    folder = tmp_path / "again"
    folder.mkdir()
    assert kept.lay_out(folder, study.parent) == folder / "tiny_study.py"
    assert (folder / "tiny_neighbour.py").read_text() == "x = 'ä'\n"
    assert (folder / "data.csv").read_text() == "1,2\n"
    assert (folder / "parts" / "more.csv").read_text() == "3,4\n"
    assert not (folder / ".venv").exists()


def test_of_much_text_the_study_file_alone_is_kept(study, monkeypatch):
    monkeypatch.setattr(snapshot, "LARGEST", 60)
    taken = take(study)
    assert list(taken.files) == ["tiny_study.py"]
    assert taken.left_out == ["parts/__init__.py", "parts/tiny_layers.py", "tiny_neighbour.py"]
    assert "without parts/__init__.py, parts/tiny_layers.py, tiny_neighbour.py" in taken.warning
    again = Snapshot.from_text(taken.as_text())
    assert (again, again.hash) == (taken, taken.hash)
    assert again.with_more({"late.py": ""}).left_out[0] == "late.py", "and it stays so"


def test_what_is_imported_later_is_told_once(study):
    imports = Imports(study)
    assert (imports.snapshot, imports.new()) == (take(study), {})
    (study.parent / "tiny_neighbour.py").write_text("changed since")
    __import__("unused")
    assert imports.new() == {"unused.py": "z = 3\n"}
    assert imports.new() == {}
    assert Imports(None).new() == {}


def test_a_file_that_is_linked_to_counts_as_one_beside_the_study(study, tmp_path):
    (tmp_path / "tiny_far.py").write_text("w = 4\n")
    (study.parent / "tiny_far.py").symlink_to(tmp_path / "tiny_far.py")
    __import__("tiny_far")
    assert take(study).files["tiny_far.py"] == "w = 4\n"


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(StudyError, match="lies outside its folder"):
        Snapshot("../out.py", {"../out.py": ""}).lay_out(tmp_path / "in")
    assert not (tmp_path / "out.py").exists()
