"""A study's trials in Optuna's own tables, written as the difference to what is there.

The tables are those of Optuna 5; writing through its `RDBStorage` costs a commit for each value. `sweep.store.trials`
reads them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from sweep.store.trials import (
    intermediate,
    params,
    read_rows,
    system_attributes,
    trials,
    user_attributes,
    values,
)
from sweep.store.upsert import upsert

studies = models.StudyModel.__table__
study_user_attributes = models.StudyUserAttributeModel.__table__
study_system_attributes = models.StudySystemAttributeModel.__table__

Rows = list[dict[str, Any]]

# In the order of their rows, since Optuna reads trials in the order of their ids.
_CREATE = sa.insert(trials).returning(trials.c.number, trials.c.trial_id, sort_by_parameter_order=True)
_SET_STATE = sa.update(trials).where(trials.c.trial_id == sa.bindparam("written"))
_SET_NUMBER = sa.update(trials).where(trials.c.trial_id == sa.bindparam("moved")).values(number=sa.bindparam("to"))


class TrialWriter:
    """Writes snapshots of trials as the difference to what is in the tables, and reads what others write there.

    Optuna has no unique constraint on a trial's number: it counts the trials that are there. So a trial is inserted,
    and those of others are read, under the lock under which Optuna inserts one (`lock_numbers`).

    Args:
        study_id: the study's id in the database.
        known: the trials that are there, by number: their id there and their last written snapshot.
    """

    def __init__(self, study_id: int, known: dict[int, tuple[int, FrozenTrial]]) -> None:
        self.study_id = study_id
        self._ids = {number: trial_id for number, (trial_id, _) in known.items()}
        self._written = {number: trial for number, (_, trial) in known.items() if not trial.state.is_finished()}
        self._inserted: set[int] = set()  # by the transaction that is under way
        self._unsure: set[int] = set()
        self._doubtful: dict[int, FrozenTrial] = {}  # of these, what may or may not have been inserted
        self._newest = max(self._ids.values(), default=0)  # ids rise in the order of commits, thanks to the lock
        self._moved: dict[int, int] = {}  # the number that a trial is to have, by its id
        self._others: dict[int, tuple[int, TrialState]] = {}  # trials of others that have not ended, by id

    @property
    def moves(self) -> bool:
        """Whether a trial's number is still to be changed in the tables."""
        return bool(self._moved)

    def knows(self, number: int) -> bool:
        """Whether a trial of this number has been written or read."""
        return number in self._ids

    def ids(self, numbers: Iterable[int]) -> dict[int, int]:
        """The numbers of trials that have been written or read, by their ids."""
        return {self._ids[number]: number for number in numbers if number in self._ids}

    def begins(self, trial: FrozenTrial) -> bool:
        """Whether writing a snapshot says that a trial runs which is not known to run."""
        before = self._written.get(trial.number)
        return trial.state == TrialState.RUNNING and (before is None or before.state == TrialState.WAITING)

    def ends(self, trial: FrozenTrial) -> bool:
        """Whether writing a snapshot says that a trial has ended which is not known to have."""
        return trial.state.is_finished() and (trial.number in self._written or trial.number not in self._ids)

    def move(self, trial_id: int, number: int) -> None:
        """Have a trial's number changed in the tables with the next write, since another trial has it too."""
        self._moved[trial_id] = number

    def follow(self, number: int, trial: FrozenTrial) -> None:
        """Watch a trial of somebody else's that has not ended."""
        self._others[self._ids[number]] = (number, trial.state)
        self._written[number] = trial

    def lock_numbers(self, connection: sa.Connection) -> None:
        """Let nobody else add a trial to the study until the transaction ends; on SQLite the transaction does that."""
        connection.execute(sa.select(studies.c.study_id).where(studies.c.study_id == self.study_id).with_for_update())

    def news(self, connection: sa.Connection) -> tuple[list[tuple[int, FrozenTrial]], list[tuple[int, FrozenTrial]]]:
        """What others have written since the last call.

        Returns:
            the trials that are new, with their ids, in the order in which they were written; and by their numbers
            here those that were known and have changed their state.
        """
        later = trials.c.trial_id > self._newest
        columns = sa.select(trials.c.trial_id, trials.c.number).where(trials.c.study_id == self.study_id)
        there = {row.trial_id: row.number for row in connection.execute(columns.where(later))}
        unseen = {trial_id for trial_id, number in there.items() if self._ids.get(number) != trial_id}
        self._newest = max(there, default=self._newest)
        new = []
        if unseen:
            unseen -= set(self._ids.values())  # a number that is still to be changed there
            rows = read_rows(connection, self.study_id, later)
            new = [(trial_id, trial) for trial_id, trial in rows if trial_id in unseen]
        changed = []
        if self._others:
            columns = sa.select(trials.c.trial_id, trials.c.state).where(trials.c.study_id == self.study_id)
            theirs = trials.c.trial_id.in_(list(self._others))
            states = {row.trial_id: row.state for row in connection.execute(columns.where(theirs))}
            ids = [trial_id for trial_id, state in states.items() if state != self._others[trial_id][1]]
            for trial_id, trial in read_rows(connection, self.study_id, trials.c.trial_id.in_(ids)) if ids else []:
                changed.append((self._others[trial_id][0], trial))
        return new, changed

    def arrived(self, trial_id: int, number: int, trial: FrozenTrial) -> None:
        """A trial of somebody else's has this number here, also in the tables from the next write on."""
        self._ids[number] = trial_id
        if trial.number != number:
            self.move(trial_id, number)
        if not trial.state.is_finished():
            self.follow(number, trial)

    def changed(self, number: int, trial: FrozenTrial) -> None:
        """A trial of somebody else's has another state by now."""
        if trial.state.is_finished():
            del self._others[self._ids[number]]
            self._written.pop(number, None)
        else:
            self.follow(number, trial)

    def take(self, connection: sa.Connection, number: int) -> FrozenTrial | None:
        """Have a trial that waits in the tables run, unless it no longer waits: then as it is there by now.

        Raises:
            KeyError: it was deleted.
        """
        trial_id = self._ids[number]
        waits = (trials.c.trial_id == trial_id) & (trials.c.state == TrialState.WAITING)
        if connection.execute(sa.update(trials).where(waits).values(state=TrialState.RUNNING)).rowcount == 1:
            self._others.pop(trial_id, None)
            return None
        rows = read_rows(connection, self.study_id, trials.c.trial_id == trial_id)
        if not rows:
            raise KeyError(number)
        return rows[0][1]

    def write(self, connection: sa.Connection, snapshots: Sequence[FrozenTrial]) -> None:
        """Write what changed. Call `written` when the transaction is committed, `failed` when it is not."""
        self.look_again(connection)
        if self._moved:
            rows = [{"moved": trial_id, "to": number} for trial_id, number in self._moved.items()]
            connection.execute(_SET_NUMBER, rows)
        new = [trial for trial in snapshots if trial.number not in self._ids]
        if new:
            rows = [_trial_row(trial) | {"study_id": self.study_id, "number": trial.number} for trial in new]
            self._ids.update(connection.execute(_CREATE, rows).all())
            self._inserted.update(trial.number for trial in new)
        changed: dict[str, Rows] = defaultdict(list)
        for trial in snapshots:
            self._difference(connection, trial, changed)
        upsert(connection, params, ["trial_id", "param_name"], changed["params"])
        upsert(connection, intermediate, ["trial_id", "step"], changed["intermediate"])
        upsert(connection, user_attributes, ["trial_id", "key"], changed["user"])
        upsert(connection, system_attributes, ["trial_id", "key"], changed["system"])
        upsert(connection, values, ["trial_id", "objective"], changed["values"])
        if changed["states"]:
            connection.execute(_SET_STATE, changed["states"])

    def written(self, snapshots: Sequence[FrozenTrial]) -> None:
        """The transaction that wrote `snapshots` is committed."""
        self._moved.clear()
        self._inserted.clear()
        for trial in snapshots:
            self._others.pop(self._ids[trial.number], None)  # ours by now
            if trial.state.is_finished():
                self._written.pop(trial.number, None)  # immutable from now on
            else:
                self._written[trial.number] = trial

    def failed(self, snapshots: Sequence[FrozenTrial]) -> None:
        """The transaction failed, or its fate is unknown: the commit's answer may be lost while its rows stand."""
        self._unsure.update(trial.number for trial in snapshots)
        for trial in snapshots:
            if trial.number in self._inserted:
                del self._ids[trial.number]
                self._doubtful[trial.number] = trial
        self._inserted.clear()

    def look_again(self, connection: sa.Connection) -> None:
        """See what is in the tables of trials whose last writing failed; before `news`, which would take them for new.

        Somebody else's trial may have the number of one whose insertion failed.
        """
        if not self._unsure:
            return
        known = {self._ids[number]: number for number in self._unsure if number in self._ids}
        chosen = trials.c.trial_id.in_(list(known)) | trials.c.number.in_(list(self._doubtful))
        for number in self._unsure:
            self._written.pop(number, None)
        for trial_id, trial in read_rows(connection, self.study_id, chosen):
            number = known.get(trial_id, trial.number)
            if trial_id in known or _is(trial, self._doubtful.get(number)):
                self._ids[number], self._written[number] = trial_id, trial
        self._unsure.clear()
        self._doubtful.clear()

    def _difference(self, connection: sa.Connection, trial: FrozenTrial, changed: dict[str, Rows]) -> None:
        trial_id = self._ids[trial.number]
        before = self._written.get(trial.number)
        for name, distribution in trial.distributions.items():
            if before is None or name not in before.distributions:
                changed["params"].append(_param_row(trial_id, name, trial.params[name], distribution))
        steps = before.intermediate_values if before else {}
        for step, value in trial.intermediate_values.items():
            if step not in steps or not _same(steps[step], value):
                changed["intermediate"].append(_intermediate_row(trial_id, step, value))
        for kind, table, now, then in (
            ("user", user_attributes, trial.user_attrs, before.user_attrs if before else {}),
            ("system", system_attributes, trial.system_attrs, before.system_attrs if before else {}),
        ):
            changed[kind].extend(_attribute_rows(trial_id, now, then))
            _delete(connection, table, table.c.key, trial_id, then.keys() - now.keys())
        _delete(
            connection, intermediate, intermediate.c.step, trial_id, steps.keys() - trial.intermediate_values.keys()
        )
        if trial.state.is_finished():
            changed["values"].extend(_value_rows(trial_id, trial.values or []))
        if before is None or before.state != trial.state or trial.state.is_finished():
            changed["states"].append(_trial_row(trial) | {"written": trial_id})


