"""A finding: one diagnosis of a run, with its evidence in numbers and a remedy. `sweep.train.checks` makes them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SEVERE_EPOCHS = 2
"""For so many checks in a row a severe finding holds before it prunes its run; not-a-number does so at once."""

KINDS = {
    "not-a-number": "a loss, a metric or a weight is NaN or infinite",
    "symmetric-neurons": "the units of a layer have equal weights, so that they learn the same",
    "dead-relu": "units of a ReLU are zero for every row of a sample",
    "stuck-loss": "the loss does not change, or is no better than a constant's for a network that ignores its inputs",
    "vanishing-gradients": "the first layer's gradient is a tiny part of the last layer's",
    "exploding-gradients": "the gradient is far larger than the weights it is to change",
    "exploding-loss": "the loss has grown a thousandfold",
    "learning-rate-too-high": "the loss jumps or swings while the weights are thrown about",
    "learning-rate-too-low": "the weights hardly move",
    "worse-than-constant": "predicting one constant would do as well",
    "underfitting": "after ten epochs hardly better than a constant",
    "overfitting": "val_loss has long been rising while loss falls",
    "unscaled-inputs": "inputs are far from the order of 1",
    "unscaled-targets": "targets are far from the order of 1",
    "unfit-output": "the last activation cannot give the targets, or is not what the loss wants",
    "data-leak": "validation rows stand in the training rows",
    "missing-data": "inputs or targets hold NaN or infinity",
}
"""What findings there are, by their names, the gravest first."""

ABOUT_DATA = frozenset({"data-leak", "missing-data", "unscaled-inputs", "unscaled-targets"})
"""Findings about the data, which every run of a study shares: lists of runs leave them to the study's summary."""


@dataclass(frozen=True)
class Picture:
    """A small picture of the evidence: numbers of the broken network against what they would be in a healthy one.

    Attributes:
        what: the caption.
        broken, healthy: rows of numbers, at most 8 of at most 16 each.
    """

    what: str
    broken: Sequence[Sequence[float]]
    healthy: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Finding:
    """One diagnosis of a run.

    Attributes:
        kind: one of `KINDS`.
        evidence: what was seen, in numbers.
        remedy: what to do, in one sentence.
        layer: where, if in one layer.
        severe: whether the run cannot come to anything, so that it is pruned (`Study(broken="prune")`).
        confidence: `certain` where it follows from the numbers, `likely` where a threshold decides.
        since: the epoch, counted from 0, from which on it has held.
        picture: of the evidence, where there is one.
    """

    kind: str
    evidence: str
    remedy: str
    layer: str | None = None
    severe: bool = False
    confidence: Literal["certain", "likely"] = "certain"
    since: int = 0
    picture: Picture | None = None

    def __str__(self) -> str:
        likely = " (likely)" if self.confidence == "likely" else ""
        return f"{self.kind} since epoch {self.since + 1}{likely}: {self.evidence}; {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON can hold it; what says nothing is left out."""
        plain = {**vars(self), "picture": None if self.picture is None else vars(self.picture)}
        return {name: value for name, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Finding":
        """The inverse of `as_dict`; names that this version does not know are passed over."""
        known = {item.name for item in dataclasses.fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        picture = given.get("picture")
        return cls(**{**given, "picture": Picture(**picture) if picture else None})


_KNOWN = list(KINDS)


def mark(findings: Sequence[Finding]) -> str:
    """What a list of runs shows of a run's findings: the gravest one's kind, and how many more there are."""
    own = [found.kind for found in findings if found.kind not in ABOUT_DATA]
    return f"{own[0]} +{len(own) - 1}" if len(own) > 1 else "".join(own)


def by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """Findings with severe ones first, then in the order of `KINDS`."""
    return sorted(findings, key=lambda found: (not found.severe, gravity(found.kind)))


def gravity(kind: str) -> int:
    """The place of a kind in `KINDS`, which has those alone that this version knows."""
    return _KNOWN.index(kind) if kind in KINDS else len(KINDS)
