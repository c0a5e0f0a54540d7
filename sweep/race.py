"""A race between a study's best runs, trained again with fresh seeds: who trains next, who is out, and who is best.

The k-th repeat of every candidate has the same seed, so that candidates are compared in pairs. After some rounds, the
*looks*, each candidate that has trained so far is compared with each other one by a one-sided paired t-test of the
differences (Student 1908), which can reach any level with five pairs; a two-sided Wilcoxon test cannot go below 1/16.

With m candidates, a look at n pairs may call the best one worse than another with probability `level` * share(n) /
(2 (m - 1)): by Bonferroni over the m - 1 others, twice, since two runs may be equally good. The shares of all looks,
however many there will be, add up to 1. So a race may be continued with more repeats at any time, and `level` holds.

Where no number of repeats is given, a race goes by the noise: each candidate trains `FIRST` times, and from then on
either the one with the best mean trains or the one that is most likely to be better, whichever is known less well. For
this the repeats of a candidate are taken as normal, with a variance between its own and that of all (`PRIOR`), and the
difference of two means as Student's t. The race ends when the *risk* is at most `RISK`: the sum over the others of the
probability that one is better than the leader by more than what does not matter. That is a model, checked by simulation
(`benchmarks.confirm`), and no test; a quiet study is done after few trainings, a noisy one has more, up to a budget.

The value that selected a run is no part of the race: it is the luckiest of many.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

TEST = "one-sided paired t-tests, Bonferroni over candidates and looks"
"""What the report calls the test."""

TOP, MOST_TOP = 10, 100
"""How many runs race where nobody says it, and at most."""

MOST_REPEATS = 9999
"""How often a candidate may train at most."""

BUDGET_EACH = 10
"""How many trainings for each candidate a race that goes by the noise has in all where nobody says it."""

MOST_BUDGET = MOST_TOP * MOST_REPEATS
"""How many trainings it may have in all."""

FIRST = 2
"""How often each candidate trains before the noise is known."""

LEAST = 5
"""How often the leader has trained when a race that goes by the noise ends."""

RISK = 0.05
"""The probability, by the model, that another candidate is better than the leader by more than what does not matter."""

_ENOUGH_ALIKE = 4  # how many repeats have to be like the first ones of their runs for seeds to change nothing

PRIOR = 4
"""How many degrees of freedom the variance of all repeats counts for in that of one candidate."""

LEVEL = 0.05
"""The probability that a race confirms a run that is not the best."""

CLOSE_LEVEL = 0.1
"""The probability that a run called close to the best is further from it."""

FIRST_SHARES = {3: 0.05, 4: 0.15, 5: 0.55}
"""The shares of the first looks, by their number of pairs; most for the one at which a race usually ends."""


LATER_SHARE = 1 - sum(FIRST_SHARES.values())
"""The share of all later looks together."""


@dataclass(frozen=True)
class Drop:
    """Why a candidate is out: another one was better, by the test.

    Attributes:
        by: the other one.
        pairs: how many repeats of both were compared.
        p: the probability of such a difference or a larger one between equals.
        level: what `p` had to be at most.
    """

    by: int
    pairs: int
    p: float
    level: float


@dataclass
class Standing:
    """A candidate: its trial number, what its repeats gave, and whether it is out.

    Attributes:
        values: by repeat, counted from 1; None where `train` returned no finite number.
        failed: the first such repeat; the candidate is out then.
        numbers: the values of the repeats that gave one, by repeat.
        mean: over these; None without one.
    """

    number: int
    values: dict[int, float | None] = field(default_factory=dict, init=False)
    drop: Drop | None = None
    failed: int | None = None
    numbers: list[float] = field(default_factory=list, init=False)
    mean: float | None = field(default=None, init=False)

    def record(self, repeat: int, value: float | None) -> None:
        """Enter what a repeat gave."""
        self.values[repeat] = value
        if value is None:
            self.failed = min(repeat, self.failed or repeat)
        self.numbers = [found for _, found in sorted(self.values.items()) if found is not None]
        self.mean = statistics.fmean(self.numbers) if self.numbers else None

    @property
    def sd(self) -> float | None:
        """The standard deviation of its repeats, n - 1 in the denominator; None below two."""
        return statistics.stdev(self.numbers) if len(self.numbers) > 1 else None

    def first(self, pairs: int) -> list[float] | None:
        """The values of its first repeats; None where one is missing or gave no number."""
        if len(self.values) < pairs:
            return None
        found = [self.values.get(repeat) for repeat in range(1, pairs + 1)]
        return [value for value in found if value is not None] if None not in found else None

    def missing(self, most: int, running: Collection[tuple[int, int]]) -> int | None:
        """The first repeat up to `most` that is neither done nor running; None if there is none."""
        done = len(self.values)
        first = done + 1 if max(self.values, default=0) == done else 1
        wanted = range(first, most + 1)
        return next((one for one in wanted if one not in self.values and (self.number, one) not in running), None)


class Race:
    """A race.

    Args:
        candidates: trial numbers, in the order in which they train.
        maximize: whether a higher value is better.
        repeats: how often a candidate trains at most.
        budget: go by the noise, with so many trainings in all at most; None trains all that are left equally often.
        close: what does not matter: end the race when the leader is at most this far from the best, even if others may
            be as good; in turn, after the usual five pairs. None ends it only when one leads.
        level: the probability that a run is confirmed which is not the best.

    Attributes:
        standings: the candidates by number.
        pairs: at how many pairs the last look was; 0 before the first.
        confirmed: whether all others are out, one of them at least by the test.
        is_close: whether the leader is known to be close to the best.
    """

    def __init__(
        self,
        candidates: Sequence[int],
        *,
        maximize: bool,
        repeats: int = 5,
        budget: int | None = None,
        close: float | None = None,
        level: float = LEVEL,
    ) -> None:
        self.standings = {number: Standing(number) for number in candidates}
        self.maximize = maximize
        self.repeats = repeats
        self.budget = budget
        self.pairs = 0
        self.is_close = False
        self._sign = -1.0 if maximize else 1.0
        self.close = close
        self._level = level
        self._looks = looks()
        self._look, self._share = next(self._looks)
        self._risk: float | None = None
        self._risk_is_old = True

    def record(self, number: int, repeat: int, value: float | None) -> None:
        """Enter what a repeat gave, and look where it is time; None or a value that is not finite is a failure."""
        finite = value is not None and math.isfinite(value)
        self.standings[number].record(repeat, value if finite else None)
        self._risk_is_old = True
        while self._is_ready():
            self._compare()

    def next(self, running: Collection[tuple[int, int]] = ()) -> tuple[int, int] | None:
        """The candidate and its repeat that should train next; None if none should.

        Workers that would wait for a look train later repeats of those that are left.

        Args:
            running: those that train already.
        """
        if self.over:
            return None
        if self.budget is not None:
            return self._next_by_noise(self.budget, running)
        return self._in_turn(self.repeats, running)

    def _in_turn(self, most: int, running: Collection[tuple[int, int]]) -> tuple[int, int] | None:
        """The first repeat up to `most` that one of those that are left has not."""
        wanted = [(one.missing(most, running), one.number) for one in self.left]
        found = [(repeat, number) for repeat, number in wanted if repeat is not None]
        repeat, number = min(found, key=lambda item: item[0], default=(None, None))  # of equal ones the first
        return (number, repeat) if number is not None and repeat is not None else None

    def _next_by_noise(self, budget: int, running: Collection[tuple[int, int]]) -> tuple[int, int] | None:
        """The candidate whose next repeat tells most; None where none should train, or what runs has to end first."""
        going = {one.number: sum(number == one.number for number, _ in running) for one in self.standings.values()}
        if sum(len(one.values) + going[one.number] for one in self.standings.values()) >= budget:
            return None
        if (first := self._in_turn(min(FIRST, self.repeats), running)) is not None:
            return first
        leader, odds = self.leader, self.odds(going)
        alone = len(self.standings) == 1
        if leader is None or (odds is None and not alone):
            return None
        if odds is None or self.is_sure:
            order = [leader] if len(leader.values) + going[leader.number] < LEAST else []
        else:
            by_odds = sorted(odds, key=lambda number: -odds[number])
            rivals = [self.standings[number] for number in by_odds]
            order = (
                [leader, *rivals] if self._learns_more(leader, rivals[0], going) else [rivals[0], leader, *rivals[1:]]
            )
        found = ((one.number, one.missing(self.repeats, running)) for one in order)
        return next(((number, repeat) for number, repeat in found if repeat is not None), None)

    def _learns_more(self, one: Standing, other: Standing, going: Mapping[int, int]) -> bool:
        """Whether a further repeat lessens the variance of one mean by at least as much as that of another."""
        pooled = self._pooled()
        gains = []
        for each in (one, other):
            n = len(each.numbers) + going[each.number]
            gains.append(_variance(each.numbers, pooled) / (n * (n + 1)))
        return gains[0] >= gains[1]

    def odds(self, going: Mapping[int, int] | None = None) -> dict[int, float] | None:
        """The probability, by the model, that each other one is better than the leader by more than `close`, by number.

        None where the noise is not known yet: one that is left has less than two repeats.

        Args:
            going: how many more repeats of each are to be thought of as ended, with a mean as it is.
        """
        left, leader = self.left, self.leader
        if leader is None or len(left) < 2 or any(len(one.numbers) < FIRST for one in left):
            return None
        pooled, found = self._pooled(), {}
        freedom = sum(len(one.numbers) - 1 for one in left)
        means = {one.number: self._sign * (one.mean or 0.0) for one in left}
        variances = {
            one.number: _variance(one.numbers, pooled) / (len(one.numbers) + (going[one.number] if going else 0))
            for one in left
        }
        for one in left:
            if one is not leader:
                gap = means[one.number] - means[leader.number] + (self.close or 0.0)
                sd = math.sqrt(variances[one.number] + variances[leader.number])
                if sd == 0:
                    found[one.number] = 0.5 if gap == 0 else float(gap < 0)
                else:
                    tail = upper_tail(abs(gap) / sd, freedom) if gap else 0.5
                    found[one.number] = tail if gap >= 0 else 1 - tail
        return found

    def _pooled(self) -> float:
        """The variance of a repeat, over all that are left."""
        squares = [math.fsum((value - (one.mean or 0.0)) ** 2 for value in one.numbers) for one in self.left]
        freedom = sum(len(one.numbers) - 1 for one in self.left)
        return math.fsum(squares) / freedom if freedom else 0.0

    @property
    def risk(self) -> float | None:
        """The probability, by the model and at most, that another one is better than the leader by more than `close`.

        None where it is not known yet.
        """
        if self._risk_is_old:
            odds = self.odds()
            self._risk = min(1.0, math.fsum(odds.values())) if odds is not None else None
            self._risk_is_old = False
        return self._risk

    @property
    def is_sure(self) -> bool:
        """Whether the risk is small."""
        risk = self.risk
        return risk is not None and risk <= RISK

    @property
    def trainings(self) -> int:
        """How many repeats have ended."""
        return sum(len(one.values) for one in self.standings.values())

    @property
    def most(self) -> int:
        """How many repeats there may be in all."""
        every = len(self.standings) * self.repeats
        return every if self.budget is None else min(every, self.budget)

    @property
    def left(self) -> list[Standing]:
        """The candidates that are not out."""
        return [one for one in self.standings.values() if one.drop is None and one.failed is None]

    @property
    def ranked(self) -> list[Standing]:
        """The candidates by their means, best first: those that are left, those that are out, those that failed.

        Among those that are left, one with less than half of the repeats that another has comes last.
        """
        most = max((len(one.numbers) for one in self.left), default=0)

        def place(one: Standing) -> tuple[bool, bool, bool, float]:
            mean = math.inf if one.mean is None else self._sign * one.mean
            return one.failed is not None, one.drop is not None, 2 * len(one.numbers) < most, mean

        return sorted(self.standings.values(), key=place)

    @property
    def leader(self) -> Standing | None:
        """The best mean among those that are left."""
        return next((one for one in self.ranked if one in self.left and one.mean is not None), None)

    @property
    def confirmed(self) -> bool:
        """Whether the leader is shown to be the best: the test has put out every other one that did not fail."""
        return len(self.left) == 1 and any(one.drop is not None for one in self.standings.values())

    @property
    def unmoved(self) -> bool:
        """Whether seeds change nothing: each that is left has given the same value every time."""
        left = self.left
        if len(left) < 2 or sum(len(one.numbers) - 1 for one in left) < _ENOUGH_ALIKE:
            return False
        return all(len(one.numbers) > 1 and len(set(one.numbers)) == 1 for one in left)

    @property
    def settled(self) -> bool:
        """Whether a run is known to be the best, or as good as the best."""
        return self.confirmed or self.is_close or self.is_sure

    @property
    def over(self) -> bool:
        """Whether more repeats would not change what is known; those that train may end."""
        if (len(self.left) < 2 and self._has_begun) or self.is_close or self.unmoved:
            return True
        if self.budget is None:
            return False
        return self.trainings >= self.most or (self.is_sure and self._leads_by_enough)

    @property
    def _leads_by_enough(self) -> bool:
        leader = self.leader
        return leader is not None and len(leader.numbers) >= min(LEAST, self.repeats)

    @property
    def _has_begun(self) -> bool:
        """Whether each that is left has its first repeat: a race of one candidate trains as many as it may."""
        alone = len(self.standings) == 1
        enough = self.repeats if self.budget is None else min(LEAST, self.most)
        return all(len(one.numbers) >= (enough if alone else 1) for one in self.left)

    def needed(self, leader: int, rival: int, *, within: float = 0.0, most: int = 1000) -> int | None:
        """After how many repeats a rival will be known to be worse than the leader, if their differences go on as now.

        None where they have no spread, or where it would take more than `most`.

        Args:
            within: it is enough to know that the rival is no better by as much; see `close`.
        """
        pairs = min(len(self.standings[one].values) for one in (leader, rival))
        ours, theirs = self.standings[leader].first(pairs), self.standings[rival].first(pairs)
        if ours is None or theirs is None or pairs < 2:
            return None
        gaps = [self._sign * gap + within for gap in _less(theirs, ours)]
        mean, spread = statistics.fmean(gaps), statistics.stdev(gaps)
        if mean <= 0 or spread == 0:
            return None
        for count, share in looks():
            if count > most:
                return None
            level = self._level_of_close(share) if within else self._level_of_drop(share)
            late = count > pairs and (not within or count > max(FIRST_SHARES))
            if late and upper_tail(mean * math.sqrt(count) / spread, count - 1) <= level:
                return count
        return None

    def _level_of_drop(self, share: float) -> float:
        return self._level * share / (2 * (len(self.standings) - 1))

    def _level_of_close(self, share: float) -> float:
        return CLOSE_LEVEL * share / LATER_SHARE / (len(self.standings) - 1)

    def _is_ready(self) -> bool:
        if self.is_close or len(self.left) < 2:
            return False
        return all(one.first(self._look) is not None for one in self.left)

    def _compare(self) -> None:
        """Compare those that are left with each other by their first repeats."""
        found = [(one, one.first(self._look)) for one in self.left]
        taking = {one.number: [self._sign * value for value in values] for one, values in found if values is not None}
        self.pairs = self._look
        each = self._level_of_drop(self._share)
        for number, values in taking.items():
            against = {other: p_value(_less(values, theirs)) for other, theirs in taking.items() if other != number}
            by = min(against, key=lambda other: against[other])
            if against[by] <= each:
                self.standings[number].drop = Drop(by, self._look, against[by], each)
        left = {number: values for number, values in taking.items() if self.standings[number].drop is None}
        if self.close is not None and len(left) > 1 and self._look > max(FIRST_SHARES):
            best = min(left, key=lambda number: math.fsum(left[number]))
            enough = self._level_of_close(self._share)
            rivals = [values for number, values in left.items() if number != best]
            apart = [[gap + self.close for gap in _less(values, left[best])] for values in rivals]
            self.is_close = all(p_value(gaps) <= enough for gaps in apart)
        self._look, self._share = next(self._looks)


def looks() -> Iterator[tuple[int, float]]:
    """At how many pairs a race looks, each with its share of the level; the shares add up to 1, without end."""
    yield from FIRST_SHARES.items()
    pairs, place = max(FIRST_SHARES), 0
    while True:
        pairs, place = max(pairs + 1, round(1.2 * pairs)), place + 1
        yield pairs, LATER_SHARE * 6 / (math.pi * place) ** 2


def p_value(differences: Sequence[float]) -> float:
    """The one-sided paired t-test: how likely a mean as high as that of these differences is where the true one is 0.

    Differences without any spread, to which a t-test cannot apply, are taken by their signs: 2**-n.
    """
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = math.fsum((one - mean) ** 2 for one in differences)
    if mean <= 0:
        return 1.0
    if math.sqrt(spread) <= 1e-12 * mean:
        return 2.0**-n
    return upper_tail(mean * math.sqrt(n * (n - 1) / spread), n - 1)


def upper_tail(t: float, freedom: int) -> float:
    """The probability that Student's t exceeds `t` > 0: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for k in range(odd, freedom - 1, 2):  # the powers of the cosine are `k`, up to freedom - 2
        total += term
        term *= cosine * (k + 1) / (k + 2)
    inside = math.sin(angle) * total
    inside = 2 / math.pi * (angle + inside) if odd else inside
    return max(0.0, (1 - inside) / 2)


def _variance(values: Sequence[float], pooled: float) -> float:
    """The variance of a candidate's repeats, drawn to that of all."""
    mean = math.fsum(values) / len(values)
    return (PRIOR * pooled + math.fsum((value - mean) ** 2 for value in values)) / (PRIOR + len(values) - 1)


def _less(worse: Sequence[float], better: Sequence[float]) -> list[float]:
    """By how much values exceed others, pair by pair."""
    return [one - other for one, other in zip(worse, better, strict=True)]


def replayed(race: Race, results: Mapping[tuple[int, int], float | None]) -> Race:
    """A race with what repeats gave, by candidate and repeat; others than its candidates are left out."""
    for (number, repeat), value in sorted(results.items(), key=lambda item: item[0][1]):
        if number in race.standings:
            race.record(number, repeat, value)
    return race
