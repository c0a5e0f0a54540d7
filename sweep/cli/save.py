"""`sweep best --save`: the best run's trained model as a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

from sweep.cli.output import print_whole, say
from sweep.cli.target import named_study
from sweep.errors import SweepError, last_words
from sweep.read.runs import rank
from sweep.rundir import weights_files
from sweep.store import Store


def save_best(store: Store, name: str | None, file: str) -> None:
    """Save the model of a study's best run, in a process of its own: it loads Keras, and the study file where needed.

    Raises:
        SweepError: there is no complete run, it has kept no weights, or Keras cannot save the model so.
    """
    if not file.endswith((".keras", ".h5")):
        raise SweepError(f"Keras saves a model as .keras or .h5, not as {file}.", hint="Try --save model.keras.")
    study = named_study(store, name)
    ranked = rank(study, store.runs(study.study_id))
    if not ranked:
        raise SweepError(f"Study {study.name} has no complete run yet, so it has no best one.")
    best = ranked[0]
    if best.directory is None or not weights_files(Path(best.directory)):
        raise SweepError(
            f"No weights of the best run, {best.name}, are kept.",
            hint="Those of each run are unless `sweep start --keep` says otherwise.",
        )
    command = [sys.executable, "-m", "sweep.models", f"{study.name}:{best.number}", file]
    there = {**os.environ, "SWEEP_STORAGE": store.url.render_as_string(hide_password=False)}
    done = subprocess.run(command, env=there, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SweepError(last_words(done.stderr))
    saved = json.loads(done.stdout.strip().rpartition("\n")[2])
    same = ", read back and predicting what it did in the study" if saved["checked"] else ""
    print_whole(f"{file} is the model of {best.name}, after epoch {saved['epoch'] + 1}{same}")
    for note in saved["notes"]:
        say(note)
