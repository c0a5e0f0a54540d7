"""From reporting an epoch to having its verdict, as a worker sees it: on this machine, and on a Ray started here.

    python benchmarks/ray_latency.py [--reports 3000]

One worker, which trains nothing. A Markdown table goes to standard output.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

STUDY = """
import json
import time
import sweep

def train(trial):
    trial.suggest_float("x", 0, 1)
    seconds = []
    for step in range({reports}):
        began = time.perf_counter()
        trial.report(1 / (step + 1), step)
        trial.should_prune()
        seconds.append(time.perf_counter() - began)
    with open({result!r}, "w") as file:
        json.dump(seconds, file)
    return 0.0

study = sweep.Study(train, objective="loss", direction="minimize", trials=1, workers=1)
"""
PLACES = {"this machine": [], "Ray on this machine": ["--on", "ray"]}


def milliseconds(options: list[str], reports: int) -> tuple[float, float]:
    """The median and the 99th percentile of a report and its verdict, which are two messages; half of both."""
    with tempfile.TemporaryDirectory() as folder:
        result = f"{folder}/seconds.json"
        Path(folder, "reports.py").write_text(STUDY.format(reports=reports, result=result))
        command = [sys.executable, "-m", "sweep", "start", "reports.py", *options]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds = np.array(json.loads(Path(result).read_text())[100:]) / 2  # without the first, which open the study
    return float(np.median(seconds) * 1e3), float(np.percentile(seconds, 99) * 1e3)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=3000)
    reports = parser.parse_args().reports
    print("| workers are on | a message and its answer, median, ms | 99th percentile, ms |")
    print("|---|---|---|")
    for place, options in PLACES.items():
        median, late = milliseconds(options, reports)
        print(f"| {place} | {median:.2f} | {late:.2f} |")


if __name__ == "__main__":
    main()
