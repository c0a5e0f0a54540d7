"""Writes a study: what has changed in memory goes to Optuna's tables and ours in one transaction.

What other programs write into Optuna's tables meanwhile is read here too, so that no two trials get one number. Each
transaction checks that the study is still there and still ours (its `owner`), and raises `LeaseLost` if not. A
failed transaction leaves nothing behind and is tried again whole; all its statements may be repeated.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from sweep.control.lease import IS_OURS, Awake, LeaseLost, is_ours, ours
from sweep.control.optuna_rows import TrialWriter, read_study_attributes, write_study_attributes
from sweep.control.storage import STUDY_ID, WriteBehindStorage
from sweep.core.events import Changes
from sweep.store import FINISHED, Command, RunRecord, Store, StudyRecord
from sweep.store.database import DatabaseFault, writing
from sweep.store.lease import BEATS
from sweep.store.paths import change_folder, kept, kept_declaration, kept_folder, whole
from sweep.store.tables import commands, metrics, runs, split_float, studies
from sweep.store.tables import repeats as repeat_table
from sweep.store.tables import snapshots as snapshot_table
from sweep.store.trials import read_rows, trials
from sweep.store.upsert import upsert

_DESCRIBED = ("keys", "space", "declaration", "directory")
"""The columns of `sweep_studies` that change."""

# Made once: making a statement takes longer than running it.
_HOLD = sa.update(studies).where(IS_OURS).values(BEATS)
_DESCRIBE = _HOLD.values({name: sa.bindparam(name) for name in _DESCRIBED})

_LIVE_STATES = (TrialState.RUNNING, TrialState.WAITING)
_LIVE = sa.select(trials.c.trial_id).where(
    trials.c.study_id == sa.bindparam("study"),
    trials.c.trial_id >= sa.bindparam("first"),
    trials.c.state.in_(_LIVE_STATES),
)

Attributes = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A study's user attributes and its system attributes."""


