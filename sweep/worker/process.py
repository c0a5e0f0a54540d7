"""What a worker process does: it loads the study file, then trains trials until the coordinator has no more."""

import argparse
import atexit
import errno
import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import cache
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import optuna
import psutil

from sweep.errors import SweepError, machine_fault
from sweep.snapshot import Imports, Snapshot
from sweep.store.records import OUT_OF_MEMORY
from sweep.study_file import BaseStudy, load
from sweep.wire import messages as wire
from sweep.words import plain
from sweep.worker.frameworks import Frameworks
from sweep.worker.link import Gone, Link, StudyRefused, TrialTaken, leave_fork
from sweep.worker.output import redirect, rotate
from sweep.worker.run import Requeued, StartOver
from sweep.worker.trial import Previewed, WorkerTrial

_log = logging.getLogger(__name__)

WARM_TRIALS = 20
"""So many trials have a worker load what it needs: a framework's kernels, the graphs of its first networks."""

GROWTH_BYTES = 330 * 1024**2
"""A worker whose resident memory has grown by more since it was warm is to be relieved. The programs that are kept,
which XLA compiles as they recur, take 12 MB each and up to some 250 MB in all, and then no more."""

WATCH_SECONDS = 0.5

STARTS_OVER = "trial %d starts from its beginning, since %s"
"""What a worker logs of a trial whose checkpoint does not fit any more."""


class Growth:
    """How a worker's resident memory grows from trial to trial."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._trials = 0
        self._warm = 0

    def outgrown(self) -> bool:
        """Whether it has grown by more than `GROWTH_BYTES`; to be asked once before each trial."""
        now: int = self._process.memory_info().rss
        self._trials += 1
        if self._trials <= WARM_TRIALS + 1:
            self._warm = now
        return now - self._warm > GROWTH_BYTES


def work(connection: Connection, worker: str, get_study: Callable[[], BaseStudy], *, own_process: bool = False) -> None:
    """Train trials until there are no more, or the coordinator is gone.

    Args:
        connection: to the coordinator.
        worker: this worker's name.
        get_study: loads the study.
        own_process: this process is for the worker alone: what it has loaded stays, and what it prints goes into the
            study's folder, once that has a run.
    """
    link = Link(connection, worker)
    frameworks: Frameworks | None = None
    try:
        try:
            study = get_study()
            declaration = study.declaration().as_dict()
        except SweepError as error:
            link.refuse(error)
            return
        imports = Imports(study.file)
        snapshot = imports.snapshot.as_text() if imports.snapshot is not None else None
        welcome = link.call(wire.Hello(declaration, snapshot, wire.PROTOCOL), wire.Welcome)
        frameworks = Frameworks(study.file)
        if own_process:
            gc.freeze()
            gc.enable()  # `sweep.worker.__main__` has disabled it
        growth, trained, logdir = Growth(), 0, _logdir(Path(welcome.log))
        begun = cache(lambda: redirect(Path(welcome.log))) if own_process else None
        with frameworks.training_nothing() if welcome.preview else nullcontext():
            while isinstance(assignment := _asked(link, own_process and growth.outgrown()), wire.Assignment):
                trial = WorkerTrial(link, assignment, preview=welcome.preview, begun=begun)
                try:
                    # Not in the first one: a study may load Keras only then.
                    _train(link, study, trial, imports, frameworks, logdir, settled=trained > 0)
                except OSError as error:
                    _stop_for_machine(link, trial, error, logdir)
                    raise
                except TrialTaken:
                    trial.run.abandon()  # somebody else has ended it; there may be others
                trained += 1
    except (TrialTaken, StudyRefused, Gone):
        return
    finally:
        if frameworks is not None:
            frameworks.end()
        if not own_process:
            gc.unfreeze()  # what `Frameworks.begin` has left out of collections


def _logdir(log: Path) -> Path:
    """The log directory, LOGDIR of the worker's log LOGDIR/STUDY/workers/NAME; a preview writes nothing."""
    return log if log == Path(os.devnull) else log.parents[2]


def _asked(link: Link, outgrown: bool) -> wire.Assignment | wire.NoMore:
    """What there is to do next."""
    return link.call(wire.Ask(outgrown), (wire.Assignment, wire.NoMore))


