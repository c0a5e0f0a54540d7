"""How often `sweep confirm` is right: races on synthetic studies whose truth is known. Seconds of NumPy, no training.

    python -m benchmarks.confirm [STUDIES]

A study has 30 runs with true means from a normal distribution of sd 1, or equal ones. Each run was trained once; the
noise of a seed is in the same sd. The best runs by that one value race. A run is named in each study, the leader by its
mean; it is right within 0.1 sd of the true best of the study, or of those that raced. A *false* winner
is a run that the race confirms although another one of the race is as good or better.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sweep.race import BUDGET_EACH, MOST_REPEATS, TOP, Race

RUNS = 30
NEAR = 0.1  # sd
NOISES = (0.1, 0.3, 0.64, 1.0)  # 0.64 was measured on studies/wine.py, the noisiest example
TRUTHS = ("different", "two best", "equal")
KINDS = ("normal", "skewed", "unequal", "rounded")


@dataclass(frozen=True)
class Plan:
    """How a race is run: how many runs, how many repeats of each at most, and what does not matter, if it may end it.

    With a `budget` it goes by the noise.
    """

    top: int
    repeats: int
    close: float | None = None
    budget: int | None = None

    def __str__(self) -> str:
        return f"--top {self.top} --{f'budget {self.budget}' if self.budget else f'repeats {self.repeats}'}"


USUAL = Plan(TOP, MOST_REPEATS, NEAR, BUDGET_EACH * TOP)
"""What `sweep confirm` does where nobody says more."""


@dataclass
class Tally:
    """What came of the races: shares of the studies, and trainings for each."""

    studies: int = 0
    near: int = 0
    near_raced: int = 0
    confirmed: int = 0
    false: int = 0
    trainings: int = 0

    def row(self) -> str:
        """The shares, as a table has them."""
        shares = [self.near, self.near_raced, self.confirmed, self.false]
        texts = [f"{share / self.studies:.1%}" for share in shares]
        return " | ".join([*texts, f"{self.trainings / self.studies:.0f}"])


def means(truth: str, rng: np.random.Generator) -> np.ndarray:
    """The true means of a study's runs; lower is better."""
    found = rng.normal(size=RUNS) if truth != "equal" else np.zeros(RUNS)
    if truth == "two best":
        found[found.argsort()[1]] = found.min()
    return found


def noise(kind: str, scale: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """What seeds add to the means, of mean 0 and sd `scale` (on average): one row for each candidate."""
    if kind == "skewed":  # now and then a seed fails: a lognormal tail to the worse side
        draws = rng.lognormal(sigma=0.8, size=shape)
        return scale * (draws - np.exp(0.32)) / np.sqrt((np.exp(0.64) - 1) * np.exp(0.64))
    draws = scale * rng.normal(size=shape)
    if kind == "unequal":  # some configurations are ten times as unsteady as others
        draws *= 10 ** rng.uniform(-0.5, 0.5, size=(shape[0], 1))
    return draws


def study(plan: Plan, truth: str, kind: str, scale: float, rng: np.random.Generator, tally: Tally) -> None:
    """Run the race of one study, and count what came of it."""
    true = means(truth, rng)
    once = true + noise(kind, scale, (RUNS, 1), rng)[:, 0]
    candidates = [int(number) for number in once.argsort()[: plan.top]]
    values = true[candidates, None] + noise(
        kind, scale, (plan.top, min(plan.repeats, plan.budget or plan.repeats)), rng
    )
    if kind == "rounded":  # as an accuracy over few rows
        values = np.round(values / scale) * scale
    race = Race(candidates, maximize=False, repeats=plan.repeats, budget=plan.budget, close=plan.close)
    rows = dict(zip(candidates, values.tolist(), strict=True))
    while (chosen := race.next()) is not None:
        number, repeat = chosen
        race.record(number, repeat, rows[number][repeat - 1])
        tally.trainings += 1
    tally.studies += 1
    leader = race.leader
    if leader is None:
        return
    mean = true[leader.number]
    tally.near += mean <= true.min() + NEAR
    tally.near_raced += mean <= true[candidates].min() + NEAR
    tally.confirmed += race.confirmed
    tally.false += race.confirmed and any(true[other] <= mean for other in candidates if other != leader.number)


def measured(plan: Plan, truth: str, kind: str, scale: float, studies: int, seed: int = 0) -> Tally:
    """The races of so many studies."""
    rng, tally = np.random.default_rng([seed, plan.repeats, plan.top, plan.budget or 0]), Tally()
    for _ in range(studies):
        study(plan, truth, kind, scale, rng, tally)
    return tally


def table(studies: int) -> Iterator[str]:
    """The rows that are printed, as they are found."""
    yield "| race | means | noise (sd) | within 0.1 sd | of those raced | confirmed | false | trainings |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    plans = [USUAL, Plan(5, 5), Plan(10, 20, NEAR)]
    cases = [(plan, truth, "normal", scale) for plan in plans for truth in TRUTHS for scale in NOISES]
    cases += [(USUAL, "different", kind, scale) for kind in KINDS[1:] for scale in (0.3, 0.64)]
    cases += [(Plan(5, 5), truth, kind, 0.3) for kind in KINDS[1:] for truth in TRUTHS]
    larger = [Plan(TOP, MOST_REPEATS, NEAR, budget) for budget in (200, 400)] + [Plan(20, MOST_REPEATS, NEAR, 400)]
    cases += [(plan, "different", "normal", scale) for plan in larger for scale in (0.64, 1.0)]
    for plan, truth, kind, scale in cases:
        found = measured(plan, truth, kind, scale, studies)
        means_shown = truth if kind == "normal" else f"{truth}, noise {kind}"
        yield f"| {plan} | {means_shown} | {scale:g} | {found.row()} |"


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        print(line, flush=True)
