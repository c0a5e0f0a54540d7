"""What went wrong, whose doing it was, and what follows: one table, `RULINGS`, and who decides by it.

What the machine did costs no trial, what a configuration did teaches the sampler, and what the user's code did is FAIL
with its traceback.
"""

import builtins
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from sweep.core.events import Exited
from sweep.errors import MachineFault, StudyError, SweepError
from sweep.failures import failure_kind
from sweep.names import format_number
from sweep.store.records import OUT_OF_MEMORY, RunRecord
from sweep.words import counted


class By(Enum):
    """Whose doing a fault is."""

    MACHINE = "the machine"
    CONFIGURATION = "the configuration"
    CODE = "the user's code"
    OTHERS = "another program, or a person"


class Then(Enum):
    """What follows from a fault."""

    WAIT = "the study waits, says so, and continues by itself"
    STOP = "the study stops and says so; the next start continues it"
    AGAIN = "tried again, from the last checkpoint"
    TEACH = "FAIL, and the sampler learns from it"
    PRUNE = "PRUNED with the reason"
    FAIL = "FAIL, with its traceback where there is one"


class Fault(Enum):
    """What went wrong, as docs/reliability.md lists it."""

    DISK = "the disk of the log directory is full, over quota or failing, or no descriptors are left"
    LOGDIR = "the log directory is read-only, gone, or not ours to write any more"
    DATABASE_AWAY = "the database is away, or its server restarts"
    DATABASE_LOCKED = "the database is locked by another program"
    DATABASE_FULL = "the database has no room"
    DATABASE_FAILING = "the disk of the database fails"
    DATABASE_LIMITED = "a file of the database may not grow any more"
    DATABASE_READ_ONLY = "the database is read-only, as while another server takes over"
    DATABASE_DAMAGED = "the database is damaged"
    DATABASE_RIGHTS = "the database refuses the rights it gave"
    DATABASE_CHANGED = "a table of the database is gone or changed"
    LEASE = "the study was deleted, or another coordinator has taken it"
    KILLED = "a worker is killed, up to twice in one trial"
    KILLED_AGAIN = "a worker is killed for the third time in one trial"
    ENDED = "a worker exits, or dies by a signal of its own doing, in a trial"
    LOADER_KILLED = "a worker is killed while it loads the study file"
    LOADERS_KILLED = "every worker is killed three times while it loads the study file"
    LOADER_ENDED = "a worker exits while it loads the study file"
    MEMORY = "a trial runs out of memory"
    UNTRAINED = "an exception before the first epoch, once another trial has trained"
    FIRST = "an exception before the first epoch, while no trial has trained"
    RAISED = "an exception after an epoch; a missing file, module or name at any time"
    SILENT = "a worker says nothing for --stall-timeout"
    LATE = "train has not returned a minute after --max-trial-time"
    NOT_A_NUMBER = "a loss or an objective is NaN or infinite at an epoch"
    WRONG_VALUE = "train returns NaN, or not as many values as there are objectives"
    ALIKE = "five failures in a row of one exception type at one place"


@dataclass(frozen=True)
class Ruling:
    """Whose doing a fault is, and what follows."""

    by: By
    then: Then


RULINGS = {
    Fault.DISK: Ruling(By.MACHINE, Then.STOP),
    Fault.LOGDIR: Ruling(By.MACHINE, Then.STOP),
    Fault.DATABASE_AWAY: Ruling(By.MACHINE, Then.WAIT),
    Fault.DATABASE_LOCKED: Ruling(By.MACHINE, Then.WAIT),
    Fault.DATABASE_FULL: Ruling(By.MACHINE, Then.WAIT),
    Fault.DATABASE_FAILING: Ruling(By.MACHINE, Then.WAIT),
    Fault.DATABASE_LIMITED: Ruling(By.MACHINE, Then.STOP),
    Fault.DATABASE_READ_ONLY: Ruling(By.MACHINE, Then.WAIT),
    Fault.DATABASE_DAMAGED: Ruling(By.MACHINE, Then.STOP),
    Fault.DATABASE_RIGHTS: Ruling(By.OTHERS, Then.STOP),
    Fault.DATABASE_CHANGED: Ruling(By.OTHERS, Then.STOP),
    Fault.LEASE: Ruling(By.OTHERS, Then.STOP),
    Fault.KILLED: Ruling(By.MACHINE, Then.AGAIN),
    Fault.KILLED_AGAIN: Ruling(By.CONFIGURATION, Then.FAIL),
    Fault.ENDED: Ruling(By.CODE, Then.FAIL),
    Fault.LOADER_KILLED: Ruling(By.MACHINE, Then.AGAIN),
    Fault.LOADERS_KILLED: Ruling(By.MACHINE, Then.STOP),
    Fault.LOADER_ENDED: Ruling(By.CODE, Then.STOP),
    Fault.MEMORY: Ruling(By.CONFIGURATION, Then.TEACH),
    Fault.UNTRAINED: Ruling(By.CONFIGURATION, Then.TEACH),
    Fault.FIRST: Ruling(By.CODE, Then.FAIL),
    Fault.RAISED: Ruling(By.CODE, Then.FAIL),
    Fault.SILENT: Ruling(By.CODE, Then.FAIL),
    Fault.LATE: Ruling(By.CODE, Then.FAIL),
    Fault.NOT_A_NUMBER: Ruling(By.CONFIGURATION, Then.PRUNE),
    Fault.WRONG_VALUE: Ruling(By.CODE, Then.FAIL),
    Fault.ALIKE: Ruling(By.CODE, Then.STOP),
}

