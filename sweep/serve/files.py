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
    """The study files of a folder by name: Python files that do not begin with `_`; none where there is no folder."""
    if folder is None or not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.glob("*.py") if path.is_file() and not path.name.startswith("_"))
    return [read_file(folder, name) for name in names]


def find_file(folder: Path | None, name: str) -> Path:
    """The file called `name` in a folder.

    Raises:
        Conflict: there is no folder of study files.
        NotFound: there is no such file in it; a path that leads out of it is none.
    """
    if folder is None:
        raise Conflict("studies are started from a folder of study files", "none", "sweep serve --studies DIR")
    whole = folder.resolve()
    if name.endswith(".py") and name.isprintable() and not set(name) & set("/\\") and name[0] not in "._":
        path = (whole / name).resolve()
        if path.parent == whole and path.is_file():
            return path
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
