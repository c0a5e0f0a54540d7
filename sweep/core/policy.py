"""What becomes of a trial that fails, and of a worker that is gone: tried again, failed, or the end of the study."""

import builtins
import math
import re
from collections import Counter
from collections.abc import Sequence

from sweep.core.events import Exited
from sweep.errors import StudyError, SweepError
from sweep.names import format_number
from sweep.store.records import OUT_OF_MEMORY, RunRecord
from sweep.words import counted

ATTEMPTS = 3
"""A trial whose worker was killed so many times has failed."""

SAME_FAILURES = 5
"""So many failures of one kind in a row stop the study."""

UNHEARD = 3
"""So many workers in a row that end before they have loaded the study file stop the study. Where they were killed, as
for want of memory, each worker of the study is tried as often, since those that are left may still load it."""

UNHEARD_LATER = 12
"""The same where another worker has loaded it before, and they were killed."""

_LINE = re.compile(r'^  File "(.*)", line (\d+)', re.MULTILINE)  # of a traceback


class FailurePolicy:
    """Decides from what has happened in the study so far.

    Args:
        retries: how often a trial that raises is tried again.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._tried: Counter[int] = Counter()
        self._kills: Counter[int] = Counter()
        self._untrained: list[int] = []  # trials that failed before they trained, while none had trained
        self._last_failure: str | None = None
        self._alike = 0
        self._unheard = 0

    def settle(
        self, state: str, values: Sequence[float] | None, reason: str | None, objectives: int
    ) -> tuple[str, str | None]:
        """The state and the reason of a trial's end: COMPLETE takes as many numbers as the study has objectives."""
        if state != "COMPLETE":
            return state, reason
        if values is None or len(values) != objectives:
            returned = counted(len(values or []), "value")
            return "FAIL", f"train returned {returned}, and the study has {counted(objectives, 'objective')}"
        if any(math.isnan(value) for value in values):
            return "FAIL", "train returned NaN"
        return state, reason

    def tries_again(self, number: int, reason: str) -> bool:
        """Whether a trial that raised is tried again, which counts as one of its retries; never for want of memory."""
        if ran_out(reason) or self._tried[number] >= self._retries:
            return False
        self._tried[number] += 1
        return True

    def lost(self, number: int, exit: Exited, *, stopping: bool) -> tuple[bool, str]:
        """Whether a trial whose worker is gone is run again, and the reason that it gets.

        Args:
            stopping: the study ends, which is why its workers do.
        """
        if exit.killed and not stopping:
            self._kills[number] += 1
        if exit.killed and self._kills[number] < ATTEMPTS:
            return True, f"its worker was {exit.how}"
        times = f" {self._kills[number]} times" if exit.killed else ""
        return False, f"its worker {'was ' if exit.killed else ''}{exit.how}{times}"

    def failed_for_parameters(self, run: RunRecord, *, trained: bool) -> list[int]:
        """The failed trials whose parameters are to blame: they raised before they trained, and another has trained.

        Args:
            run: has just ended; it is the last of the list if its parameters are to blame.
            trained: whether a trial of the study has trained.
        """
        if failed_untrained(run):
            self._untrained.append(run.number)
        if not trained:
            return []
        blamed, self._untrained = self._untrained, []
        return blamed

    def repeated(self, run: RunRecord) -> StudyError | None:
        """The error that stops the study if this run's failure is one too many of its kind."""
        if run.state != "FAIL":
            self._last_failure, self._alike = None, 0
            return None
        failure = _kind(run)
        self._alike = self._alike + 1 if failure == self._last_failure else 1
        self._last_failure = failure
        if self._alike < SAME_FAILURES:
            return None
        return StudyError(
            f"The study has stopped, because {SAME_FAILURES} trials in a row failed in the same way: {run.reason}",
            f"See the traceback with: sweep show {run.number}",
        )

    def heard(self) -> None:
        """A worker has loaded the study file."""
        self._unheard = 0

    def unheard(self, exit: Exited, *, loaded: bool, workers: int = 1) -> SweepError | None:
        """The error that stops the study if this worker, which never spoke, is one too many.

        Args:
            loaded: another worker has loaded the study file before.
            workers: how many the study has.
        """
        self._unheard += 1
        most = UNHEARD * max(1, workers) if exit.killed else UNHEARD
        most = max(most, UNHEARD_LATER) if loaded and exit.killed else most
        if self._unheard < most and (exit.killed or loaded):
            return None
        last = exit.output.strip().rpartition("\n")[2] or "nothing"
        ended = f"{'was ' if exit.killed else ''}{exit.how}"
        return SweepError(f"A worker could not load the study file: it {ended}, and last printed: {last}")


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
    """Why a trial with the parameters of a run that failed because of them is not trained."""
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
