"""The service: how quickly it answers about 10,000 runs, and what 200 clients of its event stream cost a study.

    python benchmarks/service.py [--runs 10000] [--listeners 200] [--trials 20]

Answers are timed by one client over one connection, in milliseconds: the median and the 95th percentile of 30. For the
listeners a study with one worker is trained with and without them, in turn, on the machine that runs the service and
the clients as well; what is compared is the CPU-bound time of an epoch.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx

from sweep.store import Store
from tests import store_builder

ROUNDS = 3
STUDY = """
import keras, numpy as np, sweep

def train(trial):
    width = trial.suggest_int("width", 8, 64)
    x = np.random.default_rng(0).normal(size=(4096, 16)).astype("float32")
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(width, "relu"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return sweep.fit(trial, model, x, x[:, 0], validation_split=0.25, batch_size=32, epochs=40)

study = sweep.Study(train, objective="val_loss", direction="minimize", workers=1, pruner="nop", seed=7)
"""
QUESTIONS = {
    "study page": "/studies/grown",
    "rows, filtered": "/studies/grown/rows?filter=%5Ednn-.*lr%3D0%5C.0",
    "runs, filtered": "/api/studies/grown/runs?filter=%5Ednn-.*lr%3D0%5C.0&limit=100",
    "runs, filtered anew": "/api/studies/grown/runs?filter=%5Ednn-.*bs%3D{}&limit=100",
    "runs, where": "/api/studies/grown/runs?where=lr%20%3C%205%20and%20val_mae%20%3C%200.6&limit=100",
    "runs, sorted": "/api/studies/grown/runs?sort=val_mae&limit=100",
}


@contextlib.contextmanager
def service(folder: Path) -> Iterator[str]:
    """A service on the database of a folder, as a user starts one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "sweep", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{url}/api/health")
            break
        time.sleep(0.1)
    try:
        yield url
    finally:
        process.terminate()
        process.wait()


def grow(folder: Path, count: int) -> None:
    """A study of so many runs with three epochs each, two of them running."""
    chance = random.Random(0)
    store = store_builder.build_store(folder)
    runs = [
        store_builder.run(
            number, chance.uniform(0.5, 1), family=("mlp", "dnn")[number % 2], state=("COMPLETE", "PRUNED")[number % 2]
        )
        for number in range(count)
    ]
    for run in runs:
        run.epoch = 3
    for run in runs[-2:]:
        run.state = "RUNNING"
    study = store_builder.add_study(store, "grown", runs, trials=count)
    for start in range(0, count, 5000):
        chunk = range(start, min(count, start + 5000))
        epoch = {"loss": 0.5, "val_loss": 0.6, "mae": 0.4, "learning_rate": 0.001}
        values = {number: [{**epoch, "val_mae": chance.random()} for _ in range(3)] for number in chunk}
        store_builder.add_all_epochs(store, study, values)
    store.close()


def answers(url: str) -> dict[str, tuple[float, float]]:
    """Milliseconds of each answer: the median and the 95th percentile, after a first one that fills memory."""
    found = {}
    with httpx.Client(base_url=url, timeout=60) as client:
        for name, path in QUESTIONS.items():
            taken = []
            for place in range(31):
                before = time.perf_counter()
                client.get(path.format(place)).raise_for_status()
                taken.append(1000 * (time.perf_counter() - before))
                time.sleep(0.05)
            found[name] = (statistics.median(taken[1:]), sorted(taken[1:])[28])
            print(f"{name:<20} {found[name][0]:8.1f} {found[name][1]:8.1f}   first {taken[0]:.1f}", flush=True)
    return found


async def listen(url: str, count: int) -> None:
    """So many clients of a study's event stream, until they are told to end; plain sockets, which cost little here."""
    host, port = url.removeprefix("http://").rstrip("/").split(":")

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"GET /api/studies/trained/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                while await reader.read(65536):
                    pass
                writer.close()
            await asyncio.sleep(0.5)

    await asyncio.gather(*(one() for _ in range(count)))
    await asyncio.Event().wait()  # also where nobody listens


def train(folder: Path, trials: int, listeners: int) -> float:
    """Milliseconds of an epoch, the median over trials, while so many clients listen."""
    (folder / "trained.py").write_text(STUDY)
    Store(f"sqlite:///{folder / 'sweep.db'}", create=True).close()
    with service(folder) as url:
        clients = subprocess.Popen([sys.executable, __file__, "--listen", url, "--listeners", str(listeners)])
        command = [sys.executable, "-m", "sweep", "start", "trained.py", "--trials", str(trials)]
        environment = {**os.environ, "SWEEP_STORAGE": f"sqlite:///{folder / 'sweep.db'}"}
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
        clients.kill()
        clients.wait()
    store = Store(f"sqlite:///{folder / 'sweep.db'}")
    runs = store.runs(store.study("trained").study_id)
    store.close()
    taken = [1000 * (run.duration or 0) / run.epoch for run in runs if run.epoch and run.number > 2]
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--listeners", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.listen:
        asyncio.run(listen(given.listen, given.listeners))
        return
    with tempfile.TemporaryDirectory() as folder:
        grow(Path(folder), given.runs)
        print(f"answers about {given.runs} runs, ms: median, 95th percentile")
        with service(Path(folder)) as url:
            found = answers(url)
    epochs: dict[int, list[float]] = {0: [], given.listeners: []}
    for _ in range(ROUNDS if given.trials else 0):
        for listeners, taken in epochs.items():
            with tempfile.TemporaryDirectory() as folder:
                taken.append(train(Path(folder), given.trials, listeners))
                print(f"{listeners} listeners: {taken[-1]:.1f} ms an epoch", flush=True)
    if given.trials:
        alone, with_them = (min(taken) for taken in epochs.values())
        print(f"{given.listeners} listeners slow an epoch by {with_them / alone - 1:.1%}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
