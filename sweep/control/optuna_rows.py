"""A study's trials in Optuna's own tables: read whole by plain SQL, written as the difference to what stands there.

The tables are those of Optuna 5 (`optuna.storages._rdb.models`); its `RDBStorage` reads 10,000 trials in 9 s, this in a
fraction of one, and writing through it costs a commit a value.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

trials = models.TrialModel.__table__
params = models.TrialParamModel.__table__
values = models.TrialValueModel.__table__
intermediate = models.TrialIntermediateValueModel.__table__
user_attributes = models.TrialUserAttributeModel.__table__
system_attributes = models.TrialSystemAttributeModel.__table__
study_user_attributes = models.StudyUserAttributeModel.__table__
study_system_attributes = models.StudySystemAttributeModel.__table__

Rows = list[dict[str, Any]]

# In the order of their rows, since Optuna reads trials in the order of their ids.
_CREATE = sa.insert(trials).returning(trials.c.number, trials.c.trial_id, sort_by_parameter_order=True)
_SET_STATE = sa.update(trials).where(trials.c.trial_id == sa.bindparam("written"))


def upsert(connection: sa.Connection, table: Any, keys: Sequence[str], rows: Rows) -> None:
    """Insert rows, or overwrite those with the same `keys`; writing the same rows twice leaves them once."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(keys), tuple(rows[0])), rows)


@lru_cache(maxsize=64)  # making the statement takes longer than a few rows
def _upsert(dialect_name: str, table: Any, keys: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    dialect: Any = postgresql if dialect_name == "postgresql" else sqlite
    insert = dialect.insert(table)
    rest = {name: insert.excluded[name] for name in columns if name not in keys}
    return insert.on_conflict_do_update(index_elements=list(keys), set_=rest)


class TrialWriter:
    """Writes snapshots of trials as the difference to what stands in the tables.

    Args:
        study_id: the study's id in the database.
        known: the trials that stand there, by number: their id there and their last written snapshot.
    """

    def __init__(self, study_id: int, known: dict[int, tuple[int, FrozenTrial]]) -> None:
        self.study_id = study_id
        self._ids = {number: trial_id for number, (trial_id, _) in known.items()}
        self._written = {number: trial for number, (_, trial) in known.items() if not trial.state.is_finished()}
        self._unsure: set[int] = set()

    def write(self, connection: sa.Connection, snapshots: Sequence[FrozenTrial]) -> None:
        """Write what changed. Call `written` when the transaction is committed, `failed` when it is not."""
        self._look_again(connection)
        new = [trial for trial in snapshots if trial.number not in self._ids]
        if new:
            rows = [_trial_row(trial) | {"study_id": self.study_id, "number": trial.number} for trial in new]
            self._ids.update(connection.execute(_CREATE, rows).all())
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
        for trial in snapshots:
            if trial.state.is_finished():
                self._written.pop(trial.number, None)  # immutable from now on
            else:
                self._written[trial.number] = trial

    def failed(self, snapshots: Sequence[FrozenTrial]) -> None:
        """The transaction failed, or its fate is unknown: the commit's answer may be lost while its rows stand."""
        self._unsure.update(trial.number for trial in snapshots)

    def _look_again(self, connection: sa.Connection) -> None:
        """See what stands there of trials whose last writing failed."""
        if not self._unsure:
            return
        for number in self._unsure:
            self._ids.pop(number, None)
            self._written.pop(number, None)
        for number, (trial_id, trial) in read_trials(connection, self.study_id, self._unsure).items():
            self._ids[number], self._written[number] = trial_id, trial
        self._unsure.clear()

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


def _to_local(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if time else None


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


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def read_trials(
    connection: sa.Connection, study_id: int, numbers: Collection[int] | None = None
) -> dict[int, tuple[int, FrozenTrial]]:
    """A study's trials by number, each with its id in the database; `numbers` chooses some."""
    wanted = trials.c.study_id == study_id
    if numbers is not None:
        wanted &= trials.c.number.in_(numbers)
    query = sa.select(trials).where(wanted).order_by(trials.c.number)
    found: dict[int, FrozenTrial] = {}
    for row in connection.execute(query).mappings():
        found[row["trial_id"]] = FrozenTrial(
            trial_id=row["number"],
            number=row["number"],
            state=TrialState(row["state"]),
            value=None,
            datetime_start=_to_local(row["datetime_start"]),
            datetime_complete=_to_local(row["datetime_complete"]),
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    def parts(table: Any, *order: Any) -> Any:
        columns = [column for column in table.c if not column.primary_key]
        chosen = sa.select(*columns).join(trials, table.c.trial_id == trials.c.trial_id)
        return connection.execute(chosen.where(wanted).order_by(*order, *table.primary_key))

    for trial_id, name, value, text in parts(params):
        distribution = _distribution(text)
        found[trial_id].distributions[name] = distribution
        found[trial_id].params[name] = distribution.to_external_repr(value)
    for trial_id, step, value, kind in parts(intermediate):
        stored = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(value, kind)
        found[trial_id].intermediate_values[step] = stored
    for trial_id, key, text in parts(user_attributes):
        found[trial_id].user_attrs[key] = json.loads(text)
    for trial_id, key, text in parts(system_attributes):
        found[trial_id].system_attrs[key] = json.loads(text)
    given: dict[int, list[float]] = defaultdict(list)
    for trial_id, _, value, kind in parts(values, values.c.objective):
        given[trial_id].append(models.TrialValueModel.stored_repr_to_value(value, kind))
    for trial_id, several in given.items():
        found[trial_id].values = several
    return {trial.number: (trial_id, trial) for trial_id, trial in found.items()}
