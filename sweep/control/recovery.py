"""What becomes of trials whose worker is gone, or that somebody else has ended."""

import contextlib
import time
from collections import Counter

from optuna.trial import FrozenTrial

from sweep.control.coordinator import Coordinator
from sweep.control.ending import write_end
from sweep.control.live import Fenced, Live
from sweep.control.standing import ENDED_ELSEWHERE

ATTEMPTS = 3  # a trial whose worker was killed so many times is not tried again


class Recovery:
    """Ends, or runs again, what a coordinator's workers left behind. Safe to use from any thread."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._kills: Counter[int] = Counter()

    def gone(self, worker: str, how: str, *, killed: bool) -> None:
        """A worker is gone; `killed` from outside rather than by what it ran. Its trial is run again, or has failed."""
        for live in self._coordinator.depart(worker):
            with contextlib.suppress(Fenced):
                self._recover(live, how, killed=killed)

    def _recover(self, live: Live, how: str, *, killed: bool) -> None:
        coordinator, number = self._coordinator, live.trial.number
        if killed and coordinator.stopped is None:
            self._kills[number] += 1
        if coordinator.error is not None:  # the study has ended for all of them
            coordinator.requeue(live, None)
        elif killed and self._kills[number] < ATTEMPTS:
            coordinator.requeue(live, f"its worker was {how}")
        else:
            reason = f"its worker was {how} {self._kills[number]} times" if killed else f"its worker {how}"
            self._failed(live, reason)

    def _failed(self, live: Live, reason: str) -> None:
        """End a trial that cost a worker: it would cost another, so that it is not one of those tried again."""
        write_end(self._coordinator.end(live, "FAIL", reason=reason))

    def end_silent(self) -> None:
        """End the trials whose workers have said nothing for as long as the study allows, and these workers."""
        allowed = self._coordinator.settings.trial_timeout
        if allowed is None:
            return
        for live in self._coordinator.running().values():
            if time.monotonic() - live.heard > allowed:
                with contextlib.suppress(Fenced):
                    self._failed(live, f"its worker reported nothing for {allowed:g} s, its --trial-timeout")
                    self._coordinator.end_worker(live.worker)

    def ended_elsewhere(self, trial: FrozenTrial) -> None:
        """A trial of ours was ended by somebody else in Optuna's tables; theirs stands, and its worker lets go."""
        live = self._coordinator.running().get(trial.number)
        if live is None:
            return
        with contextlib.suppress(Fenced):
            write_end(self._coordinator.end(live, trial.state.name, trial.values, ENDED_ELSEWHERE))
