"""Trials per hour beside Keras Tuner, Optuna by hand and Ray Tune: the same sets and epochs, cold start included.

    python benchmarks/peers.py [--sets NAME ...] [--trials N] [--epochs 20] [--repeats 1] [--only NAME ...]

Each system runs in a process of its own, in an empty folder, one after the other, repeated in turn. All write scalars
and histograms of every epoch for TensorBoard and keep every trial. Each peer trains as many trials at once as it can
by its own means, which the table says. Peers that are not installed are left out:
`pip install keras-tuner optuna-integration 'ray[tune]'`. A Markdown table for each of the sets goes to standard output.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from nets import SETS, cores

HERE = Path(__file__).parent / "peers"
TRIALS = {"recurring": 100, "single": 10}
"""How many trials the sets of a name have; the others have 60."""

SYSTEMS = {
    "sweep": [],
    "bare compiled loop": [],
    "Keras Tuner": ["keras_tuner"],
    "Optuna by hand": ["optuna_integration"],
    "Ray Tune": ["ray", "pyarrow", "fsspec"],
}
"""Each with the modules that it needs."""

HOW = {
    "sweep": "{cores} workers",
    "bare compiled loop": "{cores} processes",
    "Keras Tuner": "one trial at a time, as documented",
    "Optuna by hand": "{cores} processes over a journal file",
    "Ray Tune": "{cores} trials at once, actors reused",
}
"""How each trains trials at once; one process a core has one thread."""

SCRIPTS = {
    "bare compiled loop": "bare_loop.py",
    "Keras Tuner": "keras_tuner_search.py",
    "Optuna by hand": "optuna_by_hand.py",
    "Ray Tune": "ray_tune.py",
}


def command(system: str, trials: int, epochs: int, sets: str) -> list[str]:
    """The command line of a system."""
    if system == "sweep":
        return [sys.executable, "-m", "sweep", "start", str(HERE / "study.py"), "--name", "benchmark"]
    return [sys.executable, str(HERE / SCRIPTS[system]), str(trials), str(epochs), sets]


def seconds(system: str, trials: int, epochs: int, sets: str) -> float:
    """Wall time of one system, from its process's start to its end."""
    environment = {
        **os.environ,
        "BENCHMARK_TRIALS": str(trials),
        "BENCHMARK_EPOCHS": str(epochs),
        "BENCHMARK_SETS": sets,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    with tempfile.TemporaryDirectory() as folder:
        environment["SWEEP_CACHE"] = folder  # cold: nothing is known of earlier runs
        began = time.perf_counter()
        done = subprocess.run(
            command(system, trials, epochs, sets),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(f"{system} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return took


def table(sets: str, options: argparse.Namespace, chosen: list[str]) -> None:
    """Measure all systems on the sets of one name, and print their table."""
    trials = options.trials or TRIALS.get(sets, 60)
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(options.repeats):
        for name in chosen:
            times[name].append(seconds(name, trials, options.epochs, sets))
            print(f"{sets}, {name}: {times[name][-1]:.1f} s", file=sys.stderr)
    fastest = statistics.median(times["sweep"]) if "sweep" in times else None
    print(f"\n`{sets}`: {SETS[sets]}; {trials} trials of {options.epochs} epochs, median of {options.repeats}\n")
    print("| system | at once | sweep is faster by | trials per hour | seconds |")
    print("|---|---|---|---|---|")
    for name, several in times.items():
        median = statistics.median(several)
        ratio = f"{median / fastest:.2f}" if fastest else ""
        how = HOW[name].format(cores=cores())
        print(f"| {name} | {how} | {ratio} | {trials / median * 3600:.0f} | {median:.1f} |", flush=True)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", action="append", choices=list(SETS), help="what varies from trial to trial")
    parser.add_argument("--trials", type=int, help="100 of the recurring sets, 10 single ones, 60 of the others")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(SYSTEMS))
    options = parser.parse_args()
    chosen = [
        name
        for name, modules in SYSTEMS.items()
        if name in (options.only or SYSTEMS) and all(map(importlib.util.find_spec, modules))
    ]
    for sets in options.sets or SETS:
        table(sets, options, chosen)


if __name__ == "__main__":
    main()
