"""Parameters, their domains and their values, as a person gives and reads them."""

import contextlib
import copy
import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution
from optuna.trial import FrozenTrial

from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.names import format_value
from sweep.store.records import storable

TEXT = 512  # characters that Optuna's tables have for a name or a key


def check_text(what: str, text: str) -> None:
    """Refuse a name that not every database could hold.

    Raises:
        StudyError: it is empty, too long, or has characters that cannot be stored.
    """
    if not 0 < len(text) <= TEXT or storable(text) != text:
        got = repr(text) if len(text) <= TEXT else f"one of {len(text)} characters"
        raise StudyError(
            f"{what} must be text of 1 to {TEXT} characters without NUL and unpaired surrogates, not {got}."
        )


def coerce(name: str, value: Value, distribution: BaseDistribution) -> Value:
    """A parameter's value as its domain has it: 16 for a float is 16.0; True is the choice "true" if there is no other.

    Raises:
        StudyError: the domain has no such value.
    """
    if isinstance(distribution, CategoricalDistribution):
        for same in (_exactly, _as_number, _as_text):
            for choice in distribution.choices:
                if same(choice, value):
                    return choice
    elif isinstance(value, int | float) and not isinstance(value, bool) and distribution._contains(float(value)):
        external: Value = distribution.to_external_repr(float(value))
        return external
    raise StudyError(f"{name} cannot be {value!r}. It must be one of {describe(distribution)}.")


def fit(trial: FrozenTrial, space: Mapping[str, Sequence[str]]) -> FrozenTrial | None:
    """A trial that was added, with the domains of the search space instead of its own; None if it does not fit them.

    Args:
        space: each parameter with its domains (Optuna's JSON).
    """
    params, distributions = {}, {}
    for name, value in trial.params.items():
        for text in space.get(name, ()):
            with contextlib.suppress(StudyError):
                domain = json_to_distribution(text)
                params[name], distributions[name] = coerce(name, value, domain), domain
                break
        else:
            return None
    fitted = copy.copy(trial)
    fitted.params, fitted.distributions = params, distributions
    return fitted


def has_grown(before: BaseDistribution, now: BaseDistribution) -> bool:
    """Whether a numeric domain has all values that it had before, and more; Optuna takes no other change."""
    if type(before) is not type(now) or isinstance(before, CategoricalDistribution):
        return False
    old, new = ({part: getattr(domain, part) for part in ("low", "high", "step", "log")} for domain in (before, now))
    if old["log"] != new["log"] or new["low"] > old["low"] or new["high"] < old["high"]:
        return False
    if new["step"] is None:
        return True
    if old["step"] is None:
        return False
    low, step = Decimal(repr(new["low"])), Decimal(repr(new["step"]))
    return Decimal(repr(old["step"])) % step == 0 and (Decimal(repr(old["low"])) - low) % step == 0


def _exactly(choice: Value, value: Value) -> bool:
    return format_value(choice) == format_value(value)


def _as_number(choice: Value, value: Value) -> bool:
    return choice == value and isinstance(choice, bool) == isinstance(value, bool)


def _as_text(choice: Value, value: Value) -> bool:
    return choice == format_value(value)


def known_parameter(name: str, space: Mapping[str, Any]) -> None:
    """Refuse a parameter that the search space does not have, with the nearest name.

    Raises:
        StudyError: there is no such parameter.
    """
    if name not in space:
        near = difflib.get_close_matches(name, space, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Its parameters are {', '.join(space)}."
        raise StudyError(f"The study has no parameter {name!r}.", hint)


def describe(distribution: BaseDistribution) -> str:
    """A domain as a person writes it: `[0.0001, 0.1] log`, `8, 16, 32`."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(format_value(choice) for choice in distribution.choices)
    low, high, step, log = (getattr(distribution, part) for part in ("low", "high", "step", "log"))
    stepped = f" step {format_value(step)}" if step is not None and step != 1 else ""
    return f"[{format_value(low)}, {format_value(high)}]{stepped}{' log' if log else ''}"
