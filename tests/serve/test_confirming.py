"""A study's best runs trained again through the service: its API and its page, without Keras."""

import contextlib
import signal
import sqlite3

import pytest

from sweep.cli import run as sweep
from sweep.serve.launcher import CONFIRM_LOG
from sweep.serve.problems import Closed
from sweep.serve.settings import ServeSettings
from sweep.store import Store
from tests.control.started import Folder, copied_here, wait_for
from tests.serve.asking import Client
from tests.serve.browsing import fits, ready, until
from tests.store_builder import add_study, build_store, run

STUDY = """
import time
from pathlib import Path
import sweep

def train(trial):
    x = trial.suggest_float("x", 0, 1)
    epochs = sweep.epochs(trial)
    for epoch in epochs:
        while trial.number > 1 and Path("hold").exists():
            time.sleep(0.01)
        epochs.report({"loss": x + 0.001 * (trial.seed % 97) / 97 * (1 + x)})
    return epochs.value

study = sweep.Study(train, objective="loss", direction="minimize", epochs=2, trials=4, seed=1, pruner="nop", workers=1,
                    enqueue=[{"x": 0.1}, {"x": 0.2}, {"x": 0.6}, {"x": 0.7}])
"""
ADDRESS = "/api/studies/tiny/confirmation"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of four runs."""
    path = tmp_path_factory.mktemp("trained")
    (path / "tiny.py").write_text(STUDY)
    done = Folder(path, None).start()
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of it in the working directory; a file `hold` there keeps the third repeat from ending."""
    return copied_here(trained, tmp_path, monkeypatch)


@pytest.fixture
def client(folder):
    client = Client(Store(folder.url), folder.path, studies=folder.path)
    yield client
    (folder.path / "hold").unlink(missing_ok=True)
    for begun in client.service.launcher.starts():
        begun.process.kill()
        begun.process.wait()
    client.close()


def ended(client):
    """The last start of the service, as soon as its process has ended."""
    begun = client.get(ADDRESS).json()["start"]
    return begun if begun is not None and begun["state"] in ("ended", "failed") else None


def numbers(folder):
    """Which repeats there are."""
    return sorted((found.number, one.repeat) for found in folder.runs() for one in found.repeats)


