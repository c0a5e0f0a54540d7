"""Whose weights are kept: `sweep start --keep best:N`, `all` or `none`."""

import re
from collections.abc import Iterable
from pathlib import Path

from sweep.errors import StudyError
from sweep.rundir import remove_weights
from sweep.store import RunRecord

_BEST = re.compile(r"best:([1-9][0-9]{0,8})")


class Keeping:
    """Removes the weights of runs that are not among the best ones, as soon as there are better.

    Args:
        keep: `best:N`, `all` or `none`; with the latter two there is nothing to remove.

    Raises:
        StudyError: it is none of these.
    """

    def __init__(self, keep: str) -> None:
        best = _BEST.fullmatch(keep)
        if best is None and keep not in ("all", "none"):
            raise StudyError("the weights to keep are best:N, all or none", repr(keep), "for example --keep best:5")
        self.count = int(best[1]) if best is not None else None
        self._removed: set[int] = set()

    def ended(self, runs: Iterable[RunRecord], *, value: str, maximize: bool) -> None:
        """Remove what is no longer among the best.

        Args:
            runs: all of the study.
            value: whether their `best` or their `last` decides.
            maximize: whether a higher one is better.
        """
        if self.count is None:
            return
        values = {run.number: getattr(run, value) for run in runs if run.state in ("COMPLETE", "PRUNED")}
        ranked = sorted((number for number in values if values[number] is not None), key=values.__getitem__)
        best = set(ranked[-self.count :] if maximize else ranked[: self.count])
        for run in runs:
            if run.number in values and run.number not in best | self._removed and run.directory is not None:
                remove_weights(Path(run.directory))
                self._removed.add(run.number)
