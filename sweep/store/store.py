"""What is read from the database, and the commands put into it.

Contract. Any number of processes may read and give commands at once. A study's rows are written by one process alone,
its coordinator (`sweep.control.storage`), which holds the study's lease: `owner` names it and `beat` counts up while it
lives (`sweep.store.lease`). Every method is one transaction and may be called from any thread. An unknown study or run
raises `StoreError`. Repeats with fresh seeds are written by the one process that has them trained
(`sweep.control.repeats`), while no coordinator need have the study.
"""

import difflib
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import sqlalchemy as sa

from sweep.errors import ReadOnly, StoreError
from sweep.names import KeyTable
from sweep.store import database
from sweep.store.lease import RECORD
from sweep.store.paths import base_of, whole
from sweep.store.records import ADDED, CONTINUES, DELETED, REVIVES, RUN, RepeatRecord, RunRecord, StudyRecord
from sweep.store.tables import (
    commands,
    join_float,
    metrics,
    optuna_attributes,
    optuna_trials,
    repeats,
    runs,
    snapshots,
    studies,
)
from sweep.store.typed_url import shown
from sweep.store.upsert import upsert
from sweep.words import listed

Epochs = dict[int, dict[str, float]]
"""Metrics by epoch (counted from 0), each a value by name."""

# The finished trials of Optuna's that have no run of ours, but for those whose run was deleted. Optuna takes a second
# to import: it reads only those.
_ADDED = (
    "FROM trials WHERE trials.study_id = :study"
    " AND trials.state IN ('COMPLETE', 'PRUNED', 'FAIL') AND NOT EXISTS (SELECT 1 FROM sweep_runs"
    " WHERE sweep_runs.study_id = trials.study_id AND sweep_runs.number = trials.number)"
    " AND NOT EXISTS (SELECT 1 FROM trial_system_attributes AS attributes"
    f" WHERE attributes.trial_id = trials.trial_id AND attributes.key = '{DELETED}')"
)
_HAS_ADDED = sa.text(f"SELECT EXISTS (SELECT 1 {_ADDED})")
_ADDED_COUNTS = sa.text(f"SELECT trials.state, COUNT(*) {_ADDED} GROUP BY trials.state")


@dataclass(frozen=True)
class Command:
    """What somebody asks of a study's coordinator: `prune`, `protect` or `revive` one run, or `stop` the study."""

    verb: str
    number: int | None
    reason: str


@dataclass(frozen=True)
class Notes:
    """What only Optuna's tables have of a trial.

    Attributes:
        ended: when it ended, in Unix seconds.
        attributes: what `trial.set_user_attr` and other programs noted, without sweep's own.
    """

    ended: float | None
    attributes: dict[str, Any] = field(default_factory=dict)


