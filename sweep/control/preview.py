"""What a study will look like, before anything trains: example run names, the key table, the search space, warnings.

A worker runs `train` up to `sweep.fit` a few times, with parameters drawn at random; nothing is kept.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.distributions import json_to_distribution

from sweep.control.domains import coerce, describe, known_parameter
from sweep.control.executors.local import Local
from sweep.control.loop import Loop
from sweep.control.progress import Opening, Silent
from sweep.control.start import running, work_here
from sweep.core.events import Refused
from sweep.declaration import Value
from sweep.errors import StudyError
from sweep.names import KeyTable, decode
from sweep.options import Settings
from sweep.store import RunRecord
from sweep.study_file import BaseStudy, check_file

EXAMPLES = 16


@dataclass
class Preview(Silent):
    """A study seen from outside. `space` maps each parameter to the distributions (Optuna's JSON) it has."""

    study: str = ""
    runs: list[RunRecord] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    space: dict[str, list[str]] = field(default_factory=dict)
    doc: str = ""

    def opened(self, study: Opening) -> None:
        """Keep the study's name."""
        self.study = study.name

    def started(self, run: RunRecord) -> None:
        """Keep an example."""
        self.runs.append(run)

    def domain(self, name: str) -> str:
        """A parameter's domain in words."""
        return " or ".join(describe(json_to_distribution(text)) for text in self.space[name])

    def warnings(self) -> list[str]:
        """What a person should know about the run names."""
        table = KeyTable(table=self.keys)
        shortened = [run for run in self.runs if run.name and decode(run.name, table).digest]
        said = []
        if shortened:
            said.append(
                f"{len(shortened)} of {len(self.runs)} example names are longer than 140 bytes and end in a hash of "
                "their parameters; give parameters shorter keys with Study(short=...)"
            )
        if not self.runs:
            said.append("no trial came as far as sweep.fit; see whether `train` calls it")
        for name in self.space:
            if len({repr(run.params.get(name)) for run in self.runs if name in run.params}) == 1 and len(self.runs) > 3:
                said.append(f"{name} had one value in all examples")
        return said

    def value(self, name: str, value: Value) -> Value:
        """A value given for a parameter, as its domain has it.

        Raises:
            StudyError: there is no such parameter, or its domain has no such value.
        """
        known_parameter(name, self.space)
        *others, last = (json_to_distribution(text) for text in self.space[name])
        for domain in others:
            with contextlib.suppress(StudyError):
                return coerce(name, value, domain)
        return coerce(name, value, last)

    def params(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Parameters given by a person, as their domains have them.

        Raises:
            StudyError: one of them cannot be.
        """
        return {name: self.value(name, value) for name, value in params.items()}

    def params_of(self, name: str) -> dict[str, Value]:
        """The parameters of a run name.

        Raises:
            RunNameError: it is none of this study's.
        """
        return dict(decode(name, KeyTable(table=self.keys)).params)


def preview(file: str, *, examples: int = EXAMPLES, seconds: float | None = None) -> Preview:
    """Preview a study file, in a worker of its own.

    Args:
        seconds: after which it is given up; by default never.

    Raises:
        SweepError: the file or the study is not as it must be, or takes too long.
    """
    path = check_file(file)
    with _previewing(examples) as (loop, seen):
        executor = Local(str(path), loop.address, loop.post)
        loop.use(executor)
        try:
            if not loop.wait(seconds):
                late = f"The study's train function did not reach sweep.fit within {seconds:g} s."
                loop.post(Refused(StudyError(late)))
                loop.signal("Ctrl-C", 1)
                loop.signal("Ctrl-C", 2)  # its workers end at once
                loop.wait()
        finally:
            executor.close()
    return seen


def preview_here(study: BaseStudy, *, examples: int = EXAMPLES) -> Preview:
    """Preview a study in this process.

    Raises:
        SweepError: the study is not as it must be.
    """
    with _previewing(examples) as (loop, seen):
        work_here(loop, study)
        loop.wait()
    return seen


@contextlib.contextmanager
def _previewing(examples: int) -> Iterator[tuple[Loop, Preview]]:
    """A preview's loop, and what it has seen at the end of the context."""
    seen = Preview()
    loop = Loop(Settings(trials=examples, sampler="random", pruner="nop", workers=1), seen, preview=True)
    with running(loop):
        yield loop, seen
    loop.raise_error()
    search = loop.opened.search
    seen.keys, seen.space, seen.doc = search.keys.as_dict(), search.space, search.declaration.doc


def fitting(seen: Preview, several: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """What fits a search space of several parameter sets, such as those of another study's best runs.

    A parameter that the space does not have, or whose domain has not that value, is left out and proposed anew.
    """
    found = []
    for params in several:
        fits: dict[str, Value] = {}
        for name, value in params.items():
            with contextlib.suppress(StudyError):
                fits[name] = seen.value(name, value)
        if fits:
            found.append(fits)
    return found
