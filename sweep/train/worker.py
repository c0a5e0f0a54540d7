"""A worker process: loads the study file, then trains trials until the coordinator has no more.

    python -m sweep.train.worker FILE --connect ADDRESS --worker NAME

It is started by an executor, in a session of its own. Ctrl-C is for the coordinator, which tells its workers what to
do.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from sweep.errors import SweepError
from sweep.study import Study, load
from sweep.train.link import Fenced, Link, Refused
from sweep.train.run import Requeued
from sweep.train.trial import Previewed, WorkerTrial


def work(connection: Connection, worker: str, get_study: Callable[[], Study]) -> None:
    """Train trials until there are no more, or the coordinator is gone."""
    link = Link(connection, worker)
    try:
        try:
            study = get_study()
            declaration = study.declaration().as_dict()
        except SweepError as error:
            link.refuse(error)
            return
        welcome = link.call("hello", declaration=declaration)
        if worker != IN_PROCESS:
            _redirect(Path(welcome["log"]))
        while True:
            assignment = link.call("ask")
            if "end" in assignment:
                return
            _train(link, study, assignment, preview=welcome["preview"])
    except (Fenced, Refused, EOFError, ConnectionError):
        return


IN_PROCESS = "0-in-process"


def _train(link: Link, study: Study, assignment: dict[str, Any], *, preview: bool) -> None:
    """One trial: whatever its objective does, it has an end."""
    trial = WorkerTrial(link, assignment, preview=preview)
    _seed(trial.seed)
    state, values, reason, trace = "FAIL", None, None, None
    try:
        returned = study.train(trial)
        state, values = "COMPLETE", _values(returned)
    except optuna.TrialPruned as pruned:
        state, reason = "PRUNED", trial.run.reason or str(pruned) or "the objective raised TrialPruned"
    except Previewed:
        state = "PRUNED"
    except Requeued as requeued:
        state, reason = "WAITING", str(requeued)
    except SweepError as error:
        trial.run.abandon()
        link.refuse(error)
        raise Refused(str(error)) from None
    except (Fenced, Refused, EOFError, ConnectionError):
        trial.run.abandon()
        raise
    except BaseException as error:  # an exception, sys.exit, KeyboardInterrupt: the study's own
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        trace = "".join(traceback.format_exception(error))
    if not trial.run.named and state in ("COMPLETE", "FAIL", "PRUNED"):
        _name_late(trial, state)
    state, reason = trial.end(state, values, reason, trace)
    if state == "WAITING":
        trial.run.abandon()
    else:
        trial.run.close(state, reason)


def _name_late(trial: WorkerTrial, state: str) -> None:
    """Name the run of an objective that neither called `sweep.fit` nor reported."""
    try:
        trial.run.begin_plain()
    except Previewed:
        return


def _values(returned: Any) -> list[float]:
    """What an objective returned, as floats.

    Raises:
        TypeError: it returned something else.
    """
    several = list(returned) if isinstance(returned, Sequence) and not isinstance(returned, str) else [returned]
    try:
        return [float(value) for value in several]
    except (TypeError, ValueError):
        raise TypeError(
            f"train returns the trial's value, a float, such as sweep.fit gives it; it returned {returned!r}"
        ) from None


def _seed(seed: int) -> None:
    """Begin a trial anew: names of layers count from the start, and everything random from the trial's seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "keras" in sys.modules:
        import keras

        keras.utils.clear_session()  # first: it replaces the seed generator that the next line sets
        keras.utils.set_random_seed(seed)


def _redirect(log: Path) -> None:
    """Print into the study's folder from now on."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _end_with(parent: int) -> None:
    """End this process when its coordinator is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(3)


def main() -> None:
    """Run a worker as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="the study file")
    parser.add_argument("--connect", required=True, help="the coordinator's address")
    parser.add_argument("--worker", required=True, help="this worker's name")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with Client(arguments.connect, family="AF_UNIX") as connection:
        work(connection, arguments.worker, lambda: load(arguments.file))


if __name__ == "__main__":
    main()
