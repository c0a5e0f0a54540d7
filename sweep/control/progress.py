"""What a running study shows to those who watch it: the console, a notebook, a test."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.names import KeyTable
from sweep.objective import Objective
from sweep.store import RunRecord, counts_of


class Watcher(Protocol):
    """Is shown everything that happens, one thing after another, in the thread that the study has for it."""

    def opened(self, study: "Opening") -> None:
        """The study is known; training begins."""

    def started(self, run: RunRecord) -> None:
        """A run has its name and begins to train."""

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None:
        """A run has finished an epoch."""

    def ended(self, run: RunRecord) -> None:
        """A run is COMPLETE, PRUNED, FAIL, PAUSED at a rung, or WAITING to be run again."""

    def message(self, text: str) -> None:
        """Something else that a person should know, in a line."""


@dataclass(frozen=True)
class Opening:
    """The study a coordinator has opened: what a display says first."""

    name: str
    objectives: Sequence[Objective]
    trials: int
    epochs: int | None
    workers: int | None
    directory: str
    keys: KeyTable
    """The key table of its run names, which grows while it runs."""
    ended: Sequence[RunRecord] = ()
    """Its runs that ended in earlier starts."""
    budget_epochs: int | None = None
    """How many epochs its trials may train together."""
    runs: Sequence[RunRecord] = ()
    """All its runs by now, also those that will be run again."""

    @property
    def counts(self) -> Counter[str]:
        """How many runs of earlier starts ended in each state."""
        return counts_of(self.ended)


class Silent:
    """A watcher that says nothing."""

    def opened(self, study: Opening) -> None: ...
    def started(self, run: RunRecord) -> None: ...
    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None: ...
    def ended(self, run: RunRecord) -> None: ...
    def message(self, text: str) -> None: ...
