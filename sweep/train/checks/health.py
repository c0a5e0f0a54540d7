"""How a run does: every check, asked at the end of each epoch, and since when what they say has held."""

import dataclasses
import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from sweep.finding import SEVERE_EPOCHS, Finding, by_gravity
from sweep.train.checks import data, signals
from sweep.train.checks.data import Facts
from sweep.train.checks.targets import Problem, problem_of
from sweep.train.checks.weights import Moves, copied, not_a_number, not_finite, symmetric
from sweep.train.data import count_rows, slice_rows
from sweep.worker import curves

Array = np.ndarray[Any, Any]

CLOSELY = 3
"""So many epochs each are looked at with the sample; afterwards those whose number is a power of two or ends in 0."""

STILL = 1e-4
"""The share of itself by which a loss that stands still has changed since the first epoch, at most."""

FALLING = 0.01
"""The share of itself by which a loss falls in an epoch, at least, that still comes to something."""

FROZEN = 1e-5
"""|change| / |kernel| of an epoch, in the kernel that moves most, below which weights hardly move."""

POOR, NO_BETTER = 0.9, 0.98
"""The loss on the sample as a share of the best constant's, from which on it is hardly better, and no better."""

LATE = 10  # epochs after which a network that is hardly better than a constant underfits

CAUSES = frozenset({"symmetric-neurons", "dead-relu"})
EFFECTS = frozenset(
    {"stuck-loss", "vanishing-gradients", "learning-rate-too-low", "worse-than-constant", "underfitting"}
)
"""What a severe cause explains, and is not said beside it."""


@dataclass(frozen=True)
class Material:
    """What a training is fed with: inputs, targets and inputs to validate with, of any kind that `fit` takes."""

    x: Any = None
    y: Any = None
    validation: Any = None

    @classmethod
    def of(cls, x: Any, y: Any, validation_data: Any, validation_split: float) -> "Material":
        """The material of `keras.Model.fit`'s arguments."""
        if validation_split and validation_data is None:
            at = math.floor(count_rows(x) * (1 - validation_split))
            if at == 0:
                return cls(x, y)
            return cls(slice_rows(x, slice(at)), slice_rows(y, slice(at)), slice_rows(x, slice(at, None)))
        has_rows = isinstance(validation_data, tuple | list) and len(validation_data) >= 2
        return cls(x, y, validation_data[0] if has_rows else None)


_MOVE = "move of "  # how the names of arrays begin in the state


