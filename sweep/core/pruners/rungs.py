"""`halving` and `hyperband`: compare the runs that reach a rung of epochs. Optuna's own pruners decide.

The settings and the sentence are here; `sweep.control.pruning` asks Optuna.
"""

from dataclasses import dataclass, field, replace

from sweep.core.pruners.rule import Rule, bounds
from sweep.core.pruners.verdict import Verdict


class Rungs(Rule):
    """Stops a run that reaches a rung and is not among the best fraction of those that did.

    A verdict's details are the `rung`; the `bracket`, for hyperband; and either `places`, how many of the `entered`
    runs continue, or `bootstrap_count`, how many stop there first whatever their values.
    """

    reduction_factor: int
    bootstrap_count: int

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        details = verdict.details
        place = f"rung {details['rung']} at epoch {verdict.epoch_index + 1}"
        if "bracket" in details:
            place = f"bracket {details['bracket']}, {place}"
        if verdict.threshold is None:
            return f"{place}: the first {details['bootstrap_count']} runs there stop (bootstrap_count)"
        own, bound = verdict.figures
        needed = f"needs at {'least' if verdict.side == 'below' else 'most'} {bound}"
        among = f"is not among the best {details['places']} of {details['entered']}"
        return f"{place}: {verdict.objective} {own} {among} ({needed})"


@dataclass(frozen=True)
class Halving(Rungs):
    """Asynchronous successive halving.

    `min_resource` is the first rung in epochs, or Optuna's "auto", which is 1 where runs have less than 100 epochs.
    None is a tenth of a run's epochs in a new study (see `first_rung`), and "auto" where these are not known.
    """

    name = "halving"
    aliases = ("successivehalving",)
    help = "keeps the best fraction at each rung of epochs (asynchronous successive halving)"
    optuna = "SuccessiveHalvingPruner"

    min_resource: str | int | None = field(default=None, metadata=bounds(1))
    reduction_factor: int = field(default=4, metadata=bounds(2))
    min_early_stopping_rate: int = field(default=0, metadata=bounds(0))
    bootstrap_count: int = field(default=0, metadata=bounds(0))

    def problem(self) -> str | None:
        return _auto(self.bootstrap_count, min_resource=self.min_resource)

    def in_study(self, epochs: int | None, before: Rule | None) -> Rule:
        if self.min_resource is not None:
            return self
        if isinstance(before, Halving):
            return replace(self, min_resource=before.min_resource)
        return self if epochs is None else replace(self, min_resource=first_rung(epochs))


@dataclass(frozen=True)
class Hyperband(Rungs):
    """Successive halving in several brackets."""

    name = "hyperband"
    help = "successive halving in several brackets, which begin to stop runs at different epochs"
    optuna = "HyperbandPruner"

    min_resource: int = field(default=1, metadata=bounds(1))
    max_resource: str | int = field(default="auto", metadata=bounds(1))
    reduction_factor: int = field(default=3, metadata=bounds(2))
    bootstrap_count: int = field(default=0, metadata=bounds(0))

    def problem(self) -> str | None:
        return _auto(self.bootstrap_count, max_resource=self.max_resource)


RULES = (Halving, Hyperband)


def first_rung(epochs: int) -> int:
    """The first rung for runs of this many epochs: a tenth of them, and at least 1."""
    return max(1, round(epochs / 10))


def _auto(bootstrap_count: int, **resource: str | int | None) -> str | None:
    """What is wrong with a number of epochs that may be `auto`."""
    ((name, value),) = resource.items()
    if isinstance(value, str) and value != "auto":
        return f"takes a whole number or 'auto' as {name}, not {value!r}"
    if value in ("auto", None) and bootstrap_count > 0:
        return f"needs a number as {name} if it has a bootstrap_count"
    return None
