"""Opening a study: new, or one that goes on; every refusal comes before anything is written."""

import contextlib
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from sweep.control.optuna_rows import read_trials
from sweep.control.search import Search
from sweep.control.storage import Ledger
from sweep.control.writer import StudyWriter, claim, create_study
from sweep.declaration import Declaration, Value
from sweep.errors import StudyError
from sweep.store import FINISHED, Owner, RunRecord, Store, StudyRecord
from sweep.store.database import has_schema, parse_url
from sweep.store.lease import this_host

RETRY_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """Where a study is kept, and what the command line says instead of the study file. None leaves the file's word.

    `fixed` keeps parameters at one value, `enqueue` puts parameters first in the queue; both with the values that the
    parameters' domains have. `logdir` is the folder that holds a folder for each study.
    """

    storage: str = "sqlite:///sweep.db"
    logdir: str = "runs"
    name: str | None = None
    trials: int | None = None
    epochs: int | None = None
    timeout: float | None = None
    workers: int | None = None
    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None
    fixed: Mapping[str, Value] = field(default_factory=dict)
    enqueue: Sequence[Mapping[str, Value]] = ()

    def over(self, declaration: Declaration) -> Declaration:
        """The declaration with what the command line says instead."""
        names = ("name", "trials", "epochs", "timeout", "workers", "sampler", "pruner", "seed")
        return declaration.replaced(**{name: getattr(self, name) for name in names})


class Opened:
    """A study that this process coordinates: in memory, and in the database once there is a run to keep.

    A preview is never kept.
    """

    def __init__(
        self,
        declaration: Declaration,
        settings: Settings,
        search: Search,
        ledger: Ledger,
        store: Store | None = None,
        record: StudyRecord | None = None,
        *,
        preview: bool = False,
    ) -> None:
        self.declaration = declaration
        self.search = search
        self.ledger = ledger
        self.logdir = Path(settings.logdir).resolve()
        self.directory = str(self.logdir / declaration.name)
        self.budget = declaration.trials
        self.attempts = {run.number: run.attempt for run in ledger.runs()}
        self.unfinished = [trial.number for trial in search.trials() if trial.state == TrialState.RUNNING]
        self.owner = record.owner if record else None
        self._storage = settings.storage
        self._store = store
        self.writer = StudyWriter(store, record, search.storage, ledger) if store and record else None
        self.preview = preview
        self._lock = threading.Lock()

    def worker_log(self, worker: str) -> str:
        """The file that holds what a worker prints."""
        return str(Path(self.directory) / "workers" / f"worker-{worker}.log")

    def keep(self) -> None:
        """Write what changed, and wait until it is on the disk; the first call creates the study.

        A database that refuses is tried again for as long as it takes: nothing that was acknowledged may be lost.

        Raises:
            LeaseLost: the study is gone, or another coordinator has it.
        """
        if self.preview:
            return None
        with self._lock:
            if self.writer is None:
                self.writer = self._create()
        self.writer.describe(self.search.keys.as_dict(), self.search.space)
        while True:
            try:
                return self.writer.flush()
            except sa.exc.OperationalError:
                time.sleep(RETRY_SECONDS)

    def _create(self) -> StudyWriter:
        self._store = self._store or Store(self._storage, create=True)
        owner = new_owner()
        record = create_study(
            self._store,
            self.declaration.name,
            self.declaration.direction,
            self.directory,
            self.declaration.as_dict(),
            owner,
        )
        return StudyWriter(self._store, record, self.search.storage, self.ledger)

    def close(self) -> None:
        """Write the rest, leave trials that will be run again WAITING, and give the study up."""
        if self.writer is not None:
            self.keep()
            self.writer.release()
        if self._store is not None:
            self._store.close()

    def text(self, run: RunRecord) -> dict[str, Any]:
        """What a run's text in TensorBoard says beside its parameters."""
        known = ("hash", "commit")
        about = {name: getattr(self.declaration, name) for name in known if getattr(self.declaration, name)}
        return {"study": self.declaration.name, "seed": run.seed, "attempt": run.attempt, **about}


def open_study(declaration: Declaration, settings: Settings, *, preview: bool = False) -> Opened:
    """Open the study that a worker has declared.

    Raises:
        StudyError: it cannot go on as declared, is finished, is run by another coordinator, or its log directory cannot
            be written.
        StoreError: the database cannot be opened.
    """
    declaration = settings.over(declaration)
    if preview:
        declaration = _seeded(declaration, None)
        return Opened(declaration, settings, Search(declaration), Ledger(), preview=True)
    store, record = _find(settings.storage, declaration.name)
    if record is not None:
        _check_same(record, declaration)
    declaration = _seeded(declaration, record)
    trials, runs = _load(store, record)
    search = Search(
        declaration,
        fixed=settings.fixed,
        trials=trials,
        keys=record.keys if record else None,
        space=record.space if record else None,
        changed=record is not None and record.declaration.get("hash") != declaration.hash,
    )
    check_writable(Path(settings.logdir))
    if store and record:
        directory = str((Path(settings.logdir) / declaration.name).resolve())
        record = claim(store, record, new_owner(), declaration.as_dict(), directory)
    search.enqueue([*settings.enqueue, *declaration.enqueue])
    return Opened(declaration, settings, search, Ledger(runs), store if record else None, record)


def new_owner() -> Owner:
    """This process as the owner of a study."""
    return Owner(this_host(), os.getpid(), secrets.token_hex(8))


def _find(storage: str, name: str) -> tuple[Store | None, StudyRecord | None]:
    """The store and the study in it, where they are there; nothing is created."""
    if not has_schema(parse_url(storage)):
        return None, None
    store = Store(storage)
    return store, store.find_study(name)


def _check_same(record: StudyRecord, declaration: Declaration) -> None:
    for part in ("objective", "direction"):
        before, now = record.declaration[part], getattr(declaration, part)
        if before != now:
            raise StudyError(
                f"a study keeps its {part}, and {record.name} has {', '.join(before)}",
                ", ".join(now),
                f"start it under a new name: --name {record.name}-2",
            )


def _seeded(declaration: Declaration, record: StudyRecord | None) -> Declaration:
    if declaration.seed is not None:
        return declaration
    kept = record.declaration.get("seed") if record else None
    return declaration.replaced(seed=kept if kept is not None else secrets.randbelow(2**31))


def _load(store: Store | None, record: StudyRecord | None) -> tuple[list[FrozenTrial], list[RunRecord]]:
    """A study's trials and runs; what was running or was to be run again begins anew, its epochs forgotten."""
    if store is None or record is None:
        return [], []
    with store.engine.connect() as connection:
        trials = [trial for _, trial in sorted(read_trials(connection, record.study_id).values())]
    runs = store.runs(record.study_id)
    begun = {run.number for run in runs if run.state not in FINISHED}
    for trial in trials:
        if trial.state == TrialState.WAITING and trial.number in begun:
            trial.state = TrialState.RUNNING
    return trials, runs


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
            f"the log directory {directory} must be one that can be written", got, "name another with --logdir"
        ) from None


def remove_empty(directory: Path) -> None:
    """Remove a directory that turned out to hold nothing."""
    with contextlib.suppress(OSError):
        directory.rmdir()
