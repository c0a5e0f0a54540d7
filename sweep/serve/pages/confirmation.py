"""What a study's page shows of its runs' repeats: who leads, what trains, what came of it, and whether more can."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweep.names import format_number
from sweep.race import REPEATS, TOP, Race, Standing
from sweep.racing import Racing, RunningRepeat
from sweep.serve.context import Service
from sweep.serve.launcher import Start
from sweep.store import RunRecord
from sweep.view.repeats import (
    drop_text,
    further,
    planned_race,
    report,
    shown_race,
    spread,
    test_lines,
)
from sweep.view.runs import objectives, rank
from sweep.view.snapshots import RunsSnapshot
from sweep.words import counted, listed

LEAST = 2
"""How many complete runs a study has that it makes sense to compare."""


@dataclass(frozen=True)
class Candidate:
    """A run in the race: what its repeats gave, the value that selected it, and why it is out, if it is."""

    standing: Standing
    value: float | None
    out: str
    leads: bool

    @property
    def number(self) -> str:
        """The run's number as its name has it."""
        return format_number(self.standing.number)


@dataclass(frozen=True)
class Confirmation:
    """The repeats of a study's runs.

    Attributes:
        possible: whether the study has runs that can be compared.
        candidates: those that have repeats, the best mean first.
        lines: what they show, in sentences; empty while more train.
        progress: what trains now, in sentences; empty where nothing does.
        problem: why the last process of this service that trained some failed.
        top, repeats: what a form would suggest.
    """

    possible: bool
    candidates: Sequence[Candidate]
    lines: Sequence[str]
    progress: Sequence[str]
    problem: str | None
    top: int
    repeats: int


def confirmation_of(service: Service, snapshot: RunsSnapshot) -> Confirmation | None:
    """What is shown of the repeats of a study's runs; None for a study of several objectives, which has none."""
    study, runs = snapshot.study, snapshot.runs
    if len(objectives(study)) > 1:
        return None
    race, begun = shown_race(study, runs), service.launcher.confirming(study.name)
    racing = snapshot.view(running=study.is_running).racing
    progress = _progress(snapshot, racing, begun)
    text, needed = further(race, spread(study, runs)) if not race.settled else ("", None)
    lines = [*report(study, runs, race), *test_lines(runs, race)] if race.standings and not progress else []
    most = max((len(one.values) for one in race.standings.values()), default=0)
    return Confirmation(
        len(rank(study, runs)) >= LEAST,
        _candidates(runs, race),
        [*lines, f"{text}."] if lines and needed is not None else lines,
        progress,
        begun.problem() if begun is not None and racing is None else None,
        max(TOP, len(race.standings)),
        max(REPEATS, needed or 0, most),
    )


def _candidates(runs: Sequence[RunRecord], race: Race) -> list[Candidate]:
    values = {run.number: run.value for run in runs}
    return [Candidate(one, values.get(one.number), drop_text(one), one is race.leader) for one in race.ranked]


def _progress(snapshot: RunsSnapshot, racing: Racing | None, begun: Start | None) -> list[str]:
    if racing is None:
        if begun is None or begun.process.poll() is not None:
            return []
        return ["The last repeats have ended." if begun.known else "A worker is loading the study file."]
    if begun is not None:
        begun.known = True
    planned = planned_race(
        snapshot.study, snapshot.runs, top=1, repeats=racing.repeats, candidates=list(racing.candidates)
    )
    done = sum(len(one.values) for one in planned.race.standings.values())
    lines = [f"{done} of at most {counted(done + planned.trainings, 'training')} have ended."]
    now = [f"{format_number(one.number)} repeat {one.repeat} ({_epoch(one)})" for one in racing.running]
    return [*lines, f"Training {listed(now, 4)}."] if now else lines


def _epoch(one: RunningRepeat) -> str:
    return f"epoch {one.epoch} of {one.epochs}" if one.epochs else f"epoch {one.epoch}"
