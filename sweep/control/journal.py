"""The journal of a running study: a thread that writes to the database, and shows there that the study has an owner.

It does what the core asks for, in order, and reports back. A database that refuses is tried again for as long as it
takes, since nothing that was acknowledged may be lost.
"""

import contextlib
import logging
import os
import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sweep.control.folder import Hold, unmark
from sweep.control.lease import LeaseLost, create_study, delete_study
from sweep.control.search import Search
from sweep.control.writer import StudyWriter
from sweep.core.events import (
    Changes,
    Crashed,
    Event,
    Finish,
    Looked,
    ReadNews,
    Refused,
    Refuses,
    Unwritten,
    Write,
    Written,
)
from sweep.core.policy import waits
from sweep.declaration import Declaration
from sweep.errors import MachineFault, StudyError, SweepError, machine_fault, wants_memory
from sweep.options import Settings
from sweep.store import FINISHED, Command, RunRecord, Store
from sweep.store.database import DatabaseFault, sqlite_path
from sweep.store.lease import new_owner
from sweep.store.sqlite_file import remove_unused
from sweep.waiting import note

RETRY_SECONDS = 1.0
LOCK_SECONDS = 1.0
"""For so long a lock of somebody else is waited for before the study says that it waits."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Abandoned(Exception):
    """Nobody waits for the database any more."""


class Journal:
    """A study's place in the database and in the log directory, from its first run on.

    Args:
        declaration: the study.
        settings: where it is kept.
        search: its memory, whose trials are claimed in the database from then on.
        writer: its place in the database, if it has one.

    Attributes:
        folder: its place in the log directory.
        fallen: what its thread has died of; None while it lives.
    """

    def __init__(
        self, declaration: Declaration, settings: Settings, search: Search, writer: StudyWriter | None = None
    ) -> None:
        self.writer = writer
        self.fallen: BaseException | None = None
        self.post: Callable[[Event], None] = lambda _event: None
        self._closed: Callable[[], None] = lambda: None
        self._storage = settings.storage
        self._search = search
        self._declaration = declaration
        self._directory = os.path.abspath(Path(settings.logdir) / declaration.name)
        self.folder = Path(settings.logdir).resolve() / declaration.name
        self._hold: Hold | None = None
        self._kept = False  # whether anything of this start is in the database
        self._created = False
        self._new_file: Path | None = None
        self._new_folders = [
            folder for folder in (self.folder / "workers", self.folder, self.folder.parent) if not folder.exists()
        ]
        self._old_logs = set((self.folder / "workers").glob("worker-*.log*"))
        self._lost: SweepError | None = None  # why nothing can be written any more
        self._crashed = False
        self._left = Changes()  # what was abandoned
        self._abandoned = threading.Event()
        self.abandoned = False  # something was not written, since nobody waited for it any more
        self._queue: queue.SimpleQueue[Write | ReadNews | Finish] = queue.SimpleQueue()
        search.storage.numbering = self._number
        search.storage.taking = self._take

    @property
    def token(self) -> str:
        """That of this coordinator, once the study is its own; empty before."""
        owner = self.writer.record.owner if self.writer is not None else None
        return owner.token if owner is not None else ""

    # What the sampling thread asks for.

    def _number(self, create: Callable[[], list[int]]) -> list[int]:
        """Add trials under numbers that no other program can take, once something of this start is kept."""
        if self.writer is None:
            return create()
        if not self._kept:  # if another program takes a number before this one is kept, theirs is changed
            with contextlib.suppress(DatabaseFault):
                self.writer.see_others()
            return create()
        return self.writer.claim(create)

    def _take(self, number: int) -> bool:
        """Whether a trial of the queue is ours to run."""
        return self.writer is None or not self._kept or self.writer.take(number)

    # What the core asks for.

    def start(self, post: Callable[[Event], None], closed: Callable[[], None]) -> None:
        """Do what is asked for from now on, in a thread.

        Args:
            post: takes the events.
            closed: called at the end, when `Finish` is done.
        """
        self.post, self._closed = post, closed
        if self.writer is not None:
            self.writer.store.wait_at_most(LOCK_SECONDS)
        threading.Thread(target=self._run, name="journal", daemon=True).start()

    def put(self, effect: Write | ReadNews | Finish) -> None:
        """Have something done; `Finish` closes the study, and nothing comes after it."""
        self._queue.put(effect)

    def abandon(self) -> None:
        """Stop retrying a database that refuses."""
        self._abandoned.set()

    def tick(self) -> None:
        """The coordinator runs; to be called several times a second."""
        if self.writer is not None:
            self.writer.tick()

    def hold(self, store: Store) -> None:
        """Have the study's folder for this coordinator alone, and note whose it is.

        Raises:
            StudyError: another database's study trains into it, or it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._hold = Hold(self.folder, store.url)
        note(self.folder, None)  # of a coordinator that was killed

    def let_go(self) -> None:
        """Let go of the study's folder."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.fallen = error

    def _work(self) -> None:
        effect: Write | ReadNews | Finish | None = None
        done: Written | Unwritten
        while not isinstance(effect, Finish):
            effect, done = self._queue.get(), Written()
            try:
                self._do_on_disk(effect)
            except Abandoned:
                self.abandoned, done = True, Unwritten()
            except SweepError as error:
                if isinstance(error, LeaseLost | DatabaseFault) or self.writer is None:
                    self._lost = error
                lost = isinstance(error, LeaseLost)
                stopped = _stopped(error) if self._kept else error
                self.post(Refused(stopped, unwritten=isinstance(effect, Write), lost=lost))
            except Exception as error:
                self._lost, self._crashed = SweepError("The journal failed."), True
                self.post(Crashed(error))
                if not wants_memory(error):
                    _log.exception("the journal failed")
            if isinstance(effect, Write) and not self._crashed:
                self.post(done)
            elif isinstance(effect, ReadNews) and self._lost is not None:
                self.post(Looked())
        self._closed()

    def _do_on_disk(self, effect: Write | ReadNews | Finish) -> None:
        """Do what was asked for; a log directory that cannot be written is the machine's fault."""
        try:
            self._do(effect)
        except OSError as error:
            fault = machine_fault(error, self.folder.parent)
            if fault is None:
                raise
            self._lost = fault
            raise fault from error

    def _do(self, effect: Write | ReadNews | Finish) -> None:
        if isinstance(effect, Finish):
            self._close(effect)
        elif self._lost is not None:
            if isinstance(effect, Write):
                raise self._lost
        elif isinstance(effect, Write):
            self._left = self._left.then(effect.changes)
            self._insist(lambda: self._write(self._left))
            self._left = Changes()
        else:
            self.post(self._look(effect))

    def _write(self, changes: Changes) -> None:
        if self.writer is None:
            self.writer = self._create()
        self._kept = True
        declaration = changes.declaration or self._declaration
        if not self._search.same_space:  # the next start is to compare it too
            declaration = declaration.replaced(hash=self.writer.record.declaration.hash)
        keys, space = self._search.keys.as_dict(), self._search.space  # both only grow
        self.writer.describe(keys, space, declaration.as_dict(), self._directory)
        self.writer.write(changes)

    def _create(self) -> StudyWriter:
        self._created = True
        file = sqlite_path(self._storage)
        self._new_file = file if file is not None and not file.exists() else self._new_file
        store = Store(self._storage, create=True)
        declaration = self._declaration
        try:
            record = create_study(
                store, declaration.name, declaration.direction, self._directory, declaration.as_dict(), new_owner()
            )
            try:
                self.hold(store)  # not earlier: of one database's coordinators the loser is told who has the study
            except (StudyError, OSError):
                delete_study(store, record)
                raise
        except BaseException:
            store.close()
            raise
        store.wait_at_most(LOCK_SECONDS)
        return StudyWriter(store, record, self._search.storage)

    def _look(self, look: ReadNews) -> Looked:
        writer, ended = self.writer, {}
        if writer is None:
            return Looked()
        commands: list[Command] = []
        try:
            if self._kept:
                writer.write(Changes())  # what Optuna's study has marked since the last write
            commands = writer.take_commands()
            if look.beat:
                writer.beat()
                writer.see_others()
                for number, trial in writer.ended_elsewhere(look.running).items():
                    ended[number] = (trial.state.name, trial.values)
            return Looked(commands, writer.take_seen(), ended)
        except DatabaseFault as error:
            if not waits(error.kind):
                raise
            self._say_trouble(error)
            return Looked(commands, refused=True)  # the commands are no longer in the database

    def _insist(self, action: Callable[[], Result]) -> Result:
        """Do something with the database, again and again while it refuses.

        Raises:
            Abandoned: nobody waits for it any more.
            DatabaseFault: waiting is of no use, or there is no study in the database yet.
        """
        while True:
            try:
                return action()
            except DatabaseFault as error:
                if self.writer is None or not waits(error.kind):
                    raise
                self._say_trouble(error)
                self.writer.store.reconnect()
                if self._abandoned.wait(RETRY_SECONDS):
                    raise Abandoned from None

    def _say_trouble(self, error: DatabaseFault) -> None:
        self.post(Refuses(error.said))

    # The end.

    def _close(self, finish: Finish) -> None:
        """Write the rest and give the study up. A new study that is refused before a trial has ended leaves nothing."""
        has_ended = any(run.state in FINISHED for run in finish.runs)
        try:
            if isinstance(self._lost, LeaseLost | DatabaseFault):
                pass  # whatever is there may be another coordinator's, or cannot be reached
            elif finish.refused and self._created and not has_ended:
                self._withdraw(finish.runs)
            elif self.writer is not None and self._lost is None:
                if self._kept or not finish.refused:
                    self._search.storage.hand_back(run.number for run in finish.runs if run.state == "PAUSED")
                    self._insist(self.writer.see_others)
                    self._add_runs(finish)
                    self._insist(lambda: self._write(self._left.then(finish.changes)))
                self._insist(self.writer.release)
        except LeaseLost as error:
            self._lost = error
        finally:
            if self.writer is not None:
                self.writer.store.close()
            note(self.folder, None)
            self.let_go()
        kept = self._kept and (has_ended or isinstance(self._lost, DatabaseFault))
        if finish.refused and not kept and not isinstance(self._lost, LeaseLost):
            self._remove_traces()

    def _add_runs(self, finish: Finish) -> None:
        """Have runs of the trials that other programs have added since the last look."""
        if self.writer is None:
            return
        known = {run.number for run in finish.runs if run.added}
        for run, values in self._search.learn(self.writer.take_seen()):
            if run.number not in known:
                finish.changes.add(run, values, self._declaration.objective)

    def _withdraw(self, runs: Sequence[RunRecord]) -> None:
        """Remove a study that this start has created."""
        if self.writer is not None:
            self.writer.beat()  # or it is not ours to remove
            delete_study(self.writer.store, self.writer.record)
            unmark(self.folder, self.writer.store.url)
            for run in runs:
                if run.directory is not None:
                    shutil.rmtree(run.directory, ignore_errors=True)

    def _remove_traces(self) -> None:
        """Remove the workers' logs, and the database and folders that were made for them."""
        for log in set((self.folder / "workers").glob("worker-*.log*")) - self._old_logs:
            log.unlink(missing_ok=True)
        for folder in self._new_folders:
            with contextlib.suppress(OSError):  # somebody else has put something into it
                folder.rmdir()
        if self._new_file is not None and self._new_file.exists():
            with contextlib.suppress(sqlite3.Error):  # as where there was no room to make it
                remove_unused(self._new_file)


def _stopped(error: SweepError) -> SweepError:
    """What stops a study that the database has, which the next start continues."""
    if not isinstance(error, DatabaseFault) or error.hint is None:
        return error
    return MachineFault(error.message, error.hint.rstrip("."))
