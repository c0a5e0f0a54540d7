"""The study files that may be started: those in the operator's folder, which are read but never imported here.

What one would train is found out in a child process, and kept as long as the file does not change.
"""

import ast
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.control.preview import Preview, preview
from sweep.declaration import file_hash
from sweep.option_values import STUDY_NAME
from sweep.serve.problems import Conflict, Full, NotFound, Refusal
from sweep.study_file import syntax_problem

EXAMPLES = 8
KEPT = 32  # previews
SECONDS = 120.0
"""How long a study file may take to come to `sweep.fit`; importing TensorFlow takes some seconds."""

WAIT_SECONDS = 20.0

_LARGEST = 1 << 20  # bytes of a study file whose docstring is read


@dataclass(frozen=True)
class StudyFile:
    """A study file.

    Attributes:
        name: its name in the folder.
        doc: its docstring.
        problem: what is wrong with it, if it is no valid Python.
        declared: what it gives `sweep.Study` by name, as far as that is a plain value which can be read off.
    """

    name: str
    path: Path
    doc: str
    problem: str | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)

    @property
    def study(self) -> str:
        """The name that its study has where no other one is given."""
        name = self.declared.get("name")
        return name if isinstance(name, str) and STUDY_NAME.fullmatch(name) else default_name(self.path)


def default_name(path: Path) -> str:
    """The name of a study whose file gives it none."""
    return path.stem if STUDY_NAME.fullmatch(path.stem) else "study"


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
        raise Conflict("This service has no folder of study files.", "Start it with: sweep serve --studies DIR")
    if name in _names(folder):
        return (folder / name).resolve()
    raise NotFound(f"No such study file: {name}.", "GET /api/files lists them.")


def startable(folder: Path | None, name: str) -> StudyFile:
    """The study file called `name`, which a worker may load.

    Raises:
        Conflict, NotFound: see `find_file`.
        Refusal: it is no valid Python, so that no worker need try.
    """
    file = read_file(folder, name)
    if file.problem is not None:
        raise Refusal(f"{name} is not valid Python: {file.problem}.", "Correct it, then start it.")
    return file


def read_file(folder: Path | None, name: str) -> StudyFile:
    """A study file as it can be read without running it.

    Raises:
        NotFound: there is no such file.
    """
    path = find_file(folder, name)
    try:
        compile(path.read_bytes(), name, "exec")
        if path.stat().st_size > _LARGEST:
            return StudyFile(name, path, "", "larger than 1 MiB")
        tree = ast.parse(path.read_bytes())
        doc, declared = ast.get_docstring(tree) or "", _declared(tree)
    except (SyntaxError, ValueError) as error:
        return StudyFile(name, path, "", syntax_problem(error))
    except (OSError, RecursionError, MemoryError) as error:
        return StudyFile(name, path, "", type(error).__name__)
    return StudyFile(name, path, doc, declared=declared)


def _declared(tree: ast.Module) -> dict[str, Any]:
    """The plain values among the arguments by name of the last call of `Study`, also where the module names them."""
    known = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "Study"]
    found = {}
    for each in calls[-1].keywords if calls else []:
        if each.arg and isinstance(each.value, ast.Constant):
            found[each.arg] = each.value.value
        elif each.arg and isinstance(each.value, ast.Name) and each.value.id in known:
            found[each.arg] = known[each.value.id]
    return found


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


class Previews:
    """Previews of study files, one made at a time; any thread may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], Preview] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Preview:
        """What a worker finds that runs `train` up to `sweep.fit` with parameters drawn at random.

        Raises:
            Full: another file is being previewed.
            SweepError: the file or its study is refused, or takes too long.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Full("Another study file is being previewed.", "Try again shortly.")
        try:
            key = (path, file_hash(path))
            if key not in self._kept:
                self._kept[key] = preview(str(path), examples=EXAMPLES, seconds=SECONDS)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]
        finally:
            self._lock.release()
