"""Trials that other programs write into Optuna's tables: seen, learned from, and never run here unless they wait.

A trial that another program added or trains has a run of ours once it has ended; the run has no directory and says why.
It does not count towards the study's `trials`, just as Optuna's `n_trials` counts only what `optimize` runs. A trial
that another program put into the queue is ours to train.
"""

import threading
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from sweep.control.search import Search
from sweep.control.storage import Ledger
from sweep.store import RunRecord


class Others:
    """What other programs write into a study. Safe to use from any thread."""

    def __init__(self, search: Search, ledger: Ledger) -> None:
        self._search = search
        self._ledger = ledger
        self._news: list[RunRecord] = []
        self._lock = threading.Lock()

    def arrived(self, trial: FrozenTrial) -> int:
        """Take a trial over that is new in the tables, and return the number that it has here."""
        number = self._search.storage.adopt(trial)
        self._enter(number)
        return number

    def changed(self, number: int, trial: FrozenTrial) -> None:
        """Take a trial of theirs as it is by now."""
        self._search.storage.disown(number, trial)
        self._enter(number)

    def take_over(self, numbers: Sequence[int]) -> None:
        """Take those for others' trials that were written while no coordinator saw it, or that it saw before."""
        for number in numbers:
            self.changed(number, self._search.storage.get_trial(number))

    def take_news(self) -> list[RunRecord]:
        """The runs of trials that have come, or ended, since the last call."""
        with self._lock:
            news, self._news = self._news, []
        return news

    def _enter(self, number: int) -> None:
        trial = self._search.storage.get_trial(number)
        if not trial.state.is_finished():
            return
        run = self._search.added(trial)
        before = self._ledger.find(number)
        if before is None or not before.added:
            self._ledger.put(run)
            objective = self._search.declaration.objective
            if len(objective) == 1:
                for step, value in trial.intermediate_values.items():
                    self._ledger.epoch(number, step, {objective[0]: value})
            with self._lock:
                self._news.append(run)
        self._search.learn(trial)
