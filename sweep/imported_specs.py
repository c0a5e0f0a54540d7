"""Samplers and pruners by module and class: `mypackage.samplers:Mine(x=1)`, of the user's own or of Optuna.

The coordinator imports the module when it makes the object, and nothing else of the user's: never the study file, which
only workers import. The arguments are numbers, texts in quotes, True, False, None, lists and dicts of these, and are
read without being evaluated.
"""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sweep.errors import StudyError
from sweep.words import one_line

_FORM = re.compile(r"\s*([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)\s*(\(.*\))?\s*", re.DOTALL)
_BASES = {"sampler": ("samplers", "BaseSampler"), "pruner": ("pruners", "BasePruner")}


@dataclass(frozen=True)
class ImportedSpec:
    """A sampler or pruner by its class, read from text.

    Attributes:
        kind: `sampler` or `pruner`.
        text: as it was written.
        module, attribute: where the class is.
        positional, settings: its arguments.
    """

    kind: Literal["sampler", "pruner"]
    text: str
    module: str
    attribute: str
    positional: Sequence[Any]
    settings: Mapping[str, Any]


def imported_spec(kind: Literal["sampler", "pruner"], text: str) -> ImportedSpec | None:
    """Read a spec that names a module; None for any other text. Nothing is imported.

    Raises:
        StudyError: its arguments are not as they must be.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    module, attribute, arguments = found.groups()
    try:
        call = ast.parse(f"_{arguments or '()'}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("no call")
        positional = [ast.literal_eval(node) for node in call.args]
        settings = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
        if len(settings) < len(call.keywords):
            raise ValueError("`**`, or an argument that is given twice")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise StudyError(
            f"The arguments of a {kind} must be numbers, texts in quotes, True, False, None, or lists and dicts of "
            f"these, not {one_line(arguments)}.",
            f"For example: mypackage.{kind}s:Mine(x=1)",
        ) from None
    return ImportedSpec(kind, text.strip(), module, attribute, positional, settings)


def make_imported(spec: ImportedSpec, seed: int | None = None, file: str | None = None) -> Any:
    """The sampler or pruner of a spec.

    Args:
        seed: the study's, for a class that takes a `seed` and is given none.
        file: the study file. Modules are looked for where Python does, then in the working directory and beside it.

    Raises:
        StudyError: there is no such class, it is none of a sampler or pruner, it is in the study file, or it raises.
    """
    made = _class(spec, Path(file) if file is not None else None)
    settings = dict(spec.settings)
    try:
        if spec.kind == "sampler" and "seed" in inspect.signature(made).parameters:
            settings.setdefault("seed", seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # naming an experimental class is choosing it
            return made(*spec.positional, **settings)
    except Exception as error:
        raise StudyError(f"The {spec.kind} {spec.text} cannot be made: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}")


def _class(spec: ImportedSpec, file: Path | None) -> Any:
    for folder in [Path.cwd(), *([file.parent] if file is not None else [])]:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # last, so that nothing there shadows what is installed
    try:
        found = importlib.util.find_spec(spec.module)
        origin = Path(found.origin).resolve() if found is not None and found.origin else None
        if file is not None and origin == file.resolve():
            raise StudyError(
                f"The {spec.kind} {spec.text} is in the study file, which only workers import.",
                f"Move {spec.attribute} to a module of its own, and name that.",
            )
        module = importlib.import_module(spec.module)
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(
            f"The module of the {spec.kind} {spec.text} cannot be imported: {_said(error)}",
            "It must be installed, in the working directory, or beside the study file.",
        ) from error
    made: Any = module
    for part in spec.attribute.split("."):
        made = getattr(made, part, None)
    package, base = _BASES[spec.kind]
    if not (isinstance(made, type) and issubclass(made, getattr(importlib.import_module(f"optuna.{package}"), base))):
        raise StudyError(
            f"There is no {spec.kind} {spec.attribute} in {spec.module}.",
            f"A {spec.kind} is a subclass of optuna.{package}.{base}.",
        )
    return made
