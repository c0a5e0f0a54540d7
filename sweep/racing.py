"""That a process trains repeats of a study now, as readers learn it: from files in the folder of the study's repeats.

They are trained as a study of their own, whose database lies there (`sweep.control.repeats`). Beside it a file says
which runs race and how often each may train. Whether the process lives, the heartbeat in that database tells.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.errors import SweepError
from sweep.names import decode
from sweep.rundir import REPEATS
from sweep.store import Store, StudyRecord

_NOTE = ".race"  # behind the name of the database
_PATIENCE = 0.5  # seconds, where it is locked
_UNREADABLE = (OSError, ValueError, KeyError, SweepError, sa.exc.SQLAlchemyError)  # it is made or removed just now


@dataclass(frozen=True)
class RunningRepeat:
    """A repeat that trains.

    Attributes:
        number: the run that it repeats.
        repeat: which, counted from 1.
        epoch: how many of its epochs have ended.
        epochs: of how many, if that is known.
    """

    number: int
    repeat: int
    epoch: int
    epochs: int | None


@dataclass(frozen=True)
class Racing:
    """A race that a process trains now.

    Attributes:
        candidates: the numbers of the runs.
        repeats: how often each trains at most.
        owner: who trains them, for people.
        running: what trains at this moment.
    """

    candidates: Sequence[int]
    repeats: int
    owner: str
    running: Sequence[RunningRepeat]

    def as_object(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def note(database: Path, candidates: Sequence[int], repeats: int) -> None:
    """Let readers know what is raced; the file goes when the database does, since its name begins alike."""
    text = json.dumps({"candidates": list(candidates), "repeats": repeats})
    beside = database.with_name(f".{database.name}{_NOTE}")
    beside.write_text(text)
    beside.replace(database.with_name(f"{database.name}{_NOTE}"))


def of(study: StudyRecord) -> Racing | None:
    """The race between a study's runs that a process trains now; None if there is none that can be seen from here."""
    for path in _notes(study):
        with contextlib.suppress(*_UNREADABLE):
            noted = json.loads(path.read_text())
            with _opened(path) as (store, there):
                if there is not None and there.is_running:
                    running = list(_running(store, there))
                    return Racing(noted["candidates"], int(noted["repeats"]), str(there.owner), running)
    return None


def stop(study: StudyRecord, reason: str) -> bool:
    """Ask the process that trains repeats of a study to stop after the running epochs; whether there is one."""
    for path in _notes(study):
        with contextlib.suppress(*_UNREADABLE), _opened(path) as (store, there):
            if there is not None and there.is_running:
                store.command(there.study_id, "stop", reason=reason)
                return True
    return False


def _notes(study: StudyRecord) -> Iterator[Path]:
    return (Path(study.directory) / REPEATS).glob(f"*.db{_NOTE}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Store, StudyRecord | None]]:
    store = Store(f"sqlite:///{path.with_name(path.name.removesuffix(_NOTE))}")
    store.wait_at_most(_PATIENCE)
    try:
        yield store, store.find_study(REPEATS)
    finally:
        store.close()


def _running(store: Store, study: StudyRecord) -> Iterator[RunningRepeat]:
    for run in store.runs(study.study_id):
        if run.state == "RUNNING" and run.name is not None:
            name = decode(run.name)
            if name.repeat is not None:
                yield RunningRepeat(name.number, name.repeat, run.epoch, run.epochs)
