"""Trials per hour beside Keras Tuner, Optuna by hand and Ray Tune: the same sets and epochs, cold start included.

    python benchmarks/peers.py [--trials 100] [--epochs 20] [--sets recurring|single] [--repeats 1] [--only NAME]

Each system runs in a process of its own, in an empty folder, one after the other, repeated in turn. All write scalars
and histograms of every epoch for TensorBoard and keep every trial. Peers that are not installed are left out:
`pip install keras-tuner optuna-integration 'ray[tune]'`. A Markdown table goes to standard output.
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

HERE = Path(__file__).parent / "peers"
SYSTEMS = {
    "sweep": None,
    "bare compiled loop": None,
    "Keras Tuner": "keras_tuner",
    "Optuna by hand": "optuna_integration",
    "Ray Tune": "ray",
}
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


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sets", choices=["recurring", "single"], default="recurring")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(SYSTEMS))
    options = parser.parse_args()
    chosen = [
        name
        for name, module in SYSTEMS.items()
        if name in (options.only or SYSTEMS) and (module is None or importlib.util.find_spec(module))
    ]
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(options.repeats):
        for name in chosen:
            times[name].append(seconds(name, options.trials, options.epochs, options.sets))
            print(f"{name}: {times[name][-1]:.1f} s", file=sys.stderr)
    ours = statistics.median(times["sweep"])
    print(f"\n{options.trials} trials of {options.epochs} epochs, sets {options.sets}, median of {options.repeats}\n")
    print("| system | sweep is faster by | trials per hour | seconds |")
    print("|---|---|---|---|")
    for name, several in times.items():
        median = statistics.median(several)
        print(f"| {name} | {median / ours:.2f} | {options.trials / median * 3600:.0f} | {median:.1f} |")


if __name__ == "__main__":
    main()
