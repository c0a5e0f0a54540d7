"""What an SQLite storage must be as a file, before it is opened: there, SQLite's, and on a local disk.

A file that this process may only read is opened read-only. SQLite cannot read a database in WAL mode that has no side
files (`-wal`, `-shm`) where it cannot make them; as nobody is writing then, it is opened as one that never changes
(`immutable=1`). This is decided for each connection, since somebody else may begin to write.
"""

import contextlib
import fcntl
import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sweep.errors import StoreError

MAGIC = b"SQLite format 3\x00"
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smbfs", "smb3", "afs", "afpfs", "webdav", "davfs"}).union(
    {"fuse.sshfs", "fuse.s3fs", "lustre", "beegfs"}
)
READ_ONLY = "sweep_read_only"
"""The option of an engine that can only read: why."""

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
        raise StoreError(
            f"No such folder for the database {path}: {path.parent}.",
            f"Run: {shlex.join(['mkdir', '-p', str(path.parent)])}",
        )
    if create and not os.access(path.parent, os.W_OK):
        raise StoreError(f"Cannot write to the folder of the database {path}: no permission.", ANOTHER)
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS and (create or unwritable(path) is None):  # reading needs no locks
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
    if create and (reason := unwritable(path)) is not None:
        raise StoreError(reason, ANOTHER)


def file_system(path: Path) -> str:
    """The type of the file system that holds `path` (`ext4`, `nfs4`, ...), or `""` where nothing tells."""
    import psutil

    resolved = path.resolve()
    holding = [part for part in psutil.disk_partitions(all=True) if resolved.is_relative_to(part.mountpoint)]
    return max(holding, key=lambda part: len(part.mountpoint)).fstype.lower() if holding else ""


def is_on_network(path: Path) -> bool:
    """Whether a file is on a file system on which SQLite's locks do not work."""
    return file_system(path) in NETWORK_FILE_SYSTEMS


def unwritable(path: Path) -> str | None:
    """Why this process cannot write to a database file that is there, in a sentence; None if it can."""
    sides = _side_files(path)
    beside = os.access(path.resolve().parent, os.W_OK) or all(os.access(side, os.W_OK) for side in sides)
    if os.access(path, os.W_OK) and beside:
        return None
    closed = os.statvfs(path).f_flag & os.ST_RDONLY
    return f"The database {path} is read-only here: {'its file system is mounted so' if closed else 'no permission'}."


def read_only_uri(path: Path, *, network: bool) -> str:
    """How SQLite is to open a database file that cannot be written: a URI.

    Args:
        network: whether it is on a network file system, where side files cannot be shared.

    Raises:
        StoreError: its latest changes are in a side file that cannot be read here.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    wal, shm = _side_files(path)
    if wal.exists() and shm.exists() and os.access(wal, os.R_OK) and os.access(shm, os.R_OK) and not network:
        return uri  # somebody writes, or was killed
    if wal.exists() and wal.stat().st_size > 0:
        raise StoreError(
            f"The latest changes of the database {path} are in {wal.name}, which cannot be used here: "
            f"{'it is on a network file system' if network else f'{shm.name} is missing or cannot be read'}.",
            f"Copy {path.name} and {wal.name} to a local folder that you can write to, and name the copy with "
            "--storage.",
        )
    return f"{uri}&immutable=1" if network or _in_wal_mode(path) else uri


def _side_files(path: Path) -> tuple[Path, Path]:
    """Where SQLite keeps what is not in the file yet, and what its readers share."""
    real = path.resolve()
    return real.with_name(f"{real.name}-wal"), real.with_name(f"{real.name}-shm")


def _in_wal_mode(path: Path) -> bool:
    """Whether a database needs side files to be read: the versions in its header say so (sqlite.org/fileformat2)."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\x02\x02"


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
