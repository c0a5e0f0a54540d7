"""What makes all trials of a worker begin alike: everything random from the trial's seed, settings as in the file.

Python's and NumPy's generators are seeded for every objective. What a framework needs besides is in a module of its
own, which is imported once a study has loaded the framework, so that an objective in plain NumPy never pays for Keras.
"""

import contextlib
import random
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np

HOMES = {"keras": "sweep.train.session"}
"""The frameworks that need more than seeds, by the package that a study imports, and the module that sees to it."""

_IMPORT = re.compile(rb"^\s*(?:import|from)\s[^\n]*\b(?:keras|tensorflow)\b", re.MULTILINE)


class Session(Protocol):
    """What such a module has."""

    def remember_settings(self, *, own: bool = False) -> None:
        """Have the present settings hold at the beginning of every trial; with `own`, the framework's own ones."""

    def begin(self, seed: int, *, settled: bool = False) -> None:
        """Begin a trial anew; `settled`: leave what is there out of later collections of garbage."""

    def forget_settings(self) -> None:
        """Put the remembered settings back, and remember none."""

    def training_nothing(self) -> AbstractContextManager[None]:
        """For a preview: the framework's own training raises `Previewed`."""


class Frameworks:
    """The frameworks that one worker's study has loaded.

    To be made when the study file has been imported: what it set then holds in every trial, and what a trial sets does
    not reach the next one. A framework that a trial loads later has its own settings.

    Args:
        file: the study's; one that imports Keras somewhere, perhaps only in a function, has it loaded now, before the
            first trial, which is seeded and previewed as the others are.
    """

    def __init__(self, file: Path | None) -> None:
        self._sessions: dict[str, Session] = {}
        if file is not None and _IMPORT.search(file.read_bytes()):
            import_module("keras")
        self._look()

    def begin(self, seed: int, *, settled: bool = False) -> None:
        """Begin a trial anew.

        Args:
            seed: of the trial, 0 to 2**32 - 1.
            settled: this worker has trained a trial: see `sweep.train.session.begin`.
        """
        random.seed(seed)
        np.random.seed(seed)
        self._look(own=True)
        for session in self._sessions.values():
            session.begin(seed, settled=settled)

    @contextlib.contextmanager
    def training_nothing(self) -> Iterator[None]:
        """In a preview an objective that trains by a framework's own means comes no further than to them."""
        with contextlib.ExitStack() as stack:
            for session in self._sessions.values():
                stack.enter_context(session.training_nothing())
            yield

    def end(self) -> None:
        """Put settings back to what the study file set."""
        for session in self._sessions.values():
            session.forget_settings()

    def _look(self, *, own: bool = False) -> None:
        for package, home in HOMES.items():
            if package in sys.modules and package not in self._sessions:
                session = cast(Session, import_module(home))
                session.remember_settings(own=own)
                self._sessions[package] = session
