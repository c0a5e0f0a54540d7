"""`sweep try`: two trials of a study file in a temporary folder, and what they show of the whole study.

The first trial pauses after its first epoch and continues from its checkpoint; the second one trains straight on, so
that its second epoch is what an epoch takes. Then the model of one is saved, read back and compared. Nothing stays.
"""

import dataclasses
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from sweep.commands import answer_of, python
from sweep.control.disk import size
from sweep.control.estimate import Estimate, Measured, estimate
from sweep.control.executors.local import cores
from sweep.control.gpus import visible
from sweep.control.open_study import overridden
from sweep.control.progress import Opening, Silent
from sweep.control.run_files import checkpoint_size
from sweep.control.search import Search
from sweep.control.start import start_file
from sweep.declaration import Declaration
from sweep.errors import SweepError
from sweep.names import format_number
from sweep.options import Settings
from sweep.rundir import weights_files
from sweep.scratch import Scratch
from sweep.store import RunRecord, Store
from sweep.tensorboard.event_files import BEST_TAG, RUN_TAG, TRAINING_TAG, read

TRIALS = 2
EPOCHS = 2

_COUNTED = 3  # trials, as the pruner is told: of so many two are to be COMPLETE, so the one that pauses continues
_FRAMING = 16  # bytes around each event in an event file
_AT_THE_END = (RUN_TAG, TRAINING_TAG, "value")


@dataclass(frozen=True)
class Broken:
    """Something that does not work, and its traceback where there is one."""

    what: str
    traceback: str | None = None


@dataclass(frozen=True)
class Saved:
    """A model that was saved and read back.

    Attributes:
        run: whose it is.
        kind: how its file ends, `.keras`, or `.npz` of a state.
        size: in bytes.
        checked: whether it was compared with what it predicted in the study.
        notes: what a reader of the file should know.
    """

    run: str
    kind: str
    size: int
    checked: bool
    notes: Sequence[str] = ()


@dataclass
class Rehearsal:
    """What two trials have shown.

    Attributes:
        declaration: what the file declares, with what a start would be given.
        runs: the two runs; their folders are gone.
        measured: times and sizes.
        estimate: of the whole study.
        paused: whether a run has paused and continued.
        unpausable: why none can; None where one has, or nothing is known.
        saved: the model that was saved; None where none was kept.
        broken: what does not work.
        messages: what else a start would say.
    """

    declaration: Declaration
    runs: list[RunRecord]
    measured: Measured
    estimate: Estimate
    paused: bool = False
    unpausable: str | None = None
    saved: Saved | None = None
    broken: list[Broken] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


class FirstTrials(Search):
    """Proposes what the study would begin with, and no more than is to be tried."""

    @property
    def exhausted(self) -> bool:
        """Whether both trials have begun."""
        return self.storage.begun() >= TRIALS or super().exhausted

    def ask_several(self, most: int) -> list[Any]:
        """The next trial; one at a time, since there is one worker."""
        return super().ask_several(min(most, 1))


