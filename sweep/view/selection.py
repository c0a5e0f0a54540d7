"""Which of a study's runs are meant, and in which order: one way for commands, the API, the page and its events."""

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from sweep.conditions import compile_condition
from sweep.errors import SweepError
from sweep.quantities import Metrics, sort_runs
from sweep.store import RunRecord, StudyRecord
from sweep.view.filters import compile_filter
from sweep.view.runs import STATES

Match = Callable[[str, Sequence[str]], Collection[str]]
"""Finds the run names, of those given, that a filter matches; raises `FilterError` where it is malformed."""


@dataclass(frozen=True)
class Selection:
    """Which of a study's runs are asked for, and in which order.

    Attributes:
        filter: a regular expression for run names, as TensorBoard's Time Series tab takes it. Empty means all runs;
            with any other one a run that has no name yet is not meant.
        where: a condition on parameters, metrics and properties (`sweep.conditions`); empty means all runs.
        states: trial states; empty means all.
        numbers: trial numbers; None means all.
        sort: a metric, a parameter or a property (`sweep.quantities`), with `-` in front to reverse the order;
            empty means by number.
        limit: show at most so many: the first ones of a sorted list, the last ones of one by number. None shows all.
    """

    filter: str = ""
    where: str = ""
    states: frozenset[str] = frozenset()
    numbers: frozenset[int] | None = None
    sort: str = ""
    limit: int | None = None

    def of(
        self,
        study: StudyRecord,
        runs: Sequence[RunRecord],
        metrics: Callable[[], Metrics],
        match: Match | None = None,
    ) -> "Selected":
        """Select among a study's runs.

        Args:
            runs: all of the study, by number.
            metrics: gives the last metrics of each run by number; called only where they are needed.
            match: finds the names that the filter matches; by default in this process.

        Raises:
            ConditionError: the condition is malformed, or names what the study does not have.
            FilterError: the filter is malformed.
            SweepError: there is nothing to sort by under that name.
        """
        found = [
            run
            for run in runs
            if (not self.states or run.state in self.states) and (self.numbers is None or run.number in self.numbers)
        ]
        if self.where:
            condition = compile_condition(self.where, study, metrics, runs)
            found = [run for run in found if condition.matches(run)]
        if self.filter:
            names = (match or _match_here)(self.filter, [run.name for run in found if run.name is not None])
            found = [run for run in found if run.name in names]
        if self.sort:
            found = sort_runs(study, found, self.sort, metrics, runs)
        return Selected(self, found, len(runs))


@dataclass(frozen=True)
class Selected:
    """What a selection finds.

    Attributes:
        runs: every run that is meant, in order.
        total: how many runs the study has.
    """

    selection: Selection
    runs: list[RunRecord]
    total: int

    @property
    def shown(self) -> list[RunRecord]:
        """The runs within the limit."""
        limit = self.selection.limit
        if limit is None or limit >= len(self.runs):
            return self.runs
        return self.runs[:limit] if self.selection.sort else self.runs[-limit:]


def _match_here(pattern: str, names: Sequence[str]) -> Collection[str]:
    return set(compile_filter(pattern).filter(names))


def parse_states(texts: Iterable[str]) -> frozenset[str]:
    """The states that texts such as `pruned` or `PRUNED,fail` name, whatever their case.

    Raises:
        SweepError: a text names no state; the error names the nearest.
    """
    found = set()
    for text in ",".join(texts).split(","):
        state = text.strip().upper()
        if state in STATES:
            found.add(state)
        elif state:
            near = difflib.get_close_matches(state, STATES, n=1, cutoff=0.5)
            raise SweepError(
                f"No such state: {text.strip()}.",
                f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(STATES)}.",
            )
    return frozenset(found)
