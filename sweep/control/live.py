"""A trial that is with a worker."""

import time
from dataclasses import dataclass, field

import optuna

from sweep.core.pruners import Verdict


@dataclass
class Live:
    """A trial with a worker."""

    trial: optuna.Trial
    worker: str
    earlier: float = 0.0  # seconds of attempts before this one
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)  # when its worker spoke last
    named: bool = False
    shielded: bool = False  # from its pruner
    condemned: str | None = None  # why it is to be pruned at its next epoch
    verdict: Verdict | None = None  # of its pruner, which its worker has been given
    ending: bool = False  # its end, or its return to the queue, is under way: nobody else may end it

    @property
    def seconds(self) -> float:
        """How long the trial has been with workers, in all."""
        return self.earlier + time.monotonic() - self.began


class Fenced(Exception):
    """A worker speaks of a trial that it has no longer, and must let go of it."""
