"""What the repeats of a study's runs show: the race between them, and how to say it.

The race is made anew from the repeats there are, whoever asks, so that nothing of it has to be kept.
"""

import math
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import StudyError, SweepError
from sweep.names import format_number, short_number
from sweep.race import LEVEL, TEST, Race, Standing, replayed
from sweep.store import RepeatRecord, RunRecord, StudyRecord
from sweep.view.cells import duration
from sweep.view.runs import finite, objective, rank
from sweep.words import counted, listed

_DECIMALS = 8
_MOST = 1000  # repeats that anybody is told to train

NEAR = 0.1
"""What does not matter: a difference between two runs in standard deviations of the study's runs."""

BEST, CONFIRMED = "best", "confirmed"
"""By what the best runs of a study are meant in `STUDY:best` and `STUDY:confirmed`: their values, or their means."""


def race_of(
    study: StudyRecord,
    runs: Iterable[RunRecord],
    candidates: Iterable[int] = (),
    *,
    repeats: int | None = None,
    close: float | None = None,
) -> Race:
    """The race between the runs that have repeats with fresh seeds, which it counts from 1, and further candidates.

    Args:
        candidates: trial numbers in the order in which they train.
        repeats: how often each trains at most; by default as often as it has.
        close: see `Race`.
    """
    found, behind = {run.number: run.fresh for run in runs if run.fresh}, study.declaration.first_fresh - 1
    results = {(one.repeat_of, one.repeat - behind): one.value for repeats in found.values() for one in repeats}
    most = max((repeat for _, repeat in results), default=1) if repeats is None else repeats
    numbers = list(dict.fromkeys([*candidates, *found]))
    race = Race(numbers, maximize=objective(study).maximize, repeats=most, close=close)
    return replayed(race, results)


@dataclass(frozen=True)
class PlannedRace:
    """A race between a study's best runs, before or while it is trained.

    Attributes:
        runs: the candidates, the best value first.
        race: has what is known by now.
    """

    study: StudyRecord
    runs: Sequence[RunRecord]
    race: Race

    @property
    def left(self) -> dict[int, int]:
        """How often each candidate that is not out may still train, by number."""
        most = self.race.repeats if not self.race.over else 0
        return {one.number: max(0, most - len(one.values)) for one in self.race.left}

    @property
    def trainings(self) -> int:
        """How many trainings are left, at most."""
        return sum(self.left.values())

    @property
    def epochs(self) -> int:
        """How many epochs these have, where each has as many as its run had."""
        left = self.left
        return sum(run.epoch * left.get(run.number, 0) for run in self.runs)

    @property
    def seconds(self) -> float:
        """How long one worker takes for them, where each takes as long as its run did."""
        left = self.left
        return sum((run.duration or 0.0) * left.get(run.number, 0) for run in self.runs)

    def __str__(self) -> str:
        return (
            f"{counted(self.trainings, 'training')} at most: {counted(self.epochs, 'epoch')}, "
            f"{duration(self.seconds)} of one worker by the time that they took at first"
        )

    def as_object(self) -> dict[str, Any]:
        """The same as JSON."""
        left = self.left
        return {
            "study": self.study.name,
            "candidates": [
                {
                    "number": run.number,
                    "name": run.name,
                    "value": finite(run.value),
                    "trainings": left.get(run.number, 0),
                }
                for run in self.runs
            ],
            "trainings": self.trainings,
            "epochs": self.epochs,
            "seconds": self.seconds,
        }


def planned_race(
    study: StudyRecord, runs: Sequence[RunRecord], *, top: int, repeats: int, candidates: Sequence[int] = ()
) -> PlannedRace:
    """The race between a study's best runs by value.

    Args:
        runs: all of the study.
        top: how many race.
        repeats: how often each of them trains at most.
        candidates: the numbers of those that race, where they are chosen already.

    Raises:
        SweepError: the study has several objectives, or no complete run.
    """
    ranked = rank(study, runs)
    chosen = [run for run in ranked if run.number in candidates] if candidates else ranked[:top]
    if not chosen:
        raise SweepError(f"Study {study.name} has no complete run yet, so there is nothing to confirm.")
    numbers = [run.number for run in chosen]
    return PlannedRace(study, chosen, race_of(study, chosen, numbers, repeats=repeats, close=_close(study, runs)))


def shown_race(study: StudyRecord, runs: Sequence[RunRecord]) -> Race:
    """The race between all runs of a study that have repeats, as whoever trained them has seen it end."""
    return race_of(study, runs, close=_close(study, runs))


def _close(study: StudyRecord, runs: Sequence[RunRecord]) -> float | None:
    """A difference that does not matter in a study; None where it is not known."""
    sd = spread(study, runs)
    return NEAR * sd if sd is not None else None


