"""Which runs a study has: filtered, sorted, ranked, and one of them found by what a person calls it."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweep.errors import RunNameError, StoreError, SweepError
from sweep.names import KeyTable, decode, format_number
from sweep.objective import Objective
from sweep.store import RunRecord, Store, StudyRecord
from sweep.words import listed

STATES = ("WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL")

_NUMBER = re.compile(r"t?0*([0-9]{1,18})")


class Pattern(Protocol):
    """What chooses runs by their names; `sweep.read.filters.compile_pattern` makes one."""

    def matches(self, name: str) -> bool:
        """Whether a run name matches."""


class Source(Protocol):
    """Where a study's runs are read from: a store, or what was read from one."""

    def runs(self, study_id: int) -> list[RunRecord]:
        """A study's runs by number."""

    def last_metrics(self, study_id: int) -> Mapping[int, Mapping[str, float]]:
        """The metrics of each run's last finished epoch, by run number."""


@dataclass(frozen=True)
class Selection:
    """Some of a study's runs: those that were asked for, in the order asked for.

    Attributes:
        runs: every run that matches.
        total: how many runs the study has.
    """

    study: StudyRecord
    runs: list[RunRecord]
    total: int


def key_table(study: StudyRecord) -> KeyTable:
    """The key table of a study's run names."""
    return KeyTable(short=study.declaration.short, table=study.keys)


def choose_study(store: Store, name: str | None) -> StudyRecord:
    """The study called `name`, or the only one there is if `name` is None.

    Raises:
        StoreError: there is no such study, or none was named and there is none or more than one.
    """
    if name is not None:
        return store.study(name)
    studies = store.studies()
    if len(studies) == 1:
        return studies[0]
    if not studies:
        raise StoreError("There is no study in this database.", "Start one with `sweep start FILE`.")
    names = ", ".join(study.name for study in studies)
    raise StoreError("The database has several studies, so one must be named.", f"Name one of {names}.")


def parse_states(texts: Iterable[str]) -> frozenset[str]:
    """The states that texts such as `pruned` or `PRUNED,fail` name, whatever their case.

    Raises:
        SweepError: a text names no state; the nearest one is given.
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


def select_runs(
    store: Source,
    study: StudyRecord,
    *,
    pattern: Pattern | None = None,
    states: frozenset[str] = frozenset(),
    sort: str | None = None,
    where: str | None = None,
) -> Selection:
    """A study's runs that match, by number or as sorted.

    Args:
        pattern: matches run names; a run that has no name yet matches none.
        states: the states to choose; all if empty.
        sort: see `sweep.read.sorting.sort_runs`.
        where: a condition, see `sweep.read.where`.

    Raises:
        FilterError: the condition is malformed.
        SweepError: there is nothing to sort by under that name.
    """
    from sweep.read.sorting import sort_runs
    from sweep.read.where import compile_where

    def metrics() -> Mapping[int, Mapping[str, float]]:
        return store.last_metrics(study.study_id)

    every = store.runs(study.study_id)
    condition = compile_where(where, study, metrics, every) if where is not None else None
    runs = [run for run in every if not states or run.state in states]
    if pattern is not None:
        runs = [run for run in runs if run.name is not None and pattern.matches(run.name)]
    if condition is not None:
        runs = [run for run in runs if condition.matches(run)]
    if sort is not None:
        runs = sort_runs(study, runs, sort, metrics, every)
    return Selection(study, runs, len(every))


def objectives(study: StudyRecord) -> list[Objective]:
    """What a study optimises."""
    return study.declaration.objectives


def objective(study: StudyRecord) -> Objective:
    """What a study optimises, the first of several."""
    return objectives(study)[0]


def rank(study: StudyRecord, runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The complete runs by their values, best first, equal ones by number.

    As with Optuna's `best_trial`, a run that was pruned, failed or breaks a constraint is never the best.

    Raises:
        SweepError: the study has several objectives, so that no run is better than all others.
    """
    names = [one.name for one in objectives(study)]
    if len(names) > 1:
        raise SweepError(
            f"Study {study.name} has several objectives, {', '.join(names)}, so no run is the best.",
            hint=f"Sort by one of them: sweep runs {study.name} --state complete --sort {names[0]}",
        )
    return objective(study).rank(runs)


def best_run(study: StudyRecord, runs: Iterable[RunRecord]) -> RunRecord | None:
    """The best run, as Optuna's `best_trial`; None if there is none or the study has several objectives."""
    return next(iter(rank(study, runs)), None) if len(objectives(study)) == 1 else None


def find_run(store: Store, text: str, study_name: str | None = None) -> tuple[StudyRecord, RunRecord]:
    """The run that a person calls `17`, `t0017` or by its full name.

    Args:
        study_name: its study; without one every study is looked through.

    Raises:
        StoreError: there is no such run, or one in each of several studies.
    """
    studies = store.studies() if study_name is None else [store.study(study_name)]
    number = run_number(text)
    found = [
        (study, run)
        for study in studies
        if number is not None
        for run in store.runs(study.study_id, [number])
        if run.name == text or _NUMBER.fullmatch(text)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(study.name for study, _ in found)
        raise StoreError(
            f"{text} is a run of several studies: {names}.",
            f"Name the study too, for example: sweep show {found[0][0].name} {text}",
        )
    raise StoreError(*_no_run(store, studies, text))


def run_number(text: str) -> int | None:
    """The trial number in `17`, `t0017` or a full run name; None if the text is none of these."""
    if match := _NUMBER.fullmatch(text):
        return int(match[1])
    try:
        return decode(text).number
    except RunNameError:
        return None


def _no_run(store: Store, studies: Sequence[StudyRecord], text: str) -> tuple[str, str | None]:
    """The message that no study has a run of this name or number, and a hint."""
    if not studies:
        return f"No run {text}: there is no study in this database.", "Start one with `sweep start FILE`."
    runs = {study.name: store.runs(study.study_id) for study in studies}
    if _NUMBER.fullmatch(text):
        ranges = [f"study {study} ({_range(found)})" for study, found in runs.items()]
        return f"No run {text} in {listed(ranges)}.", None
    names = [run.name for found in runs.values() for run in found if run.name is not None]
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.3)
    hint = f"Did you mean {near[0]}?" if near else "List them with: sweep runs --names"
    return f"No run {text} in {listed([f'study {name}' for name in runs])}.", hint


def _range(runs: Sequence[RunRecord]) -> str:
    return f"{format_number(runs[0].number)} to {format_number(runs[-1].number)}" if runs else "no runs yet"


def finished(counts: Mapping[str, int]) -> int:
    """How many trials count towards a study's budget: complete, pruned and failed ones."""
    return sum(counts.get(state, 0) for state in ("COMPLETE", "PRUNED", "FAIL"))
