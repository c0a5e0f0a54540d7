"""Writes a study: what changed in the coordinator's memory goes to Optuna's tables and ours in one transaction.

Each transaction checks that the study is still there and still ours (its `owner`), and raises `LeaseLost` if not. A
failed transaction leaves nothing behind and is tried again whole; all its statements may be repeated.
"""

import json
import threading
import time
from dataclasses import asdict

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.control.optuna_rows import (
    TrialWriter,
    read_study_attributes,
    read_trials,
    trials,
    upsert,
    write_study_attributes,
)
from sweep.control.storage import Changes, Ledger, WriteBehindStorage
from sweep.errors import StudyError, SweepError
from sweep.store import FINISHED, Command, Owner, Store, StudyRecord
from sweep.store.database import writing
from sweep.store.lease import alive
from sweep.store.tables import commands, metrics, runs, split_float, studies

optuna_studies = models.StudyModel.__table__
optuna_directions = models.StudyDirectionModel.__table__

TAKEOVER_SECONDS = 15.0  # a coordinator of another host whose beat stands still for so long is gone


class LeaseLost(SweepError):
    """The study was deleted, or another coordinator has taken it."""


class StudyWriter:
    """One coordinator's hold on one study in the database. Safe to use from any thread; one transaction runs at a time.

    Args:
        store: the database.
        record: the study as it stands there, owned by us.
        storage, ledger: the memory to write from.
        memory_id: the study's id in `storage`.
    """

    def __init__(
        self, store: Store, record: StudyRecord, storage: WriteBehindStorage, ledger: Ledger, memory_id: int = 0
    ) -> None:
        self.store = store
        self.record = record
        self._storage = storage
        self._ledger = ledger
        self._memory_id = memory_id
        self._owner = _owner_text(record.owner)
        with store.engine.connect() as connection:
            known = read_trials(connection, record.study_id)
        self._trials = TrialWriter(record.study_id, known)
        self._keys, self._space = record.keys, record.space
        self._written = (dict(self._keys), json.dumps(self._space))
        self._lock = threading.Lock()

    def describe(self, keys: dict[str, str], space: dict[str, list[str]]) -> None:
        """Set the key table and the search space that stand with the study; they are written with the next flush."""
        self._keys, self._space = keys, space

    def flush(self) -> None:
        """Write everything that changed. Returns once it is committed.

        Raises:
            LeaseLost: the study is gone, or not ours any more.
            sqlalchemy.exc.DBAPIError: the database refused; nothing is lost, and the next flush tries again.
        """
        with self._lock:
            snapshots, attributes = self._storage.take()
            changes = self._ledger.take()
            described = (dict(self._keys), json.dumps(self._space))
            if not snapshots and not attributes and not changes and described == self._written:
                return
            try:
                with writing(self.store.engine) as connection:
                    self._hold(connection, described)
                    self._trials.write(connection, snapshots)
                    if attributes:
                        self._write_attributes(connection)
                    self._write_changes(connection, changes)
            except BaseException:
                self._trials.failed()
                self._storage.mark(snapshots, attributes)
                self._ledger.give_back(changes)
                raise
            self._trials.written(snapshots)
            self._written = described

    def beat(self) -> None:
        """Show that this coordinator lives."""
        with self._lock, writing(self.store.engine) as connection:
            self._hold(connection, self._written)

    def release(self) -> None:
        """Give the study up; nothing is written afterwards."""
        with self._lock, writing(self.store.engine) as connection:
            ours = (studies.c.study_id == self.record.study_id) & (studies.c.owner == self._owner)
            connection.execute(sa.update(studies).where(ours).values(owner=None))

    def take_commands(self) -> list[Command]:
        """The commands given since the last call, in their order."""
        mine = commands.c.study_id == self.record.study_id
        with self.store.engine.connect() as connection:
            rows = connection.execute(sa.select(commands).where(mine).order_by(commands.c.command_id)).all()
        if not rows:
            return []
        with self._lock, writing(self.store.engine) as connection:
            connection.execute(sa.delete(commands).where(mine, commands.c.command_id <= rows[-1].command_id))
        return [Command(row.verb, row.number, row.reason) for row in rows]

    def ended_elsewhere(self, numbers: list[int]) -> list[tuple[int, TrialState, list[float] | None]]:
        """Those of our running trials that somebody else ended in Optuna's tables, with their state and values."""
        if not numbers:
            return []
        ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        ours = (trials.c.study_id == self.record.study_id) & trials.c.number.in_(numbers) & trials.c.state.in_(ended)
        with self._lock, self.store.engine.connect() as connection:
            if connection.execute(sa.select(sa.func.count()).where(ours)).scalar_one() == 0:
                return []
            known = read_trials(connection, self.record.study_id)
        found = [known[number][1] for number in numbers if known[number][1].state.is_finished()]
        return [(trial.number, trial.state, trial.values) for trial in found]

    def _hold(self, connection: sa.Connection, described: tuple[dict[str, str], str]) -> None:
        ours = (studies.c.study_id == self.record.study_id) & (studies.c.owner == self._owner)
        new = {"beat": studies.c.beat + 1, "keys": json.dumps(described[0]), "space": described[1]}
        if connection.execute(sa.update(studies).where(ours).values(new)).rowcount != 1:
            raise LeaseLost(
                f"the coordinator of study {self.record.name} must have its lease",
                "a study that was deleted, or that another coordinator has taken",
                "its workers are stopped; nothing was written over",
            )

    def _write_attributes(self, connection: sa.Connection) -> None:
        user = self._storage.get_study_user_attrs(self._memory_id)
        system = self._storage.get_study_system_attrs(self._memory_id)
        write_study_attributes(connection, self.record.study_id, user, system)

    def _write_changes(self, connection: sa.Connection, changes: Changes) -> None:
        study_id = self.record.study_id
        upsert(connection, runs, ["study_id", "number"], [run.row(study_id) for run in changes.runs])
        if changes.restarted:
            old = (metrics.c.study_id == study_id) & metrics.c.number.in_(changes.restarted)
            connection.execute(sa.delete(metrics).where(old))
        rows = []
        for number, epoch, metric, measured in changes.metrics:
            value, kind = split_float(measured)
            rows.append(
                {"study_id": study_id, "number": number, "epoch": epoch, "metric": metric, "value": value, "kind": kind}
            )
        upsert(connection, metrics, ["study_id", "number", "epoch", "metric"], rows)