def confirmed(study: StudyRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that have repeats, the best mean first; those that others have beaten, or that failed, come last."""
    by_number = {run.number: run for run in runs}
    return [by_number[one.number] for one in race_of(study, runs).ranked if one.mean is not None]


def ranked_runs(study: StudyRecord, runs: Sequence[RunRecord], which: str) -> list[RunRecord]:
    """A study's runs, the best first: by their values (`best`), or by the means of their repeats (`confirmed`).

    Raises:
        StudyError: there is none yet.
        SweepError: the study has several objectives.
    """
    by_value = rank(study, runs)
    if not by_value:
        raise StudyError(f"Study {study.name} has no complete run yet, so it has no best one.")
    found = by_value if which == BEST else confirmed(study, runs)
    if not found:
        raise StudyError(
            f"No run of study {study.name} has been confirmed.", f"Run: sweep confirm {shlex.quote(study.name)}"
        )
    return found


def order_differs(study: StudyRecord, runs: Sequence[RunRecord]) -> str | None:
    """That repeats have put another run first than the values do, in a sentence; None where they have not."""
    if not any(run.fresh for run in runs):
        return None
    race, by_value = race_of(study, runs), [run for run in rank(study, runs) if run.fresh]
    leader = race.leader
    if leader is None or not by_value or by_value[0].number == leader.number:
        return None
    lucky = race.standings[by_value[0].number]
    name, other = format_number(leader.number), format_number(lucky.number)
    mean = f"mean {short_number(lucky.mean)}" if lucky.mean is not None else "whose repeat gave no number"
    how = "is the best" if race.confirmed else "leads"
    return (
        f"By fresh seeds {name} {how}: {measured(leader)}, before {other}, {mean}. It is {study.name}:{CONFIRMED} in "
        "sweep.load, --from and sweep best."
    )


def spread(study: StudyRecord, runs: Sequence[RunRecord]) -> float | None:
    """The standard deviation of the complete runs' values, from their quartiles; None where it is not known or 0."""
    values = sorted(run.value for run in rank(study, runs) if run.value is not None)
    if len(values) < 4:
        return None
    quarter = [_quantile(values, part) for part in (0.25, 0.75)]
    sd = (quarter[1] - quarter[0]) / 1.349
    return sd if 0 < sd < float("inf") else None


def _quantile(values: Sequence[float], part: float) -> float:
    place = part * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def report(study: StudyRecord, runs: Sequence[RunRecord], race: Race) -> list[str]:
    """What a race has shown, in a few sentences: the leader, what the best value was worth, and by which test."""
    leader, by_number = race.leader, {run.number: run for run in runs}
    if leader is None:
        return ["No run has a repeat that gave a number."]
    lines = [f"{format_number(leader.number)}: {measured(leader)}."]
    first = next((run.number for run in rank(study, runs) if run.number in race.standings), None)
    lucky = race.standings[first] if first is not None else leader
    if lucky is not leader:
        lines[0] += f" {_luck(lucky, by_number[lucky.number], study)}"
    if (found := _found(race, leader)) is not None:
        lines.append(found)
    lines += [_failed(one, by_number[one.number]) for one in race.standings.values() if one.failed is not None]
    return lines


def measured(one: Standing) -> str:
    """A candidate's mean, standard deviation and number of repeats: `mean 0.611, sd 0.004 (n = 5)`."""
    if one.mean is None:
        return "no repeat that gave a number"
    return said(one.mean, one.sd, len(one.numbers))


def said(mean: float, sd: float | None, n: int) -> str:
    """A mean with as many decimals as two digits of its standard deviation have."""
    if not sd:
        return f"mean {short_number(mean)}{', sd 0' if sd == 0 else ''} (n = {n})"
    decimals = max(0, 1 - math.floor(math.log10(sd)))
    if decimals > _DECIMALS:
        return f"mean {mean:.{_DECIMALS}g}, sd {sd:.2g} (n = {n})"
    return f"mean {mean:.{decimals}f}, sd {sd:.{decimals}f} (n = {n})"


def _luck(one: Standing, run: RunRecord, study: StudyRecord) -> str:
    """What became of the run with the best value."""
    name, value = format_number(one.number), short_number(run.value) if run.value is not None else "value"
    if one.mean is None:
        return f"{name}'s {value} was not reached again: its repeat gave no number."
    mean = short_number(one.mean)
    if objective(study).better(run.value, one.mean):
        return f"{name}'s {value} was luck: its mean is {mean}."
    return f"{name}, which had the best value, {value}, has a mean of {mean}."


def _found(race: Race, leader: Standing) -> str | None:
    """Whether the leader is shown to be the best."""
    name = format_number(leader.number)
    others = [one for one in race.left if one is not leader]
    if race.confirmed:
        drops = [one.drop for one in race.standings.values() if one.drop is not None]
        worst = max(drops, key=lambda drop: drop.p / drop.level)
        return (
            f"Confirmed: {name} is better than {_all_others(race)} ({TEST}, in all {LEVEL:.0%}; the closest has "
            f"p = {worst.p:.2g} of {worst.level:.2g} after {worst.pairs} pairs)."
        )
    if len(race.standings) == 1:
        return None
    if race.unmoved:
        return "Seeds change nothing: every repeat of a run gave the same value, so there is nothing to test."
    left = listed([format_number(one.number) for one in others])
    if race.is_close:
        return f"{name} is a tenth of the runs' standard deviation from the best at most; {left} may be as good."
    if not others:
        return None
    return f"Not confirmed: {name} leads, but {left} cannot be told from it by {TEST}, in all {LEVEL:.0%}."


def further(race: Race, sd: float | None) -> tuple[str, int | None]:
    """What more repeats would be good for where no run is confirmed, and how many would probably be enough.

    Args:
        sd: the standard deviation of the study's runs, if it is known.
    """
    leader = race.leader
    rivals = [one for one in race.left if one is not leader and one.mean is not None]
    if leader is None or leader.mean is None or not rivals:
        return "", None
    rival = min(rivals, key=lambda one: abs((one.mean or 0.0) - (leader.mean or 0.0)))
    gap, names = abs((rival.mean or 0.0) - leader.mean), [format_number(one.number) for one in (leader, rival)]
    if sd is None or gap > NEAR * sd:
        needed = race.needed(leader.number, rival.number)
        what = f"If {names[1]} is as much worse as it seems, about {{}} will show it"
    else:
        known = [race.needed(leader.number, one.number, within=NEAR * sd) for one in rivals]
        needed = max(count or _MOST for count in known)
        share = f"{gap / sd:.2g} of the standard deviation of the study's runs"
        what = f"The means of {' and '.join(names)} differ by {share}. About {{}} would show that either will do"
    if needed is None or needed >= _MOST:
        return "", None
    return what.format(counted(needed, "repeat")), needed


def _all_others(race: Race) -> str:
    count = len(race.standings) - 1
    return "the other one" if count == 1 else f"the {count} others"


def _failed(one: Standing, run: RunRecord) -> str:
    why = next((repeat.reason for repeat in run.fresh if repeat.value is None), None)
    return f"{format_number(one.number)} is out: its repeat {one.failed} gave no number{f' ({why})' if why else ''}."


def drop_text(one: Standing) -> str:
    """Why a candidate is out; empty where it is not."""
    if one.drop is not None:
        return f"worse than {format_number(one.drop.by)}, p = {one.drop.p:.2g}"
    return f"repeat {one.failed} failed" if one.failed is not None else ""


def race_object(study: StudyRecord, runs: Sequence[RunRecord], race: Race) -> dict[str, Any]:
    """A race as JSON, with what the study file's `test` found for the leader."""
    leader, by_number = race.leader, {run.number: run for run in runs}
    return {
        "study": study.name,
        "test": TEST,
        "level": LEVEL,
        "leader": leader.number if leader is not None else None,
        "confirmed": race.confirmed,
        "close": race.is_close,
        "pairs": race.pairs,
        "candidates": [
            {
                "number": one.number,
                "name": by_number[one.number].name,
                "value": finite(by_number[one.number].value),
                "mean": one.mean,
                "sd": one.sd,
                "n": len(one.numbers),
                "dropped": vars(one.drop) if one.drop is not None else None,
                "failed": one.failed,
            }
            for one in race.ranked
        ],
        "tests": test_results(runs, race),
    }


def tests(repeats: Iterable[RepeatRecord]) -> Mapping[str, list[float]]:
    """What the study file's `test` returned for each repeat's model, by name."""
    found: dict[str, list[float]] = {}
    for one in repeats:
        for name, value in (one.test or {}).items():
            found.setdefault(name, []).append(value)
    return found


def test_results(runs: Sequence[RunRecord], race: Race) -> dict[str, dict[str, float | int | None]]:
    """What the tests of the leader's repeats gave, by name: `mean`, `sd` (None below two) and `n`."""
    leader = race.leader
    repeats = next((run.fresh for run in runs if leader is not None and run.number == leader.number), ())
    return {
        name: {
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "n": len(values),
        }
        for name, values in tests(repeats).items()
    }


def test_lines(runs: Sequence[RunRecord], race: Race) -> list[str]:
    """What the tests of the leader's repeats gave, each in a sentence."""
    if race.leader is None:
        return []
    winner = format_number(race.leader.number)
    return [
        f"{name} of {winner}: {said(found['mean'] or 0.0, found['sd'], int(found['n'] or 0))}, "
        "on data that no choice has seen"
        for name, found in test_results(runs, race).items()
    ]
