"""Getting hold of a study in the database: creating it, or taking over one that nobody has."""

import json
import time
from dataclasses import asdict
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.study import StudyDirection

from sweep.commands import command
from sweep.errors import StudyError, SweepError
from sweep.store import Owner, Store, StudyRecord
from sweep.store.database import writing
from sweep.store.lease import alive
from sweep.store.paths import kept_declaration, kept_folder
from sweep.store.tables import commands, metrics, runs, studies

optuna_studies = models.StudyModel.__table__
optuna_directions = models.StudyDirectionModel.__table__

TAKEOVER_SECONDS = 15.0  # a coordinator of another host whose beat stands still for so long is gone


def _is_owned(study_id: Any, owner: Any) -> sa.ColumnElement[bool]:
    there = sa.exists().where(optuna_studies.c.study_id == study_id)
    return sa.and_(studies.c.study_id == study_id, studies.c.owner == owner, there)


IS_OURS = _is_owned(sa.bindparam("study"), sa.bindparam("holder"))
"""Whether a row of `sweep_studies` is a study that is ours, with `ours` as parameters: for statements made once."""


class LeaseLost(SweepError):
    """The study was deleted, or another coordinator has taken it."""


def is_ours(record: StudyRecord) -> sa.ColumnElement[bool]:
    """Whether a row of `sweep_studies` is that study, still owned by us, with Optuna's study still there."""
    return _is_owned(record.study_id, owner_text(record.owner))


def ours(record: StudyRecord) -> dict[str, Any]:
    """The parameters of `IS_OURS` for a study."""
    return {"study": record.study_id, "holder": owner_text(record.owner)}


def owner_text(owner: Owner | None) -> str:
    """An owner as it stands in `sweep_studies`."""
    return json.dumps(asdict(owner)) if owner else ""


def find_study(store: Store, name: str) -> StudyRecord | None:
    """The study called `name`, unless it was deleted in Optuna's tables.

    Raises:
        StudyError: the name is that of a study which is none of sweep's.
    """
    record = store.find_study(name)
    with store.engine.connect() as connection:
        named = sa.select(optuna_studies.c.study_id).where(optuna_studies.c.study_name == name)
        there = connection.execute(named).scalar_one_or_none()
    if there is not None and (record is None or record.study_id != there):
        raise foreign_study(name, store.url)
    return record if there is not None else None


def foreign_study(name: str, url: sa.URL) -> StudyError:
    """The error about a study of Optuna's that is none of sweep's: what it is, and what can be done."""
    shown = url.render_as_string(hide_password=True)
    return StudyError(
        f"Study {name} in this database was made with Optuna; sweep did not start it.",
        f"Start yours under another name, with --name, or continue that one after: "
        f"{command('import', shown, name, storage=shown)}",
    )


def create_study(
    store: Store, name: str, directions: list[str], directory: str, declaration: dict[str, object], owner: Owner
) -> StudyRecord:
    """Create a study in Optuna's tables and ours, owned by `owner`.

    Raises:
        StudyError: another process created one of that name first.
    """
    try:
        with writing(store.engine) as connection:
            _forget_deleted(connection)
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
                "declaration": json.dumps(kept_declaration(declaration, store.base)),
                "keys": "{}",
                "space": "{}",
                "directory": kept_folder(directory, store.base),
                "created": time.time(),
                "owner": owner_text(owner),
                "beat": 0,
            }
            connection.execute(sa.insert(studies).values(ours))
    except sa.exc.IntegrityError:
        there = store.find_study(name)
        raise StudyError(
            f"Study {name} has just been created by {(there and there.owner) or 'another process'}.",
            "Start it again to continue it.",
        ) from None
    return store.study(name)


def _forget_deleted(connection: sa.Connection) -> None:
    """Remove what is left here of studies that were deleted in Optuna's tables, whose ids SQLite gives out again."""
    there = sa.select(optuna_studies.c.study_id)
    for table in (metrics, runs, commands, studies):
        connection.execute(sa.delete(table).where(table.c.study_id.not_in(there)))


def delete_study(store: Store, record: StudyRecord) -> None:
    """Delete a study, if it is still ours, from Optuna's tables and from ours.

    Raises:
        LeaseLost: it is not.
    """
    with store.engine.connect() as connection:
        if connection.execute(sa.select(studies.c.study_id).where(is_ours(record))).one_or_none() is None:
            raise LeaseLost(f"Cannot delete study {record.name}: another coordinator has taken it.")
    url = store.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    try:
        storage.delete_study(record.study_id)
    finally:
        storage.remove_session()
        storage.engine.dispose()
    with writing(store.engine) as connection:
        _forget_deleted(connection)


def claim(store: Store, record: StudyRecord, owner: Owner) -> StudyRecord:
    """Take a study that is there, unless a living coordinator has it.

    Raises:
        StudyError: another coordinator has it; it is named.
    """
    store.check_writable()
    _check_owner(store, record)
    with writing(store.engine) as connection:
        unchanged = (studies.c.study_id == record.study_id) & (studies.c.beat == record.beat)
        new = {"owner": owner_text(owner), "beat": record.beat + 1}
        taken = connection.execute(sa.update(studies).where(unchanged).values(new)).rowcount == 1
        if taken:
            connection.execute(sa.delete(commands).where(commands.c.study_id == record.study_id))
    there = store.find_study(record.name)
    if not taken or there is None:
        raise _taken(record.name, there.owner if there else None)
    return there


def _check_owner(store: Store, record: StudyRecord) -> None:
    lives = alive(record.owner)
    if lives is None:  # on another host: nothing but its beat tells
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not lives and time.monotonic() < deadline:
            time.sleep(0.5)
            lives = store.owner(record.study_id)[1] != record.beat
    if lives:
        raise _taken(record.name, record.owner)


def _taken(name: str, owner: Owner | None) -> StudyError:
    return StudyError(
        f"Study {name} is already running, in {owner or 'another process'}.",
        f"Watch it with: sweep runs {name}; stop it with: sweep stop {name}",
    )
