"""Whether a node sees the log directory: under the same path, with what others write, and able to write itself."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TRIES = 10


@dataclass(frozen=True)
class Probe:
    """A file in the log directory that nobody else has."""

    path: str
    content: str


@contextmanager
def probing(logdir: Path) -> Iterator[Probe]:
    """A probe for as long as the context lasts; a directory that was made for it is removed where nothing came in."""
    made = [folder for folder in (logdir, *logdir.parents) if not folder.exists()]
    probe = Probe(str(logdir / f".sweep-{secrets.token_hex(8)}"), secrets.token_hex(16))
    _lay(probe)
    try:
        yield probe
    finally:
        Path(probe.path).unlink(missing_ok=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _lay(probe: Probe) -> None:
    """Write a probe. Another study that ends just now may remove the directory, where it had made it."""
    path = Path(probe.path)
    for left in reversed(range(TRIES)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_text(probe.content)
            return
        except FileNotFoundError:
            if not left:
                raise


def sees(probe: Probe) -> bool:
    """Whether this node sees a probe, and can write beside it."""
    path = Path(probe.path)
    mine = path.with_name(f"{path.name}-{socket.gethostname()}-{os.getpid()}")
    try:
        if path.read_text() != probe.content:
            return False
        mine.write_text("")
        mine.unlink()
    except OSError:
        return False
    return True
