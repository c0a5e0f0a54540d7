"""Samplers and pruners that a study file gives as objects, as the text from which the coordinator makes them anew.

An object is in the worker that has imported the study file, and never leaves it: nothing that a worker pickles is read
elsewhere. So one of Optuna's objects is written as its class with the arguments that its attributes show. The text is
then built, and compared with the object attribute by attribute; what would not be the same is refused.
"""

import inspect
import math
import warnings
from collections.abc import Iterator, Mapping
from numbers import Number
from typing import Any, Literal, cast

from sweep.errors import StudyError
from sweep.imported_specs import imported_spec, make_imported
from sweep.specs import PRUNERS, SAMPLERS, Spec, names_module, optuna_pruner, optuna_sampler, parse

_MISSING: Any = object()
_RENAMED = {"_deterministic": "deterministic_objective"}  # attributes that are not called as their argument is
_PLACES = {"sampler": "optuna.samplers", "pruner": "optuna.pruners"}
_EXAMPLES = {"sampler": '"tpe(n_startup_trials=20)"', "pruner": '"median(n_startup_trials=5)"'}
DEEPEST = 8  # levels of attributes that are compared


def spec_text(kind: Literal["sampler", "pruner"], given: Any) -> str:
    """A study's sampler or pruner as text.

    Args:
        given: a text, which is returned, or one of Optuna's objects.

    Raises:
        StudyError: it is neither, or the coordinator could not make the same object from a text.
    """
    if isinstance(given, str):
        return given
    import optuna

    base = optuna.samplers.BaseSampler if kind == "sampler" else optuna.pruners.BasePruner
    if not isinstance(given, base):
        raise StudyError(
            f"A study's {kind} must be text, or one of Optuna's {kind}s, not {given!r}.",
            f"For example: {kind}={_EXAMPLES[kind]}",
        )
    if type(given).__module__.partition(".")[0] != "optuna":
        raise _of_their_own(kind, type(given))
    if _has_seed(given):
        raise StudyError(
            f"This {type(given).__name__} has a seed of its own, and a study has one for its {kind} and its trials.",
            "Leave it out, and give the seed to the study: Study(seed=...), or --seed.",
        )
    text = _written(kind, given)
    try:
        different = _difference(given, _built(kind, text))
    except StudyError:  # an argument that no text may have
        different = text.partition("(")[2].partition("=")[0]
    if different is not None:
        raise _inexact(kind, given, different or "argument")
    return text


def _of_their_own(kind: str, made: type) -> StudyError:
    """The error about an object of a class that the coordinator has not."""
    module = made.__module__
    in_file = module == "__main__" or module.startswith("sweep_study_")
    place = "MODULE" if in_file else module
    move = f"Move {made.__name__} to a module of its own, since only workers import the study file. " if in_file else ""
    return StudyError(
        f"The {kind} is an object of {made.__qualname__}, which stays in the worker that has made it.",
        f'{move}Name the class for the coordinator to import: {kind}="{place}:{made.__qualname__}(...)"',
    )


def _inexact(kind: str, given: Any, argument: str) -> StudyError:
    """The error about an object with an argument of which there is no text."""
    name = type(given).__name__
    return StudyError(
        f"The coordinator cannot make this {name} anew, since its {argument} cannot be written as text.",
        f"Write the {kind} as text, such as {kind}={_EXAMPLES[kind]}, or derive a class from {name} in a module of its "
        f'own and name that: {kind}="MODULE:CLASS(...)"',
    )


def _written(kind: Literal["sampler", "pruner"], given: Any) -> str:
    """An object of Optuna's as text, with the arguments that are not the defaults, as far as its attributes show."""
    made = type(given)
    known = SAMPLERS if kind == "sampler" else PRUNERS
    name = made.__name__.lower().removesuffix(kind)
    name = "halving" if name == "successivehalving" else name
    name = name if name in known else f"{_PLACES[kind]}:{made.__name__}"
    if name == "grid":
        return f"grid({dict(given._search_space)!r})"
    attributes = dict(_attributes(given))
    parameters = {key: each for key, each in inspect.signature(made).parameters.items() if key != "seed"}
    needed = {key for key, each in parameters.items() if each.default is each.empty}
    arguments = {}
    for key in (key for key in parameters if key in needed):
        text = _text(kind, attributes.get(key, _MISSING))
        if text is None:
            raise _inexact(kind, given, key)
        arguments[key] = text
    try:
        usual = dict(_attributes(_built(kind, _call(name, arguments))))
    except StudyError:  # such as a threshold without a bound: what is no text is no argument then
        defaults = {key: each.default for key, each in parameters.items()}
        usual = {key: default for key, default in defaults.items() if _is_plain(attributes.get(key))}
    for key in parameters:
        if key in needed or key not in attributes or key not in usual:
            continue
        text = _text(kind, attributes[key])
        if text is not None and _difference(attributes[key], usual[key]) is not None:
            arguments[key] = text
    if name == "halving":  # an object decides as it does in Optuna; the bare name has rungs of ours
        arguments.setdefault("min_resource", "'auto'")
    return _call(name, arguments)


