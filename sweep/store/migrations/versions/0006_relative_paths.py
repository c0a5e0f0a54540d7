"""Paths become relative, as `sweep.store.paths` describes, so that a project folder can be moved or copied.

Until now they were absolute. A folder that was moved or copied before its database is migrated is looked for beside the
database: the file `databases.json` in a study's folder says whose it is.
"""

import json
import os
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_studies = sa.table("sweep_studies", *map(sa.column, ("study_id", "directory", "declaration")))
_runs = sa.table("sweep_runs", *map(sa.column, ("study_id", "number", "directory")))


def upgrade() -> None:
    """Rewrite the paths of studies and runs."""
    connection = op.get_bind()
    url = connection.engine.url
    database = Path(str(url.database)).resolve() if connection.dialect.name == "sqlite" else None
    for study in connection.execute(sa.select(_studies)).all():
        folder, declaration = study.directory, json.loads(study.declaration)
        if database is not None:
            folder = _found(study.directory, database)
            file = declaration.get("file")
            if file and not Path(file).is_file():
                declaration["file"] = file = _beside(file, database.parent, least=1) or file
            if file:
                declaration["file"] = _relative(file, str(database.parent))
        _rewrite_runs(connection, study.study_id, study.directory, folder)
        now = {
            "directory": _relative(folder, str(database.parent)) if database is not None else folder,
            "declaration": json.dumps(declaration),
        }
        connection.execute(sa.update(_studies).where(_studies.c.study_id == study.study_id).values(now))


def _rewrite_runs(connection: sa.Connection, study_id: int, before: str, now: str) -> None:
    """Make the directories of a study's runs relative to its folder, which was called otherwise if it was moved."""
    of_study = (_runs.c.study_id == study_id) & _runs.c.directory.is_not(None)
    rows = connection.execute(sa.select(_runs.c.number, _runs.c.directory).where(of_study)).all()
    changed = []
    for row in rows:
        inside = row.directory.startswith(f"{before}/")
        new = row.directory[len(before) + 1 :] if inside else _relative(row.directory, now)
        changed.append({"of_number": row.number, "new": new})
    if changed:
        of_run = (_runs.c.study_id == study_id) & (_runs.c.number == sa.bindparam("of_number"))
        connection.execute(sa.update(_runs).where(of_run).values(directory=sa.bindparam("new")), changed)


def _found(folder: str, database: Path) -> str:
    """Where a study's folder is now: the one beside the database, if it is this database's or the only one."""
    beside = _beside(folder, database.parent, least=2)  # its own name alone may be that of anything
    if beside is None or beside == folder:
        return folder
    return beside if _has(Path(beside), database) or not Path(folder).is_dir() else folder


def _beside(path: str, base: Path, least: int) -> str | None:
    """What lies under the folder of the database as the path did under an earlier one; None where nothing does.

    Args:
        least: how many names at the end of the path must be the same.
    """
    parts = Path(path).parts[1:]
    candidates = (base.joinpath(*parts[start:]) for start in range(len(parts) - least + 1))
    return next((str(candidate) for candidate in candidates if candidate.exists()), None)


def _has(folder: Path, database: Path) -> bool:
    """Whether a study's folder says that it belongs to a database."""
    try:
        names = json.loads((folder / "databases.json").read_text())["databases"]
        return any((folder / name).resolve() == database for name in names)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _relative(path: str, base: str) -> str:
    if not path.startswith("/") or os.path.commonpath((path, base)) == "/":
        return path
    return os.path.relpath(path, base)
