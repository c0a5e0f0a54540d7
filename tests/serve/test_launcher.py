"""Starting studies: what the command line is, what is refused, and a coordinator that outlives its service."""

import json
import os
import signal
import sys
import time

import pytest

from sweep.errors import SweepError
from sweep.options import Settings
from sweep.serve import launcher as launcher_module
from sweep.serve.launcher import KEPT_OPTIONS, LOG, Launcher, arguments
from sweep.serve.problems import Conflict, Full
from sweep.serve.settings import ServeSettings
from tests.serve.asking import Client
from tests.store_builder import add_study, build_store, run

PLAIN = """
import sweep

def train(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(3):
        trial.report(x * step, step)
    return x

study = sweep.Study(train, objective="value", direction="minimize", trials=3, workers=1, pruner="nop")
"""


@pytest.fixture
def house(tmp_path):
    store = build_store(tmp_path)
    file = tmp_path / "plain.py"
    file.write_text(PLAIN)
    launcher = Launcher(ServeSettings(str(store.url), tmp_path / "runs", tmp_path), store)
    yield launcher, file, store
    for begun in launcher.starts():
        begun.process.kill()
        begun.process.wait()
    store.close()


def test_options_are_those_of_sweep_start_with_values_as_names_have_them():
    options = Settings(
        trials=5,
        sampler="grid(x=[1, 2])",
        broken="report",
        seed=0,
        fixed={"lr": 0.01, "opt": "a b=c", "aug": True, "n": None},
    )
    assert arguments(options) == [
        "--trials=5",
        "--sampler=grid(x=[1, 2])",
        "--broken=report",
        "--seed=0",
        "--set=lr=0.01",
        "--set=opt=a~20b~3dc",
        "--set=aug=true",
        "--set=n=none",
    ]


@pytest.mark.parametrize("options", [{"sampler": "gp(n_startup_trials=-1)"}, {"pruner": "percentile(900)"}])
def test_a_spec_that_optuna_refuses_is_refused_before_a_process_begins(house, options):
    launcher, file, _ = house
    with pytest.raises(SweepError):
        launcher.start(file, Settings(**options))
    assert launcher.starts() == []


@pytest.fixture
def sleeping(house, monkeypatch):
    """A launcher whose coordinators do nothing but live, which takes no seconds."""
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    real = launcher_module.subprocess.Popen

    def sleep(command, **given):
        return real(["/bin/sh", "-c", "exec sleep 60"], **given)

    monkeypatch.setattr(launcher_module.subprocess, "Popen", sleep)
    return house


