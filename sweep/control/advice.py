"""What to do with a search space that no longer fits a study: a new study, under a name that nobody has."""

from collections.abc import Collection
from itertools import count
from pathlib import Path

from sweep.commands import command
from sweep.declaration import Declaration
from sweep.options import Settings
from sweep.store import RunRecord
from sweep.store.database import names_in, parse_url
from sweep.words import shown_path

LONGEST = 80  # characters of a study's name


def other_name(name: str, storage: str, logdir: str) -> str:
    """A name for another study, which no study of the database and no folder in the log directory has.

    It has no hyphens: run names, which begin with it, escape them, and `^name` would not find those runs.
    """
    taken = names_in(parse_url(storage))
    base = name.replace("-", "_")
    for number in count(2):
        found = f"{base[: LONGEST - len(f'_{number}')]}_{number}"
        if found not in taken and not (Path(logdir) / found).exists():
            return found
    raise RuntimeError("there is a number for every study")


def new_study(declaration: Declaration, settings: Settings, *, seeds: bool) -> str:
    """How to start a study of another name.

    Args:
        seeds: whether the best runs of this one are to be tried first; they must fit.
    """
    name = other_name(declaration.name, settings.storage, settings.logdir)
    if declaration.file is None:
        return f"To start a new study, call study.run(name={name!r})."
    best = ["--from", f"{declaration.name}:best:5"] if seeds else []
    words = ("start", shown_path(declaration.file), "--name", name, *best)
    again = command(*words, storage=settings.storage, logdir=settings.logdir)
    return f"To start a new study{', from the best runs of this one' if seeds else ''}: {again}"


def advise(declaration: Declaration, settings: Settings, runs: list[RunRecord], fitting: Collection[str]) -> str:
    """The advice for a search space that has changed.

    Args:
        runs: those of the study.
        fitting: the parameters of which it is known that the runs' values fit the new space.
    """
    seeds = any(run.state == "COMPLETE" and run.params.keys() & set(fitting) for run in runs)
    return new_study(declaration, settings, seeds=seeds)
