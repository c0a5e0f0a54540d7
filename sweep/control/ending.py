"""How trials end: the state that stands, failures that repeat, and the end record of a run whose worker is gone."""

import builtins
import logging
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from sweep.control.storage import Ledger
from sweep.errors import StudyError
from sweep.events import end_run
from sweep.names import format_number
from sweep.rundir import CHECKPOINTS
from sweep.store import OUT_OF_MEMORY, RunRecord
from sweep.words import counted

SAME_FAILURES = 5  # so many in a row with one error, and the study stops

_LINE = re.compile(r'^  File "(.*)", line (\d+)', re.MULTILINE)  # of a traceback

_log = logging.getLogger(__name__)


class Endings:
    """What the ends of a study's trials have in common. Guarded by the coordinator's lock.

    Args:
        retries: how often a trial that raises is tried again.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._tried: Counter[int] = Counter()
        self._failed: list[int] = []  # trials that failed before they trained, while none had
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

    def learn(self, ledger: Ledger, run: RunRecord, teach: Callable[[int], None]) -> bool:
        """Have the sampler learn from trials that failed before they trained, once a trial of the study has trained.

        Args:
            run: has just ended.
            teach: makes the sampler learn from a failed trial, by its number.

        Returns:
            whether this run failed for its parameters.
        """
        failed = failed_untrained(run)
        if not (failed or self._failed) or not ledger.has_trained():
            if failed:
                self._failed.append(run.number)
            return False
        for number in [*self._failed, *([run.number] if failed else [])]:
            teach(number)
        self._failed.clear()
        return failed

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
        error = _kind(run)
        self._times = self._times + 1 if error == self._last_error else 1
        self._last_error = error
        if self._times < SAME_FAILURES:
            return None
        return StudyError(
            f"The study has stopped, because {SAME_FAILURES} trials in a row failed in the same way: {run.reason}",
            f"See the traceback with: sweep show {run.number}",
        )


def ran_out(reason: str | None) -> bool:
    """Whether a run ended for want of memory."""
    return reason is not None and reason.startswith(OUT_OF_MEMORY)


def failed_untrained(run: RunRecord) -> bool:
    """Whether a run raised before it had trained an epoch, or reported a value, for something other than the machine.

    Once the study has trained another trial this is the fault of the run's parameters, such as a model that cannot be
    built, rather than that of the code.
    """
    return run.state == "FAIL" and run.epoch == 0 and run.traceback is not None and not _is_machines(run.reason)


def _is_machines(reason: str | None) -> bool:
    """Whether a reason names an exception that says nothing about parameters: a missing file, a connection, a name."""
    raised = getattr(builtins, (reason or "").partition(":")[0], None)
    others = (OSError, ImportError, NameError, KeyboardInterrupt, SystemExit)
    return isinstance(raised, type) and issubclass(raised, others)


def same_parameters(run: RunRecord) -> str:
    """Why a trial with the parameters of a run that failed for them is not trained."""
    how = "ran out of memory" if ran_out(run.reason) else "failed before training"
    return f"the same parameters {how} in {format_number(run.number)}"


def _kind(run: RunRecord) -> str:
    """What failures that are alike have in common: the kind of exception and the line that raised it."""
    lines = _LINE.findall(run.traceback or "")
    if not lines:
        return (run.reason or "").split(" at epoch ")[0]
    own = [line for line in lines if "site-packages" not in line[0] and "/sweep/" not in line[0]]
    file, number = (own or lines)[-1]
    return f"{(run.reason or '').partition(':')[0]} at {file}, line {number}"


def write_end(run: RunRecord) -> None:
    """Write the end of a run whose worker is gone into its directory; a run without one has nothing to end."""
    if run.directory is None or not Path(run.directory).is_dir():
        return
    try:
        end_run(run)
        shutil.rmtree(Path(run.directory) / CHECKPOINTS, ignore_errors=True)
    except OSError:
        _log.exception("the end of run %s could not be written to %s", run.name, run.directory)
