"""One trial of a running study: its state, and the run that records it."""

from dataclasses import dataclass, field
from enum import Enum

from sweep.core.pruners import Verdict
from sweep.store.records import RepeatRecord, RunRecord
from sweep.words import counted


class State(Enum):
    """Where a trial is. The last three are final, and Optuna's."""

    QUEUED = "waits to be run again"
    SAMPLING = "is taken from the queue for the next worker"
    BUILDING = "is with a worker, which asks for its parameters"
    TRAINING = "is with a worker, and its run has a name"
    PAUSED = "waits at a rung until it is among the best there"
    REPEATING = "waits to be trained with another seed"
    ENDING = "its end, its pause or its return to the queue is being entered in Optuna's study"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "failed"


MOVES = {
    None: {State.QUEUED, State.BUILDING, State.ENDING, State.PAUSED},
    State.QUEUED: {State.SAMPLING},
    State.SAMPLING: {State.BUILDING, State.ENDING},
    State.BUILDING: {State.TRAINING, State.ENDING},
    State.TRAINING: {State.REPEATING, State.ENDING},
    State.REPEATING: {State.BUILDING, State.ENDING},
    State.PAUSED: {State.SAMPLING, State.ENDING},
    State.ENDING: {State.QUEUED, State.PAUSED, State.COMPLETE, State.PRUNED, State.FAIL},
}
"""The states that may follow each state; None is that of a trial that is not there yet."""


@dataclass
class Trial:
    """A trial that has not ended.

    Attributes:
        run: its record.
        worker: who trains it.
        began: when this attempt began; `heard`: when its worker last sent a message; `hurried`: when it was first told
            to finish early, if it was; all by the monotonic clock.
        silence: the longest time that its worker has said nothing for, in this attempt.
        earlier: seconds of training in earlier attempts, those with other seeds included.
        repeat: the record of the training with another seed that it is at, if it is; `run` has the first one.
        values: the objective by step, as pruners see it.
        shielded: only NaN stops it; `unpruned`: pruners do not; `condemned`: why a person prunes it at its next epoch.
        verdict: the one that its worker was told last; None where it continues.
        pausable: whether it can be paused, since what it trains can be resumed exactly.
        end: what is being entered.
    """

    run: RunRecord
    worker: str | None = None
    began: float = 0.0
    heard: float = 0.0
    hurried: float | None = None
    silence: float = 0.0
    earlier: float = 0.0
    values: dict[int, float] = field(default_factory=dict)
    shielded: bool = False
    unpruned: bool = False
    condemned: str | None = None
    verdict: Verdict | None = None
    pausable: bool = False
    repeat: RunRecord | None = None
    end: "Ending | None" = None
    _state: State | None = None

    @property
    def state(self) -> State | None:
        """Where the trial is."""
        return self._state

    def move(self, state: State) -> None:
        """Move to another state.

        Raises:
            ValueError: no trial goes from the present state to that one.
        """
        if state not in MOVES.get(self._state, ()):
            raise ValueError(f"trial {self.run.number} cannot go from {self._state} to {state}")
        self._state = state

    @property
    def held_by(self) -> str:
        """The worker that has it; only while one has."""
        if self.worker is None:
            raise RuntimeError(f"trial {self.run.number} is with no worker")
        return self.worker

    @property
    def training_run(self) -> RunRecord:
        """The record of what it trains now: its run, or the repeat with another seed."""
        return self.run if self.repeat is None else self.repeat

    @property
    def is_live(self) -> bool:
        """Whether its worker may speak for it."""
        return self._state in (State.BUILDING, State.TRAINING)

    def hear(self, now: float) -> None:
        """Note that its worker has sent a message."""
        self.silence = max(self.silence, now - self.heard)
        self.heard = now

    def hurry(self, now: float) -> bool:
        """Note that its worker is told to finish early; whether it is the first time."""
        first = self.hurried is None
        self.hurried = now if self.hurried is None else self.hurried
        return first

    def seconds(self, now: float) -> float:
        """How long it has been with workers, in all."""
        return self.earlier + now - self.began

    @property
    def of_other_seeds(self) -> float:
        """Seconds of its trainings with other seeds, which have ended."""
        return sum(one.duration or 0.0 for one in self.run.of_value)

    def ended_repeat(self, state: str, value: float | None, reason: str | None, now: float) -> RepeatRecord:
        """The record of the training with one seed that has ended."""
        run, number = self.training_run, len(self.run.of_value) + 1
        return RepeatRecord(
            repeat_of=run.number,
            repeat=number,
            seed=run.seed or 0,
            name=run.name,
            state=state,
            directory=run.directory,
            value=value,
            epoch=run.epoch,
            reason=reason,
            started=run.started,
            duration=self.seconds(now) - self.of_other_seeds,
            snapshot=self.run.snapshot,
            of_value=True,
        )


@dataclass(frozen=True)
class Ending:
    """The end of a trial.

    Attributes:
        verdict: the one that stopped it, which says more than the reason.
        by: the worker that reported it and waits for the answer; None where its worker is gone.
        abandoned: its event files have no end yet.
        held: whether a worker had the trial until then.
        forgotten: its checkpoint is not kept, since it takes too much room.
        repeat: the training with one of several seeds that ends with it.
    """

    reason: str | None
    traceback: str | None = None
    verdict: Verdict | None = None
    by: str | None = None
    abandoned: bool = False
    held: bool = True
    forgotten: bool = False
    repeat: RepeatRecord | None = None


def requeue(run: RunRecord, reason: str | None, seconds: float | None = None, epochs: int | None = None) -> None:
    """Have a run wait to be run again, after so many seconds of training.

    Args:
        epochs: how many it had finished with the seed that it was at, if that is not its first one.
    """
    if run.state == "RUNNING":
        run.attempt += 1
        after = counted(run.epoch if epochs is None else epochs, "epoch")
        seed = f" with seed {len(run.of_value) + 1}" if run.of_value else ""
        run.interruptions = [*run.interruptions, f"after {after}{seed}: {reason or 'no reason'}"]
    run.state, run.reason, run.verdict, run.duration = "WAITING", reason, None, seconds


def forget(run: RunRecord) -> None:
    """Forget what an earlier attempt of a run has reported."""
    run.epoch, run.last, run.best, run.best_epoch = 0, None, None, None
    run.findings, run.trainings = [], []