def _train(
    link: Link,
    study: BaseStudy,
    trial: WorkerTrial,
    imports: Imports,
    frameworks: Frameworks,
    logdir: Path,
    *,
    settled: bool,
) -> None:
    """One trial: whatever its objective does, it has an end.

    Args:
        logdir: the log directory.
        settled: see `Frameworks.begin`.

    Raises:
        TrialTaken, StudyRefused, Gone: the coordinator has ended it, or the study, or is gone.
        OSError: its files cannot be written.
    """
    frameworks.begin(trial.seed, settled=settled)
    state, values, reason, trace = "FAIL", None, None, None
    try:
        returned = _trained(link, study, trial, frameworks, settled=settled)
        state, values = "COMPLETE", _values(returned)
    except optuna.TrialPruned as pruned:
        state, reason = "PRUNED", trial.run.reason or plain(str(pruned)) or "the objective raised TrialPruned"
    except Previewed:
        state = "PRUNED"
    except Requeued as requeued:
        state, reason = trial.run.final or "WAITING", str(requeued)
    except SweepError as error:
        trial.run.abandon()
        link.refuse(error)
        raise StudyRefused(str(error)) from None
    except (TrialTaken, StudyRefused, Gone):
        trial.run.abandon()
        raise
    except BaseException as error:  # an exception, sys.exit, KeyboardInterrupt: the study's own
        _stop_for_machine(link, trial, error, logdir)
        reason = plain(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        if _ran_out(error):
            reason = f"{OUT_OF_MEMORY}: {reason}"
        trace = plain("".join(traceback.format_exception(error)))
    if trial.run.final is not None:  # also where the objective caught what sweep.fit raised
        state, values, reason = trial.run.final, None, trial.run.reason
    if state not in ("WAITING", "PAUSED") and not trial.run.named and not trial.previewed:
        trial.failed = state == "FAIL"
        _name_late(trial)
    if state in ("COMPLETE", "PRUNED", "PAUSED"):
        trial.run.save_weights()  # before its end is told: from then on a better run may have them removed
    if files := imports.new():  # inside train: before the trial's end, so that its run has them too
        link.call(wire.Imported(trial.number, files), wire.Done)
    state, reason, duration = trial.end(state, values, reason, trace)
    if state == "PAUSED":
        trial.run.pause(reason)
    elif state == "WAITING":
        trial.run.abandon()
    else:
        trial.run.close(state, reason, values=values, feasible=trial.feasible, duration=duration)


def _trained(link: Link, study: BaseStudy, trial: WorkerTrial, frameworks: Frameworks, *, settled: bool) -> Any:
    """What `train` returns; it runs once more where what an earlier attempt has left does not fit any more."""
    try:
        return _objective(link, study, trial)
    except StartOver as why:
        _log.warning(STARTS_OVER, trial.number, why)
    trial.start_over()
    frameworks.begin(trial.seed, settled=settled)
    return _objective(link, study, trial)


def _objective(link: Link, study: BaseStudy, trial: WorkerTrial) -> Any:
    """What `train` returns. A process that it has forked ends here, and says nothing of the trial."""
    try:
        returned = study.train(trial)
    except BaseException as error:
        if not link.is_ours:
            leave_fork(error)
        raise
    if not link.is_ours:
        leave_fork(None)
    return returned


def _ran_out(error: BaseException) -> bool:
    """Whether an error says that there is no more memory."""
    of_tensorflow = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or of_tensorflow or getattr(error, "errno", None) == errno.ENOMEM


def _stop_for_machine(link: Link, trial: WorkerTrial, error: BaseException, logdir: Path) -> None:
    """Stop the study for a fault of the machine, for which its next trials would fail alike; this one is run again.

    Raises:
        StudyRefused: it was one.
    """
    fault = machine_fault(error, logdir)
    if fault is None:
        return
    with suppress(OSError):
        trial.run.abandon()
    link.refuse(fault)
    raise StudyRefused(str(error)) from None


def _name_late(trial: WorkerTrial) -> None:
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


def _watch(parent: int) -> None:
    """Keep what this process has printed short, and end it when its coordinator is gone."""
    while os.getppid() == parent:
        rotate()
        time.sleep(WATCH_SECONDS)
    os._exit(3)


def _connected(address: str) -> Connection:
    return Connection(int(address)) if address.isdigit() else Client(address, family="AF_UNIX")


def main() -> None:
    """Run a worker as the command line says."""
    parser = argparse.ArgumentParser("python -m sweep.worker", description=__doc__)
    parser.add_argument("file", help="the study file")
    parser.add_argument("--connect", required=True, help="the coordinator's socket: its path, or an open descriptor")
    parser.add_argument("--worker", required=True, help="this worker's name")
    parser.add_argument("--snapshot", type=Path, help="what its study has started with, to load in place of the files")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.append(os.getcwd())  # last: a study may import from there, and nothing there shadows what is installed
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    given = Snapshot.from_text(arguments.snapshot.read_text()).files if arguments.snapshot is not None else None
    with _connected(arguments.connect) as connection:
        work(connection, arguments.worker, lambda: load(arguments.file, given), own_process=True)
    atexit._run_exitfuncs()  # the study's own; TensorFlow, which takes seconds to take itself apart, is left out
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
