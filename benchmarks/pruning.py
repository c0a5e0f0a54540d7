"""What finds a good model for the fewest epochs: pruners on recorded learning curves, by `sweep simulate`'s replay.

    python benchmarks/pruning.py [--curves FOLDER] [--simulations 20]

A bank is a JSON file of whole learning curves, see docs/simulate.md. Without a folder of banks, one bank is trained
here: random configurations of the networks in `peers/nets.py`, not pruned. Proposals are TPE's. Three tables:

- epochs until a COMPLETE run came within 0.1 sd of the bank's best, as a ratio to the median pruner's, with at most
  300 epochs a study; and the same in seconds, with what an epoch, the beginning of a run and its continuation after a
  pause cost here, which a live study measures first;
- the same for the rungs that were best on the other banks;
- studies of a fixed number of trials: regret and epochs against the median pruner's.
"""

import argparse
import math
import operator
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean, median

sys.path.insert(0, str(Path(__file__).parent / "peers"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from sweep.control.progress import Silent
from sweep.simulate.bank import Bank, bank_of_file, bank_of_study
from sweep.simulate.replay import replay
from sweep.simulate.simulated import NEAR_SD, Simulated, summed_up
from sweep.store import RunRecord

CURVES = Path(__file__).parents[2] / "shared" / "data" / "curves"
BUDGET = 300
TRIALS = (5, 8, 10, 20, 30)
OLD, NEW = "median", "asha"
HALF = "asha(2, [1, 3, 10])"
RUNGS = ("asha(rungs=[1, 3, 10])", "asha(rungs=[1, 3, 9])", "asha(rungs=[2, 6])", "asha(rungs=[3, 9])")
OTHERS = (NEW, *RUNGS, HALF, "asha(4, [1, 4])", "halving", "halving(1)", "hyperband", "nop")
ONE = {"family": "dnn", "width": 32, "batch_size": 64}
COSTS = ("an epoch", "the beginning of a run", "pausing and continuing one")
STOPPING = f"{NEW}, runs without checkpoints"


def live(
    trials: int, epochs: int, pruner: str, fixed: Mapping[str, str | int] | None = None
) -> tuple[Bank, list[RunRecord]]:
    """A bank of this machine's own, from a study that one worker trains, and its runs.

    Args:
        fixed: parameters that do not vary.
    """
    import optuna
    from nets import build, data

    import sweep
    from sweep.control.start import start_here
    from sweep.options import Settings
    from sweep.store import Store

    x, y, x_val, y_val = data()

    def train(trial: optuna.trial.BaseTrial) -> float:
        model = build(
            family=trial.suggest_categorical("family", ["mlp", "dnn"]),
            width=trial.suggest_categorical("width", [16, 32]),
            learning_rate=trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True),
        )
        batch_size = trial.suggest_categorical("batch_size", [32, 64, 128])
        return sweep.fit(trial, model, x, y, validation_data=(x_val, y_val), batch_size=batch_size)

    declared = sweep.Study(
        train,
        objective="val_loss",
        direction="minimize",
        trials=trials,
        epochs=epochs,
        sampler="random",
        pruner=pruner,
        seed=1,
        name="trained-here",
    )
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/sweep.db"
        start_here(declared, Settings(storage=url, logdir=f"{folder}/runs", workers=1, fixed=fixed or {}), Silent())
        store = Store(url)
        record = store.study(declared.name)
        runs = store.runs(record.study_id)
        bank = bank_of_study(record, runs, store.metrics(record.study_id))
        store.close()
    return bank, runs


def costs() -> tuple[float, float, float]:
    """Seconds of an epoch, of a run's beginning, and of pausing a run and continuing it: medians over live runs.

    All have one network, whose program is traced once in the study; the first runs are left out.
    """
    took = {epochs: [run.duration or 0.0 for run in live(20, epochs, "nop", ONE)[1]][5:] for epochs in (30, 120)}
    epoch = (median(took[120]) - median(took[30])) / 90
    begin = median(took[30]) - 30 * epoch
    paused = [run for run in live(60, 30, NEW, ONE)[1][5:] if run.attempt]
    return epoch, begin, median(((run.duration or 0.0) - begin - run.epoch * epoch) / run.attempt for run in paused)


def seconds(bank: Bank, pruner: str, simulations: int, costs: tuple[float, float, float]) -> float:
    """The geometric mean of the seconds until a COMPLETE run is within 0.1 sd of the best, or the end."""
    found = []
    for seed in range(simulations):
        runs = replay(bank, pruner, "tpe", budget=BUDGET, seed=seed).runs
        target = bank.within_sd(NEAR_SD)
        good = [run for run in runs if run.value is not None and not bank.objective.better(target, run.value)]
        last = min(good or runs, key=lambda run: run.ended if good else -run.ended)
        found.append(sum(map(operator.mul, costs, (last.ended, last.begun, last.continued))))
    return geometric_mean(found)


def in_seconds(banks: Sequence[Bank], simulations: int) -> None:
    """The table of seconds: what pausing costs beside the epochs that it saves."""
    measured = costs()
    said = " ms, ".join(f"{what} {1000 * cost:.1f}" for what, cost in zip(COSTS, measured, strict=True))
    print(f"\nSeconds instead of epochs, with what is measured here: {said} ms\n")
    heading("pruner", *(bank.name for bank in banks), "geometric mean")
    base = [seconds(bank, OLD, simulations, measured) for bank in banks]
    row(f"{OLD}, seconds", *(f"{one:.2f}" for one in base), f"{geometric_mean(base):.2f}")
    for pruner in (NEW, "halving", "nop"):
        ratios = [seconds(bank, pruner, simulations, measured) / old for bank, old in zip(banks, base, strict=True)]
        row(f"`{pruner}`", *(f"{one:.2f}" for one in ratios), f"{geometric_mean(ratios):.2f}")


def simulated(bank: Bank, pruner: str, simulations: int, *, budget: int | None, trials: int | None) -> Simulated:
    """What one pruner does with one bank."""
    print(f"{bank.name}: {pruner}, {trials or 'any number of'} trials", file=sys.stderr, flush=True)
    seeds = range(simulations)
    spec, pausable = (NEW, False) if pruner == STOPPING else (pruner, True)
    made = [replay(bank, spec, "tpe", trials=trials, budget=budget, seed=seed, pausable=pausable) for seed in seeds]
    return summed_up(bank, "tpe", pruner, made, budget or (trials or 0) * bank.epochs)


def row(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def heading(*cells: object) -> None:
    """Print the head of a table."""
    row(*cells)
    print("|---" * len(cells) + "|")


def budgets(banks: Sequence[Bank], simulations: int) -> None:
    """The tables of studies whose epochs are limited."""
    base = [simulated(bank, OLD, simulations, budget=BUDGET, trials=None) for bank in banks]
    print(
        f"\nEpochs to 0.1 sd of a COMPLETE run, at most {BUDGET}, against {OLD}; in brackets the share that found it\n"
    )
    heading("pruner", *(bank.name for bank in banks), "geometric mean", "regret in sd, mean over the banks")
    row(
        f"{OLD}, epochs",
        *(f"{one.epochs_01sd:.0f} ({one.found_01sd:.0%})" for one in base),
        f"{geometric_mean([one.epochs_01sd for one in base]):.0f}",
        f"{math.fsum(one.regret or 0 for one in base) / len(base):.3f}",
    )
    ratios = {}
    for pruner in (*OTHERS, STOPPING):
        found = [simulated(bank, pruner, simulations, budget=BUDGET, trials=None) for bank in banks]
        ratios[pruner] = [one.epochs_01sd / old.epochs_01sd for one, old in zip(found, base, strict=True)]
        row(
            f"`{pruner}`",
            *(f"{ratio:.2f} ({one.found_01sd:.0%})" for ratio, one in zip(ratios[pruner], found, strict=True)),
            f"{geometric_mean(ratios[pruner]):.2f}",
            f"{math.fsum(one.regret or 0 for one in found) / len(found):.3f}",
        )
    if len(banks) < 3:
        return
    print("\nRungs chosen on the other banks\n")
    heading("bank", "chosen on the others", "ratio there", "ratio here")
    here = []
    for place, bank in enumerate(banks):
        others = {spec: geometric_mean([r for at, r in enumerate(ratios[spec]) if at != place]) for spec in RUNGS}
        chosen = min(others, key=lambda spec: others[spec])
        here.append(ratios[chosen][place])
        row(bank.name, f"`{chosen}`", f"{others[chosen]:.2f}", f"{here[-1]:.2f}")
    row("geometric mean", "", "", f"{geometric_mean(here):.2f}")


def fixed(banks: Sequence[Bank], simulations: int) -> None:
    """The table of studies whose trials are limited."""
    print(f"\nStudies of a fixed number of trials, against `{OLD}`\n")
    names = [f"{bank.name}: regret, difference, epochs" for bank in banks]
    heading("trials", "pruner", *names, "mean difference", "without a COMPLETE run")
    for trials in TRIALS:
        base = [simulated(bank, OLD, simulations, budget=None, trials=trials) for bank in banks]
        for spec in (NEW, STOPPING, HALF):
            found = [simulated(bank, spec, simulations, budget=None, trials=trials) for bank in banks]
            apart = [(one.regret or 0.0) - (old.regret or 0.0) for one, old in zip(found, base, strict=True)]
            row(
                trials,
                f"`{spec}`",
                *(
                    f"{one.regret or 0.0:.3f}, {difference:+.3f}, {one.spent:.0f} of {old.spent:.0f}"
                    for one, old, difference in zip(found, base, apart, strict=True)
                ),
                f"{math.fsum(apart) / len(apart):+.3f}",
                f"{math.fsum(one.empty for one in found) / len(found):.0%}",
            )


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=CURVES, help="a folder of banks, NAME.json")
    parser.add_argument("--simulations", type=int, default=20)
    parser.add_argument("--trials", type=int, default=60, help="of the bank that is trained here")
    parser.add_argument("--epochs", type=int, default=30, help="of each of them")
    options = parser.parse_args()
    files = sorted(options.curves.glob("*.json"))
    banks = [bank_of_file(file) for file in files] or [live(options.trials, options.epochs, "nop")[0]]
    for bank in banks:
        print(f"{bank.name}: {len(bank.curves)} curves of {bank.epochs} epochs")
    budgets(banks, options.simulations)
    in_seconds(banks, options.simulations)
    fixed(banks, options.simulations)


if __name__ == "__main__":
    main()
