"""Opening a study: a new one, or one that continues; every refusal comes before anything is written."""

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from optuna.trial import TrialState

from sweep.control.advice import advise, new_study
from sweep.control.earlier import read_earlier
from sweep.control.journal import Journal
from sweep.control.lease import Notice, claim, find_study, foreign_study
from sweep.control.progress import Opening
from sweep.control.removal import finish_removals
from sweep.control.run_files import checkpoint_size, has_checkpoint
from sweep.control.search import Search
from sweep.control.stored import Stored, read_stored
from sweep.control.writer import StudyWriter
from sweep.core.events import Opened
from sweep.core.limits import Limits
from sweep.core.pruners.asha import Schedule
from sweep.core.study import ENDED_ELSEWHERE
from sweep.core.trial import requeue
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.names import Value
from sweep.options import Settings
from sweep.snapshot import Snapshot
from sweep.specs import pruner_rule
from sweep.store import FINISHED, RunRecord, Store, StudyRecord
from sweep.store.database import has_schema, names_in, parse_url
from sweep.store.lease import new_owner
from sweep.store.paths import kept, whole
from sweep.words import counted


@dataclass(frozen=True)
class OpenStudy:
    """An open study: Optuna's part of it, its journal (None in a preview), and what the core begins with."""

    search: Search
    journal: Journal | None
    opened: Opened


def open_study(
    declaration: Declaration,
    settings: Settings,
    snapshot: Snapshot | None = None,
    *,
    preview: bool = False,
    notice: Notice = lambda _text: None,
    make_search: Callable[..., Search] = Search,
) -> OpenStudy:
    """Open the study that a worker has declared.

    Args:
        make_search: makes what proposes the trials.
        notice: is told what is waited for.

    Raises:
        StudyError: it cannot continue as declared, another coordinator runs it, or its log directory is read-only.
        StoreError: the database cannot be opened.
    """
    declaration = overridden(declaration, settings)
    if preview:
        declaration = _seeded(declaration, None)
        search = Search(declaration)
        return OpenStudy(search, None, _opened(declaration, settings, search, Stored(), None, kept=False))
    if len(declaration.objective) > 1 and settings.kept_best is not None:
        raise StudyError(f"--keep {settings.keep} needs a study with one objective.", "Use --keep all or --keep none.")
    store, record = _find(settings, declaration.name)
    try:
        if record is not None and settings.cluster is None:  # of a cluster it was known earlier: see `start_file`
            settings = _in_its_folder(settings, record)
        check_writable(Path(settings.logdir))
        return _open(_seeded(declaration, record), settings, snapshot, store, record, notice, make_search)
    except BaseException:
        if store is not None:
            store.close()
        raise


def continuing(settings: Settings, name: str) -> Settings:
    """The settings with the log directory of the study `name`, if there is one and `--logdir` names no other.

    A study continues in its own folder, whatever the working directory is.

    Raises:
        SweepError: the database cannot be read, or the study there is none of sweep's.
    """
    store, record = _find(settings, name)
    if store is not None:
        store.close()
    return _in_its_folder(settings, record) if record is not None else settings


def _in_its_folder(settings: Settings, record: StudyRecord) -> Settings:
    folder = Path(record.directory)
    if settings.names_logdir or folder.name != record.name or not folder.is_dir():
        return settings
    return replace(settings, logdir=str(folder.parent))


def _with_its_pruner(
    declaration: Declaration, settings: Settings, record: StudyRecord | None
) -> tuple[Declaration, list[str]]:
    """The declaration with the study's pruner, or with its rungs, where neither file nor start names others.

    Returns:
        the declaration, and what people are to know of it.
    """
    rule = pruner_rule(declaration.pruner)
    was = None if record is None else pruner_rule(record.declaration.pruner)
    if record is not None and not declaration.pruner_given and settings.pruner is None:
        kept = record.declaration.pruner
        notes = [] if type(was) is type(rule) else [f"the study keeps the pruner that it has: {kept}"]
        return declaration.replaced(pruner=kept), notes
    in_study = rule.in_study(declaration.epochs, was)
    return (declaration if in_study == rule else declaration.replaced(pruner=in_study.text())), []


def _follow(runs: Sequence[RunRecord], before: str, now: Path) -> None:
    """Have the runs of the study's folder be in the new one, if that is the same, or somebody has moved it there."""
    if Path(before).is_dir() and Path(before).resolve() != now:
        return
    for run in runs:
        if run.directory is not None and Path(run.directory).is_relative_to(before):
            run.directory = whole(kept(run.directory, before), str(now))


