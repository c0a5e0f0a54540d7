"""A study file and the modules beside it, as they were when a run trained: kept in the store, to rerun it."""

import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweep.errors import StudyError
from sweep.sources import encoded, text
from sweep.words import listed

LARGEST = 1_000_000
"""Characters of all files; beyond that the study file alone is kept."""

_ELSEWHERE = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Snapshot:
    """Python files by their path below the study file's folder, with `/` between folders.

    Attributes:
        main: the study file.
        files: the text of each, the study file among them.
        left_out: files that were imported too, and are not kept, since all were more than `LARGEST`.
    """

    main: str
    files: Mapping[str, str]
    left_out: Sequence[str] = ()

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of it all, in hex."""
        return hashlib.sha256(self.as_text().encode("utf-8", "surrogatepass")).hexdigest()

    def as_text(self) -> str:
        """The snapshot as JSON, the same text for the same files."""
        about = {"left_out": list(self.left_out)} if self.left_out else {}
        return json.dumps({"main": self.main, "files": dict(sorted(self.files.items())), **about})

    @classmethod
    def from_text(cls, text: str) -> "Snapshot":
        """The inverse of `as_text`."""
        return cls(**json.loads(text))

    @property
    def names(self) -> set[str]:
        """The files that were imported, kept or not."""
        return {*self.files, *self.left_out}

    def with_more(self, files: Mapping[str, str]) -> "Snapshot":
        """The snapshot with more files, as far as they are kept."""
        every = {**self.files, **files}
        if not self.left_out and sum(map(len, every.values())) <= LARGEST:
            return Snapshot(self.main, every)
        left_out = sorted({*every, *self.left_out} - {self.main})
        return Snapshot(self.main, {self.main: every[self.main]}, left_out)

    @property
    def warning(self) -> str | None:
        """What a person should know of what is not kept, if something is not."""
        if not self.left_out:
            return None
        return (
            f"{self.main} and what it imports from beside it are more than {LARGEST / 1e6:g} million characters: "
            f"it alone is kept for sweep rerun, without {listed(self.left_out)}"
        )

    def lay_out(self, folder: Path, beside: Path | None = None) -> Path:
        """Write the files into a folder.

        Args:
            folder: is empty.
            beside: what lies beside them in this folder, data as a rule, is linked to.

        Returns:
            The study file.

        Raises:
            StudyError: a path leads out of the folder.
        """
        for name, kept in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise StudyError(f"A file of the snapshot lies outside its folder: {name!r}.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(kept))
        if beside is not None and beside.is_dir():
            _link(beside, folder)
        return folder / self.main


class Imports:
    """What this process imports from beside a study file, from then on when it has loaded it.

    Attributes:
        snapshot: of the study file as it was loaded; None where the study is in no file.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.snapshot = take(file)
        self._told = set(self.snapshot.names) if self.snapshot is not None else set()
        self._modules = len(sys.modules)

    def new(self) -> dict[str, str]:
        """The text of each file that was imported since the last call; this costs nothing where nothing was."""
        if self._file is None or len(sys.modules) == self._modules:
            return {}
        self._modules = len(sys.modules)
        paths = {name: path for name, path in _imported(self._file) if name not in self._told}
        self._told |= paths.keys()
        return _read(paths)


def take(file: Path | None) -> Snapshot | None:
    """The snapshot of a study file that this process has imported, with what it has imported from beside it."""
    if file is None:
        return None
    return Snapshot(file.name, {}).with_more(_read({**dict(_imported(file)), file.name: file}))


def _read(paths: Mapping[str, Path]) -> dict[str, str]:
    return {name: text(path) for name, path in paths.items()}


def _imported(file: Path) -> Iterator[tuple[str, Path]]:
    """The modules below a study file's folder, by their path from there; a link in it counts as what it leads to."""
    folders = (file.parent.absolute(), file.parent.resolve())
    called = {folder.name for folder in folders}  # which spares resolving all of TensorFlow's paths
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None) or ""
        if name.endswith(".py") and any(part in name for part in called):
            path = Path(name).absolute()
            within = _within(path, *folders)
            if within is not None:
                yield within, path


@functools.lru_cache(maxsize=2**16)  # TensorFlow has 5,000 modules, in a virtual environment beside many a study
def _within(path: Path, folder: Path, resolved: Path) -> str | None:
    """Where a module's file is below a folder; None if it is elsewhere or in an installed package."""
    places = ((path, folder), (path, resolved), (path.resolve(), resolved))
    within = next((place.relative_to(below) for place, below in places if place.is_relative_to(below)), None)
    if within is None or any(part in _ELSEWHERE or part.startswith(".") for part in within.parts):
        return None
    return within.as_posix()


def _link(there: Path, here: Path) -> None:
    """Link to what lies in a folder and not in this one; folders that both have are gone through."""
    for path in there.iterdir():
        mine = here / path.name
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if not mine.exists():
            mine.symlink_to(path.resolve())
        elif mine.is_dir() and path.is_dir():
            _link(path, mine)
