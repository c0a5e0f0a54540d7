"""A study as plain data: what crosses processes and stands in the store."""

import dataclasses
import hashlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sweep.distribution import NAME, __version__, renamed
from sweep.errors import StudyError
from sweep.names import Value as Value
from sweep.objective import Objective
from sweep.options import OPTIONS
from sweep.sources import content
from sweep.specs import prunes
from sweep.stop_rules import trials_without_better

PACKAGES = ("tensorflow", "keras", "optuna", "numpy", "tensorboard")


_SEEDS = 2**31  # tells the seeds of repeats from those of trials, which have smaller numbers


@dataclass(frozen=True)
class Declaration:
    """A study as plain data.

    `objective` and `direction` run in parallel, and have one entry unless the study has several. `trials_given` and
    `pruner_given` are false where `trials` and `pruner` are only what holds where nobody says it. `force_epochs` makes
    `epochs` override what `sweep.fit` is given. `value` is `Study(result=...)`: which epoch's objective `sweep.fit`
    returns, `best` or `last`. `file` is the absolute path of the study file (None for a study of a notebook), `hash`
    its SHA-256 in hex, `versions` the packages it runs with, `commit` the git commit of its folder (with `+` behind it
    where files differ from it). `unpruned` is the share of the trials that the pruner leaves alone,
    and `unpruned_from` the first trial that it was drawn for. `paused_limit` is in bytes. `repeats` is with how many
    seeds each trial trains; None where nobody says it, which is one in a new study.
    """

    name: str
    objective: list[str]
    direction: list[str]
    trials: int
    repeats: int | None = None
    epochs: int | None = None
    force_epochs: bool = False
    timeout: float | None = None
    budget_epochs: int | None = None
    stop_when: list[str] = field(default_factory=list)
    stall_timeout: float | None = None
    max_trial_time: float | None = None
    workers: int | None = None
    sampler: str = "tpe"
    pruner: str = "asha"
    paused_limit: int | None = None
    unpruned: float | None = None
    unpruned_from: int = 0
    seed: int | None = None
    precision: str | None = "auto"
    short: dict[str, str] = field(default_factory=dict)
    value: str = "best"
    broken: str = "prune"
    enqueue: list[dict[str, Value]] = field(default_factory=list)
    trials_given: bool = True
    pruner_given: bool = True
    doc: str = ""
    file: str | None = None
    hash: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    commit: str | None = None

    def __post_init__(self) -> None:
        _check_declaration(self)

    @property
    def objectives(self) -> list[Objective]:
        """What the study optimises."""
        return list(map(Objective, self.objective, self.direction))

    def as_dict(self) -> dict[str, Any]:
        """The declaration as JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Declaration":
        """The inverse of `as_dict`; names that this version does not know are passed over."""
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "Declaration":
        """A declaration that stands in a database, perhaps from another version of sweep.

        Nothing is refused: what is missing, or None where that means nothing, has its default.
        """
        found = object.__new__(cls)
        for item in dataclasses.fields(cls):
            default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
            value = values.get(item.name, default)
            object.__setattr__(found, item.name, default if value is None else value)
        object.__setattr__(found, "versions", renamed(found.versions))
        return found

    @property
    def seeds(self) -> int:
        """With how many seeds each trial trains."""
        return self.repeats or 1

    @property
    def first_fresh(self) -> int:
        """The number of the first repeat that is not part of a run's value."""
        return 1 if self.seeds == 1 else self.seeds + 1

    def repeat_seed(self, repeat: int) -> int:
        """The seed of a repeat, of 31 bits, which is the same for every run: runs are compared in pairs."""
        return int(np.random.SeedSequence([self.seed or 0, _SEEDS, repeat]).generate_state(1)[0]) >> 1

    def leaves_unpruned(self, number: int) -> bool:
        """Whether a trial is one of the share that the pruner leaves alone, which its number and the seed decide."""
        if self.unpruned is None or number < self.unpruned_from:
            return False
        drawn = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        return int.from_bytes(drawn[:8], "big") < self.unpruned * 2**64

    def at(self, file: Path | None) -> "Declaration":
        """The declaration as of the file here, where a worker has loaded a copy elsewhere; None leaves it."""
        if file is None or str(file) == self.file:
            return self
        return dataclasses.replace(self, file=str(file), commit=commit(file.parent))

    def replaced(self, **overrides: Any) -> "Declaration":
        """The declaration with every override that is not None.

        Raises:
            StudyError: an override is not as it must be.
        """
        return dataclasses.replace(self, **{name: value for name, value in overrides.items() if value is not None})


def file_hash(path: Path) -> str:
    """The SHA-256 of a file as this process has loaded it, in hex."""
    return hashlib.sha256(content(path)).hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python, of sweep and of the packages a study runs with; a package that is missing has none."""
    found = {"python": ".".join(str(part) for part in sys.version_info[:3]), NAME: __version__}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> str | None:
    """The git commit of a folder, `+` behind it where tracked files differ from it; None outside git."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def _check_declaration(study: Declaration) -> None:
    _check_options(study)
    _check_types(study)
    if not study.objective or len(study.objective) != len(study.direction):
        raise StudyError(
            f"Each objective needs a direction of its own: {study.objective} and {study.direction} differ in number."
        )
    for direction in study.direction:
        if direction not in ("minimize", "maximize"):
            raise StudyError(f'A direction must be "minimize" or "maximize", not {direction!r}.')
    if len(study.objective) > 1 and prunes(study.pruner):
        raise StudyError(
            f"A study with several objectives cannot prune, and its pruner is {study.pruner!r}.",
            "Use --pruner nop, or one objective.",
        )
    if len(study.objective) > 1 and study.seeds > 1:
        raise StudyError(
            "A study with several objectives cannot train its trials with several seeds.",
            "Leave repeats out, or have train repeat its training itself and return the means.",
        )
    if len(study.objective) > 1 and any(map(trials_without_better, study.stop_when)):
        raise StudyError(
            "With several objectives no trial is the best, so `no better in N trials` cannot be judged.",
            "Stop the study with a condition instead, such as 'loss < 0.05'.",
        )
    if study.value not in ("best", "last"):
        raise StudyError(f'A study\'s result must be "best" or "last", not {study.value!r}.')
    if study.precision not in ("auto", None):
        raise StudyError(f'precision must be "auto" or None, not {study.precision!r}.')


def _check_options(study: Declaration) -> None:
    """Check what a start can override by the same rules, and give it the same form: a timeout of "10m" is 600.0."""
    for item in dataclasses.fields(study):
        value = getattr(study, item.name)
        if item.name in OPTIONS and not (value is None and item.default is None):
            checked = OPTIONS[item.name].declared(value)
            object.__setattr__(study, item.name, list(checked) if isinstance(checked, tuple) else checked)


def _check_types(study: Declaration) -> None:
    """Refuse what is of another type than it must be, before anything is asked of it."""
    for name in ("objective", "direction"):
        if not all(isinstance(text, str) for text in getattr(study, name)):
            raise StudyError(f"A study's {name} must be text, or a list of texts, not {getattr(study, name)!r}.")
    if not all(isinstance(text, str) for pair in study.short.items() for text in pair):
        raise StudyError(f"short must be a dict from parameter names to keys for run names, not {study.short!r}.")