_DATABASE = {
    "away": Fault.DATABASE_AWAY,
    "locked": Fault.DATABASE_LOCKED,
    "full": Fault.DATABASE_FULL,
    "failing": Fault.DATABASE_FAILING,
    "limited": Fault.DATABASE_LIMITED,
    "read-only": Fault.DATABASE_READ_ONLY,
    "damaged": Fault.DATABASE_DAMAGED,
    "rights": Fault.DATABASE_RIGHTS,
    "changed": Fault.DATABASE_CHANGED,
}


def waits(kind: str) -> bool:
    """Whether a study waits for a database that has a fault of this kind, a key of `sweep.store.faults.HINTS`."""
    return RULINGS[_DATABASE[kind]].then is Then.WAIT


ATTEMPTS = 3
"""A trial whose worker was killed so many times has failed."""

SAME_FAILURES = 5
"""So many failures of one kind in a row stop the study."""

UNHEARD = 3
"""So many workers in a row that end before they have loaded the study file stop the study. Where they were killed, as
for want of memory, each worker of the study is tried as often, since those that are left may still load it."""

UNHEARD_LATER = 12
"""The same where another worker has loaded it before, and they were killed."""


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
        kills = self._kills[number]
        fault = Fault.ENDED if not exit.killed else Fault.KILLED if kills < ATTEMPTS else Fault.KILLED_AGAIN
        times = f" {kills} times" if fault is Fault.KILLED_AGAIN else ""
        return RULINGS[fault].then is Then.AGAIN, f"its worker {'was ' if exit.killed else ''}{exit.how}{times}"

    def failed_for_parameters(self, run: RunRecord, *, trained: bool) -> list[int]:
        """The failed trials whose parameters are to blame: they raised before they trained, and another has trained.

        Args:
            run: has just ended; it is the last of the list if its parameters are to blame.
            trained: whether a trial of the study has trained.
        """
        if run.state == "FAIL" and fault_of(run, trained=True) is Fault.UNTRAINED:
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
        failure = failure_kind(run)
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
        message = f"A worker could not load the study file: it {ended}, and last printed: {last}"
        if RULINGS[Fault.LOADERS_KILLED if exit.killed else Fault.LOADER_ENDED].by is By.MACHINE:
            return MachineFault(message, "Free memory or descriptors, or have fewer --workers")
        return SweepError(message)


def ran_out(reason: str | None) -> bool:
    """Whether a run ended for want of memory."""
    return reason is not None and reason.startswith(OUT_OF_MEMORY)


def fault_of(run: RunRecord, *, trained: bool) -> Fault:
    """What a failed trial's fault was.

    Args:
        trained: whether a trial of the study has trained. Then a model that cannot be built is the fault of its
            parameters rather than that of the code.
    """
    if ran_out(run.reason):
        return Fault.MEMORY
    if run.traceback is None:
        return Fault.ENDED
    if run.epoch or _says_nothing_of_parameters(run.reason):
        return Fault.RAISED
    return Fault.UNTRAINED if trained else Fault.FIRST


def _says_nothing_of_parameters(reason: str | None) -> bool:
    """Whether a reason names an exception that says nothing about parameters: a missing file, a connection, a name."""
    raised = getattr(builtins, (reason or "").partition(":")[0], None)
    others = (OSError, ImportError, NameError, KeyboardInterrupt, SystemExit)
    return isinstance(raised, type) and issubclass(raised, others)


def same_parameters(run: RunRecord) -> str:
    """Why a trial with the parameters of a run that failed because of them is not trained."""
    how = "ran out of memory" if ran_out(run.reason) else "failed before training"
    return f"the same parameters {how} in {format_number(run.number)}"
