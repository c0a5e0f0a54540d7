"""A study file: Python that binds a `sweep.Study` to the name `study`, and what such a study has.

Only a worker imports it, since it imports Keras; everybody else has its `Declaration`.
"""

import dataclasses
import difflib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sweep.code import code_hash
from sweep.declaration import Declaration, Value, commit, file_hash, versions
from sweep.errors import StudyError, SweepError
from sweep.sources import SourceFinder
from sweep.spec_objects import spec_text
from sweep.words import listed

if TYPE_CHECKING:
    import optuna

TRIALS = 20
"""How many trials a study has where nobody says it, nor how many epochs it may spend."""

_loading: list[Path] = []  # study files that are being imported

Train = Callable[["optuna.trial.BaseTrial"], float | Sequence[float]]


class BaseStudy:
    """All of a `sweep.Study` but its `run`: what those need who run one. The arguments are described there."""

    def __init__(
        self,
        train: Train,
        *,
        objective: str | Sequence[str],
        direction: str | Sequence[str],
        trials: int | None = None,
        repeats: int | None = None,
        epochs: int | None = None,
        timeout: float | str | None = None,
        budget_epochs: int | None = None,
        stop_when: str | Sequence[str] = (),
        stall_timeout: float | str | None = None,
        trial_timeout: float | str | None = None,
        max_trial_time: float | str | None = None,
        name: str | None = None,
        sampler: "str | optuna.samplers.BaseSampler" = "tpe",
        pruner: "str | optuna.pruners.BasePruner | None" = None,
        paused_limit: int | str | None = None,
        unpruned: float | str | None = None,
        seed: int | None = None,
        precision: Literal["auto"] | None = "auto",
        short: Mapping[str, str] | None = None,
        result: Literal["best", "last"] | None = None,
        value: Literal["best", "last"] | None = None,
        broken: Literal["prune", "report", "ignore"] = "prune",
        workers: int | None = None,
        enqueue: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        if not callable(train):
            raise StudyError(f"A study's first argument must be the function that trains, not {train!r}.")
        if not isinstance(short, Mapping | None):
            raise StudyError(f"short must be a dict from parameter names to keys for run names, not {short!r}.")
        objectives, directions = _as_list(objective), _as_list(direction)
        self.train = train
        self.file = _file_of(train)
        self.named = name is not None
        self._declaration = Declaration(
            name=name if name is not None else (self.file.stem if self.file else "study"),
            objective=objectives,
            direction=directions,
            trials=TRIALS if trials is None else trials,
            trials_given=trials is not None,
            repeats=repeats,
            epochs=epochs,
            timeout=timeout,  # type: ignore[arg-type]  # the declaration makes seconds of it
            budget_epochs=budget_epochs,
            stop_when=stop_when,  # type: ignore[arg-type]  # and a list of a single rule
            stall_timeout=_one_of("stall_timeout", stall_timeout, "trial_timeout", trial_timeout),
            max_trial_time=max_trial_time,  # type: ignore[arg-type]
            workers=workers,
            sampler=spec_text("sampler", sampler),
            pruner=spec_text("pruner", pruner or ("asha" if len(objectives) == 1 else "nop")),
            pruner_given=pruner is not None,
            paused_limit=paused_limit,  # type: ignore[arg-type]  # and bytes of "2GB"
            unpruned=unpruned,  # type: ignore[arg-type]  # the declaration makes a number of "10%"
            seed=seed,
            precision=precision,
            short=dict(short or {}),
            value=_one_of("result", result, "value", value) or "best",
            broken=broken,
            enqueue=_parameter_sets(enqueue),
            doc=(getattr(_module_of(train), "__doc__", None) or "").strip(),
        )

    @property
    def name(self) -> str:
        """The study's name."""
        return self._declaration.name

    @property
    def workers(self) -> int | None:
        """How many processes train, if the study says so."""
        return self._declaration.workers

    def declaration(self) -> Declaration:
        """The study as plain data, with its file's hash, the versions it runs with and its git commit."""
        return dataclasses.replace(
            self._declaration,
            file=str(self.file) if self.file else None,
            hash=file_hash(self.file) if self.file else code_hash(self.train),
            versions=versions(),
            commit=commit(self.file.parent) if self.file else None,
        )

    def bind(self, file: Path | None) -> None:
        """Take the file that workers load, and its name where the study has none."""
        self.file = file
        if file is not None and not self.named:
            self._declaration = dataclasses.replace(self._declaration, name=file.stem)


def is_loading() -> bool:
    """Whether a study file is being imported."""
    return bool(_loading)


def load(path: str | Path, given: Mapping[str, str] | None = None) -> BaseStudy:
    """Import a study file and return its study. Loads TensorFlow where the file does.

    Args:
        path: the file.
        given: it and modules beside it as they were when the study started, by their paths from its folder. They are
            loaded in place of what is on the disk by now.

    Raises:
        StudyError: the file is missing, does not import, or binds no `Study` to `study`.
    """
    file = Path(path).absolute() if given else check_file(path)
    finder = SourceFinder(file.parent, given or {})
    sys.meta_path.insert(0, finder)
    module = _import(file, path, finder)
    study = getattr(module, "study", None)
    if not isinstance(study, BaseStudy):
        got = "" if study is None else f", but a {type(study).__name__}"
        raise StudyError(
            f"The study file {path} does not bind a sweep.Study to the name `study`{got}.",
            "Write: study = sweep.Study(...)",
        )
    study.bind(Path(str(module.__file__)))
    return study


def import_file(path: str | Path) -> ModuleType:
    """Import a study file, whatever it binds.

    Raises:
        StudyError: the file is missing or does not import.
    """
    file = check_file(path)
    return _import(file, path, SourceFinder(file.parent, {}))


def _import(file: Path, path: str | Path, finder: SourceFinder) -> ModuleType:
    import_from(file.parent)
    name = f"sweep_study_{file.stem}"
    spec = finder.spec(name, file)
    if spec is None or spec.loader is None:
        raise StudyError(f"{path} is not a Python file.", "The name of a study file ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    _loading.append(file)
    try:
        spec.loader.exec_module(module)
    except SweepError:
        raise
    except BaseException as error:
        raise StudyError(f"Cannot import the study file {path}: {_where(error, file)}") from error
    finally:
        _loading.remove(file)
    return module


def import_from(folder: Path) -> None:
    """Have modules of a folder imported, before those of folders that were named earlier and installed packages.

    As `python FILE` does, but after the standard library: Keras is not to import a `random.py` of the user's.
    """
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    places = [place for place, path in enumerate(sys.path) if path in own or str(Path(path).parent) in own]
    beside = [place for place in places if Path(sys.path[place]).name not in ("site-packages", "dist-packages")]
    sys.path.insert(max(beside, default=-1) + 1, str(folder))


def check_file(path: str | Path) -> Path:
    """The absolute path of a study file that is there and parses, without running it.

    Raises:
        StudyError: there is no such file, it is not Python, or it has a syntax error.
    """
    file = Path(path)
    if not file.is_file():
        raise StudyError(f"No such study file: {path}.", _nearest_file(file))
    if file.suffix != ".py":
        raise StudyError(f"{path} is not a Python file.", "The name of a study file ends in .py.")
    try:
        compile(file.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"The study file {path} is not valid Python: {syntax_problem(error)}.") from None
    return file.resolve()


def syntax_problem(error: SyntaxError | ValueError) -> str:
    """Why Python refuses to compile a file, with the line where it says so."""
    return f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)


def _nearest_file(file: Path) -> str | None:
    folder = file.parent if any(file.parent.glob("*.py")) else Path("studies")
    there = {path.name: str(path) for path in sorted(folder.glob("*.py"))}
    near = difflib.get_close_matches(file.name, there, n=1) or (list(there) if len(there) == 1 else [])
    if near:
        return f"Did you mean {there[near[0]]}?"
    return f"The files there are {listed(list(there.values()), 5)}." if there else None


def _where(error: BaseException, file: Path) -> str:
    """The error in a line, and the line of the study file it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {str(error) or 'no message'}{place}"


def _one_of(name: str, given: Any, former: str, formerly: Any) -> Any:
    """The value of an argument that may be given by its former name, too.

    Raises:
        StudyError: it is given by both, and these differ.
    """
    if given is not None and formerly is not None and given != formerly:
        said = f"{name}={given!r} and {former}={formerly!r} differ"
        raise StudyError(f"{said}, and {former} is the former name of {name}.")
    return given if given is not None else formerly


def _as_list(value: str | Sequence[str]) -> list[str]:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _parameter_sets(several: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    if isinstance(several, Mapping | str) or not all(isinstance(params, Mapping) for params in several):
        raise StudyError(f"enqueue must be a list of dicts from parameter names to values, not {several!r}.")
    return [dict(params) for params in several]


def _module_of(train: Train) -> ModuleType | None:
    while isinstance(train, partial):
        train = train.func
    return sys.modules.get(getattr(train, "__module__", None) or "")


def _file_of(train: Train) -> Path | None:
    """The file that a function came from; None in a notebook or an interactive session."""
    file = getattr(_module_of(train), "__file__", None)
    return Path(file).resolve() if file and Path(file).is_file() else None


def home(study: BaseStudy) -> Path | None:
    """The file from which a worker can load a study: that of a module which binds it to the name `study`."""
    for module in [sys.modules.get("__main__"), *sys.modules.values()]:
        file = getattr(module, "__file__", None)
        if file and getattr(module, "__dict__", {}).get("study") is study and Path(file).suffix == ".py":
            return Path(file).resolve()
    return None