def _is(there: FrozenTrial, ours: FrozenTrial | None) -> bool:
    """Whether a trial in the tables is the one that we may have inserted, rather than somebody else's."""
    if ours is None or there.datetime_start != ours.datetime_start:
        return False
    return ours.datetime_start is not None or there.system_attrs == ours.system_attrs


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)  # NaN is itself


def _delete(connection: sa.Connection, table: Any, column: Any, trial_id: int, gone: Any) -> None:
    if gone:
        connection.execute(sa.delete(table).where(table.c.trial_id == trial_id, column.in_(list(gone))))


def _trial_row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state,
        "datetime_start": _to_utc(trial.datetime_start),
        "datetime_complete": _to_utc(trial.datetime_complete),
    }


def _to_utc(time: datetime | None) -> datetime | None:
    """Optuna keeps naive local time in memory and naive UTC in its tables."""
    return time.astimezone(UTC).replace(tzinfo=None) if time else None


def _param_row(trial_id: int, name: str, value: Any, distribution: BaseDistribution) -> dict[str, Any]:
    return {
        "trial_id": trial_id,
        "param_name": name,
        "param_value": distribution.to_internal_repr(value),
        "distribution_json": distribution_to_json(distribution),
    }


def _intermediate_row(trial_id: int, step: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _value_rows(trial_id: int, given: Sequence[float]) -> Rows:
    rows = []
    for objective, value in enumerate(given):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
    return rows


def _attribute_rows(trial_id: int, now: dict[str, Any], then: dict[str, Any]) -> Rows:
    return [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for key, value in now.items()
        if key not in then or then[key] != value
    ]


def write_study_attributes(
    connection: sa.Connection, study_id: int, user: dict[str, Any], system: dict[str, Any]
) -> None:
    """Write some of a study's attributes, over those of the same keys."""
    for table, attributes in ((study_user_attributes, user), (study_system_attributes, system)):
        rows = [
            {"study_id": study_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()
        ]
        upsert(connection, table, ["study_id", "key"], rows)


def read_study_attributes(connection: sa.Connection, study_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A study's user and system attributes."""
    found = []
    for table in (study_user_attributes, study_system_attributes):
        rows = connection.execute(sa.select(table.c.key, table.c.value_json).where(table.c.study_id == study_id))
        found.append({key: json.loads(value) for key, value in rows})
    return found[0], found[1]
