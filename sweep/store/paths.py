"""Paths as a database keeps them: relative, so that a project folder can be moved, copied or mounted elsewhere.

| what | is kept relative to |
|---|---|
| a study's folder and its study file | the folder of the SQLite file; absolute in a server's database |
| a run's directory | its study's folder |

A path that shares nothing with its base but the root, as `/scratch/runs` and `/home/me`, is kept absolute: the two are
not moved together. Whatever is read from the tables is absolute again.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.store.tables import runs


def base_of(url: sa.URL) -> str | None:
    """The folder that a database's paths are relative to; None for a server, which is in no folder."""
    if url.get_backend_name() != "sqlite":
        return None
    return str(Path(str(url.database)).resolve().parent)


def kept(path: str, base: str | None) -> str:
    """An absolute path as a database keeps it; the inverse of `whole`."""
    if base is None or not path.startswith("/"):
        return path
    if path.startswith(f"{base.rstrip('/')}/"):  # most are: a run's directory is written with each of its epochs
        return path[len(base.rstrip("/")) + 1 :]
    if os.path.commonpath((path, base)) == "/":
        return path
    return os.path.relpath(path, base)


def kept_folder(folder: str, base: str | None) -> str:
    """A study's folder as a database keeps it: through links below the base, which are copied along, as they are.

    Args:
        folder: absolute, its links not followed.
    """
    path = Path(folder)
    for parent in (path, *path.parents) if base is not None else ():
        if str(parent.resolve()) == base:
            return path.relative_to(parent).as_posix()
    return kept(str(path.resolve()), base)


def whole(text: str, base: str | None) -> str:
    """A path that a database keeps, absolute."""
    if base is None or text.startswith("/"):
        return text
    if text.startswith("."):  # which leads out of the base itself, not of a link to it
        return os.path.normpath(os.path.join(os.path.realpath(base), text))
    return f"{base.rstrip('/')}/{text}"


def kept_declaration(declaration: Mapping[str, Any], base: str | None) -> dict[str, Any]:
    """A declaration as plain data, its study file as a database keeps it."""
    file = declaration.get("file")
    return {**declaration, "file": kept(file, base) if file else file}


def whole_declaration(declaration: Mapping[str, Any], base: str | None) -> dict[str, Any]:
    """The inverse of `kept_declaration`."""
    file = declaration.get("file")
    return {**declaration, "file": whole(file, base) if file else file}


def change_folder(connection: sa.Connection, study_id: int, before: str, now: str, *, moved: bool) -> None:
    """Keep a study's runs where they are when its folder becomes another one, as by a start with another `--logdir`.

    Args:
        before, now: the study's folders, absolute.
        moved: the earlier folder itself was moved there, so the runs in it stay relative to it.
    """
    here = (runs.c.study_id == study_id) & runs.c.directory.is_not(None)
    if moved:
        here &= runs.c.directory.startswith("../")
    rows = connection.execute(sa.select(runs.c.number, runs.c.directory).where(here)).all()
    base = os.path.realpath(now)
    changed = [{"of": row.number, "new": kept(whole(row.directory, before), base)} for row in rows]
    if changed:
        of_run = (runs.c.study_id == study_id) & (runs.c.number == sa.bindparam("of"))
        connection.execute(sa.update(runs).where(of_run).values(directory=sa.bindparam("new")), changed)