class Witness(Silent):
    """Notes what cannot be read from the store afterwards."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.began = time.monotonic()
        self.loaded = 0.0
        self.memory: int | None = None
        self.paused: set[int] = set()
        self.checkpoint = 0
        self.messages: list[str] = []
        self._say = say

    def opened(self, study: Opening) -> None:
        self.loaded = time.monotonic() - self.began
        self._say(f"{study.name}: training {TRIALS} trials of {EPOCHS} epochs in a temporary folder")

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None:  # noqa: ARG002  # a Watcher's
        self._look()

    def ended(self, run: RunRecord) -> None:
        self._look()
        if run.state == "PAUSED":
            self.paused.add(run.number)
            self.checkpoint = max(self.checkpoint, checkpoint_size(run.directory))
        said = "PAUSED, to continue from its checkpoint" if run.state == "PAUSED" else run.state
        self._say(f"{run.name or format_number(run.number)}: {said}")

    def message(self, text: str) -> None:
        self.messages.append(text)

    def _look(self) -> None:
        """Note the most memory that workers have had by now."""
        taken = sum(map(_peak, psutil.Process().children(recursive=True)))
        self.memory = max(self.memory or 0, taken) or None


def rehearse(file: str, settings: Settings, say: Callable[[str], None] = lambda _text: None) -> Rehearsal:
    """Try a study file in a temporary folder, which is gone at the end, however that comes.

    Args:
        settings: what the study would be started with.
        say: is told how far it is.

    Raises:
        SweepError: the file, the study or an option is not as it must be.
        KeyboardInterrupt: Ctrl-C or SIGTERM has come.
    """
    scratch = Scratch()
    try:
        folder = scratch.path / "try"  # on the other one there is a lock, and SQLite wants one on that of a database
        folder.mkdir()
        with _stopped_by_sigterm():
            return _rehearse(file, settings, folder, say)
    finally:
        scratch.close()


def _rehearse(file: str, settings: Settings, folder: Path, say: Callable[[str], None]) -> Rehearsal:
    declared: list[Declaration] = []

    def adapt(declaration: Declaration) -> Declaration:
        declared.append(declaration)
        return tried(declaration)

    there = Settings(
        storage=f"sqlite:///{folder / 'sweep.db'}",
        logdir=str(folder / "runs"),
        name=settings.name,
        epochs=EPOCHS,
        fixed=settings.fixed,
        gpus=settings.gpus,
        workers=1,
    )
    witness = Witness(say)
    outcome = start_file(
        file, there, witness, FirstTrials, adapt=adapt, slots=settings.workers or cores(), at_once=True
    )
    if outcome.signal is not None:
        raise KeyboardInterrupt
    store = Store(there.storage)
    try:
        study = store.study(outcome.declaration.name)
        runs = store.runs(study.study_id)
        metrics = store.metrics(study.study_id)
    finally:
        store.close()
    declaration = overridden(declared[-1], settings)
    names = {name for epochs in metrics.values() for values in epochs.values() for name in values}
    measured = measure(runs, names, witness)
    unpausable = None if witness.paused else why_unpausable(runs, len(declaration.objective))
    broken = [Broken(f"{_named(run)} failed: {run.why}", run.traceback) for run in runs if run.state == "FAIL"]
    broken += [Broken(text) for text in _started_over(folder)]
    saved = None
    try:
        saved = _save(runs, outcome.declaration.name, there.storage, folder, say)
    except SweepError as error:
        broken.append(Broken(f"the model cannot be saved and read back: {error}"))
    whole = estimate(
        declaration,
        measured,
        trainings_of(runs, declaration),
        workers=settings.workers or declaration.workers or len(settings.gpus or visible()) or cores(),
        pausable=unpausable is None,
    )
    continued = any(run.number in witness.paused and run.epoch >= EPOCHS for run in runs)
    return Rehearsal(declaration, runs, measured, whole, continued, unpausable, saved, broken, witness.messages)


def tried(declaration: Declaration) -> Declaration:
    """What is trained of a study: two trials, of which the first one pauses after an epoch and continues.

    Nothing ends it early, and trials after the first are not judged. Several objectives are never pruned.
    """
    several = len(declaration.objective) > 1
    return dataclasses.replace(
        declaration,
        trials=_COUNTED,
        repeats=1,
        pruner="nop" if several else "asha(rungs=[1])",
        unpruned=None if several else 1.0,
        unpruned_from=1,
        timeout=None,
        budget_epochs=None,
        stop_when=[],
        paused_limit=None,
    )


def why_unpausable(runs: Sequence[RunRecord], objectives: int) -> str | None:
    """Why no run of a study can be paused; None where nothing is known, as no run came so far."""
    if objectives > 1:
        return "a study with several objectives is not pruned"
    known = [training.unpausable for run in runs for training in run.trainings if training.unpausable is not None]
    if known:
        return known[0]
    if any(run.state == "COMPLETE" and not run.trainings for run in runs):
        return "train uses neither sweep.fit nor sweep.epochs, so that no run has a checkpoint"
    return None


def trainings_of(runs: Sequence[RunRecord], declaration: Declaration) -> list[int]:
    """The epochs of each training of a whole trial: those that the start, `train` or the study file says, else 10."""
    longest = max(runs, key=lambda run: (run.state == "COMPLETE", len(run.trainings)), default=None)
    if longest is None:
        return []
    default = declaration.epochs or 10
    if not longest.trainings:  # values that an objective has reported, as often as it does
        return [longest.epoch] if longest.epoch else []
    forced = declaration.force_epochs
    return [default if forced or one.asked is None else one.asked for one in longest.trainings]


def measure(runs: Sequence[RunRecord], names: set[str], witness: Witness) -> Measured:
    """The times and sizes that the runs' folders, which are still there, have."""
    first = Measured(witness.loaded, memory=witness.memory, checkpoint_bytes=witness.checkpoint)
    straight = next((run for run in reversed(runs) if run.state == "COMPLETE" and run.directory is not None), None)
    if straight is None:
        return first
    directory, duration = Path(str(straight.directory)), straight.duration or 0.0
    ends, added = _epochs(directory, names)
    begins = {training.first for training in straight.trainings} or {0}
    later = [ends[epoch] - ends[epoch - 1] for epoch in ends if epoch - 1 in ends and epoch not in begins]
    taken = size(directory) - sum(added.values())
    first = dataclasses.replace(first, other=duration, run_bytes=taken, epoch_bytes=max(added.values(), default=0))
    if straight.number in witness.paused or not later or straight.started is None:
        return first
    steady = statistics.median(later)
    started = [ends[epoch] - ends.get(epoch - 1, straight.started) for epoch in begins if epoch in ends]
    longer = max(0.0, statistics.fmean(started) - steady)
    other = max(0.0, duration - (ends[max(ends)] - straight.started))
    return dataclasses.replace(first, epoch=steady, first=longer, other=other)