def create_study(
    store: Store, name: str, directions: list[str], directory: str, declaration: dict[str, object], owner: Owner
) -> StudyRecord:
    """Create a study in Optuna's tables and ours, owned by `owner`.

    Raises:
        StudyError: another process created one of that name first.
    """
    try:
        with writing(store.engine) as connection:
            created = connection.execute(
                sa.insert(optuna_studies).values(study_name=name).returning(optuna_studies.c.study_id)
            )
            study_id = created.scalar_one()
            for objective, direction in enumerate(directions):
                row = {"study_id": study_id, "direction": StudyDirection[direction.upper()], "objective": objective}
                connection.execute(sa.insert(optuna_directions).values(row))
            ours = {
                "study_id": study_id,
                "name": name,
                "declaration": json.dumps(declaration),
                "keys": "{}",
                "space": "{}",
                "directory": directory,
                "created": time.time(),
                "owner": _owner_text(owner),
                "beat": 0,
            }
            connection.execute(sa.insert(studies).values(ours))
    except sa.exc.IntegrityError:
        raise StudyError(
            "a study's name is its own in the database",
            f"{name}, which another process has just created",
            "start it again to go on with it",
        ) from None
    return store.study(name)


def claim(
    store: Store, record: StudyRecord, owner: Owner, declaration: dict[str, object], directory: str
) -> StudyRecord:
    """Take a study that is there, unless a living coordinator has it.

    Raises:
        StudyError: another coordinator has it; it is named.
    """
    _check_owner(store, record)
    with writing(store.engine) as connection:
        before = (studies.c.study_id == record.study_id) & (studies.c.beat == record.beat)
        new = {
            "owner": _owner_text(owner),
            "declaration": json.dumps(declaration),
            "directory": directory,
            "beat": record.beat + 1,
        }
        if connection.execute(sa.update(studies).where(before).values(new)).rowcount != 1:
            raise _taken(record.name, "another process")
        connection.execute(sa.delete(commands).where(commands.c.study_id == record.study_id))
    return store.study(record.name)


def _check_owner(store: Store, record: StudyRecord) -> None:
    if record.owner is None:
        return
    lives = alive(record.owner)
    if lives is None:  # on another host: nothing but its beat tells
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.5)
            if store.owner(record.study_id)[1] != record.beat:
                raise _taken(record.name, str(record.owner))
    elif lives:
        raise _taken(record.name, str(record.owner))


def _taken(name: str, owner: str) -> StudyError:
    return StudyError(
        f"a running study has one coordinator, and {name} has one",
        owner,
        f"watch it with: sweep runs {name}; end it with: sweep stop {name}",
    )


def _owner_text(owner: Owner | None) -> str:
    return json.dumps(asdict(owner)) if owner else ""


__all__ = ["FINISHED", "LeaseLost", "StudyWriter", "claim", "create_study", "read_study_attributes"]
