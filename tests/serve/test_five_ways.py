"""A study is started in each of the five ways with every option set to something unusual, and all of it takes effect.

The ways: `sweep start`, `study.run`, the HTTP API, the start page in Chromium, and `sweep start --server`. What
counts is read back from what ran: the database, the workers, the folders, what was printed.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import optuna
import pytest

from sweep.cli import run as sweep
from sweep.control.start import start_here
from sweep.options import OPTIONS, Settings, of_way, words
from sweep.rundir import WEIGHTS
from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.store import Store
from sweep.study_file import load
from tests.control.started import ROOT, wait_for
from tests.serve.browsing import ready
from tests.serve.serving import served
from tests.store_builder import add_study, build_store, run

pytestmark = pytest.mark.slow

PROBE = """
import os, time
from pathlib import Path
import sweep

def train(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    trial.suggest_int("y", 1, 9)
    trial.report(x, 0)
    got = trial.run.policy  # what the coordinator told the worker
    trial.set_user_attr("epochs", [got.epochs, got.force_epochs])
    trial.set_user_attr("broken", got.broken)
    trial.set_user_attr("seed", trial.seed)
    trial.set_user_attr("gpu", os.environ.get("CUDA_VISIBLE_DEVICES"))
    trial.set_user_attr("worker", os.getpid())
    (trial.run.directory / "{weights}").touch()
    first_seed = trial.run.directory.parent.name != "repeats"
    if trial.number == 1 and trial.attempt == 0 and first_seed:
        raise RuntimeError("it is tried again")
    if trial.number == 2:
        time.sleep(600)
    return trial.number

study = sweep.Study(train, objective="value", direction="minimize", pruner="nop", epochs=2, seed=1, timeout=600)
""".replace("{weights}", WEIGHTS)

BEFORE = """
import sweep

def train(trial):
    trial.report(trial.suggest_float("x", 0.0, 0.9) + trial.suggest_int("y", 1, 9), 0)
    return 100.0

study = sweep.Study(train, objective="value", direction="minimize", pruner="nop", trials=1, repeats=2, name="unusual.1")
"""
"""The study as it was begun: the range of x has grown since, which `yes` confirms."""

UNUSUAL = {
    "trials": 5,
    "timeout": "90m",
    "budget_epochs": 900,
    "stop_when": ["no better in 20 trials", "value > 1000"],
    "repeats": 2,
    "epochs": 7,
    "sampler": "tpe(n_startup_trials=3)",
    "pruner": "patient(median, patience=4)",
    "paused_limit": "2GB",
    "unpruned": "30%",
    "broken": "ignore",
    "seed": 123,
    "name": "unusual.1",
    "fixed": {"y": 5},
    "enqueue": ["x=0.25", {"x": 0.75}],
    "best_of": ["old:best:1"],
    "yes": True,
    "workers": 2,
    "retries": 1,
    "stall_timeout": "2s",
    "max_trial_time": "1h",
    "keep": "best:1",
}
"""Everything that can be given in every way."""

HERE = {"logdir": "elsewhere/logs", "gpus": "7", "per_gpu": 2, "names": True}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a study file, a database with its first trial and another study; and two GPUs to choose from."""
    for name in ("SWEEP_STORAGE", "SWEEP_LOGDIR", "SWEEP_SERVER", "SWEEP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "probe.py").write_text(PROBE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "before.py").write_text(BEFORE)
    store = build_store(tmp_path / "elsewhere")
    start_here(load("before.py"), Settings(storage=str(store.url), logdir="elsewhere/logs"))
    add_study(store, "old", [run(0, 0.1, params={"x": 0.5, "y": 5})])
    store.close()
    return tmp_path


@pytest.fixture
def service(folder):
    """A service over the folder, at a port."""
    store = Store(f"sqlite:///{folder}/elsewhere/sweep.db")
    app = create_app(ServeSettings(str(store.url), folder / "elsewhere" / "logs", folder / "studies"), store)
    with served(app) as url:
        yield url, app.state.service.launcher
    store.close()


def took_effect(folder, *, gpus=("6", "7"), workers=2):
    """See that every option of `UNUSUAL` took effect; gives the study's trials as Optuna has them."""
    storage = f"sqlite:///{folder}/elsewhere/sweep.db"
    store = Store(storage)
    try:
        study = store.study("unusual.1")
        runs = store.runs(study.study_id)
    finally:
        store.close()
    declared = {
        "trials": 5, "timeout": 5400.0, "budget_epochs": 900, "stop_when": ["no better in 20 trials", "value > 1000"],
        "repeats": 2, "stall_timeout": 2.0, "max_trial_time": 3600.0, "epochs": 7, "force_epochs": True,
        "workers": workers, "broken": "ignore", "unpruned": 0.3, "paused_limit": 2 * 10**9,
        "sampler": "tpe(n_startup_trials=3)", "pruner": "patient(median, patience=4)", "seed": 123,
    }  # fmt: skip
    assert {name: getattr(study.declaration, name) for name in declared} == declared
    assert Path(study.directory) == folder / "elsewhere" / "logs" / "unusual.1"
    runs, trials = runs[1:], optuna.load_study(study_name="unusual.1", storage=storage).trials[1:]
    assert [trial.params["x"] for trial in trials[:3]] == [0.25, 0.75, 0.5]
    assert {trial.params["y"] for trial in trials} == {5}
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [run.attempt for run in runs] == [1, 0, 0, 0]
    assert "reported nothing for 2 s" in runs[1].reason
    assert [run.number for run in runs if (Path(run.directory) / WEIGHTS).exists()] == [1], "those of the best run"
    for trial in trials:
        assert (trial.user_attrs["epochs"], trial.user_attrs["broken"]) == ([7, True], "ignore")
        assert trial.user_attrs["gpu"] in gpus
    return trials


def run_here(command, **environment):
    """Run a command to its end, which must be a good one; what it printed."""
    done = subprocess.run(
        [sys.executable, *command], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line(folder):
    """`workers` is left out, so that `per_gpu` shows: two workers on the one GPU."""
    notice = folder / "notice"
    only_here = {"log_format": "json", "quiet": True, "detach": True, "notify": f'echo "$SWEEP_EVENT" > {notice}'}
    given = {**UNUSUAL, **HERE, **only_here, "storage": f"sqlite:///{folder}/elsewhere/sweep.db"}
    assert given.keys() | {"cluster", "server", "verbose"} == of_way("cli").keys()
    settings = Settings(**{name: value for name, value in given.items() if name != "workers"})
    line = [word for pair in words(settings, OPTIONS) for word in pair if word is not None]
    said = run_here(["-m", "sweep", "start", "studies/probe.py", *line])
    assert "unusual.1 trains in process" in said
    assert wait_for(lambda: notice.exists() and notice.read_text()) == "finished\n"
    log = folder / "elsewhere" / "logs" / "unusual.1" / "coordinator.log"
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "closed"
    trials = took_effect(folder, gpus=["7"], workers=None)
    assert len({trial.user_attrs["worker"] for trial in trials}) >= 2


def test_python(folder):
    given = {**UNUSUAL, **HERE, "storage": f"sqlite:///{folder}/elsewhere/sweep.db", "trial_seed": 77}
    assert given.keys() | {"cluster"} == of_way("python").keys()
    script = folder / "studies" / "probe.py"
    script.write_text(PROBE + f"\nif __name__ == '__main__':\n    study.run(**{given!r})\n")
    said = run_here([str(script)], FORCE_COLOR="1", COLUMNS="200")  # as on a terminal, where `names` shows
    assert "unusual.1-" in said
    trials = took_effect(folder, gpus=["7"])
    assert {trial.user_attrs["seed"] for trial in trials} == {77}


def ended(launcher):
    """Wait for the end of a service's one start, which must be a good one."""
    (begun,) = wait_for(launcher.starts)
    begun.process.wait()
    assert begun.state == "ended", begun.output()


def test_the_http_api(folder, service):
    url, launcher = service
    assert UNUSUAL.keys() == of_way("api").keys()
    assert httpx.post(f"{url}/api/starts", json={"file": "probe.py", **UNUSUAL}).status_code == 202
    ended(launcher)
    took_effect(folder)


def test_the_start_page(folder, service, opened):
    url, launcher = service
    page = ready(opened(f"{url}/start?file=probe.py"))
    page.click("summary")
    filled = {"fixed"}
    for field in page.query_selector_all("#start [name]"):
        name = field.get_attribute("name")
        option = OPTIONS[name]
        value = option.check(UNUSUAL[name])
        if value is True:
            field.check()
        elif field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value if isinstance(value, str) else "\n".join(option.values.texts(value)))
        filled.add(name)
    assert filled == UNUSUAL.keys()
    page.fill("[data-fixed=y]", "5")
    page.click("#start-now")
    page.wait_for_url("**/studies/unusual.1")
    ended(launcher)
    took_effect(folder)


def test_a_service_asked_by_the_command_line(folder, service, capsys):
    url, launcher = service
    settings = Settings(**UNUSUAL, server=url)
    line = [word for pair in words(settings, OPTIONS) for word in pair if word is not None]
    assert sweep(["start", "studies/probe.py", *line]) == 0
    assert "unusual.1 is" in capsys.readouterr().out
    ended(launcher)
    took_effect(folder)
