"""CPU of `sweep --help` and `sweep runs`, and the time from `sweep start` to its first epoch beside `import keras`.

python benchmarks/startup.py [--repeats 5]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = Path(__file__).parent.parent / "studies" / "diabetes.py"


def cpu(command: list[str]) -> float:
    """User and system seconds of a command, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall(command: list[str]) -> float:
    """Wall seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def first_epoch() -> float:
    """Wall seconds from `sweep start` with one worker to the end of its first trial, which has one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "sweep", "start", str(STUDY), "--trials", "1", "--epochs", "1"]
        began = time.perf_counter()
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            for line in process.stdout or ():
                if line.startswith("complete"):
                    break
            took = time.perf_counter() - began
            process.communicate()
        return took


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sweep = [sys.executable, "-m", "sweep"]
    figures = {
        "`sweep --help`, CPU": lambda: cpu([*sweep, "--help"]),
        "`python -c 'import keras'`, wall": lambda: wall([sys.executable, "-c", "import keras"]),
        "`sweep start` to the end of a trial of one epoch, wall": first_epoch,
    }
    print("\n| figure | median, s | min | max |\n|---|---|---|---|")
    for name, measure in figures.items():
        values = [measure() for _ in range(options.repeats)]
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |", flush=True)


if __name__ == "__main__":
    main()
