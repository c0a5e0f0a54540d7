"""Training a study's best runs again with fresh seeds: repeats, which are never trials of the study.

They are trained as a study of their own, in the folder `repeats` of the study's, with a database of its own there: so
workers, checkpoints, Ctrl-C and kills are as in any study, and the sampler of the study never sees them. What has ended
is written into the table of repeats at once; the database there is removed when the race is over.
"""

import contextlib
import math
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from sweep import racing
from sweep.control.lease import is_free
from sweep.control.open_study import check_writable
from sweep.control.progress import Opening, Watcher
from sweep.control.search import Search
from sweep.control.start import Outcome, start_file
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.names import Value, encode_repeat, format_number
from sweep.options import Settings
from sweep.race import Race
from sweep.rundir import REPEATS
from sweep.snapshot import Snapshot
from sweep.store import FINISHED, RUN, RepeatRecord, RunRecord, Store, StudyRecord

REPEAT = "sweep:repeat"
"""The user attribute of a trial there: the run that it repeats, and which repeat it is."""

WHERE = ("workers", "gpus", "per_gpu", "cluster")
"""The options that say where repeats train."""

FOREVER = 10**8  # seconds, or epochs: the limits of a study are not for its repeats


@dataclass
class Plan:
    """What is to be trained.

    Attributes:
        race: says who is next; it has what is known by now.
        runs: the candidates by number.
        seed: the study's.
        first: the number of a run's first repeat with a fresh seed; a race counts them from 1.
        snapshot: the files to train with, those of the newest candidate.
        assigned: the run and the repeat of each trial by the trial's number.
    """

    race: Race
    runs: Mapping[int, RunRecord]
    seed: int
    snapshot: Snapshot
    first: int = 1
    assigned: dict[int, tuple[int, int]] = field(default_factory=dict)

    def next(self, running: Collection[tuple[int, int]]) -> tuple[int, int] | None:
        """The run and its repeat that should train next; None if none should."""
        behind = self.first - 1
        found = self.race.next({(number, repeat - behind) for number, repeat in running})
        return None if found is None else (found[0], found[1] + behind)


def newest_snapshot(store: Store, candidates: Sequence[RunRecord]) -> str:
    """The hash of the snapshot with which the newest of some runs began.

    Raises:
        StudyError: none is kept of one of them.
    """
    for run in candidates:
        if run.snapshot is None or run.name is None or store.snapshot(run.snapshot) is None:
            shown = run.name or format_number(run.number)
            raise StudyError(f"Cannot repeat {shown}: no snapshot of its study file was kept.")
    return str(max(candidates, key=lambda run: run.started or 0.0).snapshot)


