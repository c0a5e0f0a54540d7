"""A study file as the start page shows it: what it would train, and what each parameter can be kept at."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, json_to_distribution

from sweep.control.domains import describe
from sweep.control.preview import Preview
from sweep.names import Value
from sweep.serve import cells

LONGEST = 48  # characters of a choice that are shown

DEFAULTS: Mapping[str, Any] = {
    "trials": 20,
    "epochs": "as fit has it",
    "workers": "one a core",
    "seed": "drawn",
    "sampler": "tpe",
    "pruner": "median",
    "broken": "prune",
}
"""What a study file leaves open."""


@dataclass(frozen=True)
class Option:
    """A choice of a categorical parameter: its text, cut to what a person reads, and its value as JSON."""

    text: str
    json: str


@dataclass(frozen=True)
class ParameterChoice:
    """A parameter, its domain in words, and its choices if they can be listed."""

    name: str
    key: str
    domain: str
    options: list[Option]


def placeholders(declared: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for each setting that is left empty; `declared` is what could be read off the file."""
    return {**DEFAULTS, **{name: value for name, value in declared.items() if value is not None}}


def examples_of(seen: Preview) -> list[list[Any]]:
    """The example run names in parts."""
    return [cells.name_parts(run) for run in seen.runs if run.name is not None]


def choices_of(seen: Preview) -> list[ParameterChoice]:
    """The search space, in the order of its parameters."""
    return [
        ParameterChoice(name, seen.keys.get(name, name), _domain(seen, name), _options(seen, name))
        for name in seen.space
    ]


def _domain(seen: Preview, name: str) -> str:
    """A domain in words, with choices as they are rather than as run names have them."""
    domains = [json_to_distribution(text) for text in seen.space[name]]
    return " or ".join(
        ", ".join(map(_text, domain.choices)) if isinstance(domain, CategoricalDistribution) else describe(domain)
        for domain in domains
    )


def _options(seen: Preview, name: str) -> list[Option]:
    domains = [json_to_distribution(text) for text in seen.space[name]]
    if not all(isinstance(domain, CategoricalDistribution) for domain in domains):
        return []
    listed = [Option(_text(choice), _json(choice)) for domain in domains for choice in getattr(domain, "choices", ())]
    return list(dict.fromkeys(listed))


def _text(choice: Value) -> str:
    text = cells.value(choice)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _json(choice: Value) -> str:
    """A choice as the API takes it: JSON has no infinity, whose text stands for it."""
    finite = not isinstance(choice, float) or math.isfinite(choice)
    return json.dumps(choice if finite else cells.value(choice))
