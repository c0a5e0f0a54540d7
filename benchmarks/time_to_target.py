"""Seconds from a cold start until a run reaches a target, beside Keras Tuner, Optuna by hand and Ray Tune.

    python benchmarks/time_to_target.py [--studies dropout free everything] [--seeds 3] [--limit 180] [--only NAME ...]

The studies are in `targets/spaces.py`. Each system has its own sampler and pruner, runs in a process of its own, in an
empty folder, and trains on all cores by its own means; weights are seeded. All write scalars and histograms of every
epoch for TensorBoard. A system is ended when the first of its runs has reached the target, or after the limit, which
counts as its time. Peers that are not installed are left out:
`pip install keras-tuner optuna-integration 'ray[tune]'`.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import geometric_mean

sys.path.insert(0, str(Path(__file__).parent / "targets"))

from spaces import TARGETS

HERE = Path(__file__).parent / "targets"
SYSTEMS = {
    "sweep": (None, ()),
    "Optuna by hand, halving": ("optuna_asha.py", ("optuna_integration",)),
    "Ray Tune, ASHA": ("ray_asha.py", ("ray", "pyarrow", "fsspec")),
    "Keras Tuner, Hyperband": ("keras_tuner_hyperband.py", ("keras_tuner",)),
}
"""Each with its script and the modules that it needs."""


def seconds(system: str, study: str, seed: int, limit: float) -> float:
    """Wall time of a system from its process's start until the target is reached."""
    script = SYSTEMS[system][0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        reached = Path(folder) / "reached"
        environment = {
            **os.environ,
            "BENCHMARK_STUDY": study,
            "BENCHMARK_REACHED": str(reached),
            "SWEEP_CACHE": folder,  # cold: nothing is known of earlier runs
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [sys.executable, str(HERE / (script or "")), study, str(seed)]
        if script is None:  # its log has every epoch
            command = [sys.executable, "-m", "sweep", "start", str(HERE / "study.py"), "--name", study]
            command += ["--seed", str(seed), "--log-format", "json"]
        began = time.perf_counter()
        with open(Path(folder) / "output", "w") as output, open(Path(folder) / "output") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            while not reached.exists() and time.perf_counter() - began < limit and process.poll() is None:
                time.sleep(0.02)
                if script is None and any(_reaches(line, study) for line in log):
                    reached.touch()
            took = time.perf_counter() - began
            failed = process.poll() not in (None, 0) and not reached.exists()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if failed:
            raise SystemExit(f"{system} failed:\n{(Path(folder) / 'output').read_text()[-4000:]}")
    return min(took, limit)


def _reaches(line: str, study: str) -> bool:
    """Whether a line of sweep's log tells of an epoch that reaches the target; half a line does not."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return False
    return event.get("event") == "epoch" and event["metrics"]["val_loss"] <= TARGETS[study]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds")
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    options = parser.parse_args()
    chosen = [name for name in options.only if all(map(importlib.util.find_spec, SYSTEMS[name][1]))]
    print(
        f"| system | {' | '.join(f'{study}: val_loss {TARGETS[study]}' for study in options.studies)} | mean | ratio |"
    )
    print("|---" * (len(options.studies) + 3) + "|")
    fastest = None
    for name in chosen:
        cells, means = [], []
        for study in options.studies:
            times = []
            for seed in range(1, options.seeds + 1):
                times.append(seconds(name, study, seed, options.limit))
                print(f"{name}, {study}, seed {seed}: {times[-1]:.1f} s", file=sys.stderr, flush=True)
            means.append(geometric_mean(times))
            never = sum(each >= options.limit for each in times)
            cells.append(f"{means[-1]:.1f} s" + (f" ({never} of {len(times)} never)" if never else ""))
        mean = geometric_mean(means)
        fastest = fastest or mean
        print(f"| {name} | {' | '.join(cells)} | {mean:.1f} s | {mean / fastest:.1f} |", flush=True)
    print(f"\nGeometric means; one that has not reached the target after {options.limit:g} s counts as that.")


if __name__ == "__main__":
    main()