class Health:
    """The findings of one training.

    Args:
        material: what it is fed with; arrays in memory are looked at, other data are not.
        direction, objective: the study's; a run that still gets better by them is not called overfitting.
    """

    def __init__(self, material: Material, *, direction: str, objective: str) -> None:
        self._material = material
        self._direction = direction
        self._objective = objective
        self._epochs = 0  # of this training
        self._begun = False
        self._problem: Problem | None = None
        self._x: Any = None
        self._y: Any = None
        self._always: list[Finding] = []
        self._seen: list[Finding] = []  # with the sample, when it was last looked at
        self._signals: signals.Signals | None = None
        self._gradients: list[Finding] = []
        self._moves = Moves()
        self._frozen: tuple[int, frozenset[str]] = (-1, frozenset())
        self._since: dict[tuple[str, str | None], int] = {}
        self._held: dict[tuple[str, str | None], int] = {}

    def check(
        self, model: keras.Model, epoch: int, weights: Mapping[str, Array], history: Mapping[str, Sequence[float]]
    ) -> list[Finding]:
        """What is wrong with the run after an epoch, the gravest first.

        Args:
            epoch: counted from 0.
            weights: the model's by tag.
            history: metrics by epoch, of the whole run.
        """
        self._epochs += 1
        if not self._begun:
            self.begin(model)
        broken = not_finite(weights) or _broken_loss(history)
        if broken:
            return self._settled([*broken, *self._always], epoch, looked=True)
        frozen = self._frozen_tags(model, weights)
        moves = self._moves.follow(weights, frozen)
        losses, rates = list(history.get("loss", []))[-self._epochs :], history.get("learning_rate", [])
        looks = self._looks()
        if looks:
            self._signals = (
                signals.look(model, weights, self._x, self._y, self._problem) if self._x is not None else None
            )
            self._seen = [*copied(weights, frozen), *self._about_signals(model, weights, losses, moves, rates)]
        worse = self._signals.worse if self._signals is not None and looks else None
        causes = [*symmetric(weights, frozen), *self._seen]
        if any(item.severe and item.kind in CAUSES for item in causes):
            causes = [item for item in causes if item.kind not in EFFECTS]
        found = [
            *self._always,
            *causes,
            *curves.exploding(losses),
            *curves.too_fast(losses, list(moves.values()), rates[-1] if rates else None, worse),
            *curves.overfitting(history, self._direction, self._objective),
        ]
        return self._settled(found, epoch, looked=looks)

    def get_state(self) -> dict[str, Any]:
        """What a training that is resumed goes on from: arrays, and plain data."""
        moves = {f"{_MOVE}{tag}": array for tag, array in self._moves.before.items()}
        return {
            "epochs": self._epochs,
            "seen": [found.as_dict() for found in self._seen],
            "gradients": [found.as_dict() for found in self._gradients],
            "since": [[*key, epoch] for key, epoch in self._since.items()],
            "held": [[*key, count] for key, count in self._held.items()],
            **moves,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave in another process."""
        self._epochs = state["epochs"]
        self._seen = [Finding.from_dict(found) for found in state["seen"]]
        self._gradients = [Finding.from_dict(found) for found in state["gradients"]]
        self._since = {(kind, layer): epoch for kind, layer, epoch in state["since"]}
        self._held = {(kind, layer): count for kind, layer, count in state["held"]}
        moves = {name: array for name, array in state.items() if name.startswith(_MOVE)}
        self._moves.before = {name.removeprefix(_MOVE): array for name, array in moves.items()}

    def explain(self, error: BaseException) -> None:
        """Add to an error what was found in the data, which may be why it came."""
        for found in self._always:
            error.add_note(f"sweep noticed before: {found.kind}: {found.evidence}; {found.remedy}")

    def due(self, findings: Sequence[Finding]) -> str | None:
        """Why a run is to be pruned: a severe finding that has held long enough; None if there is none."""
        for found in findings:
            held = self._held.get((found.kind, found.layer), 0)
            if found.severe and (found.kind == "not-a-number" or held >= SEVERE_EPOCHS):
                return f"{found.kind}: {found.evidence}"
        return None

    def begin(self, model: keras.Model) -> None:
        """Look at the data, and at what they mean for a model, once it is built."""
        if self._begun or not model.built:
            return
        self._begun = True
        self._problem = problem_of(model)
        self._x, self._y = signals.sample(self._material.x), signals.sample(self._material.y)
        self._always = data.findings(_facts(self._material), model, self._problem)

    def _looks(self) -> bool:
        """Whether this epoch is looked at with the sample; every one is while something severe holds."""
        epoch = self._epochs
        pending = any(found.severe for found in self._seen)
        return epoch <= CLOSELY or pending or epoch & (epoch - 1) == 0 or epoch % 10 == 0

    def _frozen_tags(self, model: keras.Model, weights: Mapping[str, Array]) -> frozenset[str]:
        """The tags of weights that are not trained."""
        if self._frozen[0] != len(weights) or self._epochs == 1:
            pairs = zip(weights, model.weights, strict=True)
            self._frozen = len(weights), frozenset(tag for tag, variable in pairs if not variable.trainable)
        return self._frozen[1]

    def _about_signals(
        self,
        model: keras.Model,
        tags: Iterable[str],
        losses: list[float],
        moves: Mapping[str, float],
        rates: Sequence[float],
    ) -> list[Finding]:
        found = signals.dead(self._signals) if self._signals is not None else []
        found += _stuck(losses, moves, self._signals, rates)
        if not any(item.severe for item in found):
            found += self._no_better(losses)
        if found and self._x is not None and self._y is not None and not _falls(losses):
            if self._epochs <= CLOSELY or self._epochs % 10 == 0:  # they take longer than all the rest
                self._gradients = signals.gradient_findings(model, tags, self._x, self._y)
            found += self._gradients
        return found

    def _no_better(self, losses: list[float]) -> list[Finding]:
        """Hardly better than a constant, and the loss does not fall any more: no better at all, or underfitting."""
        seen, problem = self._signals, self._problem
        worse = seen.worse if seen is not None else None
        if worse is None or seen is None or problem is None or len(losses) < CLOSELY or worse < POOR or _falls(losses):
            return []
        evidence = (
            f"the loss on a sample is {seen.cost:.4g}, and predicting {problem.constant} has {seen.constant_cost:.4g}"
        )
        if worse >= NO_BETTER:
            remedy = "look whether the targets belong to their rows, at the learning rate and at the scales"
            return [Finding("worse-than-constant", evidence, remedy, confidence="likely")]
        if len(losses) >= LATE:
            remedy = "raise the learning rate, or use a larger model, less regularisation or better inputs"
            return [Finding("underfitting", evidence, remedy, confidence="likely")]
        return []

    def _settled(self, found: list[Finding], epoch: int, *, looked: bool) -> list[Finding]:
        """The findings with the epoch since which each has held."""
        keys = {(item.kind, item.layer) for item in found}
        of_sample = {(item.kind, item.layer) for item in self._seen}
        for key in keys:
            self._since.setdefault(key, epoch)
            self._held[key] = self._held.get(key, 0) + (looked or key not in of_sample)
        for key in set(self._since) - keys:
            del self._since[key], self._held[key]
        settled = [dataclasses.replace(item, since=item.since or self._since[item.kind, item.layer]) for item in found]
        return by_gravity(settled)


def _broken_loss(history: Mapping[str, Sequence[float]]) -> list[Finding]:
    """A loss of the last epoch that is NaN or infinite."""
    for name in ("loss", "val_loss"):
        values = history.get(name, [])
        if values and not math.isfinite(values[-1]):
            return [not_a_number(f"{name} is {values[-1]}")]
    return []


def _falls(losses: Sequence[float]) -> bool:
    """Whether the loss has fallen by `FALLING` in the last epoch."""
    return len(losses) < 2 or losses[-1] < losses[-2] - FALLING * abs(losses[-2])


def _stuck(
    losses: Sequence[float],
    moves: Mapping[str, float],
    seen: signals.Signals | None,
    rates: Sequence[float],
) -> list[Finding]:
    """The loss has not changed since the start, or the network gives one output for all rows and learns nothing.

    Silent where the loss is 0, or the learning rate has changed: it may be warmed up, or lowered at the end.
    """
    if len(losses) < 2 or not losses[-1] or (len(rates) > 1 and rates[-1] != rates[0]):
        return []
    since_start = max(losses) - min(losses) <= STILL * abs(losses[0])
    worse = seen.worse if seen is not None else None
    # The loss, which may have penalties in it, need not be a constant's: that of the sample has none.
    is_poor = worse is None or worse > 0.95
    ignores = seen is not None and seen.spread is not None and seen.spread < signals.CONSTANT
    most = max(moves.values(), default=math.inf)
    found = []
    if since_start and not ignores and most < FROZEN:
        moved = f"no kernel changes by more than {max(most, 1e-9):.1g} of its size in an epoch"
        found.append(Finding("learning-rate-too-low", moved, "raise the learning rate", confidence="likely"))
    if since_start and is_poor:
        evidence = f"the loss has been {losses[-1]:.5g} since the first epoch"
    elif ignores and worse is not None and worse > 0.99 and not _falls(losses):
        spread = seen.spread if seen is not None else None
        varying = (
            f"vary over the rows by {spread:.1g} of the targets' spread" if spread else "are the same for all rows"
        )
        evidence = f"outputs {varying}, and the loss is {losses[-1]:.4g}"
    else:
        return found
    remedy = "look at the learning rate, at the last activation, and at the scale of the targets"
    return [*found, Finding("stuck-loss", evidence, remedy, severe=True, confidence="likely")]


_latest: tuple[Sequence[weakref.ref[Any] | None], Facts] | None = None


def _facts(material: Material) -> Facts:
    """The facts of the material; those of the same arrays as in the trial before are known already."""
    global _latest
    parts = keras.tree.flatten((material.x, material.y, material.validation))
    known = _latest[0] if _latest is not None else ()
    if _latest and len(known) == len(parts) and all(map(_is, known, parts)):
        return _latest[1]
    facts = data.look(material.x, material.y, material.validation)
    try:
        _latest = [None if part is None else weakref.ref(part) for part in parts], facts
    except TypeError:  # lists' numbers and the like have no references
        _latest = None
    return facts


def _is(known: weakref.ref[Any] | None, part: Any) -> bool:
    return part is None if known is None else part is not None and known() is part
