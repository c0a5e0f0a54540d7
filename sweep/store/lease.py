"""Whether the coordinator that has a study's lease still lives, as far as this host can tell."""

import socket

from sweep.store.records import Owner


def this_host() -> str:
    """The name under which a coordinator on this host enters itself as an owner."""
    return socket.gethostname()


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
        return bool(psutil.Process(owner.pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