class Store:
    """The database behind a storage URL.

    Args:
        storage: a URL such as `sqlite:///sweep.db` or `postgresql://user@host/sweep`.
        create: make the database and its tables where they are missing, and migrate an older schema.

    Raises:
        StoreError: the database cannot be opened or is not ours.
    """

    def __init__(self, storage: str, *, create: bool = False) -> None:
        self.url = database.parse_url(storage)
        self.base = base_of(self.url)
        self._patience = database.Patience()
        self.engine = database.connect(self.url, create=create, patience=self._patience)

    @property
    def place(self) -> str:
        """The URL as it was typed, without its password: what people are shown, and what commands for them name."""
        return shown(self.url)

    def wait_at_most(self, seconds: float) -> None:
        """Have every method fail sooner where another program has an SQLite database locked."""
        self._patience.seconds = seconds

    def reconnect(self) -> None:
        """Have the next method use new connections: another server may have taken the place of one that refused."""
        self.engine.dispose()

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written from here, in a sentence; None if something can."""
        return database.read_only(self.engine)

    def check_writable(self) -> None:
        """Refuse a change where the database can only be read.

        Raises:
            ReadOnly: it can only be read.
        """
        if (reason := self.read_only) is not None:
            raise ReadOnly(reason)

    def close(self) -> None:
        """Close the connections; the store cannot be used afterwards."""
        self.engine.dispose()

    def studies(self) -> list[StudyRecord]:
        """All studies, the oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(*RECORD).order_by(studies.c.created, studies.c.study_id))
            return [StudyRecord.from_row(row, self.base) for row in rows]

    def find_study(self, name: str) -> StudyRecord | None:
        """The study called `name`, or None."""
        with self.engine.connect() as connection:
            row = connection.execute(sa.select(*RECORD).where(studies.c.name == name)).one_or_none()
            return StudyRecord.from_row(row, self.base) if row else None

    def study(self, name: str) -> StudyRecord:
        """The study called `name`.

        Raises:
            StoreError: there is none; the nearest names are given.
        """
        found = self.find_study(name)
        if found is not None:
            return found
        names = [study.name for study in self.studies()]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        else:
            hint = f"The studies are {listed(names)}." if names else "Start one with `sweep start FILE`."
        raise StoreError(f"No such study: {name}.", hint)

    def runs(self, study_id: int, numbers: Sequence[int] | None = None) -> list[RunRecord]:
        """A study's runs by number; `numbers` chooses some.

        A finished trial that another program has added to the study since it last ran is one of them.
        """
        query = sa.select(runs).where(runs.c.study_id == study_id).order_by(runs.c.number)
        if numbers is not None:
            query = query.where(runs.c.number.in_(numbers))
        with self.engine.connect() as connection:
            # First those without a run of ours: one that a coordinator writes just now is read in one way at least.
            has_added = connection.execute(_HAS_ADDED, {"study": study_id}).scalar()
            added = self._added(connection, study_id) if has_added else []
            folder = self._folder(connection, study_id)
            found = [RunRecord.from_row(row, folder) for row in connection.execute(query)]
            of_run = _repeats(connection, study_id, folder)
        for run in found:
            run.repeats = of_run.get(run.number, ())
        known = {run.number for run in found}
        chosen = [run for run in added if run.number not in known and (numbers is None or run.number in numbers)]
        return sorted([*found, *chosen], key=lambda run: run.number)

    def repeats(self, study_id: int) -> dict[int, list[RepeatRecord]]:
        """The repeats of a study's runs that have some, by the run's number, in their order."""
        with self.engine.connect() as connection:
            return _repeats(connection, study_id, self._folder(connection, study_id))

    def record_repeats(self, study_id: int, ended: Iterable[RepeatRecord]) -> None:
        """Write repeats that have ended, over what was written of them before."""
        with database.writing(self.engine) as connection:
            folder = self._folder(connection, study_id)
            if folder is not None:
                rows = [one.row(study_id, folder) for one in ended]
                upsert(connection, repeats, ["study_id", "repeat_of", "repeat"], rows)

    def forget_failed_repeats(self, study_id: int) -> int:
        """Remove the repeats with fresh seeds of a study's runs that gave no number; how many there were."""
        failed = (repeats.c.study_id == study_id) & repeats.c.value.is_(None) & ~repeats.c.of_value
        with database.writing(self.engine) as connection:
            return connection.execute(sa.delete(repeats).where(failed)).rowcount

    def _folder(self, connection: sa.Connection, study_id: int) -> str | None:
        """A study's folder, to which the directories of its runs are relative; None where there is no such study."""
        query = sa.select(studies.c.directory).where(studies.c.study_id == study_id)
        found = connection.execute(query).scalar_one_or_none()
        return whole(found, self.base) if found is not None else None

    def _added(self, connection: sa.Connection, study_id: int) -> list[RunRecord]:
        """The runs of trials that others have added and no coordinator has seen."""
        from sweep.store.trials import read_added

        row = connection.execute(sa.select(*RECORD).where(studies.c.study_id == study_id)).one_or_none()
        if row is None:
            return []
        study = StudyRecord.from_row(row, self.base)
        keys = KeyTable(short=study.declaration.short, table=study.keys)
        return read_added(connection, study_id, study.name, keys, study.declaration.objectives[0])

    def last_number(self, study_id: int) -> int:
        """The highest number that a run of ours has; -1 where there is none."""
        with self.engine.connect() as connection:
            query = sa.select(sa.func.coalesce(sa.func.max(runs.c.number), -1)).where(runs.c.study_id == study_id)
            return int(connection.execute(query).scalar_one())

    def counts(self, study_id: int, *, added: bool = False) -> dict[str, int]:
        """How many runs a study has in each state.

        Args:
            added: count also trials that other programs added, which count towards no study's `trials`.
        """
        query = sa.select(runs.c.state, sa.func.count()).where(runs.c.study_id == study_id).group_by(runs.c.state)
        if not added:
            query = query.where(sa.or_(runs.c.reason.is_(None), runs.c.reason != ADDED))
        with self.engine.connect() as connection:
            found: Counter[str] = Counter({row[0]: row[1] for row in connection.execute(query)})
            if added:
                found.update({row[0]: row[1] for row in connection.execute(_ADDED_COUNTS, {"study": study_id})})
            return dict(found)

    def metrics(self, study_id: int, numbers: Sequence[int] | None = None) -> dict[int, Epochs]:
        """Every metric of every epoch, by run number; `numbers` chooses some runs."""
        query = sa.select(metrics).where(metrics.c.study_id == study_id).order_by(metrics.c.number, metrics.c.epoch)
        if numbers is not None:
            query = query.where(metrics.c.number.in_(numbers))
        found: dict[int, Epochs] = {}
        with self.engine.connect() as connection:
            for _, number, epoch, metric, value, kind in connection.execute(query):
                found.setdefault(number, {}).setdefault(epoch, {})[metric] = _float(value, kind)
        return found

    def last_metrics(self, study_id: int) -> dict[int, dict[str, float]]:
        """The metrics of each run's last finished epoch, by run number."""
        # An outer join, so that SQLite begins with the runs: from the metrics it would read all epochs of the study.
        last = (
            (metrics.c.study_id == runs.c.study_id)
            & (metrics.c.number == runs.c.number)
            & (metrics.c.epoch == runs.c.epoch - 1)
        )
        query = (
            sa.select(runs.c.number, metrics.c.metric, metrics.c.value, metrics.c.kind)
            .select_from(runs.outerjoin(metrics, last))
            .where(runs.c.study_id == study_id)
        )
        found: dict[int, dict[str, float]] = {}
        with self.engine.connect() as connection:
            for number, metric, value, kind in connection.execute(query):
                if metric is not None:
                    found.setdefault(number, {})[metric] = _float(value, kind)
        return found

    def notes(self, study_id: int, numbers: Sequence[int] | None = None) -> dict[int, Notes]:
        """What only Optuna's tables have of a study's trials, by number; `numbers` chooses some."""
        chosen = optuna_trials.c.study_id == study_id
        if numbers is not None:
            chosen &= optuna_trials.c.number.in_(numbers)
        ends = sa.select(optuna_trials.c.number, optuna_trials.c.datetime_complete).where(chosen)
        same = optuna_attributes.c.trial_id == optuna_trials.c.trial_id
        attributes = (
            sa.select(optuna_trials.c.number, optuna_attributes.c.key, optuna_attributes.c.value_json)
            .select_from(optuna_trials.join(optuna_attributes, same))
            .where(chosen, optuna_attributes.c.key.not_in((RUN, REVIVES, CONTINUES)))
            .order_by(optuna_trials.c.number, optuna_attributes.c.key)
        )
        with self.engine.connect() as connection:
            found = {
                number: Notes(at.replace(tzinfo=UTC).timestamp() if at is not None else None)
                for number, at in connection.execute(ends)
            }
            for number, key, text in connection.execute(attributes):
                found[number].attributes[key] = json.loads(text)
        return found

    def snapshot(self, hash: str) -> str | None:
        """The snapshot of a study file, as `sweep.snapshot.Snapshot` writes it, by its hash; None if there is none."""
        with self.engine.connect() as connection:
            query = sa.select(snapshots.c.content).where(snapshots.c.hash == hash)
            return connection.execute(query).scalar_one_or_none()

    def command(self, study_id: int, verb: str, *, numbers: Iterable[int | None] = (None,), reason: str) -> None:
        """Ask a study's coordinator to `prune`, `protect` or `revive` the runs `numbers`, or to `stop`."""
        now = time.time()
        rows = [
            {"study_id": study_id, "verb": verb, "number": number, "reason": reason, "created": now}
            for number in numbers
        ]
        if rows:
            self.check_writable()
            with database.writing(self.engine) as connection:
                connection.execute(sa.insert(commands), rows)


def _repeats(connection: sa.Connection, study_id: int, folder: str | None) -> dict[int, list[RepeatRecord]]:
    """The repeats of each run that has some, in their order."""
    query = sa.select(repeats).where(repeats.c.study_id == study_id).order_by(repeats.c.repeat_of, repeats.c.repeat)
    found: dict[int, list[RepeatRecord]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["repeat_of"], []).append(RepeatRecord.from_row(row, folder))
    return found


def _float(value: float | None, kind: str | None) -> float:
    joined = join_float(value, kind)
    return float("nan") if joined is None else joined
