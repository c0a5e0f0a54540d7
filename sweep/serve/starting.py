"""A previewed study as the start page shows it: example names and what each parameter can be fixed at."""

from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, json_to_distribution

from sweep.control.preview import Preview
from sweep.serve import cells


@dataclass(frozen=True)
class ParameterChoice:
    """A parameter, its domain in words, and its choices if they can be listed (as texts)."""

    name: str
    key: str
    domain: str
    options: list[str]


def examples_of(seen: Preview) -> list[list[Any]]:
    """The example run names in parts."""
    return [cells.name_parts(run) for run in seen.runs if run.name is not None]


def choices_of(seen: Preview) -> list[ParameterChoice]:
    """The search space, in the order of its parameters."""
    return [
        ParameterChoice(name, seen.keys.get(name, name), seen.domain(name), _options(seen, name)) for name in seen.space
    ]


def _options(seen: Preview, name: str) -> list[str]:
    domains = [json_to_distribution(text) for text in seen.space[name]]
    if not all(isinstance(domain, CategoricalDistribution) for domain in domains):
        return []
    listed = [cells.value(choice) for domain in domains for choice in getattr(domain, "choices", ())]
    return list(dict.fromkeys(listed))
