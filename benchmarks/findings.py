"""Which broken networks are told, by which name, and whether a healthy one is called broken.

    python benchmarks/findings.py [--only WORD] [--verbose]

A gallery of broken networks, each with the findings one of which must be there by the third epoch (overfitting: by its
25th), severe ones as severe; and healthy trainings of many kinds, none of which may have a severe finding in its first
ten epochs. All data are made up from fixed seeds. The table is for `RESULTS.md`.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
from epoch_loop import DATA, dnn  # noqa: E402
from networks.broken import BROKEN  # noqa: E402
from networks.healthy import HEALTHY  # noqa: E402

from sweep.finding import KINDS  # noqa: E402
from sweep.train.checks import Health, Material  # noqa: E402
from sweep.train.checks.before import check  # noqa: E402
from sweep.train.graphs import weight_tags, weights  # noqa: E402

GOAL = {"direction": "minimize", "objective": "val_loss"}


def look(case, again: int) -> tuple:
    """The findings of a case, from its seed or another."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(case.seed + 1000 * again)
    model, data = case.make()
    return check(model, epochs=case.epochs, **data)


def cost(epochs: int = 20, rounds: int = 9) -> float:
    """Milliseconds an epoch that the checks take for the dnn, the looks at the data and the sample included."""
    taken = []
    for _ in range(rounds):
        model = dnn()
        model.fit(DATA["x"], DATA["y"], epochs=1, verbose=0)
        values = weights(model, weight_tags(model))
        began = time.perf_counter()
        health = Health(Material(*(DATA[name].copy() for name in "xy"), DATA["validation_data"][0].copy()), **GOAL)
        for epoch in range(epochs):
            falling = [1.0 / (1 + past) for past in range(epoch + 1)]
            health.check(model, epoch, values, {"loss": falling, "val_loss": falling})
        taken.append(1e3 * (time.perf_counter() - began) / epochs)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--seeds", type=int, default=1, help="how often each case is made, from other seeds")
    parser.add_argument("--verbose", action="store_true", help="every finding of every case")
    arguments = parser.parse_args()
    told, missed, false, informed = [], [], Counter(), Counter()
    rows = []
    chosen = [case for case in BROKEN if arguments.only in case.name]
    for case, again in itertools.product(chosen, range(arguments.seeds)):
        found = look(case, again)
        hit = [item for item in found if item.kind in case.expects and item.severe >= case.severe]
        if again == 0 or not hit:
            kinds = ", ".join(_mark(item) for item in found) or "none"
            rows.append((case.name, ", ".join(case.expects), kinds, bool(hit)))
        (told if hit else missed).append(case.name)
        if arguments.verbose:
            print(f"{'' if hit else 'MISSED '}{case.name}\n  " + "\n  ".join(map(str, found)), flush=True)
    healthy = [case for case in HEALTHY if arguments.only in case.name]
    for case, again in itertools.product(healthy, range(arguments.seeds)):
        found = look(case, again)
        severe = [item for item in found if item.severe]
        false.update({f"{case.name}: {item}": 1 for item in severe})
        informed.update({item.kind for item in found if not item.severe})
        if arguments.verbose and found:
            print(f"{'FALSE ' if severe else ''}{case.name}\n  " + "\n  ".join(map(str, found)), flush=True)
    print(f"\n{len(told)} of {len(told) + len(missed)} broken networks told by the third epoch; ", end="")
    print(f"{sum(false.values())} of {len(healthy) * arguments.seeds} healthy ones have a severe finding.")
    print(f"The checks take {cost():.2f} ms an epoch of the chapter's dnn, in a training of 20.\n")
    print("| broken network | wanted (one of) | found; severe in bold | |\n|---|---|---|---|")
    for name, wanted, found, hit in rows:
        print(f"| {name} | {wanted} | {found} | {'told' if hit else 'MISSED'} |")
    print("\n| finding, not severe, in healthy runs | runs |\n|---|---|")
    for kind in KINDS:
        if informed[kind]:
            print(f"| {kind} | {informed[kind]} of {len(healthy) * arguments.seeds} |")
    for alarm in false:
        print(f"FALSE ALARM {alarm}")
    sys.exit(bool(missed or false))


def _mark(item) -> str:
    return f"**{item.kind}**" if item.severe else item.kind


if __name__ == "__main__":
    main()
