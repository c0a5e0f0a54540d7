"""What grows with a study: `sweep runs --filter`, proposing a trial, and the memory of a worker.

    python benchmarks/growth.py [--largest 100000] [--trials 500]

Runs are written straight into an SQLite file, with five metrics for each of three epochs. The memory is that of
`sweep start` with one worker that trains the sets of `peers.py`, two epochs each: one that outgrows is relieved.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import optuna
import psutil

from sweep.control.search import Search
from sweep.declaration import Declaration
from tests import store_builder

PEERS = Path(__file__).parent / "peers"
EPOCH = {"loss": 0.5, "val_loss": 0.6, "mae": 0.4, "val_mae": 0.45, "learning_rate": 0.001}


def filter_seconds(count: int) -> float:
    """CPU seconds of `sweep runs --filter` over so many runs, its table limited as by default."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_builder.build_store(Path(folder))
        generator = np.random.default_rng(0)
        runs = [
            store_builder.run(number, float(generator.uniform(0.5, 1.0)), family=("mlp", "dnn")[number % 2])
            for number in range(count)
        ]
        study = store_builder.add_study(store, "grown", runs, trials=count)
        for start in range(0, count, 5000):
            chunk = range(start, min(count, start + 5000))
            store_builder.add_all_epochs(store, study, {number: [EPOCH] * 3 for number in chunk})
        store.close()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "sweep", "runs", "grown", "--filter", "^dnn-.*lr=0\\.0"]
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ask_seconds(count: int) -> float:
    """Seconds to propose a trial of five parameters by TPE after so many finished ones, the mean of five."""
    domain = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    generator = np.random.default_rng(0)
    names = [f"parameter_{letter}" for letter in "abcde"]
    finished = []
    for number in range(count):
        params = {name: float(10 ** generator.uniform(-5, -1)) for name in names}
        made = optuna.trial.create_trial(
            params=params, distributions=dict.fromkeys(names, domain), value=float(generator.uniform())
        )
        made.number = number
        finished.append(made)
    declaration = Declaration("grown", ["val_loss"], ["minimize"], trials=count + 10, pruner="nop", seed=0)
    search = Search(declaration, trials=finished)
    began = time.perf_counter()
    for _ in range(5):
        trial = search.ask()
        for name in names:
            search.suggest(trial, name, domain)
    return (time.perf_counter() - began) / 5


def worker_memory(trials: int, sets: str) -> tuple[float, int]:
    """The largest resident memory of a worker over a study of so many trials, in MB, and how many workers it took."""
    environment = {
        **os.environ,
        "BENCHMARK_TRIALS": str(trials),
        "BENCHMARK_EPOCHS": "2",
        "BENCHMARK_SETS": sets,
        "PYTHONPATH": f"{PEERS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    largest: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sweep", "start", str(PEERS / "study.py"), "--name", "grown"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        study = psutil.Popen([*command, "--workers", "1"], cwd=folder, env=environment, **quiet)
        while study.poll() is None:
            for worker in study.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    largest[worker.pid] = max(largest.get(worker.pid, 0), worker.memory_info().rss)
            time.sleep(0.1)
        if study.returncode != 0:
            raise SystemExit(f"the study ended with exit status {study.returncode}")
    return max(largest.values()) / 2**20, len(largest)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=500)
    options = parser.parse_args()
    print("\n| runs | `sweep runs --filter`, CPU s | propose a trial (TPE, five parameters), ms |\n|---|---|---|")
    for count in (10, 1_000, 10_000, 100_000):
        if count <= options.largest:
            asked = f"{ask_seconds(count) * 1000:.1f}" if count <= 10_000 else "-"
            print(f"| {count:,} | {filter_seconds(count):.2f} | {asked} |", flush=True)
    print("\n| sets | trials | largest resident memory of a worker, MB | workers |\n|---|---|---|---|")
    for sets in ("recurring", "single"):
        for trials in (20, options.trials):
            megabytes, workers = worker_memory(trials, sets)
            print(f"| {sets} | {trials} | {megabytes:.0f} | {workers} |", flush=True)


if __name__ == "__main__":
    main()
