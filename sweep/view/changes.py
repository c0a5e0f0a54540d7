"""What became of a study and its runs from one look at them to the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sweep.store import FINISHED, RunRecord
from sweep.view.studies import StudyView


@dataclass(frozen=True)
class RunChange:
    """A run that is not as it was at the look before, where `before` is None if it was not there."""

    before: RunRecord | None
    run: RunRecord

    @property
    def began(self) -> bool:
        """Whether it is training, and was not in this attempt, or not under this name."""
        return self.run.state == "RUNNING" and self._is_another()

    @property
    def waits(self) -> bool:
        """Whether it has come to wait: to be run, to be run again, or at a rung."""
        return self.run.state not in FINISHED and self.run.state != "RUNNING" and self._is_another()

    @property
    def advanced(self) -> bool:
        """Whether it has finished an epoch, or begun."""
        return self.run.state == "RUNNING" and (self.before is None or self.before.epoch != self.run.epoch)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.run.state in FINISHED and (self.before is None or self.before.state != self.run.state)

    @property
    def began_unseen(self) -> bool:
        """Whether it began and ended since, so that no look has seen it training under its name."""
        before = self.before
        return self.ended and (before is None or before.name is None or before.state in ("WAITING", "PAUSED"))

    def _is_another(self) -> bool:
        before, run = self.before, self.run
        return before is None or (before.state, before.attempt, before.name) != (run.state, run.attempt, run.name)


def run_changes(before: Sequence[RunRecord], now: Sequence[RunRecord]) -> Iterator[RunChange]:
    """The runs that are new or not the same records as before, in their order now."""
    earlier = {run.number: run for run in before}
    for run in now:
        old = earlier.get(run.number)
        if run is not old:
            yield RunChange(old, run)


@dataclass(frozen=True)
class Look:
    """A study and its runs at one moment."""

    view: StudyView
    runs: Sequence[RunRecord]

    def new_best(self, before: "Look") -> RunRecord | None:
        """The best run, where at the look before there was none or another."""
        best, last = self.view.best, before.view.best
        return best if best is not None and (last is None or last.number != best.number) else None

    def differs(self, before: "Look") -> bool:
        """Whether what is shown of the study itself has changed: its state, counts or best value."""
        return self.view.as_object() != before.view.as_object()
