"""A study file and the modules beside it, as they were when a run trained: kept in the store, to rerun it."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweep.errors import StudyError

LARGEST = 1_000_000  # characters of all files; beyond that the study file alone is kept
_ELSEWHERE = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Snapshot:
    """Python files by their path below the study file's folder, with `/` between folders.

    Attributes:
        main: the study file.
        files: the text of each, the study file among them.
    """

    main: str
    files: Mapping[str, str]

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of it all, in hex."""
        return hashlib.sha256(self.as_text().encode("utf-8", "surrogatepass")).hexdigest()

    def as_text(self) -> str:
        """The snapshot as JSON, the same text for the same files."""
        return json.dumps({"main": self.main, "files": dict(sorted(self.files.items()))})

    @classmethod
    def from_text(cls, text: str) -> "Snapshot":
        """The inverse of `as_text`."""
        return cls(**json.loads(text))

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
        for name, text in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise StudyError("a snapshot's files lie below its folder", repr(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if beside is not None and beside.is_dir():
            _link(beside, folder)
        return folder / self.main


def take(file: Path | None) -> Snapshot | None:
    """The snapshot of a study file that this process has imported, with what it has imported from beside it."""
    if file is None:
        return None
    folder = file.parent.resolve()
    paths = {file.resolve(), *_imported(folder, {folder.name, file.parent.name})}
    files = {path.relative_to(folder).as_posix(): path.read_text(errors="surrogateescape") for path in paths}
    if sum(map(len, files.values())) > LARGEST:
        files = {file.name: files[file.name]}
    return Snapshot(file.name, files)


def _imported(folder: Path, called: set[str]) -> Iterator[Path]:
    """The modules below a folder; `called`: its names, which spare resolving all of TensorFlow's paths."""
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None) or ""
        if not name.endswith(".py") or not any(part in name for part in called):
            continue
        path = Path(name).resolve()
        if path.is_relative_to(folder):
            within = path.relative_to(folder).parts
            if not _ELSEWHERE.intersection(within) and not any(part.startswith(".") for part in within):
                yield path


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
