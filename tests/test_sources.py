"""What a worker has loaded, and its successor in place of what is on the disk by then."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control.started import ROOT

STUDY = """
import sweep
import helper
from parts import inner

def train(trial):
    import late
    raise ValueError(helper.NAME + inner.NAME + late.NAME)

study = sweep.Study(train, objective="loss", direction="minimize")
"""

WORKER = """
import json, sys, traceback
from pathlib import Path
from sweep.snapshot import Imports, Snapshot
from sweep.study_file import load

given = Snapshot.from_text(Path(sys.argv[2]).read_text()).files if len(sys.argv) > 2 else None
study = load(sys.argv[1], given)
if given is None:
    Path("parts/inner.py").write_text("NAME = 'edited while it loaded'")
imports = Imports(study.file)
hash = study.declaration().hash
try:
    study.train(None)
except ValueError:
    trace = traceback.format_exc()
snapshot = imports.snapshot.with_more(imports.new())
print(json.dumps({"hash": hash, "trace": trace, "snapshot": snapshot.as_text(), "left": sorted(imports.new())}))
"""


def worker(*arguments):
    done = subprocess.run(
        [sys.executable, "-P", "-c", WORKER, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    texts = {
        "tiny.py": STUDY.replace("\n", "\r\n"),
        "helper.py": "NAME = 'helper '",
        "parts/__init__.py": "",
        "parts/inner.py": "NAME = 'inner '",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, newline="")
    (tmp_path / "late.py").write_bytes("# coding: latin-1\nNAME = 'late \xe9'".encode("latin-1"))
    return [*texts, "late.py"]


def edit(path: Path) -> None:
    path.write_text("def half(:")


@pytest.mark.parametrize("change", [edit, Path.unlink])
def test_a_successor_loads_what_the_first_one_has_loaded_whatever_became_of_the_files(tmp_path, files, change):
    first = worker(str(tmp_path / "tiny.py"))
    assert sorted(json.loads(first["snapshot"])["files"]) == sorted(files)
    assert "ValueError: helper inner late \xe9" in first["trace"]
    assert "raise ValueError(helper.NAME + inner.NAME + late.NAME)" in first["trace"]
    (tmp_path / "kept.json").write_text(first["snapshot"])
    for name in files:
        change(tmp_path / name)
    assert worker(str(tmp_path / "tiny.py"), "kept.json") == first


def test_installed_packages_and_the_standard_library_are_found_as_always(tmp_path, files):
    (tmp_path / "random.py").write_text("1 / 0")
    (tmp_path / "helper.py").write_text("import random, numpy\nNAME = f'{random.randint(3, 3)} '")
    assert "ValueError: 3 inner" in worker(str(tmp_path / "tiny.py"))["trace"]
