"""A study as plain data: what crosses processes and stands in the store."""

import hashlib
import json
import subprocess

import pytest

import sweep
from sweep.declaration import Declaration, commit, file_hash, versions
from sweep.errors import StudyError
from sweep.objective import Objective
from tests.control.memory import declare

WHOLE = Declaration(
    name="wine",
    objective=["val_loss"],
    direction=["minimize"],
    trials=30,
    epochs=60,
    timeout=1.5,
    workers=2,
    seed=1,
    short={"learning_rate": "lr"},
    enqueue=[{"x": 1.0, "kind": None, "flag": True}],
    file="/studies/wine.py",
    versions={"keras": "3.15.0"},
)


def test_a_declaration_is_the_same_after_it_was_json():
    assert Declaration.from_dict(json.loads(json.dumps(WHOLE.as_dict()))) == WHOLE


def test_what_a_later_version_has_added_is_passed_over():
    assert Declaration.from_dict({**WHOLE.as_dict(), "colour": "red"}) == WHOLE


def test_the_seed_draws_the_trials_that_are_left_unpruned_and_a_larger_share_has_the_same_ones():
    drawn = {
        share: {number for number in range(2000) if declare(unpruned=share, seed=3).leaves_unpruned(number)}
        for share in (0.1, 0.3, 1.0)
    }
    assert 150 < len(drawn[0.1]) < 250
    assert drawn[0.1] < drawn[0.3] < drawn[1.0] == set(range(2000))
    other = {number for number in range(2000) if declare(unpruned=0.1, seed=4).leaves_unpruned(number)}
    assert other != drawn[0.1]
    assert not declare(seed=3).leaves_unpruned(0)
    assert declare(unpruned="10%").unpruned == 0.1


def test_a_stored_declaration_of_another_version_is_read_whatever_it_lacks_or_says():
    old = {
        "name": "wine",
        "objective": ["val_loss"],
        "direction": ["minimize"],
        "trials": 30,
        "value": None,
        "short": None,
    }
    found = Declaration.stored({**old, "pruner": None, "broken": "shout", "colour": "red"})
    assert (found.value, found.short, found.pruner, found.versions, found.file) == ("best", {}, "asha", {}, None)
    assert (found.broken, found.objectives) == ("shout", [Objective("val_loss")])
    text = json.dumps(WHOLE.as_dict())
    assert json.dumps(Declaration.stored(json.loads(text)).as_dict()) == text


def test_overrides_replace_what_they_name_and_none_replaces_nothing():
    replaced = WHOLE.replaced(trials=50, epochs=None, pruner="nop")
    assert (replaced.trials, replaced.epochs, replaced.pruner) == (50, 60, "nop")


def test_overrides_are_checked_as_declarations_are():
    with pytest.raises(StudyError, match="trials must be a whole number of at least 1, not 0"):
        WHOLE.replaced(trials=0)


def test_a_file_is_known_by_its_sha_256(tmp_path):
    (tmp_path / "study.py").write_bytes(b"study = 1\n")
    assert file_hash(tmp_path / "study.py") == hashlib.sha256(b"study = 1\n").hexdigest()


def test_the_versions_are_those_of_python_and_the_packages():
    assert {"python", "tensorflow", "keras", "optuna", "numpy"} <= versions().keys()
    assert versions()["keras-sweep"] == sweep.__version__


def test_a_study_that_an_earlier_version_stored_has_the_version_of_sweep_under_the_name_of_today():
    stored = Declaration.stored(WHOLE.as_dict() | {"versions": {"sweep": "0.0.9", "keras": "3.15.0"}})
    assert stored.versions == {"keras-sweep": "0.0.9", "keras": "3.15.0"}


def test_a_commit_bears_a_plus_where_files_differ_from_it(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    assert commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "study.py").write_text("study = 1\n")
    git("add", "study.py")
    git("commit", "-q", "-m", "first")
    head = git("rev-parse", "HEAD")
    (tmp_path / "notes").write_text("untracked files say nothing of a study\n")
    assert commit(tmp_path) == head
    (tmp_path / "study.py").write_text("study = 2\n")
    assert commit(tmp_path) == f"{head}+"
