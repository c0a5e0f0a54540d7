"""A study's owner and its heartbeat, which tell whether a coordinator lives.

An owner is a random token. While it lives its study's beat counts up, in the database, wherever it runs: host names and
process numbers, which another machine or container may have too, are only shown to people. When the beat last changed
is noted by the database's own clock, the same for whoever writes and reads, so that no two hosts compare theirs.
"""

import os
import secrets
import socket
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from sweep.store.records import Owner
from sweep.store.tables import studies

OWNER = "SWEEP_OWNER"
"""The environment variable with the token that a process is to have as an owner."""

_chosen = [os.environ.pop(OWNER)] if OWNER in os.environ else []  # it is not for processes that this one starts


def this_host() -> str:
    """The name under which a coordinator on this host enters itself as an owner."""
    return socket.gethostname()


def this_boot() -> str:
    """What this machine's kernel calls itself since it began; empty where it does not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def new_token() -> str:
    """A token that no owner has."""
    return secrets.token_hex(8)


def new_owner() -> Owner:
    """This process as the owner of a study, under a token that no other owner has.

    Whoever has started this process may have chosen the first one, to find its study by it.
    """
    token = _chosen.pop() if _chosen else new_token()
    return Owner(this_host(), os.getpid(), token, this_boot())


class Clock(sa.sql.functions.FunctionElement[float]):
    """Unix seconds by the database's clock; SQLite's is that of the host."""

    inherit_cache = True
    type = sa.Double()


@compiles(Clock, "sqlite")
def _sqlite_clock(_element: Clock, _compiler: Any, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Clock, "postgresql")
def _postgresql_clock(_element: Clock, _compiler: Any, **_options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


RECORD = (
    *(column for column in studies.c if column is not studies.c.beaten),
    (Clock() - studies.c.beaten).label("silent"),
)
"""What a `StudyRecord` is made of."""

BEATS = {"beat": studies.c.beat + 1, "beaten": Clock()}
"""What a beat changes in a row of `sweep_studies`."""
