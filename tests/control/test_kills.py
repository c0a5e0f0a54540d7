"""Kills at random moments, of workers and coordinators, and what must hold afterwards (`tests/control/oracle.py`)."""

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sweep.control.consistency import check_database
from sweep.store import FINISHED, Store
from tests.control.oracle import JOURNAL, Oracle
from tests.control.started import MANY_EPOCHS, Folder, Started, wait_for

pytestmark = pytest.mark.slow

BODY = MANY_EPOCHS.replace("range(20)", "range(8)").replace("return x * x", "return x * x + 1 / (epoch + 1)")


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """A generator whose seed is printed where the test fails; `SWEEP_SEED=...` gives it again."""
    seed = int(os.environ.get("SWEEP_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SWEEP_SEED={seed}")
    return random.Random(seed)


def journalled(path: Path, settings: str, storage: str | None = None, body: str = BODY) -> Folder:
    """A folder with a study whose workers note what is acknowledged."""
    folder = Folder(path, body, settings, storage=storage)
    file = path / "tiny.py"
    file.write_text(file.read_text().replace("import sweep\n", f"import json\nimport sweep\n{JOURNAL}", 1))
    return folder


def kill_workers(started: Started, draw: random.Random, *, pause: float, most: int) -> int:
    """Kill workers at random moments until so many are dead or the study ends; how many it were.

    Between two kills a trial completes: a machine that is slow would otherwise see five trials in a row fail by their
    third kill, which stops a study.
    """
    killed = 0
    while killed < most and started.process.poll() is None:
        time.sleep(draw.uniform(0.5 * pause, 1.5 * pause))
        workers = started.workers()
        if draw.random() < 0.7:  # most of them one that trains: where all die while they load, nobody gets anywhere
            workers = started.training() or workers
        if workers:
            before = completed(started)
            with suppress(psutil.NoSuchProcess):  # it has just ended
                draw.choice(workers).kill()
                killed += 1
            wait_for(lambda before=before: completed(started) > before or started.process.poll() is not None)
    return killed


def completed(started: Started) -> int:
    """How many trials are complete."""
    return sum(run.state == "COMPLETE" for run in started.folder.runs())


def test_fifty_kills_at_random_moments_lose_nothing(tmp_path, storage_url, draw):
    folder = journalled(tmp_path, "trials=600, workers=4, seed=7", storage_url)
    with folder.started() as started:
        started.reporting()
        assert kill_workers(started, draw, pause=0.3, most=50) == 50, started.said()
        status, said = started.end()
        assert status == 0, said
        assert started.workers() == []
    Oracle(tmp_path, folder.url).check(600)
    assert sum(run.attempt for run in folder.runs()) > 10, "the kills have hit trials"


def test_a_coordinator_killed_again_and_again_loses_nothing(tmp_path, storage_url, draw):
    folder = journalled(tmp_path, "trials=40, workers=4, seed=7", storage_url)
    for _ in range(5):
        with folder.started() as started:
            wait_for(lambda: [run for run in folder.runs() if run.state == "RUNNING"])
            time.sleep(draw.uniform(0.0, 1.5))
            started.kill()
    done = folder.start()
    assert done.returncode == 0, done.stderr
    Oracle(tmp_path, folder.url).check(40)


QUICK = ("-c", """
import sys
from sweep.control import lease
lease.WATCH_SECONDS = 0.3  # nobody lives whose heart would have to be watched
from sweep.cli import run
sys.exit(run(sys.argv[1:]))
""")  # fmt: skip
KILLS = 100


def test_a_hundred_kills_of_coordinators_and_workers_leave_the_database_right_after_each(tmp_path, storage_url, draw):
    folder = journalled(tmp_path, "trials=9000, workers=4, seed=7", storage_url)
    kills = Counter[str]()
    while kills.total() < KILLS:
        with folder.started(program=QUICK) as started:
            if draw.random() < 0.8 or not folder.runs():
                started.reporting()
            while started.process.poll() is None and kills.total() < KILLS:
                time.sleep(draw.uniform(0.0, 0.5))
                workers = started.training() if draw.random() < 0.7 else started.workers()
                before = ends(folder)
                if draw.random() < 0.25:
                    started.kill()
                    kills["coordinator"] += 1
                elif workers:
                    with suppress(psutil.NoSuchProcess):  # it has just ended
                        draw.choice(workers).kill()
                        kills["worker"] += 1
                assert wrong(started) == [], f"after {kills}"
                if started.process.poll() is None:  # so that no trial loses three workers, which fails it
                    wait_for(lambda before=before: ends(folder) > before or started.process.poll() is not None)
            if started.process.poll() is None:
                started.send(signal.SIGINT)
                assert started.end()[0] == 130
    assert min(kills.values()) > 5, kills
    total = ends(folder) + 8
    done = folder.start("--trials", str(total))
    assert done.returncode == 0, done.stderr
    Oracle(tmp_path, folder.url).check(total)


def wrong(started: Started) -> list[str]:
    """What `sweep db check` finds; a coordinator that lives is suspended meanwhile, so that it writes nothing."""
    store = Store(started.folder.url)
    lives = started.process.poll() is None
    if lives:
        started.send(signal.SIGSTOP)
    try:
        return check_database(store)
    finally:
        if lives:
            started.send(signal.SIGCONT)
        store.close()


def ends(folder: Folder) -> int:
    """How many trials have ended."""
    store = Store(folder.url)
    try:
        counts = store.counts(store.study("tiny").study_id)
        return sum(counts.get(state, 0) for state in FINISHED)
    finally:
        store.close()


def test_what_a_killed_coordinator_has_left_in_the_temporary_directory_is_removed_by_the_next_start(
    tmp_path, monkeypatch
):
    folder = Folder(tmp_path, BODY, "trials=6, workers=2, seed=7")
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:  # a socket's path must be short
        monkeypatch.setenv("TMPDIR", temporary)
        with folder.started() as started:
            started.reporting()
            started.kill()
        assert os.listdir(temporary)
        assert folder.start().returncode == 0
        assert os.listdir(temporary) == []


def test_two_thousand_trials_of_one_epoch_on_eight_workers_with_a_kill_every_two_seconds(tmp_path, draw):
    body = BODY.replace("range(8)", "range(1)")
    folder = journalled(tmp_path, "trials=2000, workers=8, seed=7", body=body)
    with folder.started() as started:
        assert kill_workers(started, draw, pause=2.0, most=10**6) > 5
        status, said = started.end()
        assert status == 0, said
    Oracle(tmp_path, folder.url).check(2000)
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])
    ]


