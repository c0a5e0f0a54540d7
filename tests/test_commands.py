"""Commands to copy."""

import ast
from pathlib import Path

import optuna
import pytest

import sweep
from sweep.commands import command, environment, rerun_command, run_again
from sweep.control.start import start_file
from sweep.options import Settings
from tests.store_builder import add_study, run

DEFAULT = "sqlite:///sweep.db"


def test_a_command_names_the_storage_only_where_it_must(store, monkeypatch):
    assert command("show", "t0001", storage=DEFAULT) == "sweep show t0001"
    assert command("show", "t0001", storage="sqlite:///x.db") == "sweep show t0001 --storage sqlite:///x.db"
    monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///x.db")
    assert command("show", "t0001", storage="sqlite:///x.db") == "sweep show t0001"


def test_a_pattern_is_quoted_for_the_shell(store):
    assert command("runs", "^dnn|mlp", storage=DEFAULT) == "sweep runs '^dnn|mlp'"


def test_a_run_of_a_study_that_goes_on_is_enqueued(store, tmp_path):
    study = add_study(store, runs=[run(0)], file=str(tmp_path / "studies/wine.py"))
    again = run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT)
    assert again == "sweep start studies/wine.py --name diabetes --enqueue dnn-lr=0.001-bs=32-t0000"


def test_a_run_of_a_finished_study_needs_one_trial_more(store, tmp_path):
    study = add_study(store, runs=[run(0)], file=str(tmp_path / "wine.py"), trials=30)
    again = run_again(study, store.runs(study.study_id)[0], 30, storage=DEFAULT)
    assert again == "sweep start wine.py --name diabetes --enqueue dnn-lr=0.001-bs=32-t0000 --trials 31"


def test_a_study_that_is_called_as_its_file_needs_no_name(store, tmp_path):
    study = add_study(store, "wine", [run(0)], file=str(tmp_path / "wine.py"))
    again = run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT)
    assert again == "sweep start wine.py --enqueue dnn-lr=0.001-bs=32-t0000"


def test_a_run_is_reproduced_from_its_snapshot(store):
    study = add_study(store, runs=[run(0, snapshot="0" * 64), run(1), run(2, state="RUNNING", snapshot="0" * 64)])
    said = [rerun_command(study, each, storage=DEFAULT) for each in store.runs(study.study_id)]
    assert said == ["sweep rerun diabetes t0000", None, None]
    assert rerun_command(study, store.runs(study.study_id)[0], storage="http://host:8080") is None


def test_a_run_of_a_notebook_has_no_such_command(store):
    study = add_study(store, runs=[run(0)], file=None)
    assert run_again(study, store.runs(study.study_id)[0], 1, storage=DEFAULT) is None


@pytest.mark.parametrize(
    ("storage", "stays"),
    [
        ("sqlite:///sweep.db", True),
        ("sqlite:////srv/a:b@c/sweep.db", True),
        ("postgresql://host/sweep", True),
        ("postgresql://user@host/sweep", True),
        ("postgresql://user:secret@host/sweep", False),
        ("postgresql+psycopg://user:se%40cret@host:5432/sweep", False),
        ("postgresql://host/sweep?user=me&password=secret", False),
    ],
)
def test_a_process_of_ours_is_given_no_token_and_no_password(monkeypatch, storage, stays):
    monkeypatch.setenv("SWEEP_TOKEN", "secret")
    monkeypatch.setenv("SWEEP_STORAGE", storage)
    monkeypatch.setenv("MINE", "kept")
    given = environment(MINE="not needed", MORE="given")
    assert "SWEEP_TOKEN" not in given
    assert (given.get("SWEEP_STORAGE") == storage) is stays
    assert (given["MINE"], given["MORE"]) == ("kept", "given")
    assert "secret" not in " ".join(value for name, value in given.items() if name.startswith("SWEEP_"))


READING = """
import os
import sweep

def train(trial):
    trial.set_user_attr("given", sorted(name for name, value in os.environ.items() if "secret" in value))
    return 1.0

study = sweep.Study(train, objective="loss", direction="minimize", trials=1, workers=1)
"""


def test_a_worker_is_not_given_what_only_its_coordinator_needs(tmp_path, monkeypatch):
    (tmp_path / "study.py").write_text(READING)
    monkeypatch.setenv("SWEEP_TOKEN", "a-secret")
    monkeypatch.setenv("SWEEP_STORAGE", "postgresql://user:secret@host/sweep")
    storage = f"sqlite:///{tmp_path / 'sweep.db'}"
    start_file(str(tmp_path / "study.py"), Settings(storage=storage, logdir=str(tmp_path / "runs")))
    (trial,) = optuna.load_study(study_name="study", storage=storage).trials
    assert trial.user_attrs["given"] == []


SYSTEM = {"declaration.py", "control/gpus.py"}
"""Modules that run programs of the system, `git` and `nvidia-smi`, which run nothing of a user's."""


def test_every_process_of_ours_is_given_an_environment_that_was_chosen():
    package = Path(sweep.__file__).parent
    found = {}
    for module in package.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
        starts = [call for call in calls if ast.unparse(call.func) in ("subprocess.Popen", "subprocess.run")]
        if starts:
            found[str(module.relative_to(package))] = all(
                "env" in [word.arg for word in call.keywords] for call in starts
            )
    assert len(found) >= 9
    assert {name for name, chosen in found.items() if not chosen} == SYSTEM