class RepeatSearch(Search):
    """In place of a sampler: asks a race which candidate is to train next, with which seed.

    Args:
        plan: what is to be trained.
        other: see `Search`.
    """

    def __init__(self, declaration: Declaration, *, plan: Plan, **other: Any) -> None:
        super().__init__(declaration, **other)
        self._plan = plan
        for trial in self.trials():
            if REPEAT in trial.user_attrs:
                number, repeat = trial.user_attrs[REPEAT]
                plan.assigned[trial.number] = (number, repeat)
                self._enter(trial)

    @property
    def exhausted(self) -> bool:
        """Whether nobody is to train now; the end of a repeat may change that."""
        return not self._queued() and self._plan.next(self._running()) is None

    def enqueue(self, several: Any, *, again: bool = False) -> None:
        """Nothing: what the study file wants to be tried is no repeat."""

    def ask_several(self, most: int) -> list[optuna.Trial]:
        """The next of the race, at most `most`; none where all that are to train do."""
        found = [self.ask() for _ in self._queued()[:most]]
        while len(found) < most and (chosen := self._plan.next(self._running())) is not None:
            number, repeat = chosen
            self.study.enqueue_trial(dict(self._plan.runs[number].params), user_attrs={REPEAT: [number, repeat]})
            trial = self.ask()
            self._plan.assigned[trial.number] = chosen
            found.append(trial)
        return found

    def suggest(self, trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Value:
        number, _ = self._plan.assigned[trial.number]
        if name not in self._plan.runs[number].params:
            raise StudyError(
                f"Cannot repeat {format_number(number)}: it has no parameter {name}, and the study file suggests one.",
                "Confirm runs that the present study file has trained: a smaller --top.",
            )
        return super().suggest(trial, name, distribution)

    def name(self, trial: FrozenTrial, family: str, architecture: str | None) -> str:  # noqa: ARG002
        number, repeat = self._plan.assigned[trial.number]
        name = encode_repeat(str(self._plan.runs[number].name), repeat)
        self.storage.set_trial_user_attr(trial._trial_id, RUN, name)
        return name

    def seed(self, number: int) -> int:
        return self.declaration.repeat_seed(self._plan.assigned[number][1])

    def tell(
        self,
        trial: optuna.Trial | FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
        *,
        hopeless: bool = False,
    ) -> FrozenTrial:
        ended = super().tell(trial, state, values, hopeless=hopeless)
        self._enter(ended)
        return ended

    def _enter(self, trial: FrozenTrial) -> None:
        """Have the race know of a repeat that has ended."""
        number, repeat = self._plan.assigned[trial.number]
        if trial.state.is_finished() and number in self._plan.race.standings:
            complete = trial.state == TrialState.COMPLETE and trial.values
            self._plan.race.record(number, repeat - self._plan.first + 1, trial.values[0] if complete else None)

    def _running(self) -> set[tuple[int, int]]:
        return {self._plan.assigned[trial.number] for trial in self.trials() if not trial.state.is_finished()}

    def _queued(self) -> list[FrozenTrial]:
        """Trials that were asked for and not begun when a coordinator was killed."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


class Recorder:
    """Writes each repeat that ends into the study's table, and shows it.

    Args:
        ended: is called with each.
        message: is called with what else a person should know.
    """

    def __init__(
        self,
        store: Store,
        study: StudyRecord,
        plan: Plan,
        snapshot: str,
        ended: Callable[[RepeatRecord], None],
        message: Callable[[str], None],
    ) -> None:
        self._store, self._study, self._plan, self._snapshot = store, study, plan, snapshot
        self._ended, self._message = ended, message

    def opened(self, study: Opening) -> None: ...
    def started(self, run: RunRecord) -> None: ...
    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None: ...

    def ended(self, run: RunRecord) -> None:
        """A repeat has ended, or waits to be run again."""
        if run.state in FINISHED and run.number in self._plan.assigned:
            done = _record(run, *self._plan.assigned[run.number], snapshot=self._snapshot)
            self._store.record_repeats(self._study.study_id, [done])
            self._ended(done)

    def message(self, text: str) -> None:
        """Something else that a person should know."""
        self._message(text)


def train(store: Store, study: StudyRecord, plan: Plan, snapshot: str, watcher: Watcher, where: Settings) -> Outcome:
    """Train repeats until the race is over, or it is stopped; what has ended is in the study's table.

    Args:
        snapshot: the hash of the plan's.
        where: of which `WHERE` counts.

    Raises:
        SweepError: the study file cannot be loaded, another process trains repeats of this study, or the database or
            the log directory is not as it must be.
    """
    place = _database(study, snapshot)
    if not place.parent.parent.is_dir():
        raise StudyError(
            f"The folder of study {study.name} is gone: {study.directory}.",
            "If it was moved, say where it is: sweep db relocate",
        )
    check_writable(place.parent)
    place.parent.mkdir(exist_ok=True)
    _check_alone(study, place)
    racing.note(place, list(plan.race.standings), plan.race.repeats)
    declaration = study.declaration
    settings = Settings(
        **{name: getattr(where, name) for name in WHERE},
        storage=f"sqlite:///{place}",
        logdir=str(Path(study.directory).resolve()),
        name=REPEATS,
        trials=max(len(plan.race.standings) * plan.race.repeats, _known(place)) + 1,
        repeats=1,
        epochs=declaration.epochs if declaration.force_epochs else None,
        broken=declaration.broken,
        timeout=float(FOREVER),
        budget_epochs=FOREVER if declaration.budget_epochs is not None else None,
        stop_when=(),
        max_trial_time=declaration.max_trial_time,
        pruner="nop",
        sampler="random",
        seed=plan.seed,
        keep="all",
    )
    with tempfile.TemporaryDirectory(prefix="sweep-confirm-") as folder:
        file = plan.snapshot.lay_out(Path(folder), Path(declaration.file).parent if declaration.file else None)
        try:
            outcome = start_file(str(file), settings, watcher, partial(RepeatSearch, plan=plan))
        finally:
            recover(store, study, snapshot)
    if outcome.stopped is None:
        _remove(place)
    return outcome


def recover(store: Store, study: StudyRecord, snapshot: str) -> None:
    """Write what has ended into the study's table, where a process was killed before it did, and remove what is left
    of races with other files."""
    place = _database(study, snapshot)
    for other in place.parent.glob("*.db"):
        if other != place:
            _remove(other)
    if not place.is_file():
        return
    with _opened(place) as (there, record):
        if record is None:
            return
        notes = there.notes(record.study_id)
        repeated = {number: noted.attributes[REPEAT] for number, noted in notes.items() if REPEAT in noted.attributes}
        runs = [run for run in there.runs(record.study_id) if run.state in FINISHED and run.number in repeated]
        ended = [_record(run, *map(int, repeated[run.number][:2]), snapshot=snapshot) for run in runs]
    known = {(one.repeat_of, one.repeat) for run in store.runs(study.study_id) for one in run.repeats}
    store.record_repeats(study.study_id, [one for one in ended if (one.repeat_of, one.repeat) not in known])


def retry(store: Store, study: StudyRecord, snapshot: str) -> int:
    """Have repeats that gave no number be trained again; how many there were.

    Raises:
        StudyError: another process trains repeats of this study.
    """
    place = _database(study, snapshot)
    _check_alone(study, place)
    failed = store.forget_failed_repeats(study.study_id)
    if failed:
        _remove(place)  # of an interrupted race, which has them too
    return failed


def plan_of(store: Store, study: StudyRecord, candidates: Sequence[RunRecord], snapshot: str, race: Race) -> Plan:
    """The plan for some candidates, whose race has what is known by now."""
    text = store.snapshot(snapshot)
    if text is None:
        raise StudyError(f"No snapshot of the study file of {study.name} is kept.")
    runs = {run.number: run for run in candidates}
    declaration = study.declaration
    return Plan(race, runs, declaration.seed or 0, Snapshot.from_text(text), declaration.first_fresh)


def _record(run: RunRecord, number: int, repeat: int, *, snapshot: str) -> RepeatRecord:
    """What is kept of a repeat that has ended."""
    finite = run.value is not None and math.isfinite(run.value)
    return RepeatRecord(
        repeat_of=number,
        repeat=repeat,
        seed=run.seed or 0,
        name=run.name,
        state=run.state,
        directory=run.directory,
        value=run.value if finite else None,
        epoch=run.epoch,
        reason=run.why,
        started=run.started,
        duration=run.duration,
        snapshot=snapshot,
    )


def _database(study: StudyRecord, snapshot: str) -> Path:
    return Path(study.directory).resolve() / REPEATS / f"{snapshot[:16]}.db"


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[tuple[Store, StudyRecord | None]]:
    there = Store(f"sqlite:///{place}")
    try:
        yield there, there.find_study(REPEATS)
    finally:
        there.close()


def _known(place: Path) -> int:
    """How many trials an interrupted race has there."""
    if not place.is_file():
        return 0
    with _opened(place) as (there, record):
        return there.last_number(record.study_id) + 1 if record is not None else 0


def _check_alone(study: StudyRecord, place: Path) -> None:
    """Refuse to train what another process trains; one that was killed is waited for until it is known to be gone.

    Raises:
        StudyError: there is one.
    """
    if not place.is_file():
        return
    with _opened(place) as (there, record):
        if record is not None and not is_free(there, record):
            where = f", {record.owner}" if record.owner is not None else ""
            raise StudyError(
                f"Another process is training repeats of study {study.name}{where}.",
                "Wait until it has ended, or stop it there with Ctrl-C.",
            )


def _remove(place: Path) -> None:
    for path in place.parent.glob(f"{place.name}*"):
        path.unlink(missing_ok=True)
