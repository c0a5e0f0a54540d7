"""Samplers and pruners by name and settings: the text that `--sampler`, `--pruner` and `Study` take.

A spec is a name, with settings where the defaults will not do: `median`, `median(n_startup_trials=5)`,
`patient(median, patience=3)`, `grid(lr=[0.1, 0.01], bs=[16, 32])`. Its settings are those of Optuna's class, with the
same names in the same order, and Optuna's class names work too (`MedianPruner` is `median`). It is read as a Python
expression and never evaluated: values are numbers, texts in quotes, True, False, None, lists and dicts of these, and
specs where a sampler or pruner takes another one.

A class of the user's own is named by its module, `mypackage.samplers:Mine(x=1)`: see `sweep.imported_specs`.

A pruner's settings are declared by its rule in `sweep.core.pruners`, a sampler's by Optuna's class. Neither importing
this module nor reading a pruner imports Optuna.
"""

import ast
import difflib
import importlib.util
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, cast

from sweep.core.pruners import RULES, Rule
from sweep.core.pruners.own import Own
from sweep.core.pruners.rule import bounds_of
from sweep.errors import StudyError
from sweep.imported_specs import ImportedSpec, imported_spec, make_imported

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Kind = Literal["sampler", "pruner"]

SAMPLERS: dict[str, str] = {
    "tpe": "models good and poor trials apart (tree-structured Parzen estimator); the default",
    "random": "draws each parameter on its own",
    "gp": "Gaussian process, for few and costly trials; needs torch and scipy",
    "cmaes": "evolution strategy (CMA-ES) for continuous parameters; needs cmaes",
    "qmc": "spreads trials evenly (Sobol or Halton sequence); needs scipy",
    "nsgaii": "genetic algorithm (NSGA-II), for several objectives",
    "nsgaiii": "genetic algorithm (NSGA-III), for three and more objectives",
    "grid": "every combination of the values given: grid(lr=[0.1, 0.01], bs=[16, 32])",
    "bruteforce": "every combination that the search space has, without repeats",
}
PRUNERS: dict[str, str] = {name: rule.help for name, rule in RULES.items()}

LONGEST = 60  # characters of a wrong name that are repeated

_ALIASES = {alias: name for name, rule in RULES.items() for alias in rule.aliases}
# Packages that Optuna imports only when the sampler first proposes, long after a study has begun.
_PACKAGES = {"cmaes": ("cmaes",), "gp": ("torch", "scipy"), "qmc": ("scipy",)}
# Bounds of samplers' settings that Optuna does not check itself; below them it fails in the middle of a study.
_LEAST = {"n_startup_trials": 0, "n_ei_candidates": 1, "popsize": 2, "dividing_parameter": 1}
_EXAMPLE = {"sampler": "tpe(n_startup_trials=20)", "pruner": "median(n_startup_trials=5)"}
_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str, "dict": dict, "list[int]": list}
_WITHIN: dict[str, Kind] = {"BaseSampler": "sampler", "Rule": "pruner"}  # types of settings that are specs


@dataclass(frozen=True)
class Spec:
    """A sampler read from text.

    `name` is one of `SAMPLERS`; `settings` holds a value for every setting that can be given as text, defaults
    included. The settings of `grid` are its parameters, each with its list of values.
    """

    name: str
    settings: Mapping[str, Any]


def make_sampler(spec: str, seed: int | None, file: str | None = None) -> "BaseSampler":
    """The sampler that a spec describes.

    Args:
        spec: for example `tpe` or `grid(lr=[0.1, 0.01])`.
        seed: from 0 to 2**32 - 1; None draws one.
        file: the study file, in which a class of the user's own cannot be.

    Raises:
        StudyError: no such sampler or setting, a value that cannot be, or a package that is not installed.
    """
    if seed is not None and not 0 <= seed < 2**32:
        raise StudyError(f"A seed must be a whole number from 0 to 4294967295, not {seed!r}.")
    read = parse("sampler", spec)
    return make_imported(read, seed, file) if isinstance(read, ImportedSpec) else build(cast(Spec, read), seed)


def make_pruner(spec: str, file: str | None = None) -> "BasePruner":
    """The pruner that a spec describes.

    Args:
        file: the study file, in which a class of the user's own cannot be.

    Raises:
        StudyError: no such pruner or setting, or a value that cannot be.
    """
    return optuna_pruner(pruner_rule(spec), file)


def prunes(spec: str) -> bool:
    """Whether a pruner's spec can stop a run at all.

    Raises:
        StudyError: see `pruner_rule`.
    """
    return pruner_rule(spec).stops


def names_module(kind: Kind, text: str) -> bool:
    """Whether a spec names a class by its module, which somebody would have to import.

    Raises:
        StudyError: it does, and its arguments are not as they must be.
    """
    return imported_spec(kind, text) is not None


