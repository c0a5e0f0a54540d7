"""Which pruner finds the better model in real studies of equal epochs: the example studies, by `sweep start`.

    python benchmarks/pruning_live.py [--studies diabetes digits wine] [--seeds 5] [--workers 2] [--pruners median asha]

Each study is trained from each seed with each pruner, with as many epochs as ten whole runs have, and as many trials as
fit. A line has the best COMPLETE run's value with each pruner and their difference in sd, where sd is the interquartile
range of all runs' best epochs / 1.349, as `sweep simulate` counts; below zero, the second pruner is better.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parents[1]
STUDIES = {"diabetes": (60, 1), "digits": (30, -1), "wine": (200, 1)}  # epochs of a whole run; -1 where more is better
TRIALS = 10_000  # more than the epochs are enough for
WHOLE = 10  # runs that the epochs of a study would train to their end


class Trained(NamedTuple):
    """A study that is over: the best COMPLETE value, each run's best, and what was spent."""

    best: float
    bests: list[float]
    runs: int
    complete: int
    epochs: int


def sweep(folder: str, *arguments: str) -> str:
    """What a command prints, in a folder of its own."""
    environment = {**os.environ, "SWEEP_STORAGE": f"sqlite:///{folder}/sweep.db", "SWEEP_LOGDIR": f"{folder}/runs"}
    command = [sys.executable, "-m", "sweep", *arguments]
    return subprocess.run(
        command, check=True, cwd=HERE, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ).stdout


def trained(study: str, pruner: str, seed: int, workers: int) -> Trained:
    """Train a study."""
    epochs, sign = STUDIES[study]
    budget = ["--budget-epochs", str(WHOLE * epochs), "--trials", str(TRIALS)]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--pruner", pruner, "--seed", str(seed), "--workers", str(workers), "--keep", "none"]
        sweep(folder, "start", f"studies/{study}.py", *options, *budget)
        runs = json.loads(sweep(folder, "runs", study, "--json"))
    complete = [sign * run["value"] for run in runs if run["state"] == "COMPLETE"]
    bests = [sign * run["best"] for run in runs if run["best"] is not None]
    return Trained(min(complete), bests, len(runs), len(complete), sum(run["epoch"] or 0 for run in runs))


def compared(study: str, pruners: Sequence[str], seeds: int, workers: int) -> list[float]:
    """Compare two pruners on a study; the differences in sd."""
    pairs = []
    for seed in range(1, seeds + 1):
        pairs.append([trained(study, pruner, seed, workers) for pruner in pruners])
    every = [value for pair in pairs for one in pair for value in one.bests if math.isfinite(value)]
    low, high = np.percentile(every, [25, 75])
    sd = (high - low) / 1.349
    apart = [(new.best - old.best) / sd for old, new in pairs]
    for seed, (pair, difference) in enumerate(zip(pairs, apart, strict=True), 1):
        texts = [f"{abs(one.best):.4f} | {one.complete} of {one.runs}, {one.epochs} epochs" for one in pair]
        print(f"| {study} | {seed} | {' | '.join(texts)} | {difference:+.3f} |", flush=True)
    return apart


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pruners", nargs=2, default=["median", "asha"])
    arguments = parser.parse_args()
    titles = [f"{pruner}: best | COMPLETE, epochs" for pruner in arguments.pruners]
    print(f"| study | seed | {' | '.join(titles)} | difference in sd |\n|---|---|---|---|---|---|---|")
    apart = [
        one
        for study in arguments.studies
        for one in compared(study, arguments.pruners, arguments.seeds, arguments.workers)
    ]
    better = sum(one < 0 for one in apart)
    print(f"\nmean difference {math.fsum(apart) / len(apart):+.3f} sd; {better} of {len(apart)} pairs better")


if __name__ == "__main__":
    main()
