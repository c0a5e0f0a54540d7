"""What a command line says about parameters: `--set`, `--enqueue` and `--from`, checked against the search space."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.control.preview import Preview, fitting, preview
from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.names import is_run_name, parse_value
from sweep.read.runs import rank
from sweep.store import Store


@dataclass(frozen=True)
class Choices:
    """Parameters kept at one value, and parameters to try first."""

    fixed: dict[str, Value] = field(default_factory=dict)
    enqueue: list[dict[str, Value]] = field(default_factory=list)


def choose(file: str, fixed: Sequence[str], enqueue: Sequence[str], best_of: Sequence[str], *, storage: str) -> Choices:
    """Read the options, and check them against the search space, which a preview of the study file shows.

    Args:
        fixed: `name=value` each.
        enqueue: each one parameter set: `name=value,name=value`, a full run name, or `@file.json`, which holds one
            object or a list of them.
        best_of: `STUDY:best:N` each: the parameters of the N best runs of a study in the same database.

    Raises:
        SweepError: a parameter is unknown, a value is none of its domain's, or an option is malformed.
    """
    if not (fixed or enqueue or best_of):
        return Choices()
    return read_choices(preview(file), fixed, enqueue, best_of, storage=storage)


def read_choices(
    seen: Preview, fixed: Sequence[str], enqueue: Sequence[str], best_of: Sequence[str], *, storage: str
) -> Choices:
    """Read the options as `choose` does, over a search space that is known."""
    kept = seen.params(dict(_pair(text, seen) for text in fixed))
    sets = [params for text in enqueue for params in _parameter_sets(text, seen)]
    for text in best_of:
        sets.extend(_best(text, seen, storage))
    return Choices(kept, sets)


def _pair(text: str, seen: Preview) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals:
        raise StudyError("a parameter is given as name=value", repr(text), "e.g. learning_rate=0.01")
    return _parameter(name.strip(), seen), parse_value(value.strip())


def _parameter(name: str, seen: Preview) -> str:
    """A parameter's name, which may be given by its key in run names."""
    if name in seen.space:
        return name
    for parameter, key in seen.keys.items():
        if key == name:
            return parameter
    return name


def _parameter_sets(text: str, seen: Preview) -> list[dict[str, Value]]:
    if text.startswith("@"):
        return [seen.params(_by_name(params, seen)) for params in _read_json(Path(text[1:]))]
    if is_run_name(text):
        return [seen.params(seen.params_of(text))]
    return [seen.params(dict(_pair(part, seen) for part in text.split(",")))]


def _by_name(params: dict[str, Any], seen: Preview) -> dict[str, Value]:
    return {_parameter(name, seen): value for name, value in params.items()}


def _read_json(path: Path) -> list[dict[str, Any]]:
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} must hold a JSON object of parameters, or a list of them", str(error)) from None
    sets = read if isinstance(read, list) else [read]
    # What `sweep runs --json` prints is taken as well: its objects hold the parameters under `params`.
    found = [entry.get("params", entry) if isinstance(entry, dict) else entry for entry in sets]
    if not all(isinstance(entry, dict) for entry in found):
        raise StudyError(f"{path} must hold a JSON object of parameters, or a list of them", type(read).__name__)
    return found


def _best(text: str, seen: Preview, storage: str) -> list[dict[str, Value]]:
    parts = text.split(":")
    if len(parts) != 3 or parts[1] != "best" or not parts[2].isdigit() or int(parts[2]) < 1:
        raise StudyError("--from is STUDY:best:N", repr(text), "e.g. --from diabetes:best:5")
    store = Store(storage)
    try:
        study = store.study(parts[0])
        runs = rank(study, store.runs(study.study_id))[: int(parts[2])]
    finally:
        store.close()
    found = fitting(seen, [run.params for run in runs])
    if not found:
        raise StudyError("--from needs a complete run that fits the search space", f"none of {study.name}")
    return found
