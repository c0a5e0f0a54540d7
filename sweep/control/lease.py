"""Getting hold of a study in the database: creating it, or taking over one that nobody has.

A study belongs to the coordinator whose random token is its owner, for as long as its heartbeat changes. Who wants to
have a study, or to change what its coordinator trusts, watches the heartbeat by a clock of its own (`check_free`).
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.study import StudyDirection

from sweep.commands import command
from sweep.control.folder import held
from sweep.errors import StudyError, SweepError
from sweep.store import Owner, Store, StudyRecord
from sweep.store.database import writing
from sweep.store.lease import BEATS, Clock, this_boot
from sweep.store.paths import kept_declaration, kept_folder
from sweep.store.tables import commands, metrics, runs, studies
from sweep.store.typed_url import shown

optuna_studies = models.StudyModel.__table__
optuna_directions = models.StudyDirectionModel.__table__

WATCH_SECONDS = 3.0
"""A coordinator whose heartbeat does not change for so long is gone, if it had not for a while already, or if its
kernel is this one and sees that it holds its folder no more. It beats every second."""

FRESH_SECONDS = 10.0
"""The same where its heartbeat has just changed, and nothing but that can tell: its database may be busy."""

LEASE_SECONDS = 30.0
"""The same where its process is still there, in the study's folder: its machine is busy, or it was suspended. One that
was suspended for longer lets go of its study."""

BUSY = 0.5  # the share of a core that a process takes which computes

POLL_SECONDS = 0.1

Notice = Callable[[str], None]
"""Shows a person why a command waits."""


def _is_owned(study_id: Any, owner: Any) -> sa.ColumnElement[bool]:
    there = sa.exists().where(optuna_studies.c.study_id == study_id)
    return sa.and_(studies.c.study_id == study_id, studies.c.owner == owner, there)


IS_OURS = _is_owned(sa.bindparam("study"), sa.bindparam("holder"))
"""Whether a row of `sweep_studies` is a study that is ours, with `ours` as parameters: for statements made once."""


class LeaseLost(SweepError):
    """The study was deleted, another coordinator has taken it, or this one was suspended so long that one may have."""


class Awake:
    """Whether this process has run all the time, or was suspended for longer than its lease. Thread-safe.

    A process that is woken runs on where it was, in any of its threads first. So both who ticks and who asks look at
    how long ago the last tick was.

    Args:
        clock: seconds that go on while the process is suspended. Those of Linux's monotonic clock do not while the
            machine itself sleeps, with whoever might take the study; a coordinator then finds that its study is still
            its own, or that another machine has taken it.
        cpu: seconds of CPU that the process has used. One that computes without ticking, since the training that it
            does itself holds Python's lock, is not suspended.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._clock, self._cpu = clock, cpu
        self._last = clock(), cpu()
        self._suspended = 0.0  # for how long, once it was for too long

    def tick(self) -> None:
        """This process runs; to be called several times a second."""
        self._last = self._look()

    def check(self, name: str) -> None:
        """See that this process has not been suspended for longer than its lease.

        Raises:
            LeaseLost: it was, so that another coordinator may have taken study `name`.
        """
        self._look()
        if self._suspended:
            raise LeaseLost(
                f"This coordinator was suspended for {self._suspended:.0f} s, longer than it may have study {name} "
                "without a heartbeat, so it has let go of it.",
                "Nothing was written since. Start the study again to continue.",
            )

    def _look(self) -> tuple[float, float]:
        now, used = self._clock(), self._cpu()
        silent, computed = now - self._last[0], used - self._last[1]
        if silent > LEASE_SECONDS and computed < BUSY * silent:
            self._suspended = max(self._suspended, silent)
        return now, used


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
    place = shown(url)
    return StudyError(
        f"Study {name} in this database was made with Optuna; sweep did not start it.",
        f"Start yours under another name, with --name, or continue that one after: "
        f"{command('import', place, name, storage=place)}",
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
                "beaten": Clock(),
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


def claim(store: Store, record: StudyRecord, owner: Owner, notice: Notice = lambda _text: None) -> StudyRecord:
    """Take a study that is there, unless a living coordinator has it. Of several that try one gets it.

    Args:
        record: the study as it was read before anything else of it, so that nobody has changed it since.

    Raises:
        StudyError: another coordinator has it; it is named.
    """
    store.check_writable()
    if not is_free(store, record, notice):
        raise _taken(store, record.name, store.find_study(record.name))
    with writing(store.engine) as connection:
        new = {**BEATS, "owner": owner_text(owner)}
        taken = connection.execute(sa.update(studies).where(is_unchanged(record)).values(new)).rowcount == 1
        if taken:
            connection.execute(sa.delete(commands).where(commands.c.study_id == record.study_id))
    there = store.find_study(record.name)
    if not taken or there is None:
        raise _taken(store, record.name, there)
    return there


def is_unchanged(record: StudyRecord) -> sa.ColumnElement[bool]:
    """Whether a row of `sweep_studies` is that study, with the owner and the heartbeat that it had when it was read."""
    owner = studies.c.owner.is_(None) if record.owner is None else studies.c.owner.is_not(None)
    return sa.and_(studies.c.study_id == record.study_id, studies.c.beat == record.beat, owner)


def is_free(store: Store, study: StudyRecord, notice: Notice = lambda _text: None) -> bool:
    """Whether no living coordinator has a study: it has no owner, or its heartbeat does not change while it is watched.

    Args:
        study: as it was read. A heartbeat that has changed since then is one that changes.
        notice: is told what is waited for.
    """
    if study.owner is None:
        return store.find_study(study.name) == study
    began = time.monotonic()
    notice(f"Watching the heartbeat of study {study.name}, which was running in {study.owner}.")
    patient = False
    folder = Path(study.directory)
    here = study.owner.boot == this_boot() != "" and folder.is_dir()
    enough = FRESH_SECONDS if study.is_running and not here else WATCH_SECONDS
    while store.find_study(study.name) == study:
        watched = time.monotonic() - began
        if watched >= LEASE_SECONDS or (watched >= enough and not held(folder)):
            return True
        if watched >= enough and not patient:
            patient = True
            notice(f"It does not change, but its process is still there: watching for {LEASE_SECONDS:.0f} s in all.")
        time.sleep(POLL_SECONDS)
    return False


def check_free(store: Store, study: StudyRecord, verb: str, notice: Notice = lambda _text: None) -> None:
    """Refuse what must not be done to a study that a living coordinator has, wherever that runs.

    Args:
        verb: what is refused, such as `remove`.

    Raises:
        StudyError: one has it.
    """
    if not is_free(store, study, notice):
        raise still_running(store, study, verb)


def still_running(store: Store, study: StudyRecord, verb: str) -> StudyError:
    """The refusal of what must not be done to a study while it is running."""
    where = f", in {study.owner}" if study.owner is not None else ""
    return StudyError(
        f"Cannot {verb} study {study.name} while it is running{where}.",
        f"Stop it first: {command('stop', study.name, storage=store.place)}",
    )


def _taken(store: Store, name: str, there: StudyRecord | None) -> StudyError:
    return StudyError(
        f"Study {name} is already running, in {(there and there.owner) or 'another process'}.",
        f"Watch it with: {command('watch', name, storage=store.place)}; stop it with: "
        f"{command('stop', name, storage=store.place)}",
    )
