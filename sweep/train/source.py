"""A run's study file, imported again from its snapshot: where the user's own layers, losses and functions are found.

The snapshot is imported beside what the process has imported already: the user's modules of the same names, Keras'
settings and the random states are as before afterwards.
"""

import atexit
import contextlib
import random
import shutil
import sys
import tempfile
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from sweep.errors import StudyError, SweepError
from sweep.snapshot import Snapshot
from sweep.sources import SourceFinder
from sweep.study_file import BaseStudy, import_file, import_from


@dataclass
class Source:
    """A study and the modules beside it.

    Attributes:
        study: None where the file binds none, or there is no file, as for a study of a notebook.
        modules: the study file's and those beside it, by name; the study file's is the last.
        registered: classes and functions that they registered with Keras, by their registered names.
        path: the folder that they are imported from.
        settings: Keras' global ones as the study file has set them.
        finder: finds its modules, whatever `sys.path` begins with.
    """

    study: BaseStudy | None = None
    modules: Mapping[str, types.ModuleType] = field(default_factory=dict)
    registered: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    finder: SourceFinder | None = None

    @property
    def objects(self) -> dict[str, Any]:
        """Classes and functions by the names that Keras looks for."""
        found: dict[str, Any] = {}
        for module in self.modules.values():
            for name, value in vars(module).items():
                if isinstance(value, type | types.FunctionType) and not _is_of_keras(value):
                    found[name] = found[value.__name__] = value
        return found | dict(self.registered)

    def globals_of(self, code: types.CodeType) -> dict[str, Any] | None:
        """The names that a function of one of the modules sees, found by the file that its code is from."""
        name = Path(code.co_filename).name
        for module in reversed(list(self.modules.values())):
            if Path(module.__file__ or "").name == name or module.__name__ == "__main__":
                return vars(module)
        return None


_sources: dict[tuple[str, str | None], Source] = {}


def source_of(snapshot: Snapshot | None, origin: str | None) -> Source:
    """The source of a run, imported once in a process; without a snapshot, what the process itself has in `__main__`.

    Args:
        origin: the study file's path when the run trained; the file may read data in that folder.

    Raises:
        StudyError: it cannot be imported.
    """
    if snapshot is None:
        return Source(modules={"__main__": sys.modules["__main__"]})
    key = (snapshot.hash, origin)
    if key not in _sources:
        _sources[key] = _import(snapshot, origin)
    return _sources[key]


@contextlib.contextmanager
def active(source: Source) -> Iterator[dict[str, Any]]:
    """Have Keras and `import` find a source's classes and modules; gives its objects by name."""
    registry = keras.saving.get_custom_objects()
    before, path = dict(registry), list(sys.path)
    hidden = {name: sys.modules[name] for name in source.modules if name in sys.modules}
    sys.modules.update(source.modules)
    if source.path is not None:
        import_from(Path(source.path))
    registry.update(source.registered)
    try:
        with _settings(), _first(source.finder):
            _set(source.settings)
            yield source.objects
    finally:
        sys.path[:] = path
        _give_back(source.modules, hidden)
        registry.update(before)


def _import(snapshot: Snapshot, origin: str | None) -> Source:
    folder = Path(tempfile.mkdtemp(prefix="sweep-source-")).resolve()  # stays: a traceback or AutoGraph reads its files
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = snapshot.lay_out(folder, Path(origin).parent if origin is not None else None)
    names = {name.partition("/")[0].removesuffix(".py") for name in snapshot.files if name != snapshot.main}
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
    registry = keras.saving.get_custom_objects()
    registered, path = dict(registry), list(sys.path)
    main = f"sweep_study_{file.stem}"
    hidden |= {main: sys.modules[main]} if main in sys.modules else {}
    finder = SourceFinder(folder, snapshot.files)
    try:
        with _settings(), _first(finder):
            before = _get()
            study = getattr(import_file(file), "study", None)
            settings = _get()
            if settings["dtype_policy"].name == before["floatx"]:  # in a new process it follows from `floatx`
                settings["dtype_policy"] = settings["floatx"]
        of_source = {name: module for name, module in list(sys.modules.items()) if _is_below(module, folder)}
        new = {name: value for name, value in registry.items() if registered.get(name) is not value}
    except SweepError as error:
        raise StudyError(
            f"The study file {snapshot.main} of this run cannot be imported: {error}.",
            hint="Build the model yourself and pass it: sweep.load(run, model=model).",
        ) from error
    finally:
        sys.path[:] = path
        _give_back([name for name, module in list(sys.modules.items()) if _is_below(module, folder)], hidden)
        registry.update(registered)
    of_source[main] = of_source.pop(main)
    return Source(study if isinstance(study, BaseStudy) else None, of_source, new, str(folder), settings, finder)


@contextlib.contextmanager
def _first(finder: SourceFinder | None) -> Iterator[None]:
    """Have a source's modules found before those of the same name in folders that `sys.path` begins with."""
    if finder is not None:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder is not None:
            sys.meta_path.remove(finder)


def _give_back(names: Iterable[str], hidden: Mapping[str, types.ModuleType]) -> None:
    """Forget a source's modules, so that the user's own `import` of that name does not find them."""
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(hidden)


def _is_below(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


def _is_of_keras(value: Any) -> bool:
    return str(value.__module__).partition(".")[0] in ("keras", "tensorflow", "numpy", "builtins")


_SETTINGS = ("floatx", "dtype_policy", "epsilon", "image_data_format")


def _get() -> dict[str, Any]:
    return {name: getattr(keras.config, name)() for name in _SETTINGS}


def _set(settings: Mapping[str, Any]) -> None:
    for name in _SETTINGS:  # in their order: a policy may follow from `floatx`
        if name in settings:
            getattr(keras.config, f"set_{name}")(settings[name])


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Give Keras' global settings and the random states their values back afterwards: a study file may set them."""
    before, python, numpy = _get(), random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        _set(before)
        random.setstate(python)
        np.random.set_state(numpy)
