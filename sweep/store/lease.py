"""Whether the coordinator that has a study's lease still lives, as far as this host can tell."""

import os
import secrets
import socket
from typing import TYPE_CHECKING

from sweep.store.records import Owner

if TYPE_CHECKING:
    import psutil

BORN_SECONDS = 0.5  # births that are further apart are those of different processes


def this_host() -> str:
    """The name under which a coordinator on this host enters itself as an owner."""
    return socket.gethostname()


def new_owner() -> Owner:
    """This process as the owner of a study."""
    import psutil

    return Owner(this_host(), os.getpid(), secrets.token_hex(8), _born(psutil.Process()))


def alive(owner: Owner | None) -> bool | None:
    """Whether an owner's process lives: True or False for one of this host, None for one of another host.

    An owner of another host is alive if its study's beat (`Store.owner`) counts up. No owner is not alive.
    """
    if owner is None:
        return False
    if owner.host != this_host():
        return None
    import psutil

    try:
        process = psutil.Process(owner.pid)
        if owner.born is not None and abs(_born(process) - owner.born) > BORN_SECONDS:
            return False  # another process has its number now, as after a restart of the host or container
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _born(process: "psutil.Process") -> float:
    """When a process began, in seconds after its host did: setting the clock moves both by the same."""
    import psutil

    return float(process.create_time() - psutil.boot_time())
