"""What pruning spares and what it costs: the same study with and without a pruner, over several seeds.

    python benchmarks/pruning.py [--seeds 10] [--trials 40] [--epochs 40]

Each study trains the networks of `peers/nets.py` in one process, with random sampling, so that trial n has the same
parameters and initial weights with every pruner. Reported for each pruner, over the seeds: epochs trained of those
planned, time to the first trial within 1 % of the unpruned best (of the studies that got there), and how often the
pruned study's best is within 1 % of the unpruned one's.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import optuna
from nets import build, data

import sweep
from sweep.control.progress import Silent
from sweep.control.start import start_here
from sweep.options import Settings
from sweep.store import RunRecord

PRUNERS = ("nop", "median", "hyperband")
TOLERANCE = 1.01


@dataclass
class Clock(Silent):
    """When each trial ended, and its best value."""

    began: float = field(default_factory=time.monotonic)
    ends: list[tuple[float, RunRecord]] = field(default_factory=list)

    def ended(self, run: RunRecord) -> None:
        """Keep the time and the run."""
        self.ends.append((time.monotonic() - self.began, run))

    def best(self) -> float:
        """The best value of a complete trial."""
        return min(run.best for _, run in self.ends if run.state == "COMPLETE" and run.best is not None)

    def seconds_to(self, value: float) -> float | None:
        """When the first complete trial reached `value`."""
        return next(
            (at for at, run in self.ends if run.state == "COMPLETE" and run.best is not None and run.best <= value),
            None,
        )


def study(trials: int, epochs: int, pruner: str, seed: int) -> Clock:
    """Run one study in this process."""
    x, y, x_val, y_val = data()

    def train(trial: optuna.trial.BaseTrial) -> float:
        model = build(
            trial.suggest_categorical("family", ["mlp", "dnn"]),
            trial.suggest_categorical("width", [16, 32]),
            trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        )
        return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=64)

    declared = sweep.Study(
        train,
        objective="val_loss",
        direction="minimize",
        trials=trials,
        epochs=epochs,
        sampler="random",
        pruner=pruner,
        seed=seed,
        name=f"{pruner}-{seed}",
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        start_here(declared, Settings(storage=f"sqlite:///{folder}/sweep.db", logdir=f"{folder}/runs"), clock)
    return clock


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=40)
    options = parser.parse_args()
    clocks: dict[str, list[Clock]] = {pruner: [] for pruner in PRUNERS}
    study(2, 2, "nop", 0)  # imports and first traces belong to none of them
    for seed in range(options.seeds):
        for pruner in PRUNERS:
            clocks[pruner].append(study(options.trials, options.epochs, pruner, seed))
            print(f"seed {seed} {pruner}: best {clocks[pruner][-1].best():.4f}", file=sys.stderr, flush=True)
    print(f"\n{options.seeds} seeds, {options.trials} trials of {options.epochs} epochs\n")
    print("| pruner | epochs trained | seconds of the study | seconds to within 1 % | got there | best within 1 % |")
    print("|---|---|---|---|---|---|")
    targets = [clock.best() * TOLERANCE for clock in clocks["nop"]]
    planned = options.trials * options.epochs
    for pruner, several in clocks.items():
        trained = statistics.mean(sum(run.epoch for _, run in clock.ends) / planned for clock in several)
        whole = statistics.median(clock.ends[-1][0] for clock in several)
        times = [clock.seconds_to(target) for clock, target in zip(several, targets, strict=True)]
        reached = [at for at in times if at is not None]
        good = sum(clock.best() <= target for clock, target in zip(several, targets, strict=True))
        to = f"{statistics.median(reached):.1f}" if reached else "-"
        print(
            f"| {pruner} | {trained:.0%} | {whole:.1f} | {to} | {len(reached)} of {len(several)} "
            f"| {good} of {len(several)} |"
        )


if __name__ == "__main__":
    main()
