"""The files of a study as this process has loaded them, whatever becomes of them on the disk meanwhile.

A worker that replaces another loads what the first one has loaded: files of a snapshot take the place of those on the
disk, under their paths, so that tracebacks, `__file__` and data beside them are as they would be.
"""

import importlib.machinery
import importlib.util
import linecache
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

_loaded: dict[str, bytes] = {}  # by path


def content(path: Path) -> bytes:
    """A file as this process has loaded it, or else as it is on the disk.

    Raises:
        OSError: it was not loaded, and cannot be read.
    """
    known = _loaded.get(str(path))
    return path.read_bytes() if known is None else known


def text(path: Path) -> str:
    """`content` as text; bytes that are not UTF-8 can be had back with `encoded`."""
    return content(path).decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """The inverse of `text`."""
    return text.encode("utf-8", "surrogateescape")


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Loads a file and remembers what it has loaded.

    It takes no bytecode of an earlier import: Python tells that by the file's size and the second of its last change.

    Args:
        given: what takes the place of files on the disk, by their paths.
    """

    def __init__(self, fullname: str, path: str, given: Mapping[str, bytes]) -> None:
        super().__init__(fullname, path)
        self._given = given

    def path_stats(self, _path: str) -> Mapping[str, object]:
        """None, so that the source is compiled."""
        raise OSError

    def get_data(self, path: str) -> bytes:
        """The file."""
        known = self._given.get(path)
        data = _loaded[path] = super().get_data(path) if known is None else known
        lines = data.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[path] = (
            len(data),
            None,
            lines,
            path,
        )  # for tracebacks and whoever asks for a function's source
        return data


class SourceFinder:
    """Finds modules below a study file's folder.

    Args:
        folder: that of the study file.
        given: files that take the place of those on the disk, by their paths from there with `/` between folders.
    """

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        self._folder = folder
        self._given = {str(folder / name): encoded(text) for name, text in given.items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where a module is loaded from; None where it is none of the study's."""
        first, _, _ = fullname.partition(".")
        if path is None and first in sys.stdlib_module_names:
            return None
        below = [Path(place) for place in path] if path is not None else [self._folder]
        below = [place for place in below if place.is_relative_to(self._folder)]
        if not below:
            return None
        for place in below:
            base = place / fullname.rpartition(".")[2]
            if str(base / "__init__.py") in self._given:
                return self.spec(fullname, base / "__init__.py", [str(base)])
            if str(base.with_suffix(".py")) in self._given:
                return self.spec(fullname, base.with_suffix(".py"))
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or type(found.loader) is not importlib.machinery.SourceFileLoader or found.origin is None:
            return None
        origin = Path(found.origin)
        if not origin.is_relative_to(self._folder) or "site-packages" in origin.parts:
            return None
        return self.spec(fullname, origin, found.submodule_search_locations)

    def spec(self, name: str, file: Path, places: Sequence[str] | None = None) -> importlib.machinery.ModuleSpec | None:
        """How a module is loaded from a file.

        Args:
            places: where the modules of a package are.
        """
        loader = SourceLoader(name, str(file), self._given)
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=None if places is None else list(places)
        )
