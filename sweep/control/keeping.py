"""Whose weights are kept: `sweep start --keep best:N`, `all` or `none`."""

import re
from collections.abc import Sequence
from pathlib import Path

from sweep.control.revival import has_checkpoint
from sweep.errors import StudyError
from sweep.objective import Objective
from sweep.rundir import remove_weights
from sweep.store import FINISHED, RunRecord

_BEST = re.compile(r"best:([1-9][0-9]{0,8})")


class Keeping:
    """Removes the weights of runs that are not among the best, as soon as there are better ones.

    Args:
        keep: `best:N`, `all` or `none`; with the latter two there is nothing to remove.

    Raises:
        StudyError: it is none of these.
    """

    def __init__(self, keep: str) -> None:
        best = _BEST.fullmatch(keep)
        if best is None and keep not in ("all", "none"):
            raise StudyError(
                f"The weights to keep must be best:N, all or none, not {keep!r}.", "For example: --keep best:5"
            )
        self.count = int(best[1]) if best is not None else None
        self._removed: set[int] = set()

    def ended(self, runs: Sequence[RunRecord], objective: Objective) -> None:
        """Remove the weights of runs that have ended and are not among the best COMPLETE ones.

        A pruned run that can be revived keeps its own, since it may still become the best.

        Args:
            runs: every run of the study.
            objective: ranks them.
        """
        if self.count is None:
            return
        best = {run.number for run in objective.rank(runs)[: self.count]}
        for run in runs:
            if run.state not in FINISHED or run.number in best | self._removed or run.directory is None:
                continue
            if run.state == "PRUNED" and has_checkpoint(run):
                continue
            remove_weights(Path(run.directory))
            self._removed.add(run.number)