def overridden(declaration: Declaration, settings: Settings) -> Declaration:
    """The declaration with what a start was given instead; epochs that were given hold whatever `sweep.fit` says."""
    declared = declaration.replaced(**settings.declared(), force_epochs=settings.epochs is not None)
    if declared.budget_epochs is None or declaration.trials_given or settings.trials is not None:
        return declared
    return declared.replaced(trials=declared.budget_epochs)  # the epochs decide: each trial has one at least


def _open(
    declaration: Declaration,
    settings: Settings,
    snapshot: Snapshot | None,
    store: Store | None,
    record: StudyRecord | None,
    notice: Notice,
    make_search: Callable[..., Search],
) -> OpenStudy:
    stored = Stored()
    if store and record:
        _check_same(record, declaration, settings)
        stored = read_stored(store, record, metrics=bool(declaration.stop_when))
        _follow(stored.runs, record.directory, Path(settings.logdir).resolve() / record.name)
    its_own = record.declaration.seeds if record is not None else 1
    declaration = declaration.replaced(repeats=declaration.repeats or its_own)
    declaration, notes = _with_its_pruner(declaration, settings, record)
    declaration = _drawing_unpruned(declaration, record, stored)
    declaration = _counting(declaration, settings, stored)
    search = make_search(
        declaration,
        earlier=read_earlier(settings.taught_by, settings.storage, declaration),
        fixed=settings.fixed,
        trials=stored.trials(),
        attributes=stored.attributes,
        keys=record.keys if record else None,
        space=record.space if record else None,
        changed=record is not None and record.declaration.hash != declaration.hash,
        trial_seed=settings.trial_seed,
        widen=settings.yes,
        advise=lambda params: advise(declaration, settings, stored.runs, params),
    )
    for number in stored.hopeless:
        search.teach(number)
    for number in stored.theirs:
        search.storage.disown(number, search.storage.get_trial(number))
    writer = None
    if store and record:
        taken = claim(store, record, new_owner(), notice)
        runs = {run.number for run in stored.runs}
        writer = StudyWriter(store, taken, search.storage, stored.known, runs, stored.attributes, stored.moved)
    journal = Journal(declaration, settings, search, writer)
    try:
        if writer is not None:
            journal.hold(writer.store)
        opened = _opened(declaration, settings, search, stored, snapshot, kept=writer is not None, notes=notes)
        search.enqueue(declaration.enqueue)
        # A start that names runs has looked up their parameters by now: see `sweep.cli.parameters`.
        search.enqueue(cast("Sequence[Mapping[str, Value]]", settings.enqueue), again=True)
    except BaseException:
        journal.let_go()
        if writer is not None:
            writer.release()
        raise
    return OpenStudy(search, journal, opened)


def _opened(
    declaration: Declaration,
    settings: Settings,
    search: Search,
    stored: Stored,
    snapshot: Snapshot | None,
    *,
    kept: bool,
    notes: Sequence[str] = (),
) -> Opened:
    """What the core begins with. Trials that have not ended will be run again.

    A run whose trial has ended without it, while no coordinator saw to it, ends as its trial did.
    """
    runs, changed, again = {run.number: run for run in stored.runs}, set(), []
    pauses = isinstance(search.pruning.judge, Schedule)
    for trial in search.trials():
        number, run = trial.number, runs.get(trial.number)
        if not search.storage.is_ours(number):
            continue
        if trial.state == TrialState.RUNNING and run is not None and run.state == "PAUSED" and pauses:
            search.storage.pause(number)
            changed.add(number)
        elif trial.state == TrialState.RUNNING:
            search.storage.wait(trial._trial_id)
            if run is not None and run.state in FINISHED:  # its trial was deleted
                runs[number] = RunRecord(number, state="WAITING")
            elif run is not None:
                requeue(run, run.reason)
            if run is not None:
                changed.add(number)
            again.append(number)
        elif run is not None and trial.state.is_finished() and run.state not in FINISHED:
            run.state, run.reason = trial.state.name, ENDED_ELSEWHERE
            run.values = trial.values if trial.state == TrialState.COMPLETE else None
            run.constraints = dict(trial.constraints)
            changed.add(number)
    judge = search.pruning.judge
    if judge is not None:  # runs that have trained to their last epoch, though not with all their seeds
        whole_ones = [run.number for run in runs.values() if run.of_value and run.state not in FINISHED]
        judge.completed({number: search.storage.get_trial(number).intermediate_values for number in whole_ones})
    logdir = Path(settings.logdir).resolve()
    ended = [run for run in runs.values() if run.state in FINISHED]
    directory, begun = str(logdir / declaration.name), search.storage.begun()
    trainings = [item for run in runs.values() for item in run.trainings]
    return Opened(
        declaration=declaration,
        runs=list(runs.values()),
        again=again,
        changed=frozenset(changed),
        begun=begun,
        exhausted=search.exhausted,
        marked=max((item.number for item in trainings if item.marked), default=0),
        judge=judge,
        logdir=str(logdir),
        added=stored.theirs,
        snapshot=snapshot,
        opening=Opening(
            name=declaration.name,
            objectives=declaration.objectives,
            trials=declaration.trials,
            epochs=declaration.epochs,
            workers=declaration.workers,
            directory=directory,
            keys=search.keys,
            ended=ended,
            budget_epochs=declaration.budget_epochs,
            runs=list(runs.values()),
        ),
        limits=Limits(declaration, runs.values(), stored.last_metrics, search.keys.as_dict()),
        kept=kept,
        notes=notes,
        sizes=_paused_sizes(declaration, runs.values()),
        continuable=frozenset(_continuable(stored)) if pauses and begun < declaration.trials else frozenset(),
    )


