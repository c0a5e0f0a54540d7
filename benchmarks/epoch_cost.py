"""What an epoch of the chapter's dnn costs a worker beside training it: events, histograms, findings, report, verdict.

    python benchmarks/epoch_cost.py [--epochs 400]

This file is its own study: one trial of `sweep.fit` in a worker process, histograms of every weight in every epoch. The
time is that of the callback that does it all, and of it what the worker waits for the verdict. Milliseconds.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sweep  # noqa: E402
from sweep.control.start import start_file  # noqa: E402
from sweep.options import Settings  # noqa: E402

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


def train(trial):
    from epoch_loop import DATA, dnn

    from sweep.train.monitor import Monitor
    from sweep.worker.trial import WorkerTrial

    trial.suggest_float("x", 0, 1)
    Monitor.on_epoch_end = timed(Monitor.on_epoch_end, "all")
    WorkerTrial.receive_verdict = timed(WorkerTrial.receive_verdict, "waiting")
    data = {name: value for name, value in DATA.items() if name != "x"}
    value = sweep.fit(trial, dnn(), DATA["x"], **data)
    Path(os.environ["EPOCH_COST"]).write_text(json.dumps(taken))
    return value


study = sweep.Study(train, objective="val_loss", direction="minimize", trials=1, seed=0, workers=1, name="cost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=400)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EPOCH_COST"] = f"{folder}/taken.json"
        settings = Settings(storage=f"sqlite:///{folder}/sweep.db", logdir=f"{folder}/runs", epochs=epochs)
        start_file(__file__, settings)
        found = json.loads(Path(folder, "taken.json").read_text())
    own = [whole - waiting for whole, waiting in zip(found["all"], found["waiting"], strict=True)]
    print("| | median, ms | 95th percentile |\n|---|---|---|")
    for name, values in (("events, histograms, findings", own), ("waiting for the verdict", found["waiting"])):
        print(f"| {name} | {statistics.median(values):.2f} | {statistics.quantiles(values, n=20)[18]:.2f} |")


if __name__ == "__main__":
    main()
