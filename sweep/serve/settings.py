"""How the service runs."""

from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class ServeSettings:
    """How the service runs.

    Attributes:
        storage: the database's URL.
        logdir: the log directory of studies that are started here.
        studies: the folder of study files that may be started; None where none may be.
        token: what a client must show; None where the service is bound to loopback alone.
        hosts: the names and addresses (without a port) under which the service may be asked.
    """

    storage: str
    logdir: Path = Path("runs")
    studies: Path | None = None
    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = LOOPBACK