@pytest.mark.parametrize("kind", ["sampler", "pruner"])
def test_a_service_imports_nothing_that_it_is_told_to(house, kind, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("open('evil', 'w')")
    monkeypatch.chdir(tmp_path)
    launcher, file, _ = house
    with pytest.raises(SweepError, match=f"A service imports no {kind} that it is told to import, as evil:Evil"):
        launcher.start(file, Settings(**{kind: "evil:Evil()"}))
    assert not (tmp_path / "evil").exists()
    assert launcher.starts() == []


def test_a_study_is_started_once_and_its_options_are_kept(sleeping):
    launcher, file, _ = sleeping
    begun = launcher.start(file, Settings(trials=5, fixed={"x": 0.5}))
    assert (begun.state, begun.study, begun.file, begun.problem()) == ("starting", "plain", "plain.py", None)
    assert begun.log == file.parent / "runs" / "plain" / LOG
    assert json.loads((begun.log.parent / KEPT_OPTIONS).read_text())["fixed"] == {"x": 0.5}
    with pytest.raises(Conflict, match="plain has been started already"):
        launcher.start(file, Settings())
    other = launcher.start(file, Settings(name="other"))
    assert launcher.find(other.identity) is other
    assert launcher.find("none") is None


def test_a_coordinator_is_in_a_session_of_its_own(sleeping):
    launcher, file, _ = sleeping
    begun = launcher.start(file, Settings())
    assert os.getsid(begun.process.pid) == begun.process.pid != os.getsid(0)


def test_a_service_runs_so_many_studies(sleeping, monkeypatch):
    monkeypatch.setattr(launcher_module, "MOST", 1)
    launcher, file, _ = sleeping
    launcher.start(file, Settings())
    with pytest.raises(Full, match="runs 1 study already, which is the most"):
        launcher.start(file, Settings(name="other"))


def test_a_study_goes_on_with_the_options_of_its_last_start(sleeping):
    launcher, file, store = sleeping
    first = launcher.start(file, Settings(trials=5, epochs=7, fixed={"x": 0.5}, keep="best:2"))
    first.process.kill()
    first.process.wait()
    study = add_study(store, "plain", [run(0)], trials=5, sampler="random", seed=3)
    begun = launcher.go_on(file, study, 9)
    kept = json.loads((begun.log.parent / KEPT_OPTIONS).read_text())
    assert kept == {
        "name": "plain", "trials": 9, "epochs": 7, "sampler": "random", "pruner": "median", "seed": 3,
        "fixed": {"x": 0.5}, "keep": "best:2",
    }  # fmt: skip


def test_a_study_goes_on_in_its_own_folder_wherever_the_service_has_its_log_directory(sleeping, tmp_path):
    launcher, file, store = sleeping
    own = tmp_path / "elsewhere" / "plain"
    own.mkdir(parents=True)
    (own / KEPT_OPTIONS).write_text(json.dumps({"keep": "best:2"}))
    study = add_study(store, "plain", [run(0)], trials=5, directory=str(own))
    begun = launcher.go_on(file, study, 9)
    assert begun.log == own / LOG
    assert json.loads((own / KEPT_OPTIONS).read_text())["keep"] == "best:2"
    assert not (tmp_path / "runs").exists()


def test_a_total_below_the_trials_that_are_done_is_refused_before_a_process_begins(sleeping):
    launcher, file, store = sleeping
    add_study(store, "plain", [run(0), run(1), run(2, state="PRUNED"), run(3, state="RUNNING")])
    with pytest.raises(SweepError, match=r"plain already has 3 of its trials, and 2 is fewer: .* Give more than 3"):
        launcher.start(file, Settings(trials=2))
    assert launcher.starts() == []
    assert launcher.start(file, Settings(trials=3)).study == "plain"


def test_a_study_that_is_being_started_is_not_removed(sleeping, tmp_path):
    launcher, file, store = sleeping
    folder = Client(store, tmp_path)
    folder.service.launcher = launcher
    study = add_study(store, "plain", [run(0)])
    begun = launcher.go_on(file, study, 9)
    assert folder.ask("DELETE", "/api/studies/plain", params={"confirm": "plain"}).status_code == 409
    assert store.find_study("plain") is not None
    begun.process.kill()
    begun.process.wait()
    assert folder.ask("DELETE", "/api/studies/plain", params={"confirm": "plain"}).status_code == 200
    assert store.find_study("plain") is None
    folder.close()


def test_neither_the_database_nor_the_token_is_on_the_command_line(sleeping, monkeypatch):
    monkeypatch.setenv("SWEEP_TOKEN", "a-secret")
    seen = {}
    real = launcher_module.subprocess.Popen

    def look(command, **given):
        seen.update(command=command, environment=given["env"])
        return real(command, **given)

    monkeypatch.setattr(launcher_module.subprocess, "Popen", look)
    launcher, file, store = sleeping
    launcher.start(file, Settings())
    assert not any("sqlite" in word for word in seen["command"])
    assert seen["environment"]["SWEEP_STORAGE"] == str(store.url)
    assert "SWEEP_TOKEN" not in seen["environment"]


@pytest.mark.slow
def test_a_real_study_runs_to_its_end_and_is_found_in_the_store(house):
    launcher, file, store = house
    begun = launcher.start(file, Settings(trials=2, enqueue=[{"x": 0.25}]))
    states = set()
    while begun.process.poll() is None:
        launcher.starts()
        states.add(begun.state)
        time.sleep(0.05)
    assert begun.state == "ended", begun.output()
    assert "starting" in states
    study = store.study("plain")
    assert store.runs(study.study_id, [0])[0].params["x"] == 0.25
    assert len(store.runs(study.study_id)) == 2


@pytest.mark.slow
def test_a_study_that_is_refused_says_why(house):
    launcher, file, _ = house
    file.write_text("import nothing_of_the_kind\n")
    begun = launcher.start(file, Settings())
    begun.process.wait()
    assert begun.state == "failed"
    assert "nothing_of_the_kind" in (begun.problem() or "")


def test_a_coordinator_that_was_told_to_end_has_ended(sleeping):
    launcher, file, _ = sleeping
    begun = launcher.start(file, Settings())
    begun.process.send_signal(signal.SIGKILL)
    begun.process.wait()
    assert begun.state == "failed"
    assert begun.problem() == "It printed nothing."
