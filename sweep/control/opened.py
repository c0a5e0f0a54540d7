"""A study that this process coordinates."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import TrialState

from sweep.control.folder import Hold, unmark
from sweep.control.lease import LeaseLost, create_study, delete_study
from sweep.control.others import Others
from sweep.control.progress import Opening
from sweep.control.search import Search
from sweep.control.standing import begin_again
from sweep.control.storage import Ledger
from sweep.control.writer import StudyWriter
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.options import Settings
from sweep.snapshot import Snapshot
from sweep.store import FINISHED, RunRecord, Store
from sweep.store.database import REFUSES, sqlite_path
from sweep.store.lease import new_owner
from sweep.store.sqlite_file import remove_unused

RETRY_SECONDS = 1.0

Result = TypeVar("Result")


class Opened:
    """A study in this process's memory, and in the database from its first run on. A preview is never kept.

    Args:
        declaration: the study, with what the command line says instead.
        settings: where it is kept.
        search, ledger: its memory.
        writer: its hold on the database, if it stands there already.
        others: takes over what other programs write there.
    """

    def __init__(
        self,
        declaration: Declaration,
        settings: Settings,
        search: Search,
        ledger: Ledger,
        writer: StudyWriter | None = None,
        others: Others | None = None,
        *,
        preview: bool = False,
    ) -> None:
        self.declaration = declaration
        self.search = search
        self.ledger = ledger
        self.writer = writer
        self.others = others or Others(search, ledger)
        self.preview = preview
        self.logdir = Path(settings.logdir).resolve()
        self.directory = str(self.logdir / declaration.name)
        self.budget = declaration.trials
        self.unfinished = begin_again(search, ledger)
        self.snapshot: Snapshot | None = None  # of the study file as workers have it
        # The training of a trial, from 0, that the study file has marked for pruners; 0 until one is.
        self.marked = max((item.number for run in ledger.runs() for item in run.trainings if item.marked), default=0)
        self.kept = False  # whether anything of this start stands in the database
        self._storage = settings.storage
        self._hold: Hold | None = None
        self._lock = threading.Lock()
        folders = (self._workers, Path(self.directory), self.logdir)
        self._new = [folder for folder in folders if not folder.exists()]
        self._logs: list[Path] = []
        self._created = False
        self._new_file: Path | None = None
        search.storage.numbering = self._number
        search.storage.taking = self._take

    def _number(self, create: Callable[[], int]) -> int:
        """Add a trial under a number that no other program can take, once something of this start is kept."""
        if self.writer is None:
            return create()
        if not self.kept:  # if another program takes the number before this one is kept, theirs is changed
            with contextlib.suppress(*REFUSES):
                self.writer.see_others()
            return create()

        def begin() -> int:
            number = create()
            if self.search.storage.get_trial(number).state == TrialState.RUNNING:
                self.ledger.put(RunRecord(number))
            return number

        return self.writer.claim(begin)

    def _take(self, number: int) -> bool:
        """Whether a trial of the queue is ours to run."""
        if self.writer is None or not self.kept:
            return True
        taken = self.writer.take(number)
        if taken:
            self.ledger.put(RunRecord(number))
        return taken

    @property
    def _workers(self) -> Path:
        return Path(self.directory) / "workers"

    def opening(self) -> Opening:
        """What a display says first."""
        declaration, runs = self.declaration, self.ledger.runs()
        return Opening(
            name=declaration.name,
            objectives=declaration.objectives,
            trials=self.budget,
            epochs=declaration.epochs,
            workers=declaration.workers,
            directory=self.directory,
            keys=self.search.keys,
            ended=[run for run in runs if run.state in FINISHED],
        )

    def hold(self, store: Store) -> None:
        """Have the study's folder for this coordinator alone, and note whose it is.

        Raises:
            StudyError: another database's study trains into it, or it cannot be written.
        """
        folder = Path(self.directory)
        folder.mkdir(parents=True, exist_ok=True)
        self._hold = Hold(folder, store.url)

    def imported(self, number: int, files: Mapping[str, str]) -> str | None:
        """A run has imported more files from beside the study file: its snapshot has them, and those of later runs.

        Returns:
            What a person should know of it, if that is new.
        """
        before = self.snapshot
        if before is None:
            return None
        self.snapshot = before.with_more(files)
        if self.writer is not None:
            self.writer.keep_snapshot(self.snapshot)  # first, so that it is written no later than the run
        self.ledger.update(number, snapshot=self.snapshot.hash)
        return self.snapshot.warning if before.warning is None else None

    def grow(self, trials: int) -> None:
        """Have so many trials in all."""
        self.budget = trials
        self.declaration = self.declaration.replaced(trials=trials)

    def worker_log(self, worker: str) -> str:
        """The file that holds what a worker prints."""
        if self.preview:
            return os.devnull
        log = self._workers / f"worker-{worker}.log"
        if not log.exists():
            self._logs.append(log)
        return str(log)

    def keep(self) -> None:
        """Write what changed, and wait until it is on the disk; the first call creates the study.

        A database that refuses is tried again for as long as it takes: nothing that was acknowledged may be lost.

        Raises:
            LeaseLost: the study is gone, or another coordinator has it.
        """
        if self.preview:
            return
        with self._lock:
            self.writer = self.writer or insist(self._create)
            self.kept = True
            keys, space = self.search.keys.as_dict(), self.search.space  # both only grow, and the later stand
            self.writer.keep_snapshot(self.snapshot)
            declaration = self.declaration
            if not self.search.same_space:  # the next start is to compare it too
                declaration = declaration.replaced(hash=self.writer.record.declaration.hash)
            self.writer.describe(keys, space, declaration.as_dict(), self.directory)
        insist(self.writer.flush)

    def _create(self) -> StudyWriter:
        self._created = True
        file = sqlite_path(self._storage)
        self._new_file = file if file is not None and not file.exists() else self._new_file
        store = Store(self._storage, create=True)
        declaration = self.declaration
        try:
            record = create_study(
                store, declaration.name, declaration.direction, self.directory, declaration.as_dict(), new_owner()
            )
            try:
                self.hold(store)  # not earlier: of one database's coordinators the loser is told who has the study
            except StudyError:
                delete_study(store, record)
                raise
        except BaseException:
            store.close()
            raise
        return StudyWriter(store, record, self.search.storage, self.ledger, others=self.others)

    def close(self, *, refused: bool) -> None:
        """Write the rest and give the study up.

        Args:
            refused: the study cannot be. Where it is a new one and none of its trials has ended, nothing of it stays.
        """
        ended = any(run.state in FINISHED for run in self.ledger.runs())
        try:
            with contextlib.suppress(LeaseLost):
                if refused and self._created and not ended:
                    self._withdraw()
                elif self.writer is not None:
                    if self.kept or not refused:
                        insist(self.writer.see_others)
                        self._settle_budget()
                        self.keep()
                    insist(self.writer.release)
        finally:
            if self.writer is not None:
                self.writer.store.close()
            if self._hold is not None:
                self._hold.release()
        if refused and not (self.kept and ended):
            self._remove_traces()

    def _settle_budget(self) -> None:
        """A study whose sampler has nothing left, such as a grid, is finished with the trials it has."""
        trials = [trial for trial in self.search.trials() if self.search.storage.is_ours(trial.number)]
        if self.search.exhausted and trials and all(trial.state.is_finished() for trial in trials):
            self.declaration = self.declaration.replaced(trials=len(trials))

    def _withdraw(self) -> None:
        """Remove a study that this start has created."""
        if self.writer is not None:
            delete_study(self.writer.store, self.writer.record)
            unmark(Path(self.directory), self.writer.store.url)
            for run in self.ledger.runs():
                if run.directory is not None:
                    shutil.rmtree(run.directory, ignore_errors=True)

    def _remove_traces(self) -> None:
        """Remove the workers' logs, and the database and folders that were made for them."""
        for log in self._logs:
            log.unlink(missing_ok=True)
        for folder in self._new:
            with contextlib.suppress(OSError):  # somebody else has put something into it
                folder.rmdir()
        if self._new_file is not None and self._new_file.exists():
            remove_unused(self._new_file)

    def text(self, run: RunRecord) -> dict[str, Any]:
        """What a run's text in TensorBoard says beside its parameters."""
        known = ("hash", "commit")
        about = {name: getattr(self.declaration, name) for name in known if getattr(self.declaration, name)}
        return {"study": self.declaration.name, "seed": run.seed, "attempt": run.attempt, **about}


def insist(action: Callable[[], Result]) -> Result:
    """Do something with the database, again and again while it refuses."""
    while True:
        try:
            return action()
        except REFUSES:
            time.sleep(RETRY_SECONDS)
