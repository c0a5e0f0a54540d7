"""How trials end: the state that stands, failures that repeat, and the end record of a run whose worker is gone."""

import logging
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import StudyError
from sweep.events import end_run
from sweep.rundir import CHECKPOINTS
from sweep.store import OUT_OF_MEMORY, RunRecord
from sweep.words import counted

SAME_FAILURES = 5  # so many in a row with one error, and the study stops

_log = logging.getLogger(__name__)


class Endings:
    """What the ends of a study's trials have in common. Guarded by the coordinator's lock.

    Args:
        retries: how often a trial that raises is tried again.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._tried: Counter[int] = Counter()
        self._last_error: str | None = None
        self._times = 0

    def settle(
        self, state: str, values: Sequence[float] | None, reason: str | None, objectives: int
    ) -> tuple[str, str | None]:
        """The state of a trial that its worker says is `state`: a value that is none makes it FAIL."""
        if state != "COMPLETE":
            return state, reason
        if values is None or len(values) != objectives:
            returned = counted(len(values or []), "value")
            return "FAIL", f"train returned {returned}, and the study has {counted(objectives, 'objective')}"
        if any(math.isnan(value) for value in values):
            return "FAIL", "train returned NaN"
        return state, reason

    def may_try_again(self, number: int, reason: str) -> bool:
        """Whether a trial that raised is to be tried again, which is counted; not where memory was short."""
        if ran_out(reason) or self._tried[number] >= self._retries:
            return False
        self._tried[number] += 1
        return True

    def repeated(self, run: RunRecord) -> StudyError | None:
        """The error that stops the study if this is one failure too many of the same kind."""
        if run.state != "FAIL":
            self._last_error, self._times = None, 0
            return None
        error = (run.reason or "").split(" at epoch ")[0]
        self._times = self._times + 1 if error == self._last_error else 1
        self._last_error = error
        if self._times < SAME_FAILURES:
            return None
        return StudyError(
            f"{SAME_FAILURES} trials in a row failed alike, so the study has stopped",
            error,
            f"see the traceback with: sweep show {run.number}",
        )


def ran_out(reason: str | None) -> bool:
    """Whether a run ended for want of memory."""
    return reason is not None and reason.startswith(OUT_OF_MEMORY)


def write_end(run: RunRecord) -> None:
    """Write the end of a run whose worker is gone into its directory; a run without one has nothing to end."""
    if run.directory is None or not Path(run.directory).is_dir():
        return
    try:
        end_run(run)
        shutil.rmtree(Path(run.directory) / CHECKPOINTS, ignore_errors=True)
    except OSError:
        _log.exception("the end of run %s could not be written to %s", run.name, run.directory)