KERAS = """
import json, os, time
import keras, numpy as np
import sweep

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")

def train(trial):
    trial.suggest_float("x", 0, 1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)], name="mlp")
    model.compile(keras.optimizers.Adam(0.01), loss="mse")

    def note(epoch, logs):
        time.sleep(0.02)
        with open("trained", "a") as file:
            file.write(json.dumps([trial.number, trial.attempt, epoch]) + "\\n")

    noting = keras.callbacks.LambdaCallback(on_epoch_end=note)
    return sweep.fit(trial, model, X, Y, epochs=150, checkpoint=0.2, callbacks=[noting])

study = sweep.Study(train, objective="loss", direction="minimize", trials=2, workers=1, pruner="nop", seed=7)
"""


def test_a_training_that_is_killed_and_stopped_goes_on_from_its_checkpoint(tmp_path, draw):
    (tmp_path / "tiny.py").write_text(KERAS)
    folder = Folder(tmp_path, None)
    for kill in (True, False):
        with folder.started() as started:
            wait_for_epochs(tmp_path, draw.randrange(30, 60))
            if kill:
                draw.choice(wait_for(started.training)).kill()
                wait_for_epochs(tmp_path, 20)
            started.send(signal.SIGINT)
            assert started.end()[0] == 130
    done = folder.start()
    assert done.returncode == 0, done.stderr
    attempts: dict[int, list[list[int]]] = {0: [], 1: []}
    for number, attempt, epoch in trained(tmp_path):
        of_trial = attempts[number]
        while len(of_trial) <= attempt:
            of_trial.append([])
        of_trial[attempt].append(epoch)
    assert len(attempts[0]) + len(attempts[1]) >= 5
    for of_trial in attempts.values():
        for earlier, later in pairwise(epochs for epochs in of_trial if epochs):
            assert later == list(range(later[0], later[-1] + 1)), "each attempt trains on without a gap"
            assert earlier[-1] + 1 - later[0] in range(60), "a kill costs the epochs since the last checkpoint"
            assert later[0] > 0
    store = Store(folder.url)
    assert check_database(store) == []
    store.close()
    for run in folder.runs():
        assert (run.state, run.epoch) == ("COMPLETE", 150)
        directory = Path(run.directory)
        assert not (directory / "checkpoints").exists()
        assert (directory / "weights.npz").exists()


def wait_for_epochs(folder: Path, count: int) -> None:
    """Wait until so many more epochs are trained."""
    before = len(trained(folder))
    wait_for(lambda: len(trained(folder)) >= before + count)


def trained(folder: Path) -> list[list[int]]:
    """Number, attempt and epoch of each epoch that was trained, in order."""
    file = folder / "trained"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