def _continuable(stored: Stored) -> Iterator[int]:
    """The paused runs that were pruned since the study was spent, and can be continued."""
    revived = stored.revived
    for run in stored.runs:
        paused = run.state == "PRUNED" and run.verdict is not None and run.verdict.details.get("pausable")
        if paused and run.number not in revived and has_checkpoint(run.directory):
            yield run.number


def _find(settings: Settings, name: str) -> tuple[Store | None, StudyRecord | None]:
    """The store and the study in it, where they are there; nothing is created.

    What a removal has left that was killed is removed first: it would be taken for the study's.

    Raises:
        StudyError: the study there was made with Optuna alone.
    """
    url = parse_url(settings.storage)
    if not has_schema(url):
        if name in names_in(url):
            raise foreign_study(name, url)
        return None, None
    store = Store(settings.storage)
    try:
        finish_removals(store, Path(settings.logdir))
        record = find_study(store, name)
    except BaseException:
        store.close()
        raise
    if record is None:
        store.close()
        return None, None
    return store, record


def _check_same(record: StudyRecord, declaration: Declaration, settings: Settings) -> None:
    for part in ("objective", "direction"):
        before, now = getattr(record.declaration, part), getattr(declaration, part)
        if before != now:
            raise StudyError(
                f"Study {record.name} has the {part} {', '.join(before)}, and the study file now says "
                f"{', '.join(now)}.",
                hint=new_study(declaration, settings, seeds=False),
            )
    before, now = record.declaration.seeds, declaration.repeats or record.declaration.seeds
    if before != now:
        raise StudyError(
            f"Study {record.name} trains each trial with {counted(before, 'seed')}, not {now}: values of both kinds "
            "could not be compared.",
            hint=new_study(declaration, settings, seeds=False),
        )


def check_total(name: str, trials: int | None, done: int) -> None:
    """Refuse a total of trials below those that a study has: it would only take trials that are done out of its budget.

    Raises:
        StudyError: `trials` are given and fewer than `done`.
    """
    if trials is not None and trials < done:
        raise StudyError(
            f"{name} already has {done} of its trials, and {trials} is fewer: the total counts earlier ones.",
            hint=f"Give more than {done} to train more, or another --name to begin anew.",
        )


def _counting(declaration: Declaration, settings: Settings, stored: Stored) -> Declaration:
    """The declaration with a total of no less than is done, as where it was raised once and the file still has less.

    Raises:
        StudyError: the settings themselves ask for less.
    """
    check_total(declaration.name, settings.trials, stored.done - stored.continued)
    return declaration.replaced(trials=max(declaration.trials + stored.continued, stored.done))


def _paused_sizes(declaration: Declaration, runs: Iterable[RunRecord]) -> dict[int, int]:
    """The bytes of paused runs' checkpoints, by number, where they have a limit."""
    if declaration.paused_limit is None:
        return {}
    return {run.number: checkpoint_size(run.directory) for run in runs if run.state == "PAUSED"}


def _drawing_unpruned(declaration: Declaration, record: StudyRecord | None, stored: Stored) -> Declaration:
    """The declaration that draws trials to leave unpruned among those alone that have not begun under another share."""
    if record is None or declaration.unpruned is None:
        return declaration
    was = record.declaration
    same = (was.unpruned, was.seed) == (declaration.unpruned, declaration.seed)
    begun = max((run.number + 1 for run in stored.runs), default=0)
    return declaration.replaced(unpruned_from=was.unpruned_from if same else begun)


def _seeded(declaration: Declaration, record: StudyRecord | None) -> Declaration:
    if declaration.seed is not None:
        return declaration
    kept = record.declaration.seed if record else None
    return declaration.replaced(seed=kept if kept is not None else secrets.randbelow(2**31))


def check_writable(directory: Path) -> None:
    """See that a directory can be written, or made; what does not exist is not made.

    Raises:
        StudyError: it cannot.
    """
    nearest = directory.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise StudyError(
            f"Cannot write to the log directory {directory}: {got}.", "Choose another with --logdir."
        ) from None