def parse(kind: Kind, text: str) -> Spec | Rule | ImportedSpec:
    """Read a spec: a sampler's as a `Spec`, a pruner's as a `Rule`, one that names a module as an `ImportedSpec`.

    Raises:
        StudyError: the text is no spec, or a name, a setting or a value is wrong.
    """
    return imported_spec(kind, text) or _parse_node(kind, _expression(kind, text))


def pruner_rule(text: str) -> Rule:
    """The rule that a pruner's spec describes. Does not import Optuna.

    Raises:
        StudyError: the text is no spec, or a name, a setting or a value is wrong.
    """
    read = parse("pruner", text)
    return Own(read.text) if isinstance(read, ImportedSpec) else cast(Rule, read)


def optuna_pruner(rule: Rule, file: str | None = None) -> "BasePruner":
    """Optuna's pruner that decides as a rule does; see `make_pruner`."""
    from optuna import pruners

    if isinstance(rule, Own):
        return cast("BasePruner", make_imported(cast(ImportedSpec, imported_spec("pruner", rule.spec)), file=file))
    if rule.optuna is None:  # what asks Optuna's study for its pruner finds one that stops nothing
        return pruners.NopPruner()
    arguments = {}
    for item in fields(rule):  # type: ignore[arg-type]
        value = getattr(rule, item.name)
        if item.init and not (value is None and item.default is None):
            arguments[item.name] = optuna_pruner(value) if isinstance(value, Rule) else value
    return cast("BasePruner", _made(rule.name, getattr(pruners, rule.optuna), arguments))


def build(spec: Spec, seed: int | None) -> "BaseSampler":
    """Optuna's sampler of a spec.

    Raises:
        StudyError: Optuna refuses a value (with its reason), or a package is missing.
    """
    missing = [package for package in _PACKAGES.get(spec.name, ()) if importlib.util.find_spec(package) is None]
    if missing:
        packages = " and ".join(missing)
        raise StudyError(f"The sampler {spec.name} needs {packages}.", f"Run: pip install {' '.join(missing)}")
    return optuna_sampler(spec, seed)


def optuna_sampler(spec: Spec, seed: int | None) -> "BaseSampler":
    """Optuna's sampler of a spec, as `build` without a look at the packages that it will need."""
    arguments = {
        name: optuna_sampler(value, seed) if isinstance(value, Spec) else value for name, value in spec.settings.items()
    }
    if spec.name == "grid":
        arguments = {"search_space": arguments}
    return cast("BaseSampler", _made(spec.name, _sampler_class(spec.name), {**arguments, "seed": seed}))


def _made(name: str, made: Any, arguments: Mapping[str, Any]) -> Any:
    """One of Optuna's objects, from its class and its arguments."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # naming an experimental class is choosing it
        try:
            return made(**arguments)
        except (ValueError, TypeError) as error:
            raise StudyError(f"Optuna refuses the settings of {name}: {str(error).rstrip('.')}.") from None


def _expression(kind: Kind, text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in quotes is not worth a warning here
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _malformed(kind, text) from None


def _parse_node(kind: Kind, node: ast.expr) -> Spec | Rule:
    name = _name(kind, node)
    call = node if isinstance(node, ast.Call) else ast.Call(func=node, args=[], keywords=[])
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(k.arg is None for k in call.keywords):
        raise _malformed(kind, ast.unparse(node))
    given: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg in given:
            raise StudyError(f"{name} is given {keyword.arg} twice.")
        given[str(keyword.arg)] = keyword.value
    if name == "grid":
        return Spec(name, _grid(call.args, given))
    if kind == "sampler":
        return Spec(name, _settings(name, _sampler_class(name), call.args, given))
    rule = RULES[name](**_settings(name, RULES[name], call.args, given))
    if (problem := rule.problem()) is not None:
        raise StudyError(f"{name} {problem}.")
    return rule


def _name(kind: Kind, node: ast.expr) -> str:
    """The name at the head of a spec, in our spelling: case and `_` do not matter, nor Optuna's endings."""
    head = node.func if isinstance(node, ast.Call) else node
    if not isinstance(head, ast.Name):
        raise _malformed(kind, ast.unparse(node))
    names = list(SAMPLERS if kind == "sampler" else RULES)
    name = head.id.lower().replace("_", "").removesuffix(kind)
    name = _ALIASES.get(name, name)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, 1)
        meant = f"Did you mean {nearest[0]}? " if nearest else ""
        shown = head.id if len(head.id) <= LONGEST else f"{head.id[: LONGEST - 1]}…"
        raise StudyError(f"No such {kind}: {shown}.", hint=f"{meant}The {kind}s are {', '.join(names)}.")
    return name


def _malformed(kind: Kind, text: str) -> StudyError:
    return StudyError(f"A {kind} must be a name with settings, not {text!r}.", f"For example: {_EXAMPLE[kind]}")


