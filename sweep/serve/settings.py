"""How the service runs, and how runs are asked for."""

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


@dataclass(frozen=True)
class Choice:
    """Which of a study's runs are asked for, and in which order.

    Attributes:
        filter: a regular expression for run names, as TensorBoard's Time Series tab takes it; all if empty.
        where: a condition on parameters, metrics and properties (`sweep.view.where`); all if empty.
        states: trial states; all if empty.
        sort: a metric, a parameter or a property, `-` in front to turn it round; by number if empty.
    """

    filter: str = ""
    where: str = ""
    states: frozenset[str] = frozenset()
    sort: str = ""
