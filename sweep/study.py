"""What a user declares: a study and its file.

A study file is Python that binds a `Study` to the name `study`. Only a worker imports it, since it imports Keras;
everybody else has its `Declaration`.
"""

import dataclasses
import difflib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sweep.code import code_hash
from sweep.declaration import Declaration, Value, commit, file_hash, versions
from sweep.errors import StudyError, SweepError
from sweep.options import describe
from sweep.words import listed

if TYPE_CHECKING:
    import optuna

_loading: list[Path] = []  # study files that are being imported

Train = Callable[["optuna.trial.BaseTrial"], float | Sequence[float]]


class Study:
    """A search: what to train, over which trials, and what to keep.

    Args:
        train: an ordinary Optuna objective. It is given a trial and returns the trial's value, as `sweep.fit` gives it.
        objective: the metric that decides, by its name in Keras' logs, such as `val_loss`; a list for several
            objectives, which cannot be pruned.
        direction: `minimize` or `maximize`; a list for several objectives.
        trials: how many trials the study has in all; complete, pruned and failed ones count.
        epochs: the epochs of a trial where `sweep.fit` is given none.
        timeout: seconds after which no new trial begins.
        name: the study's name; by default that of its file.
        sampler: proposes parameters, e.g. `"tpe"`, `"random"`, `"grid(lr=[0.1, 0.01])"`; see `sweep start --help`.
        pruner: stops poor runs, e.g. `"median(n_startup_trials=5)"`, `"hyperband"`, `"nop"`.
        seed: makes sampling and each trial reproducible; by default drawn once and kept in the store.
        precision: `"auto"` rounds continuous parameters so that the short number in a run's name is the hyperparameter;
            None leaves them as they are, and names carry every digit.
        short: keys for run names by parameter, such as `{"learning_rate": "lr"}`; their order leads in names.
        result: which epoch's objective `sweep.fit` returns: its `"best"` (the default) or its `"last"`. What `train`
            returns is the trial's value, whether it is that number or another one.
        value: the former name of `result`.
        broken: what a severe finding does, such as a layer whose units are all alike or a loss that is stuck: `"prune"`
            stops the run after the second epoch that it holds, `"report"` only tells, `"ignore"` looks for none. A run
            whose objective is NaN or infinite is stopped anyway.
        workers: processes that train; by default one a core, or one a GPU. 0 trains in this process.
        enqueue: parameters to try first.

    Raises:
        StudyError: an argument is not as it must be.
    """

    def __init__(
        self,
        train: Train,
        *,
        objective: str | Sequence[str],
        direction: str | Sequence[str],
        trials: int = 20,
        epochs: int | None = None,
        timeout: float | None = None,
        name: str | None = None,
        sampler: str = "tpe",
        pruner: str | None = None,
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
        if result is not None and value is not None and result != value:
            raise StudyError(f"result={result!r} and value={value!r} differ, and value is the former name of result.")
        objectives, directions = _as_list(objective), _as_list(direction)
        self.train = train
        self.file = _file_of(train)
        self.named = name is not None
        self._declaration = Declaration(
            name=name if name is not None else (self.file.stem if self.file else "study"),
            objective=objectives,
            direction=directions,
            trials=trials,
            epochs=epochs,
            timeout=timeout,
            workers=workers,
            sampler=sampler,
            pruner=pruner if pruner is not None else ("median" if len(objectives) == 1 else "nop"),
            seed=seed,
            precision=precision,
            short=dict(short or {}),
            value=result or value or "best",
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

    def _bind(self, file: Path | None) -> None:
        """Take the file that workers load, and its name where the study has none."""
        self.file = file
        if file is not None and not self.named:
            self._declaration = dataclasses.replace(self._declaration, name=file.stem)

    def run(self, **overrides: Any) -> Any:
        """Run the sweep from a script or a notebook, as `sweep start` does; returns the study as Optuna has it.

        Workers load the study from the file that binds it to the name `study`; a script calls this under
        `if __name__ == "__main__":`, since they import it. A study that no file binds, as in a notebook, is trained in
        this process.

        Args:
            overrides: options of `sweep start` by their names in Python, which `help(sweep.Study.run)` lists.

        Raises:
            SweepError: an argument, the study or the database is not as it must be.
        """
        from sweep.running import run_study

        if _loading:
            raise StudyError(
                "study.run() was called while the file was being imported, and workers import it too.",
                'Put the call under: if __name__ == "__main__":',
            )
        self._bind(_home(self))
        return run_study(self, **overrides)


describe(Study.run)


class _Uncached(importlib.machinery.SourceFileLoader):
    """Takes no bytecode of an earlier import: Python tells it by the file's size and the second of its last change."""

    def path_stats(self, _path: str) -> Mapping[str, Any]:
        """None, so that the source is compiled."""
        raise OSError


def load(path: str | Path) -> Study:
    """Import a study file and return its study. Loads TensorFlow where the file does.

    Raises:
        StudyError: the file is missing, does not import, or binds no `Study` to `study`.
    """
    module = import_file(path)
    study = getattr(module, "study", None)
    if not isinstance(study, Study):
        got = "" if study is None else f", but a {type(study).__name__}"
        raise StudyError(
            f"The study file {path} does not bind a sweep.Study to the name `study`{got}.",
            "Write: study = sweep.Study(...)",
        )
    study._bind(Path(str(module.__file__)))
    return study


def import_file(path: str | Path) -> ModuleType:
    """Import a study file, whatever it binds.

    Raises:
        StudyError: the file is missing or does not import.
    """
    file = check_file(path)
    sys.path.insert(0, str(file.parent))  # as `python FILE` does, so that a study may import its neighbours
    name = f"sweep_study_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_Uncached(name, str(file)))
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


def _home(study: Study) -> Path | None:
    """The file from which a worker can load a study: that of a module which binds it to the name `study`."""
    for module in [sys.modules.get("__main__"), *sys.modules.values()]:
        file = getattr(module, "__file__", None)
        if file and getattr(module, "__dict__", {}).get("study") is study and Path(file).suffix == ".py":
            return Path(file).resolve()
    return None
