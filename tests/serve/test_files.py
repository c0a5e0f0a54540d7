"""Study files: those of the operator's folder, which are read and never run; nothing outside it is one."""

import os
from urllib.parse import quote

import pytest

from sweep.serve.files import find_file, list_files, read_file
from sweep.serve.problems import Conflict, NotFound

OUTSIDE = [
    "../secret.py",
    "..%2Fsecret.py",
    "%2e%2e/secret.py",
    "....//secret.py",
    "..\\secret.py",
    "/etc/passwd",
    "/etc/passwd\x00.py",
    "wine.py/../../secret.py",
    "wine.py\x00",
    "wine.py\n",
    "./wine.py",
    "wine",
    "wine.pyc",
    "WINE.PY",
    "",
    ".",
    "..",
    ".py",
    ".hidden.py",
    "_private.py",
    "folder",
    "folder.py",
    "inside/wine.py",
    "link.py",
    "~/wine.py",
    "file:///etc/passwd",
    "a" * 255 + ".py",
    "wine.py ",
    " wine.py",
    "wíne.py",
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    (root / "secret.py").write_text('"""Secret."""')
    folder = root / "studies"
    (folder / "inside").mkdir(parents=True)
    (folder / "folder.py").mkdir()
    (folder / "inside" / "wine.py").write_text("")
    (folder / "wine.py").write_text('"""Wine by its chemistry.\n\nMore."""\nraise SystemExit("it was run")\n')
    (folder / "broken.py").write_text("def (:\n")
    (folder / "zeros.py").write_bytes(b"a = 1\0")
    (folder / "deep.py").write_text("(" * 5000)
    (folder / "_private.py").write_text("")
    (folder / ".hidden.py").write_text("")
    os.symlink(root / "secret.py", folder / "link.py")
    return folder


def test_files_are_listed_with_what_is_wrong_with_them(studies):
    (studies / "link.py").unlink(missing_ok=True)
    found = {file.name: file for file in list_files(studies)}
    assert sorted(found) == ["broken.py", "deep.py", "wine.py", "zeros.py"]
    assert found["wine.py"].doc == "Wine by its chemistry.\n\nMore."
    assert found["wine.py"].problem is None
    assert "line 1" in (found["broken.py"].problem or "")
    assert found["deep.py"].problem
    assert found["zeros.py"].problem


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_is_no_file_of_the_folder_is_not_found(studies, name):
    (studies / "link.py").unlink(missing_ok=True)
    os.symlink(studies.parent / "secret.py", studies / "link.py")
    with pytest.raises(NotFound):
        find_file(studies, name)
    (studies / "link.py").unlink()


def test_a_file_is_read_by_its_name(studies):
    assert read_file(studies, "wine.py").path == (studies / "wine.py").resolve()


def test_without_a_folder_there_are_none(tmp_path):
    assert list_files(None) == list_files(tmp_path / "none") == []
    with pytest.raises(Conflict, match="--studies"):
        find_file(None, "wine.py")


@pytest.mark.parametrize("name", OUTSIDE)
def test_over_http_it_is_not_found_either(client, name):
    if name.strip("."):  # a client makes another address of dots
        for path in (f"/api/files/{quote(name, safe='')}", f"/api/files/{quote(name, safe='')}/names"):
            assert client.ask("POST" if path.endswith("/names") else "GET", path).status_code in (404, 422), name
    assert client.post("/api/starts", file=name).status_code in (404, 422)
    assert client.get("/api/starts").json() == {"starts": []}