def _settings(name: str, made: Any, positional: list[ast.expr], given: dict[str, ast.expr]) -> dict[str, Any]:
    """The settings of a class by name, with its defaults where none is given."""
    signature = inspect.signature(made)
    offered = {setting: parameter for setting, parameter in signature.parameters.items() if _can_be_text(parameter)}
    there_are = f"Its settings are {', '.join(map(_shown, offered.values()))}." if offered else "It has no settings."
    if "seed" in given and name in SAMPLERS:
        raise StudyError(
            f"{name} cannot have a seed of its own ({ast.unparse(given['seed'])}), because it uses the study's.",
            "Give it as --seed.",
        )
    for setting in given:
        if setting not in offered:
            nearest = difflib.get_close_matches(setting, offered, 1)
            meant = f"Did you mean {nearest[0]}? " if nearest else ""
            raise StudyError(f"{name} has no setting {setting}.", meant + there_are)
    try:
        bound = signature.bind_partial(*positional, **given)
    except TypeError as error:
        raise StudyError(f"{name} does not take these settings: {error}.", there_are) from None
    if not bound.arguments.keys() <= offered.keys():
        raise StudyError(f"{name} does not take these settings: too many positional arguments.", there_are)
    for setting, parameter in offered.items():
        if parameter.default is parameter.empty and setting not in bound.arguments:
            raise StudyError(f"{name} needs the setting {setting}.", there_are)
    read = {setting: _value(name, offered[setting], node) for setting, node in bound.arguments.items()}
    return {setting: read.get(setting, parameter.default) for setting, parameter in offered.items()}


def _can_be_text(parameter: inspect.Parameter) -> bool:
    """Whether a constructor's argument can be written in a spec: not functions, arrays or trials, nor the seed."""
    return parameter.name != "seed" and bool(_accepted(parameter) - {"None"})


def _accepted(parameter: inspect.Parameter) -> set[str]:
    """The types of an annotation that a spec can hold: for example `{"int", "None"}` or `{"Rule"}`."""
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    words = {word.strip().strip("'\"") for word in text.split("|")}
    words = {word if word in _TYPES else word.partition("[")[0].rpartition(".")[2] for word in words}
    return words & {*_TYPES, "None", *_WITHIN}


def _value(name: str, parameter: inspect.Parameter, node: ast.expr) -> Any:
    accepted = _accepted(parameter)
    for base, kind in _WITHIN.items():
        if base in accepted and not isinstance(node, ast.Constant):
            return _parse_node(kind, node)
    value = _literal(parameter.name, node)
    fits = type(value) in {_TYPES[word] for word in accepted & _TYPES.keys()}
    if not (fits or (value is None and "None" in accepted) or (type(value) is int and "float" in accepted)):
        wanted = " or ".join(_WITHIN.get(word, word) for word in sorted(accepted) if word != "None")
        raise StudyError(f"{parameter.name} of {name} must be of type {wanted}, not {value!r}.")
    least, most = bounds_of(RULES[name], parameter.name) if name in RULES else (_LEAST.get(parameter.name), None)
    is_number = type(value) in (int, float)
    if is_number and ((least is not None and value < least) or (most is not None and value > most)):
        wanted = f"at least {least}" if most is None else f"between {least} and {most}"
        raise StudyError(f"{parameter.name} of {name} must be {wanted}, not {value!r}.")
    return value


def _literal(name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        hint = f"For text, write {ast.unparse(node)!r}." if isinstance(node, ast.Name) else None
        message = f"{name} must be a number, text in quotes, True, False or None, not {ast.unparse(node)}."
        raise StudyError(message, hint) from None


def _grid(positional: list[ast.expr], given: dict[str, ast.expr]) -> dict[str, list[Any]]:
    """The search space of a grid, from `lr=[...]`, or as a dict for names that Python cannot spell."""
    space: dict[Any, Any] = {}
    for node in positional:
        table = _literal("the search space of grid", node)
        if not isinstance(table, dict):
            raise StudyError(
                f"grid takes its parameters by name, not {ast.unparse(node)}.", "For example: grid(lr=[0.1, 0.01])"
            )
        space.update(table)
    space.update({name: _literal(name, node) for name, node in given.items()})
    if not space:
        raise StudyError("grid needs values to try.", "For example: grid(lr=[0.1, 0.01], bs=[16, 32])")
    for name, values in space.items():
        plain = isinstance(values, list | tuple) and all(
            v is None or type(v) in (bool, int, float, str) for v in values
        )
        if not (isinstance(name, str) and plain and values):
            raise StudyError(f"{name} of grid must be a list of numbers, texts, True, False or None, not {values!r}.")
    return {name: list(values) for name, values in space.items()}


def _sampler_class(name: str) -> Any:
    """Optuna's class of a sampler, whose name is ours apart from its case."""
    from optuna import samplers

    return getattr(samplers, next(entry for entry in dir(samplers) if entry.lower() == f"{name}sampler"))


def _shown(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
