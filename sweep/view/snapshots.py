"""Studies' runs kept in memory, so that a page over 10,000 runs reads only what can have changed.

A finished run never changes, but that it may be repeated with other seeds: each reading asks for all repeats. It also
asks the store for the runs that were not finished at the last one and, if
it has more runs by now, for the numbers that had none. Whatever else a store may show, such as a study that was deleted
and begun again, or runs that were deleted, differs in its counts or its highest number and is read whole.
"""

import math
import threading
import time
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from operator import attrgetter
from pathlib import Path

from sweep import racing
from sweep.quantities import Metrics
from sweep.store import FINISHED, RepeatRecord, RunRecord, Store, StudyRecord, counts_of
from sweep.view.budgets import usual_budget
from sweep.view.findings import Common, common_findings
from sweep.view.runs import best_run, objective, objectives
from sweep.view.studies import StudyView, counts_now, study_state
from sweep.waiting import read

KEPT = 16  # studies
FRESH_SECONDS = 0.2  # how old a reading may be: many pages that are open at once share one
_CHUNK = 500


@dataclass(frozen=True)
class RunsSnapshot:
    """A study's runs a moment ago.

    Attributes:
        runs: by number, which may have gaps: a trial that another program trains has a run when it has ended.
        counts: how many are in each state.
        counted: how many without those that other programs added, which do not count towards the study's trials.
        best: the best complete run, if there is one.
        newest: the highest number of a run in our tables.
        repeats: those of the runs that have some, by number.
    """

    study: StudyRecord
    runs: list[RunRecord]
    counts: dict[str, int]
    counted: dict[str, int]
    best: RunRecord | None
    newest: int
    repeats: Mapping[int, Sequence[RepeatRecord]]
    metrics: "_LastMetrics" = field(repr=False)

    def last_metrics(self) -> Metrics:
        """The metrics of each run's last finished epoch, by number."""
        return self.metrics.of(self.runs)

    def view(self, *, running: bool) -> StudyView:
        """The study at this moment; `running`: whether its coordinator lives."""
        counts, every = (counts_now(each, running=running) for each in (self.counted, self.counts))
        waiting = read(Path(self.study.directory)) if running else None
        state = study_state(self.study, counts, running=running)
        return StudyView(self.study, state, counts, every, self.best, waiting, racing.of(self.study))

    @cached_property
    def best_so_far(self) -> list[float]:
        """The best finite value after each run that may be the best, by number; empty with several objectives."""
        if len(objectives(self.study)) > 1:
            return []
        goal = objective(self.study)
        values = [run.value for run in self.runs if run.feasible is not False]
        finite = [value for value in values if value is not None and math.isfinite(value)]

        def better(best: float, value: float) -> float:
            return value if goal.better(value, best) else best

        return list(accumulate(finite, better))

    @cached_property
    def findings(self) -> list[Common]:
        """What was found in several runs."""
        return common_findings(self.runs)

    @cached_property
    def usual_budget(self) -> int | None:
        """The number of epochs that most runs were to train."""
        return usual_budget(self.runs)

    def run(self, number: int) -> RunRecord | None:
        """The run of a trial number."""
        place = bisect_left(self.runs, number, key=attrgetter("number"))
        found = self.runs[place] if place < len(self.runs) else None
        return found if found is not None and found.number == number else None

    def numbered(self, numbers: Sequence[int]) -> list[RunRecord]:
        """The runs with these numbers, as far as they exist."""
        return [run for number in numbers if (run := self.run(number)) is not None]


class _LastMetrics:
    """The metrics of each run's last finished epoch, asked for again where a run has finished another; thread-safe."""

    def __init__(self, store: Store, study_id: int) -> None:
        self._store = store
        self._study_id = study_id
        self._epochs: dict[int, int] = {}  # whose metrics `_metrics` holds
        self._metrics: dict[int, Mapping[str, float]] = {}
        self._lock = threading.Lock()

    def of(self, runs: Sequence[RunRecord]) -> Metrics:
        """The metrics of some runs, by number."""
        with self._lock:
            changed = [run for run in runs if run.epoch and self._epochs.get(run.number) != run.epoch]
            if not changed:
                return self._metrics
            if len(changed) > _CHUNK:
                found: Metrics = self._store.last_metrics(self._study_id)
            else:
                read = self._store.metrics(self._study_id, [run.number for run in changed])
                found = {number: of_run[max(of_run)] for number, of_run in read.items()}
            # New dictionaries, since others may be reading those there are.
            self._epochs = self._epochs | {run.number: run.epoch for run in changed}
            self._metrics = self._metrics | {run.number: found.get(run.number, {}) for run in changed}
            return self._metrics


class Snapshots:
    """The snapshots of a store; any thread may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[int, float], tuple[RunsSnapshot, float]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, study: StudyRecord) -> RunsSnapshot:
        """A study's runs as they are now."""
        key = (study.study_id, study.created)
        with self._lock:
            last, read = self._kept.get(key, (None, 0.0))
            if last is None or time.monotonic() - read > FRESH_SECONDS:
                last, read = self._read(study, last), time.monotonic()
            if last.study != study or last.study.is_running != study.is_running:
                last = replace(last, study=study)
            self._kept[key] = last, read
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return last

    def _read(self, study: StudyRecord, last: RunsSnapshot | None) -> RunsSnapshot:
        newest = self._store.last_number(study.study_id)
        counts = self._store.counts(study.study_id, added=True)
        new = sum(counts.values()) - len(last.runs) if last is not None else 0
        steady = last is not None and newest - last.newest == new  # none was deleted
        runs = self._changed(study, last, new) if last is not None and steady else None
        repeats = self._store.repeats(study.study_id)
        if last is not None and runs is last.runs and counts == last.counts and repeats == last.repeats:
            return last
        if runs is None or Counter(run.state for run in runs) != Counter(counts):
            last, runs = None, self._store.runs(study.study_id)
            counts = dict(Counter(run.state for run in runs))
        runs = [_repeated(run, repeats.get(run.number, ())) for run in runs]
        metrics = last.metrics if last is not None else _LastMetrics(self._store, study.study_id)
        return RunsSnapshot(study, runs, counts, dict(counts_of(runs)), best_run(study, runs), newest, repeats, metrics)

    def _changed(self, study: StudyRecord, last: RunsSnapshot, new: int) -> list[RunRecord] | None:
        """The runs, those read again that can have changed; None where reading all is as quick, or needed."""
        asked = [run.number for run in last.runs if run.state not in FINISHED]
        if not asked and not new:
            return last.runs
        known = {run.number: run for run in last.runs}
        if new > 0:
            end = last.runs[-1].number + 1 if last.runs else 0
            asked += [number for number in range(end + new) if number not in known]
        if new < 0 or len(asked) > _CHUNK:
            return None
        known |= {run.number: run for run in self._store.runs(study.study_id, asked)}
        return [known[number] for number in sorted(known)]


def _repeated(run: RunRecord, repeats: Sequence[RepeatRecord]) -> RunRecord:
    """A run with its repeats as they are now; the same object where that changes nothing."""
    return run if list(run.repeats) == list(repeats) else replace(run, repeats=repeats)
