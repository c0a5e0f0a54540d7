"""What a start says about parameters (`--set`, `--enqueue`, `--from`), checked against the search space."""

import dataclasses
from collections.abc import Callable, Mapping

from sweep.control.preview import Preview, fitting
from sweep.errors import StudyError
from sweep.names import Value
from sweep.options import Settings
from sweep.store import Store
from sweep.view.repeats import ranked_runs


def choose(settings: Settings, search: Callable[[], Preview]) -> Settings:
    """The settings with their parameters checked, and with run names and other studies' runs replaced by parameters.

    All of a study's trials (`STUDY:all`) stay as they are: its sampler learns from them, and tries none again.

    Args:
        search: previews the study, which takes seconds; called only where there is something to check.

    Raises:
        SweepError: a parameter is unknown, a value is none of its domain's, or another study has no fitting run.
    """
    best, taught = settings.tried_first, settings.taught_by
    if not (settings.fixed or settings.enqueue or best):
        return settings
    seen = search()
    sets = [_set(given, seen) for given in settings.enqueue]
    for text in best:
        sets.extend(_best(text, seen, settings.storage))
    fixed = seen.params(_by_name(settings.fixed, seen))
    return dataclasses.replace(settings, fixed=fixed, enqueue=sets, best_of=taught)


def _parameter(name: str, seen: Preview) -> str:
    """A parameter's name, which may be given by its key in run names."""
    if name in seen.space:
        return name
    for parameter, key in seen.keys.items():
        if key == name:
            return parameter
    return name


def _set(given: Mapping[str, Value] | str, seen: Preview) -> dict[str, Value]:
    return seen.params(seen.params_of(given) if isinstance(given, str) else _by_name(given, seen))


def _by_name(params: Mapping[str, Value], seen: Preview) -> dict[str, Value]:
    return {_parameter(name, seen): value for name, value in params.items()}


def _best(text: str, seen: Preview, storage: str) -> list[dict[str, Value]]:
    name, which, *count = text.split(":")
    store = Store(storage)
    try:
        study = store.study(name)
        runs = ranked_runs(study, store.runs(study.study_id), which)[: int(count[0]) if count else 1]
    finally:
        store.close()
    found = fitting(seen, [run.params for run in runs])
    if not found:
        raise StudyError(f"No complete run of {study.name} fits the search space.")
    return found