def asked_of(database):
    """How many commands its coordinator has not read yet."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT COUNT(*) FROM sweep_commands").fetchone()[0]


def test_a_dry_run_says_what_would_train_and_trains_nothing(client, folder):
    answer = client.post(ADDRESS, top=2, repeats=3, dry_run=True)
    assert answer.status_code == 200
    planned = answer.json()
    assert [(one["number"], one["trainings"]) for one in planned["candidates"]] == [(0, 3), (1, 3)]
    assert (planned["trainings"], planned["epochs"], planned["failed"]) == (6, 12, 0)
    assert planned["said"].startswith("6 trainings at most: 12 epochs, ")
    assert client.get(ADDRESS).json()["start"] is None
    assert not numbers(folder)


def test_the_best_runs_train_again_and_the_result_is_what_the_command_line_prints(client, folder, capsys):
    assert "Best runs with fresh seeds" not in client.get("/studies/tiny").text
    answer = client.post(ADDRESS, top=2, repeats=5)
    assert answer.status_code == 202
    begun = answer.json()
    assert (begun["command"], begun["study"], begun["file"]) == ("confirm", "tiny", "tiny.py")
    done = wait_for(lambda: ended(client))
    assert (done["state"], done["problem"]) == ("ended", None)
    shown = client.get(f"/api/starts/{begun['start']}").json()
    assert "training t0000, t0001 again, up to 5 times each: 10 trainings at most" in shown["output"]
    assert (folder.path / "runs" / "tiny" / CONFIRM_LOG).exists()
    assert sweep(["confirm", "tiny", "--top", "2", "--repeats", "5"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith(".")]
    found = client.get(ADDRESS).json()
    assert found["report"] == lines
    assert found["confirmed"]
    assert found["confirming"] is None
    assert [(one["number"], one["n"]) for one in found["candidates"]] == [(0, 3), (1, 3)]
    page = client.get("/studies/tiny").text
    assert "Best runs with fresh seeds" in page
    assert lines[0] in page
    assert "worse than t0000, p = " in page


def test_what_trains_is_shown_whoever_began_it_and_is_stopped_and_continues(client, folder):
    (folder.path / "hold").touch()
    assert client.post(ADDRESS, top=2, repeats=5).status_code == 202
    wait_for(lambda: numbers(folder) == [(0, 1), (1, 1)])
    other = Client(Store(folder.url), folder.path, studies=folder.path)  # as after the service was started again
    held = wait_for(lambda: other.get("/api/studies/tiny").json()["confirming"]["running"])
    assert held == [{"number": 0, "repeat": 2, "epoch": 0, "epochs": 2}]
    page = other.get("/studies/tiny").text
    assert "2 of at most 10 trainings have ended. Training t0000 repeat 2 (epoch 0 of 2)." in page
    assert 'data-action="stopConfirming"' in page
    assert 'data-action="confirm"' not in page
    for asked in (client, other):
        answer = asked.post(ADDRESS, top=2, repeats=5)
        assert (answer.status_code, "train already" in answer.json()["error"]) == (409, True)
    answer = other.ask("DELETE", "/api/studies/tiny", params={"confirm": "tiny"})
    assert "repeats of its runs train in " in answer.json()["error"]
    assert other.post(f"{ADDRESS}/stop").status_code == 202
    (place,) = (folder.path / "runs" / "tiny" / "repeats").glob("*.db")
    wait_for(lambda: not asked_of(place))
    (folder.path / "hold").unlink()
    assert wait_for(lambda: ended(client))["state"] == "ended"
    assert len(numbers(folder)) < 6
    assert other.post(f"{ADDRESS}/stop").status_code == 409
    other.close()
    assert client.post(ADDRESS, top=2, repeats=5).status_code == 202
    wait_for(lambda: ended(client))
    assert len(numbers(folder)) == 6


@pytest.mark.slow  # a heartbeat has to be missed
def test_a_race_that_was_killed_is_not_shown_as_training_and_continues(client, folder):
    (folder.path / "hold").touch()
    client.post(ADDRESS, top=2, repeats=5)
    wait_for(lambda: client.get(ADDRESS).json()["confirming"])
    process = client.service.launcher.confirming("tiny").process
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder.path / "hold").unlink()
    wait_for(lambda: client.get(ADDRESS).json()["confirming"] is None)
    assert list((folder.path / "runs" / "tiny" / "repeats").glob("*.race"))
    assert "The last attempt failed" in client.get("/studies/tiny").text
    assert client.post(ADDRESS, top=2, repeats=5).status_code == 202
    wait_for(lambda: ended(client))
    assert len(numbers(folder)) == 6
    assert not list((folder.path / "runs" / "tiny" / "repeats").glob("*.race"))


def test_what_the_command_refuses_is_shown_with_its_reason(client):
    assert client.post(ADDRESS, top=2, repeats=1, test=True).status_code == 202
    failed = wait_for(lambda: ended(client))
    assert failed["state"] == "failed"
    assert "has no function test(model)" in failed["problem"]
    assert "The last attempt failed: " in client.get("/studies/tiny").text


def test_what_cannot_be_confirmed_is_refused(tmp_path):
    store = build_store(tmp_path)
    (tmp_path / "wine.py").write_text("study = None\n")
    file = str(tmp_path / "wine.py")
    add_study(store, "elsewhere", [run(0, 0.5)])
    add_study(store, "empty", [run(0, state="FAIL")], file=file)
    add_study(store, "imported", [run(0, 0.5), run(1, 0.6)], file=file)
    add_study(store, "both", [run(0, 0.5)], objective=["a", "b"], direction=["minimize", "minimize"], file=file)
    client = Client(store, tmp_path, studies=tmp_path)
    said = {
        name: client.post(f"/api/studies/{name}/confirmation").json()["error"]
        for name in ("elsewhere", "empty", "imported", "both")
    }
    assert said["elsewhere"] == "No such study file: diabetes.py."
    assert said["empty"] == "Study empty has no complete run yet, so there is nothing to confirm."
    assert said["imported"] == "Cannot repeat dnn-lr=0.001-bs=32-t0000: no snapshot of its study file was kept."
    assert "several objectives" in said["both"]
    assert client.post("/api/studies/imported/confirmation", top=0).status_code == 422
    assert client.post("/api/studies/imported/confirmation", seed=3).status_code == 422
    pages = {name: client.get(f"/studies/{name}").text for name in ("empty", "imported", "both")}
    assert {name for name, page in pages.items() if 'data-action="confirm"' in page} == {"imported"}
    client.service.read_only = "The database can only be read."
    assert client.post("/api/studies/imported/confirmation").status_code == Closed.status == 403
    client.close()
    alone = Client(Store(f"sqlite:///{tmp_path}/sweep.db"), tmp_path)
    answer = alone.post("/api/studies/imported/confirmation")
    assert answer.json()["error"] == "This service has no folder of study files."
    alone.close()


@pytest.mark.parametrize("width", [1400, pytest.param(500, marks=pytest.mark.slow)])
def test_a_person_sees_what_it_would_take_and_then_who_is_the_best(serving, opened, folder, width):
    (folder.path / "hold").touch()
    address = serving(ServeSettings(folder.url, folder.path / "runs", studies=folder.path), Store(folder.url))
    page = ready(opened(f"{address}/studies/tiny", width=width))
    page.click("[data-action=confirm]")
    until(
        page,
        "document.querySelector('#ask-body').textContent.includes('It takes 8 to 40 trainings')",
    )
    top = page.get_by_label("How many of the best runs")
    top.fill("0")
    until(page, "document.querySelector('#ask-yes').disabled")
    top.fill("2")
    until(page, "document.querySelector('#ask-body').textContent.includes('It takes 4 to 40 trainings')")
    assert fits(page)
    page.click("#ask-yes")
    page.wait_for_selector(".confirmation[data-live]")
    until(page, "document.querySelector('.confirmation').textContent.includes('2 of at most 40 trainings have ended')")
    assert fits(page)
    (folder.path / "hold").unlink()
    until(page, "document.querySelector('.confirmation').textContent.includes('t0000 is the best of the 2')")
    assert page.locator(".confirmation tr.is-best th").inner_text() == "t0000"
    assert page.locator(".confirmation[data-live]").count() == 0
    assert fits(page)
