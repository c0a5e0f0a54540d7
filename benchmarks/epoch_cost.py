"""What an epoch of the chapter's dnn costs a worker beside training it: events, histograms, findings, report, verdict.

    python benchmarks/epoch_cost.py [--epochs 400]

One trial of `sweep.fit` in this process, its coordinator in threads, histograms of every weight in every epoch. The
time is that of the callback that does it all, and of it what the worker waits for the verdict. Milliseconds.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from epoch_loop import DATA, dnn

import sweep
from sweep.control.opening import Settings
from sweep.control.progress import Silent
from sweep.control.start import start_here
from sweep.train.monitor import Monitor
from sweep.train.trial import WorkerTrial

taken: dict[str, list[float]] = {"all": [], "waiting": []}


def timed(method, kind):
    """A method that notes how long it takes."""

    def call(*arguments, **named):
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            taken[kind].append(1e3 * (time.perf_counter() - began))

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=400)
    epochs = parser.parse_args().epochs
    Monitor.on_epoch_end = timed(Monitor.on_epoch_end, "all")
    WorkerTrial.receive_verdict = timed(WorkerTrial.receive_verdict, "waiting")

    def train(trial):
        trial.suggest_float("x", 0, 1)
        data = {name: value for name, value in DATA.items() if name != "x"}
        return sweep.fit(trial, dnn(), DATA["x"], epochs=epochs, **data)

    study = sweep.Study(train, objective="val_loss", direction="minimize", trials=1, seed=0, name="cost")
    with tempfile.TemporaryDirectory() as folder:
        start_here(study, Settings(storage=f"sqlite:///{folder}/sweep.db", logdir=f"{folder}/runs"), Silent())
    own = [whole - waiting for whole, waiting in zip(taken["all"], taken["waiting"], strict=True)]
    print("| | median, ms | 95th percentile |\n|---|---|---|")
    for name, values in (("events, histograms, findings", own), ("waiting for the verdict", taken["waiting"])):
        print(f"| {name} | {statistics.median(values):.2f} | {statistics.quantiles(values, n=20)[18]:.2f} |")


if __name__ == "__main__":
    main()
