"""`sweep best --save`: the best run's trained model as a file."""

import subprocess
import sys
from pathlib import Path

from sweep.cli.output import print_whole
from sweep.cli.target import named_study
from sweep.errors import SweepError
from sweep.read.runs import rank
from sweep.rundir import WEIGHTS
from sweep.store import Store


def save_best(store: Store, name: str | None, file: str) -> None:
    """Save the model of a study's best run, in a process of its own: it loads Keras.

    Raises:
        SweepError: there is no complete run, it has kept no weights, or Keras cannot save them so.
    """
    if not file.endswith((".keras", ".h5")):
        raise SweepError("Keras saves a model as .keras or .h5", repr(file), "such as --save model.keras")
    study = named_study(store, name)
    ranked = rank(study, store.runs(study.study_id))
    if not ranked:
        raise SweepError("the best run is a complete one", f"none in {study.name} yet")
    best = ranked[0]
    if best.directory is None or not (Path(best.directory) / WEIGHTS).is_file():
        raise SweepError("the weights of the best run must be kept", f"none of {best.name}", "see sweep start --keep")
    command = [sys.executable, "-m", "sweep.train.loading", best.directory, file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2].removeprefix("sweep: ")
        raise SweepError("the model of the best run must be one that Keras can build and save", last)
    print_whole(f"{file} is the model of {best.name}, after epoch {(best.best_epoch or 0) + 1}")