class StudyWriter:
    """One coordinator's hold on one study in the database. Safe to use from any thread; one transaction runs at a time.

    Args:
        store: the database.
        record: the study as it stands there, owned by us.
        storage: the memory to write from, which takes over what other programs write.
        known: the trials that are there, by number, with their ids.
        runs: the numbers of the runs that are there.
        attributes: the study's attributes that are there.
        moved: the numbers that trials are to have instead of the one they share with another, by their ids.
    """

    def __init__(
        self,
        store: Store,
        record: StudyRecord,
        storage: WriteBehindStorage,
        known: Mapping[int, tuple[int, FrozenTrial]] | None = None,
        runs: Collection[int] = (),
        attributes: Attributes = ({}, {}),
        moved: Mapping[int, int] | None = None,
    ) -> None:
        self.store = store
        self.record = record
        self._storage = storage
        self._seen: list[int] = []  # trials of other programs that are new or have changed
        self._trials = TrialWriter(record.study_id, dict(known or {}))
        for number, (_, trial) in (known or {}).items():
            if not trial.state.is_finished() and number not in runs:
                self._trials.follow(number, trial)
        for trial_id, number in (moved or {}).items():
            self._trials.move(trial_id, number)
        self._attributes = attributes
        self._directory = record.directory
        self._folder = str(Path(record.directory).resolve())
        self._described = self._written = _described(
            record.keys, record.space, record.declaration.as_dict(), kept(record.directory, store.base), store.base
        )
        self._file = _file_identity(store.url)
        self._awake = Awake()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """The coordinator runs; to be called several times a second."""
        self._awake.tick()

    def describe(
        self,
        keys: Mapping[str, str],
        space: Mapping[str, list[str]],
        declaration: Mapping[str, Any],
        directory: str,
    ) -> None:
        """Set what is kept with the study; the next `write` writes it.

        Args:
            keys: its key table.
            space: its search space.
            declaration: what its file and the command line say.
            directory: its folder in the log directory, absolute, its links not followed.
        """
        text = self._described["directory"]
        if directory != self._directory:
            self._directory, self._folder = directory, str(Path(directory).resolve())
            text = kept_folder(directory, self.store.base)
        self._described = _described(keys, space, declaration, text, self.store.base)

    def write(self, changes: Changes) -> None:
        """Write changes in our tables, and everything that the storage has marked. Returns once it is committed.

        Raises:
            LeaseLost: the study is gone, or not ours any more.
            DatabaseFault: the database refused; nothing is lost, and the next call tries again.
        """
        with self._lock:
            self._write(changes)

    def claim(self, create: Callable[[], list[int]]) -> list[int]:
        """Add trials to memory and tables, with their runs if they begin, under numbers that nobody else can take.

        Args:
            create: adds them to memory and returns their numbers.

        Raises:
            LeaseLost: the study is gone, or not ours any more.
        """
        numbers: list[int] = []

        def once() -> list[RunRecord]:
            numbers.extend(create())
            begun = [number for number in numbers if self._storage.get_trial(number).state == TrialState.RUNNING]
            return [RunRecord(number) for number in begun]

        with self._lock:
            try:
                self._write(Changes(), once)
            except DatabaseFault:  # the next write has them; if somebody has taken a number by then, theirs is changed
                if not numbers:
                    once()
        return numbers

    def take(self, number: int) -> bool:
        """Claim a trial of the queue, with its run; False if another program has taken it by now.

        Raises:
            LeaseLost: the study is gone, or not ours any more.
        """
        with self._lock:
            if not self._trials.knows(number):
                return True
            try:
                with writing(self.store.engine) as connection:
                    self._hold(connection, self._written)
                    theirs = self._trials.take(connection, number)
                    if theirs is None:
                        self._write_runs(connection, [RunRecord(number)])
            except DatabaseFault:
                return True
            except KeyError:
                return False
            if theirs is not None:
                self._trials.follow(number, theirs)
                self._has_changed(number, theirs)
            return theirs is None

    def _write(self, changes: Changes, create: Callable[[], list[RunRecord]] | None = None) -> None:
        described = self._described
        waiting = changes or self._storage.changed or self._trials.moves
        if not (waiting or create) and described == self._written:
            return
        attributes, claimed = False, set[int]()
        snapshots: list[FrozenTrial] = []
        try:
            with writing(self.store.engine) as connection:
                self._hold(connection, described)
                if create is not None:
                    self._see_others(connection, lock=True)
                    begun = create()
                    self._write_runs(connection, begun)
                    claimed = {run.number for run in begun}
                snapshots, attributes = self._storage.take()
                snapshots = self._with_runs(snapshots, claimed, changes.runs)
                if create is None and not all(self._trials.knows(trial.number) for trial in snapshots):
                    self._see_others(connection, lock=True)
                kept = [{"hash": snapshot.hash, "content": snapshot.as_text()} for snapshot in changes.snapshots]
                upsert(connection, snapshot_table, ["hash"], kept)
                self._trials.write(connection, snapshots)
                now = self._write_attributes(connection) if attributes else self._attributes
                self._write_changes(connection, changes)
                self._awake.check(self.record.name)
        except BaseException:
            self._trials.failed(snapshots)
            self._storage.mark(snapshots, attributes)
            raise
        self._trials.written(snapshots)
        self._written, self._attributes = described, now

    def _with_runs(
        self, snapshots: list[FrozenTrial], claimed: Collection[int], some: Sequence[RunRecord]
    ) -> list[FrozenTrial]:
        """Put off what runs do not say yet: a trial begins and ends with its run, in one transaction.

        One that runs without a run is somebody else's, and one that has ended while its run has not was ended by
        somebody else.
        """
        begun = {*claimed, *(run.number for run in some)}
        ended = {run.number for run in some if run.state in FINISHED}
        late = [
            trial
            for trial in snapshots
            if (self._trials.begins(trial) and trial.number not in begun)
            or (self._trials.ends(trial) and trial.number not in ended)
        ]
        self._storage.mark(late, attributes=False)
        numbers = {trial.number for trial in late}
        return [trial for trial in snapshots if trial.number not in numbers]

    def _see_others(self, connection: sa.Connection, *, lock: bool) -> None:
        """Take over what other programs have written into Optuna's tables."""
        if lock:
            self._trials.lock_numbers(connection)
        self._trials.look_again(connection)
        new, changed = self._trials.news(connection)
        for trial_id, trial in new:
            number = self._storage.adopt(trial)
            self._trials.arrived(trial_id, number, trial)
            self._seen.append(number)
        for number, trial in changed:
            self._has_changed(number, trial)

    def _has_changed(self, number: int, trial: FrozenTrial) -> None:
        """A trial that nobody or somebody else runs has another state in the tables by now."""
        if self._storage.is_theirs(number):  # else we have begun it ourselves
            self._trials.changed(number, trial)
            self._storage.disown(number, trial)
            self._seen.append(number)

    def see_others(self) -> None:
        """Take over what other programs have written into Optuna's tables since the last call, without writing."""
        with self._lock, self.store.engine.connect() as connection:
            self._see_others(connection, lock=False)
            there = read_study_attributes(connection, self.record.study_id)
            news = [
                {key: value for key, value in now.items() if key not in before or before[key] != value}
                for now, before in zip(there, self._attributes, strict=True)
            ]
            if any(news):
                self._storage.adopt_attributes(*news)
                user, system = ({**old, **new} for old, new in zip(self._attributes, news, strict=True))
                self._attributes = (user, system)

    def take_seen(self) -> list[int]:
        """The trials of other programs that were new or changed since the last call."""
        with self._lock:
            seen, self._seen = self._seen, []
        return seen

    def beat(self) -> None:
        """Show that this coordinator lives."""
        with self._lock, writing(self.store.engine) as connection:
            self._hold(connection, self._written)

    def release(self) -> None:
        """Give the study up; nothing is written afterwards."""
        with self._lock, writing(self.store.engine) as connection:
            connection.execute(sa.update(studies).where(is_ours(self.record)).values(owner=None))

    def take_commands(self) -> list[Command]:
        """The commands given since the last call, in their order.

        Raises:
            LeaseLost: the study is gone, or not ours any more; the commands are another coordinator's.
        """
        mine = commands.c.study_id == self.record.study_id
        with self.store.engine.connect() as connection:
            rows = connection.execute(sa.select(commands).where(mine).order_by(commands.c.command_id)).all()
        if not rows:
            return []
        with self._lock, writing(self.store.engine) as connection:
            self._hold(connection, self._written)
            seen = [row.command_id for row in rows]
            connection.execute(sa.delete(commands).where(commands.c.command_id.in_(seen)))
        return [Command(row.verb, row.number, row.reason) for row in rows]

    def ended_elsewhere(self, numbers: Collection[int]) -> dict[int, FrozenTrial]:
        """Those of our running trials that somebody else ended in Optuna's tables, as they are there, by number."""
        ids = self._trials.ids(numbers)  # a number that we have not written yet may be another program's there
        if not ids:
            return {}
        with self._lock, self.store.engine.connect() as connection:
            live = connection.execute(_LIVE, {"study": self.record.study_id, "first": min(ids)}).scalars()
            rest = ids.keys() - set(live)  # few: a statement that named all of ours would be made anew each second
            if not rest:
                return {}
            ended = trials.c.trial_id.in_(rest) & trials.c.state.not_in(_LIVE_STATES)
            found = read_rows(connection, self.record.study_id, ended)
        return {ids[trial_id]: trial for trial_id, trial in found}

    def _hold(self, connection: sa.Connection, described: Mapping[str, str]) -> None:
        there = _file_identity(self.store.url) == self._file
        mine = ours(self.record)
        if described == self._written:
            held = there and connection.execute(_HOLD, mine).rowcount == 1
        else:
            held = there and connection.execute(_DESCRIBE, {**mine, **described}).rowcount == 1
            if held and described["directory"] != self._written["directory"]:
                before, now = (whole(each["directory"], self.store.base) for each in (self._written, described))
                moved = not Path(before).is_dir()  # by somebody, and the runs in it too
                change_folder(connection, self.record.study_id, before, now, moved=moved)
        if not held:
            raise LeaseLost(
                f"Study {self.record.name} was deleted, or another coordinator has taken it.",
                "Its workers are stopped, and nothing was overwritten.",
            )
        self._awake.check(self.record.name)  # now that nobody else can take it until the transaction ends

    def _write_attributes(self, connection: sa.Connection) -> Attributes:
        """Write the study's attributes that changed; others may have changed the rest, as optuna-dashboard's notes."""
        now = self._storage.get_study_user_attrs(STUDY_ID), self._storage.get_study_system_attrs(STUDY_ID)
        changed = [
            {key: value for key, value in here.items() if key not in there or there[key] != value}
            for here, there in zip(now, self._attributes, strict=True)
        ]
        write_study_attributes(connection, self.record.study_id, *changed)
        return now

    def _write_changes(self, connection: sa.Connection, changes: Changes) -> None:
        study_id = self.record.study_id
        self._write_runs(connection, changes.runs)
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
        ended = [repeat.row(study_id, self._folder) for repeat in changes.repeats]
        upsert(connection, repeat_table, ["study_id", "repeat_of", "repeat"], ended)

    def _write_runs(self, connection: sa.Connection, some: Sequence[RunRecord]) -> None:
        study_id = self.record.study_id
        upsert(connection, runs, ["study_id", "number"], [run.row(study_id, self._folder) for run in some])


def _file_identity(url: sa.URL) -> tuple[int, int] | None:
    """What tells an SQLite file from another one that was put in its place; None where there is none."""
    if url.get_backend_name() != "sqlite":
        return None
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(str(url.database))
        return status.st_dev, status.st_ino
    return None


def _described(
    keys: Mapping[str, str],
    space: Mapping[str, list[str]],
    declaration: Mapping[str, Any],
    directory: str,
    base: str | None,
) -> dict[str, str]:
    texts = map(json.dumps, (keys, space, kept_declaration(declaration, base)))
    values = (*texts, directory)
    return dict(zip(_DESCRIBED, values, strict=True))
