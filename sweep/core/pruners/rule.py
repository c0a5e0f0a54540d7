"""What a pruning rule is: its settings, how it judges a run, and how it explains a verdict.

A rule is a frozen dataclass whose fields are its settings, with the names, order and defaults of Optuna's pruner, since
`sweep.specs` reads `median(n_startup_trials=5)` from them. Its file in this package is all that a rule needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar

from sweep.core.pruners.verdict import Verdict
from sweep.objective import Objective


class Judge:
    """A rule at work in one study, with what it remembers of the study's runs. This one stops nothing.

    Not thread-safe.
    """

    def verdict(self, number: int, values: Mapping[int, float]) -> Verdict | None:  # noqa: ARG002  # others use them
        """Why a run stops, or None if it continues. Asking again gives the same answer.

        Args:
            number: the trial's.
            values: its values so far by step, counted from 0, at least one. The last one is finite.
        """
        return None

    def completed(self, trials: Mapping[int, Mapping[int, float]]) -> None:
        """Remember the values by step of COMPLETE trials, by trial number. A trial counts once."""


class Rule:
    """A pruning rule with its settings.

    Attributes:
        name: what a spec calls it; aliases: other names for it, in lower case without `_`.
        help: what it does, in a line.
        optuna: Optuna's class that decides the same; None where it has none.
        stops: whether it can stop a run at all.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    help: ClassVar[str]
    optuna: ClassVar[str | None]

    @property
    def stops(self) -> bool:
        return True

    def problem(self) -> str | None:
        """What is wrong with the settings together, as the end of a sentence about the rule; None if nothing is."""
        return None

    def in_study(self, epochs: int | None, before: "Rule | None") -> "Rule":  # noqa: ARG002  # others use them
        """The rule with the rungs of a study, where it names none; a rule without rungs stays as it is.

        Args:
            epochs: how many a run of the study has; None if that is not known.
            before: the rule that the study has had until now; None in a new study.
        """
        return self

    def text(self) -> str:
        """The rule as `sweep.specs` reads it, with the settings that are not the defaults."""
        settings = []
        for item in fields(self):  # type: ignore[arg-type]  # every rule is a dataclass
            value = getattr(self, item.name)
            if item.default is MISSING or value != item.default:
                settings.append(f"{item.name}={value.text() if isinstance(value, Rule) else repr(value)}")
        return f"{self.name}({', '.join(settings)})" if settings else self.name

    def judge(self, objective: Objective, judge_of: Callable[["Rule"], Judge]) -> Judge:
        """The rule at work in a study. A rule without one of its own is decided by Optuna.

        Args:
            objective: what the study optimises.
            judge_of: makes the judge of a rule within this one.
        """
        raise NotImplementedError(f"{self.name} is decided by Optuna")

    @classmethod
    def sentence(cls, verdict: Verdict) -> str:
        """What a verdict of this rule says, without the rule's name in front. Epochs are counted from 1."""
        at = f"at epoch {verdict.epoch_index + 1}"
        own, bound = verdict.figures
        return f"{verdict.objective} {own} {at}{f' is {verdict.side} {bound}' if bound else ''}"


def bounds(least: float | None = None, most: float | None = None) -> dict[str, Any]:
    """The smallest and largest value of a setting, as a dataclass field's metadata."""
    return {"least": least, "most": most}


def bounds_of(rule: type[Rule], setting: str) -> tuple[float | None, float | None]:
    """The smallest and the largest value of a rule's setting; None where there is no bound."""
    found = next(item.metadata for item in fields(rule) if item.name == setting)  # type: ignore[arg-type]
    return found.get("least"), found.get("most")


def is_due(warmup: int, interval: int, values: Mapping[int, float]) -> bool:
    """Whether a check falls to the last step: the first one reported since the last multiple of the interval."""
    step = max(values)
    if step < warmup:
        return False
    check = (step - warmup) // interval * interval + warmup
    return check == step or all(other < check for other in values if other != step)
