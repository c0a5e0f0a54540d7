"""What version 0.1 left behind: `tests/fixtures/version_0_1`, which its `make.sh` describes, copied and opened."""

import gzip
import shutil
import sqlite3
from pathlib import Path

FIXTURE = Path(__file__).parent / "fixtures" / "version_0_1"
FOLDER = "/srv/sweep"
"""The folder that the fixture's paths lie in."""


def unpack(folder: Path) -> str:
    """Copy everything to a folder, as if it had been trained there; returns the URL of the database, not migrated yet.

    There are `studies/` and, of the studies `folds`, `penalised`, `revived` and `stopped`, the run directories with
    weights, checkpoints and event files. The other studies stand in the database alone.
    """
    shutil.copytree(FIXTURE / "runs", folder / "runs")
    shutil.copytree(FIXTURE / "studies", folder / "studies")
    path = folder / "sweep.db"
    path.write_bytes(gzip.decompress((FIXTURE / "sweep.db.gz").read_bytes()))
    database = sqlite3.connect(path)
    with database:
        for table, column in (("studies", "directory"), ("studies", "declaration"), ("runs", "directory")):
            database.execute(f"UPDATE sweep_{table} SET {column} = replace({column}, ?, ?)", (FOLDER, str(folder)))
    database.close()
    return f"sqlite:///{path}"
