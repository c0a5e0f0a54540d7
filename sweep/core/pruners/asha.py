"""`asha`: pauses runs at rungs of epochs, and continues the best of those that have come so far.

Asynchronous successive halving, algorithm 2 of Li et al., "A System for Massively Parallel Hyperparameter Tuning",
MLSys 2020: a run that is not among the best at a rung is not lost, since it continues as soon as it is. Live studies
and `sweep simulate` use the same `Schedule`.
"""

import bisect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sweep.core.pruners.rule import Judge, Rule, bounds
from sweep.core.pruners.rungs import first_rung
from sweep.core.pruners.verdict import Verdict
from sweep.objective import Objective
from sweep.words import counted

FEWEST_EPOCHS = 4
"""Where a run has fewer, nothing is paused."""

TRIALS_OF_ONE = 3
"""One run of so many is COMPLETE at the end, at least: about as many epochs in all as the median pruner takes for the
same trials, where runs have 30 epochs (benchmarks/RESULTS.md)."""

FEWEST_COMPLETE = 5
"""So many runs are COMPLETE at the end, at least, or half of them: of few trials the best one is not known early."""


def rungs_for(epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """The rungs of a study whose runs train for so many epochs: a reduction factor apart, the last one before the end.

    Rung `r` is judged after `r` epochs, counted from 1. Empty where runs have less than `FEWEST_EPOCHS`.
    """
    if epochs < FEWEST_EPOCHS:
        return ()
    return tuple(sorted({max(1, round(epochs / reduction_factor**power)) for power in (1, 2, 3)} - {epochs}))


def complete_of(trials: int, *, pausable: bool = True) -> int:
    """How many runs of a study are COMPLETE at its end, at least.

    A third of its trials; of up to 15 trials, half of them or five, whichever is less. Where runs cannot be paused, so
    that the best of those that were stopped does not continue, five of them at least, or all.
    """
    few = math.ceil(trials / 2) if pausable else trials
    return max(math.ceil(trials / TRIALS_OF_ONE), min(FEWEST_COMPLETE, few))


def part_of(reduction_factor: int) -> str:
    """Which part of the runs at a rung continues, in words: `third`, or `one in 5`."""
    return {2: "half", 3: "third", 4: "quarter"}.get(reduction_factor, f"one in {reduction_factor}")


@dataclass(frozen=True)
class Asha(Rule):
    """Pauses a run that reaches a rung and is not among the best `1 / reduction_factor` that did.

    A verdict's details are the run's `rank` from 1, how many have `entered` the rung, how many `places` continue from
    there, the `reduction_factor`, and whether the run was `pausable`: else it stops for good.
    """

    name = "asha"
    help = "pauses runs at rungs of epochs, and continues the best of them: asha(rungs=[3, 9])"
    optuna = None

    reduction_factor: int = field(default=3, metadata=bounds(2))
    rungs: list[int] | None = None

    def problem(self) -> str | None:
        rungs = self.rungs
        if rungs is None:
            return None
        if not all(type(rung) is int and rung >= 1 for rung in rungs):
            return f"needs whole numbers of epochs from 1 on as rungs, not {rungs!r}"
        if sorted(set(rungs)) != list(rungs):
            return f"needs rungs that rise, not {rungs!r}"
        return None

    def in_study(self, epochs: int | None, before: Rule | None) -> Rule:  # noqa: ARG002  # the first training fixes them
        if self.rungs is not None or not isinstance(before, Asha):
            return self
        return replace(self, rungs=before.rungs)

    def judge(self, objective: Objective, judge_of: Callable[[Rule], Judge]) -> "Schedule":  # noqa: ARG002  # a Rule's
        return Schedule(self, objective)

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        details = verdict.details
        rank, entered, places = details["rank"], details["entered"], details["places"]
        best = f"the top {places} continue" if places > 1 else "the best one continues" if places else ""
        more = best or f"the best one continues when {details['reduction_factor']} have come this far"
        did = "paused" if details["pausable"] else "stopped"
        return f"{did} at epoch {verdict.epoch_index + 1}: ranked {_ordinal(rank)} of {entered} ({more})"


RULES = (Asha,)


@dataclass(frozen=True)
class RungEntry:
    """A run has entered a rung.

    Attributes:
        rung: after how many epochs.
        value: the run's best objective until then.
        continued: whether it has continued from there.
    """

    rung: int
    value: float
    continued: bool


class _Rung:
    """The runs that have entered one rung, best first; equal ones by number."""

    def __init__(self, objective: Objective) -> None:
        self._sign = -1.0 if objective.maximize else 1.0
        self._keys: dict[int, tuple[float, int]] = {}
        self._entered: list[tuple[float, int]] = []
        self._paused: list[tuple[float, int]] = []
        self.continued: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._keys

    def __len__(self) -> int:
        return len(self._entered)

    def value(self, number: int) -> float:
        """What a run entered with."""
        return self._sign * self._keys[number][0]

    def enter(self, number: int, value: float) -> None:
        """A run has come so far."""
        key = self._keys[number] = (self._sign * value, number)
        bisect.insort(self._entered, key)

    def rename(self, before: int, now: int) -> None:
        """A run that entered continues as another one."""
        key = self._keys.pop(before)
        self._entered.remove(key)
        self.continued.discard(before)
        self.enter(now, self._sign * key[0])
        self.continued.add(now)

    def rank(self, number: int) -> int:
        """A run's place among those that entered, from 0."""
        return bisect.bisect_left(self._entered, self._keys[number])

    def at(self, rank: int) -> float:
        """The value at a place, from 0."""
        return self.value(self._entered[rank][1])

    def pause(self, number: int) -> None:
        """A run waits here."""
        bisect.insort(self._paused, self._keys[number])

    def leave(self, number: int) -> None:
        """A run does not wait here any more."""
        key = self._keys[number]
        index = bisect.bisect_left(self._paused, key)
        if index < len(self._paused) and self._paused[index] == key:
            del self._paused[index]

    @property
    def best_paused(self) -> int | None:
        """The best of the runs that wait here."""
        return self._paused[0][1] if self._paused else None

    def worst_paused(self, spared: Collection[int]) -> int | None:
        """The worst of the runs that wait here and are not to be spared."""
        return next((number for _, number in reversed(self._paused) if number not in spared), None)


class Schedule(Judge):
    """Which runs of one study pause, and which of them continues next.

    A run enters a rung once, with its best value so far. It is due when it is among the best `floor(n / eta)` of the
    `n` that have entered the rung, eta being the reduction factor. Due runs continue before new trials begin, those of
    the highest rung first, and equal ones by number.

    Args:
        rule: its settings; without rungs, nothing pauses until `settle`.
        objective: what the study optimises.
    """

    def __init__(self, rule: Asha, objective: Objective) -> None:
        self.rule = rule
        self._objective = objective
        self._rungs = {epochs: _Rung(objective) for epochs in rule.rungs or ()}
        self._paused: dict[int, int] = {}  # runs that wait, with their rungs
        self._last: set[int] = set()  # runs that continue to the end
        self._verdicts: dict[int, tuple[int, Verdict]] = {}

    @property
    def rungs(self) -> tuple[int, ...]:
        """After how many epochs runs are judged; rising."""
        return tuple(self._rungs)

    @property
    def paused(self) -> Mapping[int, int]:
        """The runs that wait, by number, with the rung of each."""
        return self._paused

    def explained(self, trials: int | None, *, pausable: bool = True) -> str:
        """What the study does with its runs, in one sentence for people; its rungs are known.

        Args:
            trials: how many it begins; None where its epochs may be spent before.
            pausable: whether its runs can be paused, as far as is known.
        """
        if not self._rungs:
            return f"no run pauses, since runs have fewer than {FEWEST_EPOCHS} epochs"
        *first, last = (str(rung) for rung in self._rungs if pausable or self._stops_at(rung))
        after = f"{', '.join(first)} or {last}" if first else last
        best = part_of(self.rule.reduction_factor)
        then = "pauses, and continues when it is" if pausable else "stops there"
        whole, of = 1, ""
        if trials is not None:
            whole, of = complete_of(trials, pausable=pausable), f" of {counted(trials, 'trial')}"
        train = "trains" if whole == 1 else "train"
        return (
            f"a run that is not among the best {best} after epoch {after} {then}; at least {whole}{of} {train} to the "
            "last epoch"
        )

    def settle(self, epochs: int) -> Asha | None:
        """Derive the rungs from how long runs train, unless they are known: the rule that has them, if it is new."""
        if self.rule.rungs is not None:
            return None
        rungs = rungs_for(epochs, self.rule.reduction_factor)
        self.rule = Asha(self.rule.reduction_factor, list(rungs))
        self._rungs = {rung: _Rung(self._objective) for rung in rungs}
        return self.rule

    def restore(self, number: int, entries: Iterable[RungEntry], *, paused: bool) -> None:
        """Take over a run of an earlier start. Rungs that the study no longer has are passed over."""
        waits = None
        for entry in entries:
            rung = self._rungs.get(entry.rung)
            if rung is None or number in rung:
                continue
            rung.enter(number, entry.value)
            if entry.continued:
                rung.continued.add(number)
            else:
                waits = entry.rung
        if paused and waits is not None:
            self._wait(number, waits)

    def entries(self, number: int) -> list[RungEntry]:
        """The rungs that a run has entered."""
        return [
            RungEntry(epochs, rung.value(number), number in rung.continued)
            for epochs, rung in self._rungs.items()
            if number in rung
        ]

    def never_pause(self, number: int) -> None:
        """Have a run that trains continue to its end, whatever its rank."""
        self._last.add(number)

    def verdict(
        self, number: int, values: Mapping[int, float], *, pausable: bool = True, needed: bool = False
    ) -> Verdict | None:
        """Why a run pauses after an epoch; it has entered the rungs up to there. None if it continues.

        Args:
            number, values: as for every judge.
            pausable: whether it can. One that would have to stop for good is not judged before a tenth of its epochs,
                and continues if it is the best at its rung.
            needed: whether the study would have too few COMPLETE runs without this one; see `complete_of`.
        """
        step = max(values)
        known = self._verdicts.get(number)
        if known is not None and known[0] == step:
            return known[1]
        reached = [rung for rung in self._rungs if rung <= step + 1 and number not in self._rungs[rung]]
        for epochs in reached:
            best = self._objective.best(value for at, value in values.items() if at < epochs)
            self._rungs[epochs].enter(number, values[step] if best is None else best)
        for epochs in reached[:-1]:
            self._rungs[epochs].continued.add(number)
        if not reached:
            return None
        rung = self._rungs[reached[-1]]
        places = self._places(rung) if pausable else max(1, self._places(rung))
        spared = needed or not (pausable or self._stops_at(reached[-1]))
        if spared or number in self._last or rung.rank(number) < places:
            rung.continued.add(number)
            return None
        verdict = self._verdict(rung, number, step, places, pausable=pausable)
        self._verdicts[number] = step, verdict
        return verdict

    def standing(self, number: int) -> Verdict:
        """Why a paused run has not continued until now."""
        epochs = self._paused[number]
        rung = self._rungs[epochs]
        return self._verdict(rung, number, epochs - 1, self._places(rung), pausable=True)

    def _verdict(self, rung: _Rung, number: int, step: int, places: int, *, pausable: bool) -> Verdict:
        details = {"rank": rung.rank(number) + 1, "entered": len(rung), "places": places, "pausable": pausable}
        details["reduction_factor"] = self.rule.reduction_factor
        threshold = rung.at(places - 1) if places else None
        value = rung.value(number)
        return Verdict("asha", self._objective.name, value, step, threshold, len(rung) - 1, details)

    def pause(self, number: int) -> None:
        """A run that was to pause does: it waits at the highest rung that it has entered."""
        self._wait(number, max(rung for rung in self._rungs if number in self._rungs[rung]))

    def _wait(self, number: int, epochs: int) -> None:
        self._paused[number] = epochs
        self._rungs[epochs].pause(number)

    def proceed(self, number: int, *, to_the_end: bool = False) -> None:
        """A run continues from the rung at which it waits; `to_the_end`: and pauses no more."""
        self.leave(number)
        if to_the_end:
            self._last.add(number)
        for rung in self._rungs.values():
            if number in rung:
                rung.continued.add(number)

    def leave(self, number: int) -> None:
        """A run waits no longer. What it has entered still counts for others."""
        self._verdicts.pop(number, None)
        epochs = self._paused.pop(number, None)
        if epochs is not None:
            self._rungs[epochs].leave(number)

    def next(
        self,
        *,
        running: Collection[int],
        new: bool,
        trials: int,
        complete: int,
        epochs: Callable[[int], int],
        left: int | None = None,
        spent: bool = False,
    ) -> tuple[int, bool] | None:
        """The paused run that continues now, and whether it pauses no more; None where none does, or a trial begins.

        First the one that the last epochs are for, then one that is due, then a new trial. When all trials have begun
        and none that runs may pause any more, the best ones continue to the end until enough runs are COMPLETE.

        Args:
            running: the trials that have neither ended nor paused.
            new: whether a new trial may begin.
            trials: how many the study begins, by which `complete_of` says how many are to be COMPLETE.
            complete: how many are.
            epochs: how many a run has, by its number.
            left: how many epochs the study may still spend; None without a limit.
            spent: whether nothing continues but what makes enough runs COMPLETE.
        """
        last = self._closing(left, epochs, complete, len(running)) if left is not None else None
        if last is not None:
            return last, True
        due = None if spent else self.due()
        if due is not None:
            return due, False
        if new or not all(number in self._last for number in running):
            return None
        enough = complete + len(running) >= complete_of(trials)
        last = None if enough else self.best_paused()
        return None if last is None else (last, True)

    def take_over(self, before: int, now: int) -> None:
        """A run continues as another one, which is in its place at every rung from now on."""
        self.leave(before)
        for rung in self._rungs.values():
            if before in rung and now not in rung:
                rung.rename(before, now)
        if before in self._last:
            self._last.add(now)

    def due(self) -> int | None:
        """The paused run that is among the best at its rung; None if there is none."""
        for rung in reversed(self._rungs.values()):
            number = rung.best_paused
            if number is not None and self._is_due(rung, number):
                return number
        return None

    def best_paused(self) -> int | None:
        """The paused run that is best at the highest rung."""
        found = (rung.best_paused for rung in reversed(self._rungs.values()))
        return next((number for number in found if number is not None), None)

    def worst_paused(self, spared: Collection[int]) -> int | None:
        """The paused run that is worst at the lowest rung, of those that are not to be spared."""
        found = (rung.worst_paused(spared) for rung in self._rungs.values())
        return next((number for number in found if number is not None), None)

    def _closing(self, left: int, epochs: Callable[[int], int], complete: int, running: int) -> int | None:
        """The paused run that continues to the end, where the epochs left would otherwise buy no COMPLETE run."""
        best = self.best_paused()
        if best is None or complete or (running and self._last):
            return None
        # While a whole run's epochs are left, another one may train: if it leads when it pauses, it can be completed.
        # Those that run already may each train up to the last rung before they pause.
        may_be_spent = running * max(self._rungs)
        return best if epochs(best) - self._paused[best] <= left < epochs(best) + may_be_spent else None

    def _places(self, rung: _Rung) -> int:
        """How many continue from a rung by now."""
        return len(rung) // self.rule.reduction_factor

    def _stops_at(self, rung: int) -> bool:
        """Whether a rung stops runs that cannot be paused. Those before a tenth of a run's epochs do not."""
        return rung >= first_rung(max(self._rungs) * self.rule.reduction_factor)

    def _is_due(self, rung: _Rung, number: int) -> bool:
        return number not in rung.continued and rung.rank(number) < self._places(rung)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
