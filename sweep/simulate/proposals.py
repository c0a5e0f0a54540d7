"""Which recorded configuration a simulated study tries next."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.simulate.bank import Bank

RECORDED = "recorded"
"""The sampler that tries the configurations of a bank in their recorded order."""

_RELATIVE = "tpe:relative_params"  # what TPE has proposed, which the recorded configuration replaces


class Proposals:
    """The configurations of a bank that are left, as one study tries them.

    Args:
        bank: the configurations.
        study: asks its sampler, in memory.
        recorded: try them in their recorded order instead.
    """

    def __init__(self, bank: Bank, study: optuna.Study, *, recorded: bool) -> None:
        self._bank = bank
        self._study = study
        self._recorded = recorded
        self._left = np.ones(len(bank.curves), bool)
        self._names = list(bank.space)
        self._choices = np.array([isinstance(bank.space[name], CategoricalDistribution) for name in self._names], bool)
        rows = [self._row(curve.params) for curve in bank.curves]
        self._rows = np.array(rows, float).reshape(len(rows), len(self._names))

    def __len__(self) -> int:
        """How many are left."""
        return int(self._left.sum())

    def next(self) -> tuple[int, int]:
        """The number of the trial that begins, and the place of its curve in the bank.

        The sampler's proposal is taken to the nearest configuration that is left; the first one of several.
        """
        trial = self._study.ask()
        if self._recorded:
            place = int(self._left.argmax())
        else:
            proposed = {name: trial._suggest(name, self._bank.space[name]) for name in self._names}
            place = self._nearest(self._row(proposed))
        self._left[place] = False
        storage = self._study._storage
        taken = copy.copy(storage.get_trial(trial._trial_id))
        params = self._bank.curves[place].params
        taken.params = {name: params[name] for name in self._names if name in params}
        taken.distributions = {name: self._bank.space[name] for name in taken.params}
        taken.system_attrs = {key: value for key, value in taken.system_attrs.items() if not key.startswith(_RELATIVE)}
        storage.replace(taken)  # type: ignore[attr-defined]  # a WriteBehindStorage
        return trial.number, place

    def _nearest(self, proposed: Sequence[float]) -> int:
        """The place of the nearest configuration that is left: mean squares over the parameters that it has."""
        if not self._names:
            return int(self._left.argmax())
        there = ~np.isnan(self._rows)
        apart = np.where(there, self._rows - np.array(proposed), 0.0)
        apart[:, self._choices] = apart[:, self._choices] != 0
        distance = (apart**2).sum(1) / np.maximum(there.sum(1), 1)
        return int(np.where(self._left, distance, np.inf).argmin())

    def _row(self, params: Mapping[str, Any]) -> list[float]:
        return [_place(params[name], self._bank.space[name]) if name in params else np.nan for name in self._names]


def _place(value: Any, distribution: BaseDistribution) -> float:
    """A value as a number: the place of a choice, or from 0 to 1 in a numeric domain, by its logarithm in a
    logarithmic one."""
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        try:
            return float(distribution.to_internal_repr(value))
        except ValueError:  # a value that somebody chose outside the domain
            return -1.0
    low, high, at = distribution.low, distribution.high, value
    if distribution.log:
        low, high, at = np.log(low), np.log(high), np.log(max(value, 1e-300))
    return float((at - low) / (high - low)) if high > low else 0.0
