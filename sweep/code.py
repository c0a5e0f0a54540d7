"""A hash of a function, such as one of a notebook, which no file holds: it tells a changed function from the same."""

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARY = sysconfig.get_path("stdlib")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def code_hash(function: Callable[..., Any]) -> str:
    """The SHA-256, in hex, of what a function does: its code, and whatever of the user's own it refers to.

    That is its defaults, the variables around it, and the functions, classes, numbers, texts and collections of these
    that it takes from its module, but nothing of installed packages. Layout and comments do not matter.
    """
    digest = hashlib.sha256()
    for text in _parts(function, set()):
        digest.update(text.encode("utf-8", "backslashreplace") + b"\0")
    return digest.hexdigest()


def _parts(thing: Any, seen: set[int]) -> Iterator[str]:
    """What makes a thing differ from another one, as texts."""
    if isinstance(thing, _PLAIN):
        yield f"{type(thing).__name__} {thing!r}"
        return
    if id(thing) in seen:
        yield "again"
        return
    seen.add(id(thing))
    if isinstance(thing, CodeType):
        yield from _code(thing, seen)
    elif isinstance(thing, MethodType):
        yield from _several(("method", thing.__func__, thing.__self__), seen)
    elif isinstance(thing, functools.partial):
        yield from _several(("partial", thing.func, thing.args, thing.keywords), seen)
    elif isinstance(thing, FunctionType):
        yield from _function(thing, seen)
    elif isinstance(thing, ModuleType):
        yield f"module {thing.__name__}"
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _several((key, value), seen)
    elif isinstance(thing, list | tuple):
        yield f"{type(thing).__name__} {len(thing)}"
        yield from _several(thing, seen)
    elif isinstance(thing, set | frozenset):
        yield from sorted(text for one in thing for text in _parts(one, seen))
    elif isinstance(thing, type):
        yield f"class {thing.__module__}.{thing.__qualname__}"
        if _is_users(thing.__module__):
            names = ("__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__", "__static_attributes__")
            yield from _parts({name: value for name, value in vars(thing).items() if name not in names}, seen)
    else:  # an array, a model, an open file: what it is, and not what it holds
        yield f"a {type(thing).__module__}.{type(thing).__qualname__}"
        if _is_users(type(thing).__module__):
            yield from _several((type(thing), getattr(thing, "__dict__", {})), seen)
        wrapped = getattr(thing, "__wrapped__", None)
        if wrapped is not None:
            yield from _parts(wrapped, seen)


def _several(things: Any, seen: set[int]) -> Iterator[str]:
    for thing in things:
        yield from _parts(thing, seen)


def _function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    if not _is_users(function.__module__):
        yield f"function {function.__module__}.{function.__qualname__}"
        return
    yield from _parts(function.__code__, seen)
    yield from _several((function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        try:
            yield from _parts(cell.cell_contents, seen)
        except ValueError:  # it is empty yet
            yield "empty"
    for name in sorted(set(_names(function.__code__))):
        if name in function.__globals__:
            yield name
            yield from _parts(function.__globals__[name], seen)


def _code(code: CodeType, seen: set[int]) -> Iterator[str]:
    yield code.co_code.hex()
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars)
    yield from _several(code.co_consts, seen)


def _names(code: CodeType) -> Iterator[str]:
    """The names that code may take from its module, functions within it included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_users(name: str | None) -> bool:
    """Whether a module is the user's own: it has no file, as in a notebook, or one that no package installed."""
    module = name or ""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module in sys.builtin_module_names or module.partition(".")[0] == "sweep":
        return False
    return file is None or not (_INSTALLED & set(Path(file).parts) or Path(file).is_relative_to(_LIBRARY))
