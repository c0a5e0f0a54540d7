"""What grows with a study: `sweep runs --filter`, proposing a trial, and the memory of a worker.

    python benchmarks/growth.py [--largest 100000] [--trials 500]

Runs are written straight into an SQLite file, with five metrics for each of three epochs. The worker trains mlp and dnn
of widths that recur, two epochs each, in this process.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import optuna
import psutil

from sweep.control.search import Search
from sweep.declaration import Declaration
from tests import store_builder

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


def worker_megabytes(trials: int) -> list[tuple[int, float]]:
    """Resident memory of a training process in MB: after 5, 50, ... trials."""
    import keras
    from nets import build, data, parameter_sets

    from sweep.train import compiled

    x, y, x_val, y_val = data()
    process, seen = psutil.Process(), []
    marks = {5, 50, trials // 2, trials}
    for number, params in enumerate(parameter_sets(trials, recurring=True), start=1):
        keras.utils.clear_session()
        compiled.fit(build(**params), x, y, validation_data=(x_val, y_val), batch_size=32, epochs=2)
        if number in marks:
            seen.append((number, process.memory_info().rss / 2**20))
    return seen


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
    print("\n| trials of a worker | resident, MB |\n|---|---|")
    for number, megabytes in worker_megabytes(options.trials):
        print(f"| {number} | {megabytes:.0f} |", flush=True)


if __name__ == "__main__":
    main()
