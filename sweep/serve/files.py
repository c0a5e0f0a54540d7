"""The study files that may be started: those in the operator's folder, which are read but never imported here."""

import ast
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import SweepError
from sweep.serve.problems import Conflict, NotFound
from sweep.study import check_file

_LARGEST = 1 << 20  # bytes of a study file whose docstring is read


@dataclass(frozen=True)
class StudyFile:
    """A study file: its name in the folder, its docstring, and what is wrong with it, if it is no valid Python."""

    name: str
    path: Path
    doc: str
    problem: str | None = None


def list_files(folder: Path | None) -> list[StudyFile]:
    """The study files of a folder by name; none where there is no folder."""
    return [] if folder is None else [read_file(folder, name) for name in _names(folder)]


def _names(folder: Path) -> list[str]:
    """The Python files that stand in a folder itself (a link to one elsewhere does not), without those with a `_`."""
    whole = folder.resolve()
    found = whole.glob("*.py") if whole.is_dir() else []
    return sorted(path.name for path in found if path.name[0] not in "._" and _is_file_in(path, whole))


def _is_file_in(path: Path, folder: Path) -> bool:
    return path.is_file() and path.resolve().parent == folder


def find_file(folder: Path | None, name: str) -> Path:
    """The file called `name` in a folder. The name is compared with those there are, and never becomes a path before.

    Raises:
        Conflict: there is no folder of study files.
        NotFound: there is no such file in it.
    """
    if folder is None:
        raise Conflict("studies are started from a folder of study files", "none", "sweep serve --studies DIR")
    if name in _names(folder):
        return (folder / name).resolve()
    raise NotFound("a study file is one of the service's folder", repr(name), "GET /api/files lists them")


def read_file(folder: Path | None, name: str) -> StudyFile:
    """A study file as it can be read without running it.

    Raises:
        NotFound: there is no such file.
    """
    path = find_file(folder, name)
    try:
        check_file(path)
        if path.stat().st_size > _LARGEST:
            return StudyFile(name, path, "", "larger than 1 MiB")
        doc = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except SweepError as error:
        return StudyFile(name, path, "", error.got)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return StudyFile(name, path, "", type(error).__name__)
    return StudyFile(name, path, doc)
