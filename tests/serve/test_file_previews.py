"""What a study file would train, found out once and kept; a file that never comes to its point is given up."""

import threading

import pytest

from sweep.errors import StudyError
from sweep.serve import files
from sweep.serve.files import Previews
from sweep.serve.problems import Full

PLAIN = """
import sweep

def train(trial):
    return trial.suggest_float("x", 0, 1)

study = sweep.Study(train, objective="value", direction="minimize", pruner="nop")
"""

pytestmark = pytest.mark.slow


def test_a_preview_is_kept_until_the_file_changes(tmp_path):
    file = tmp_path / "plain.py"
    file.write_text(PLAIN)
    kept = Previews()
    first = kept.of(file)
    assert list(first.space) == ["x"]
    assert kept.of(file) is first
    file.write_text(PLAIN.replace('"x"', '"y"'))
    assert list(kept.of(file).space) == ["y"]


def test_a_file_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SECONDS", 0.5)
    file = tmp_path / "endless.py"
    file.write_text("import time\ntime.sleep(1000)\n")
    with pytest.raises(StudyError, match=r"did not reach sweep\.fit within 0\.5 s"):
        Previews().of(file)


def test_whoever_waits_too_long_for_another_preview_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(files, "preview", lambda *_, **__: leave.wait() and seen)
    file = tmp_path / "plain.py"
    file.write_text(PLAIN)
    leave, seen, kept = threading.Event(), object(), Previews()
    first = threading.Thread(target=kept.of, args=[file])
    first.start()
    while not kept._lock.locked():
        pass
    with pytest.raises(Full):
        kept.of(file)
    leave.set()
    first.join()
