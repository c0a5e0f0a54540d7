"""A race between a study's best runs, trained again with fresh seeds: who trains next, who is out, and who is best.

The k-th repeat of every candidate has the same seed, so that candidates are compared in pairs. After some rounds, the
*looks*, each candidate that has trained so far is compared with each other one by a one-sided paired t-test of the
differences (Student 1908), which can reach any level with five pairs; a two-sided Wilcoxon test cannot go below 1/16.

With m candidates, a look at n pairs may call the best one worse than another with probability `level` * share(n) /
(2 (m - 1)): by Bonferroni over the m - 1 others, twice, since two runs may be equally good. The shares of all looks,
however many there will be, add up to 1. So a race may be continued with more repeats at any time, and `level` holds.

The value that selected a run is no part of the race: it is the luckiest of many.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

TEST = "one-sided paired t-tests, Bonferroni over candidates and looks"
"""What the report calls the test."""

TOP, MOST_TOP = 5, 100
"""How many runs race where nobody says it, and at most."""

REPEATS, MOST_REPEATS = 5, 9999
"""How often each of them trains at most where nobody says it, and how often anybody may say."""

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
    """

    number: int
    values: dict[int, float | None] = field(default_factory=dict)
    drop: Drop | None = None
    failed: int | None = None

    def record(self, repeat: int, value: float | None) -> None:
        """Enter what a repeat gave."""
        self.values[repeat] = value
        if value is None:
            self.failed = min(repeat, self.failed or repeat)

    @property
    def numbers(self) -> list[float]:
        """The values of the repeats that gave one, by repeat."""
        return [value for _, value in sorted(self.values.items()) if value is not None]

    @property
    def mean(self) -> float | None:
        """Over its repeats; None without one."""
        return statistics.fmean(self.numbers) if self.numbers else None

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
        close: end the race, after the usual five pairs, when the leader is at most this far from the best, even if
            others may be as good. None ends it only when one leads.
        level: the probability that a run is confirmed which is not the best.

    Attributes:
        standings: the candidates by number.
        pairs: at how many pairs the last look was; 0 before the first.
        confirmed: whether all others are out, one of them at least by the test.
        is_close: whether the leader is known to be close to the best.
        unmoved: whether seeds change nothing: each that is left has given the same value at every look.
    """

    def __init__(
        self,
        candidates: Sequence[int],
        *,
        maximize: bool,
        repeats: int = 5,
        close: float | None = None,
        level: float = LEVEL,
    ) -> None:
        self.standings = {number: Standing(number) for number in candidates}
        self.maximize = maximize
        self.repeats = repeats
        self.pairs = 0
        self.is_close = self.unmoved = False
        self._sign = -1.0 if maximize else 1.0
        self._close = close
        self._level = level
        self._looks = looks()
        self._look, self._share = next(self._looks)

    def record(self, number: int, repeat: int, value: float | None) -> None:
        """Enter what a repeat gave, and look where it is time; None or a value that is not finite is a failure."""
        finite = value is not None and math.isfinite(value)
        self.standings[number].record(repeat, value if finite else None)
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
        wanted = [(one.missing(self.repeats, running), one.number) for one in self.left]
        found = [(repeat, number) for repeat, number in wanted if repeat is not None]
        repeat, number = min(found, key=lambda item: item[0], default=(None, None))  # of equal ones the first
        return (number, repeat) if number is not None and repeat is not None else None

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
    def settled(self) -> bool:
        """Whether a run is known to be the best, or as good as the best."""
        return self.confirmed or self.is_close

    @property
    def over(self) -> bool:
        """Whether more repeats would not change what is known; those that train may end."""
        return (len(self.left) < 2 and self._has_begun) or self.is_close or self.unmoved

    @property
    def _has_begun(self) -> bool:
        """Whether each that is left has its first repeat: a race of one candidate trains as many as it may."""
        alone = len(self.standings) == 1
        return all(len(one.numbers) >= (self.repeats if alone else 1) for one in self.left)

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
        self.unmoved = all(len(set(values)) == 1 for values in taking.values())
        each = self._level_of_drop(self._share)
        for number, values in taking.items():
            against = {other: p_value(_less(values, theirs)) for other, theirs in taking.items() if other != number}
            by = min(against, key=lambda other: against[other])
            if against[by] <= each:
                self.standings[number].drop = Drop(by, self._look, against[by], each)
        left = {number: values for number, values in taking.items() if self.standings[number].drop is None}
        if self._close is not None and len(left) > 1 and self._look > max(FIRST_SHARES):
            best = min(left, key=lambda number: math.fsum(left[number]))
            enough = self._level_of_close(self._share)
            rivals = [values for number, values in left.items() if number != best]
            apart = [[gap + self._close for gap in _less(values, left[best])] for values in rivals]
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


def _less(worse: Sequence[float], better: Sequence[float]) -> list[float]:
    """By how much values exceed others, pair by pair."""
    return [one - other for one, other in zip(worse, better, strict=True)]


def replayed(race: Race, results: Mapping[tuple[int, int], float | None]) -> Race:
    """A race with what repeats gave, by candidate and repeat; others than its candidates are left out."""
    for (number, repeat), value in sorted(results.items(), key=lambda item: item[0][1]):
        if number in race.standings:
            race.record(number, repeat, value)
    return race
