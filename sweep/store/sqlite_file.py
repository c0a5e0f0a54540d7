"""What an SQLite storage must be as a file, before it is opened: there, SQLite's, writable, and on a local disk."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.errors import StoreError

MAGIC = b"SQLite format 3\x00"
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smbfs", "smb3", "afs", "afpfs", "webdav", "davfs"}).union(
    {"fuse.sshfs", "fuse.s3fs", "lustre", "beegfs"}
)
ANOTHER = "Choose another with --storage. This one was not changed."


def check_file(path: Path, *, create: bool) -> None:
    """See that `path` can be an SQLite storage. Nothing is opened for writing.

    Args:
        create: it may be missing, and is going to be written.

    Raises:
        StoreError: it cannot.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a directory, not an SQLite database.", "Name a file with --storage.")
    if path.exists():
        _check_kind(path, create=create)
    elif not create:
        raise StoreError(f"No database at {path}.", "Start a study with `sweep start FILE`, or pass --storage.")
    elif not path.parent.is_dir():
        raise StoreError(f"No such folder for the database {path}: {path.parent}.", f"Run: mkdir -p {path.parent}")
    if create and not os.access(path.parent, os.W_OK):
        raise StoreError(f"Cannot write to the folder of the database {path}: no permission.", ANOTHER)
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{path} is on a network file system ({kind}), where SQLite's locks do not work.",
            "Use --storage sqlite:////a/local/path/sweep.db, or PostgreSQL: --storage postgresql://user@host/sweep",
        )


def _check_kind(path: Path, *, create: bool) -> None:
    if not path.is_file():
        raise StoreError(f"{path} is not a regular file, so it is not an SQLite database.", ANOTHER)
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise StoreError(f"Cannot read the database {path}: {error.strerror}.", ANOTHER) from None
    if head and head != MAGIC:
        raise StoreError(f"{path} is not an SQLite database, but another kind of file.", ANOTHER)
    if create and not os.access(path, os.W_OK):
        raise StoreError(f"Cannot write to the database {path}: no permission.", ANOTHER)


def file_system(path: Path) -> str:
    """The type of the file system that holds `path` (`ext4`, `nfs4`, ...), or `""` where nothing tells."""
    import psutil

    resolved = path.resolve()
    holding = [part for part in psutil.disk_partitions(all=True) if resolved.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype.lower() if holding else ""


def remove_unused(path: Path) -> None:
    """Remove a database file in which there is no study, unless somebody else has it open."""
    with alone(path), contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")  # refused where somebody else has it open
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return
        if connection.execute("SELECT count(*) FROM studies").fetchone() == (0,):
            path.unlink()
            return
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode=WAL")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the folder of a database against other processes that make one there. No file is left behind."""
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
