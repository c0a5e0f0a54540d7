"""Which conditional parameters of a `build(hp)` function share a name and cannot share it in Optuna.

Found as Keras Tuner's own `Tuner` finds a search space: by building with other values of the parents until each
condition has held, before anything is sampled. So what a parameter is called depends on no trial, no worker and no
order.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from typing import Any

from optuna.distributions import check_distribution_compatibility

from sweep.keras_tuner.hyperparameters import Conditions, HyperParameter, HyperParameters, scoped_name

MOST_BUILDS = 64
"""Builds of one exploration: one for each value of each parent, with defaults for everything else."""


class Unexplored(BaseException):
    """A conditional parameter needs a name, which an exploration must find first. Not for a user's code to catch."""


def explore(declare: Callable[[HyperParameters], Any]) -> Callable[[str, Conditions], str]:
    """Find what each conditional parameter is called in trials.

    That is its own name, unless values of another kind, or other choices, have the same name under other conditions;
    it is then `scoped_name`. It is that too where no exploration finds the parameter.

    Args:
        declare: declares all parameters, such as a `build` function. What it raises ends one look, not the exploration:
            not all values go together.

    Returns:
        The argument `name` of `HyperParameters`.
    """
    found: dict[str, list[HyperParameter]] = {}
    tried: set[tuple[str, Conditions, Any]] = set()
    waiting: list[dict[str, Any]] = [{}]
    for given in waiting:  # which grows
        hp = HyperParameters.of(given)
        with suppress(Exception):
            declare(hp)
        for parameter in hp.space:
            found.setdefault(parameter.name, []).append(parameter)
        for parameter, value in _alternatives(hp):
            attempt = (parameter.name, parameter.conditions, value)
            if attempt not in tried and len(waiting) < MOST_BUILDS:
                tried.add(attempt)
                waiting.append({**given, parameter.name: value})
    own_names = {
        (one.name, one.conditions)
        for declared in found.values()
        if not any(_clash(one, other) for one, other in combinations(declared, 2))
        for one in declared
    }
    return lambda name, conditions: name if (name, conditions) in own_names else scoped_name(name, conditions)


def _alternatives(hp: HyperParameters) -> Iterator[tuple[HyperParameter, Any]]:
    """Other values that a parent of some parameter could have in the place of the one it has."""
    named: dict[str, list[Any]] = {}
    for condition in hp.conditions:
        named.setdefault(condition.name, []).extend(condition.values)
    for parent in hp.space:
        if parent.name in named and hp.is_active(parent):
            choices = getattr(parent.distribution, "choices", ())
            for value in (*choices, *named[parent.name]):
                if value != hp.values[parent.name]:
                    yield parent, value


def _clash(one: HyperParameter, other: HyperParameter) -> bool:
    """Whether Optuna refuses two parameters of one name, which differ in their conditions."""
    if one.conditions == other.conditions or one.distribution is None or other.distribution is None:
        return False
    try:
        check_distribution_compatibility(one.distribution, other.distribution)
    except ValueError:
        return True
    return False