def _call(name: str, arguments: Mapping[str, str]) -> str:
    return f"{name}({', '.join(f'{key}={text}' for key, text in arguments.items())})" if arguments else name


def _text(kind: Literal["sampler", "pruner"], value: Any) -> str | None:
    """An argument as text; None where there is none."""
    import optuna

    if isinstance(value, optuna.samplers.BaseSampler | optuna.pruners.BasePruner):
        within = _written(kind, value)
        return within if not names_module(kind, within) else None
    return repr(value) if _is_plain(value) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, str)


def _built(kind: Literal["sampler", "pruner"], text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = imported_spec(kind, text)
        if own is not None:
            return make_imported(own, seed=0)
        read = parse(kind, text)
        return optuna_sampler(cast(Spec, read), 0) if kind == "sampler" else optuna_pruner(cast(Any, read))


def _attributes(made: Any) -> Iterator[tuple[str, Any]]:
    """What an object has, by the names that its class' arguments have, also a level deeper; its own come last."""
    for name, other in _RENAMED.items():
        if name in vars(made):
            yield other, vars(made)[name]
    for value in vars(made).values():
        deeper = value._asdict() if hasattr(value, "_asdict") else getattr(value, "__dict__", {})
        yield from ((name.lstrip("_"), each) for name, each in deeper.items())
    yield from ((name.lstrip("_"), value) for name, value in vars(made).items())


def _has_seed(made: Any, depth: int = 0) -> bool:
    """Whether an object was given a seed: then its generator, or that of an object within it, is there already."""
    from optuna.samplers import GridSampler
    from optuna.samplers._lazy_random_state import LazyRandomState

    if isinstance(made, GridSampler):  # which draws the order of its points as it is made
        return False
    if isinstance(made, LazyRandomState):
        return made._rng is not None
    inside = getattr(made, "__dict__", {}).values() if depth < DEEPEST else ()
    return any(_has_seed(value, depth + 1) for value in inside)


def _difference(one: Any, other: Any, depth: int = 0) -> str | None:
    """The attribute in which two objects differ, but for their random generators; empty if they do as a whole."""
    from optuna.samplers import GridSampler, QMCSampler
    from optuna.samplers._lazy_random_state import LazyRandomState

    if isinstance(one, Number) and isinstance(other, Number):
        return None if one == other else ""
    if type(one) is not type(other) or depth > DEEPEST:
        return ""
    if isinstance(one, LazyRandomState):
        return None
    if isinstance(one, Mapping):
        return _first_difference(one, other, depth)
    if hasattr(one, "_asdict"):
        return _first_difference(one._asdict(), other._asdict(), depth)
    if isinstance(one, list | tuple):
        alike = len(one) == len(other) and all(
            _difference(*pair, depth + 1) is None for pair in zip(one, other, strict=True)
        )
        return None if alike else ""
    if isinstance(one, type) or inspect.isroutine(one) or not hasattr(one, "__dict__"):
        return None if one is other or bool(one == other) else ""
    drawn = {"_seed"} if isinstance(one, QMCSampler) else {"_all_grids"} if isinstance(one, GridSampler) else set()
    mine, theirs = ({key: value for key, value in vars(each).items() if key not in drawn} for each in (one, other))
    return _first_difference(mine, theirs, depth)


def _first_difference(one: Mapping[Any, Any], other: Mapping[Any, Any], depth: int) -> str | None:
    if one.keys() != other.keys():
        return ""
    for key, value in one.items():
        found = _difference(value, other[key], depth + 1)
        if found is not None:
            return found or str(key).lstrip("_")
    return None