def _epochs(directory: Path, names: set[str]) -> tuple[dict[int, float], dict[int, int]]:
    """When each epoch of a run ended, by its number from 0, in Unix seconds; and the bytes that its events take."""
    ends: dict[int, float] = {}
    added: dict[int, int] = {}
    for event in read(directory):
        tags = [value.tag for value in event.summary.value]
        if not tags or any(tag in _AT_THE_END or tag.startswith(BEST_TAG) for tag in tags):
            continue
        if names.intersection(tags):
            ends.setdefault(event.step, event.wall_time)
        if event.step in ends:
            added[event.step] = added.get(event.step, 0) + event.ByteSize() + _FRAMING
    return ends, added


def _save(
    runs: Sequence[RunRecord], study: str, storage: str, folder: Path, say: Callable[[str], None]
) -> Saved | None:
    """Save the model of a run, that of one which has paused if there is one, in a process of its own."""
    kept = [run for run in runs if run.state == "COMPLETE" and run.directory and weights_files(Path(run.directory))]
    if not kept:
        return None
    from sweep.worker.weights import load_weights  # loads NumPy, and what else a worker needs

    run = kept[0]
    weights = load_weights(Path(str(run.directory)))
    kind = ".keras" if weights is None or weights.state is None else ".npz"
    say(f"saving the model of {_named(run)} and reading it back")
    file = folder / f"model{kind}"
    answer = answer_of(python("sweep.models", f"{study}:{run.number}", str(file)), storage)
    notes = [note.replace(str(file), f"model{kind}") for note in answer["notes"]]
    return Saved(_named(run), kind, file.stat().st_size, bool(answer["checked"]), notes)


def _started_over(folder: Path) -> Iterator[str]:
    """What workers have logged of trials that did not continue from their checkpoint."""
    from sweep.worker.process import STARTS_OVER

    pattern = re.compile(re.escape(STARTS_OVER).replace("%d", "([0-9]+)").replace("%s", "(.*)"))
    for path in sorted((folder / "runs").glob("*/workers/*.log")):
        for found in pattern.finditer(path.read_text(errors="replace")):
            name = format_number(int(found[1]))
            yield f"{name} did not continue from its checkpoint but began anew, since {found[2]}"


def _named(run: RunRecord) -> str:
    return run.name or format_number(run.number)


def _peak(process: psutil.Process) -> int:
    """The most memory that a process has had, where the system says it, else what it has; in bytes."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        return int(found[1]) * 1024 if found else int(process.memory_info().rss)
    except (OSError, psutil.Error):
        return 0


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end this as Ctrl-C does, so that nothing stays."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_object(found: Rehearsal) -> Mapping[str, Any]:
    """What was found as JSON, apart from infinite numbers: times in seconds, sizes in bytes."""
    measured, whole = found.measured, found.estimate
    return {
        "study": found.declaration.name,
        "file": found.declaration.file,
        "ok": not found.broken,
        "broken": [vars(one) for one in found.broken],
        "trials": [_trial(run) for run in found.runs],
        "paused_and_continued": found.paused,
        "unpausable": found.unpausable,
        "saved": None if found.saved is None else dict(vars(found.saved)),
        "load_seconds": measured.load,
        "epoch_seconds": measured.epoch,
        "first_epoch_more_seconds": measured.first if measured.epoch is not None else None,
        "trial_other_seconds": measured.other,
        "memory_bytes": measured.memory,
        "run_bytes": measured.run_bytes,
        "epoch_bytes": measured.epoch_bytes,
        "checkpoint_bytes": measured.checkpoint_bytes,
        "estimate": dict(vars(whole)),
        "messages": found.messages,
    }


def _trial(run: RunRecord) -> dict[str, Any]:
    return {
        "number": run.number,
        "name": run.name,
        "params": run.params,
        "state": run.state,
        "epochs": run.epoch,
        "value": run.value,
        "reason": run.why,
        "seconds": run.duration,
        "trained": [training.how for training in run.trainings],
        "findings": [str(finding) for finding in run.findings],
    }
