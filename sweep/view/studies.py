"""One study as every interface shows it: its state, how far it is, its best run; and whether its coordinator lives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep import racing
from sweep.errors import StoreError
from sweep.racing import Racing
from sweep.store import RunRecord, Store, StudyRecord, counts_of
from sweep.view.runs import STATES, best_run, finished, finite, objectives
from sweep.waiting import Waiting, read


@dataclass(frozen=True)
class StudyView:
    """A study at one moment.

    Attributes:
        state: `running` (its coordinator lives), `finished` (its trials are used up) or `stopped`.
        counts: how many runs are in each state, without those that other programs added, which do not count towards
            its trials. In a study that does not run, none is running (see `counts_now`).
        every: how many runs are in each state, including those that other programs added.
        best: the best complete run, if there is one and the study has a single objective.
        waiting: what a running study waits for, if it does and its folder can be read here.
        racing: the race of its best runs that a process trains now, if there is one and the folder can be read here.
    """

    study: StudyRecord
    state: str
    counts: Mapping[str, int]
    every: Mapping[str, int]
    best: RunRecord | None
    waiting: Waiting | None
    racing: Racing | None

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def finished(self) -> int:
        """How many trials count towards the study's budget."""
        return finished(self.counts)

    @property
    def goal(self) -> str:
        """What it optimises, such as `minimize val_loss`."""
        return ", ".join(map(str, objectives(self.study)))

    @property
    def doc(self) -> str:
        """The first line of the study file's docstring."""
        return self.study.declaration.doc.strip().partition("\n")[0]

    @property
    def no_best(self) -> str:
        """Why no run is the best."""
        if len(objectives(self.study)) > 1:
            return "none of several objectives"
        return "no feasible run yet" if self.every.get("COMPLETE") else "no complete run yet"

    @property
    def pruned_share(self) -> int:
        """How many of the finished trials were pruned, in percent."""
        return round(100 * self.counts.get("PRUNED", 0) / self.finished) if self.finished else 0

    @property
    def percent(self) -> int:
        """How many of the study's trials have ended, in percent."""
        return min(100, 100 * self.finished // self.study.declaration.trials)

    @property
    def segments(self) -> list[tuple[str, float, float]]:
        """The study's trials by state as a bar: each state with where it begins and how long it is, in percent."""
        begun = sum(self.counts.get(state, 0) for state in ("RUNNING", "PAUSED"))
        whole = max(self.study.declaration.trials, self.finished + begun)
        start, found = 0.0, []
        for state in ("COMPLETE", "PRUNED", "FAIL", "PAUSED", "RUNNING"):
            width = 100.0 * self.counts.get(state, 0) / whole
            if width:
                found.append((state.lower(), start, width))
            start += width
        return found

    def as_object(self) -> dict[str, Any]:
        """The study as JSON; `best` is its best run's value, `created` in Unix seconds, `waiting` as in `Waiting`,
        `confirming` as in `Racing`."""
        study, best = self.study, self.best
        return {
            "study": study.name,
            "state": self.state,
            "trials": study.declaration.trials,
            "counts": {state: self.counts[state] for state in STATES if state in self.counts},
            "objective": study.declaration.objective,
            "direction": study.declaration.direction,
            "best": finite(best.value) if best else None,
            "best_run": best.name if best else None,
            "created": study.created,
            "directory": study.directory,
            "file": study.declaration.file,
            "owner": str(study.owner) if study.owner else None,
            "waiting": self.waiting.as_object() if self.waiting else None,
            "confirming": self.racing.as_object() if self.racing else None,
        }


def view_study(study: StudyRecord, runs: Sequence[RunRecord], *, running: bool) -> StudyView:
    """A study with all its runs; `running`: whether its coordinator lives."""
    counts = counts_now(counts_of(runs), running=running)
    every = counts_now(Counter(run.state for run in runs), running=running)
    waiting = read(Path(study.directory)) if running else None
    state = study_state(study, counts, running=running)
    return StudyView(study, state, counts, every, best_run(study, runs), waiting, racing.of(study))


def view_studies(store: Store, studies: Sequence[StudyRecord]) -> list[StudyView]:
    """Studies as they are now."""
    return [view_study(study, store.runs(study.study_id), running=study.is_running) for study in studies]


def choose_study(store: Store, name: str | None) -> StudyRecord:
    """The study called `name`, or the only one there is if `name` is None.

    Raises:
        StoreError: there is no such study; or no name was given, and there is no study or more than one.
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


def counts_now(counts: Mapping[str, int], *, running: bool) -> dict[str, int]:
    """How many runs are in each state, where a coordinator that was killed has left some RUNNING: those wait."""
    if running or "RUNNING" not in counts:
        return dict(counts)
    rest = {state: count for state, count in counts.items() if state != "RUNNING"}
    return {**rest, "WAITING": rest.get("WAITING", 0) + counts["RUNNING"]}


def study_state(study: StudyRecord, counts: Mapping[str, int], *, running: bool) -> str:
    """`running`, `finished` or `stopped`."""
    if running:
        return "running"
    return "finished" if finished(counts) >= study.declaration.trials else "stopped"


def nothing_to(verb: str, name: str, state: str) -> str:
    """Why a study that is not running cannot be told to stop, to prune a run and so on, as a sentence."""
    return f"Study {name} {'has finished' if state == 'finished' else f'is {state}'}, so there is nothing to {verb}."


def is_running(store: Store, study: StudyRecord) -> bool:
    """Whether a study's coordinator lives."""
    now = store.find_study(study.name)
    return now is not None and now.study_id == study.study_id and now.is_running
