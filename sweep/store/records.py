"""A study and a run as they stand in our tables, and their rows."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sweep.core.pruners import Verdict, sentence
from sweep.core.pruners.asha import RungEntry
from sweep.declaration import Declaration
from sweep.finding import Finding
from sweep.store.paths import kept, whole, whole_declaration
from sweep.store.tables import join_float, split_float
from sweep.waiting import is_there
from sweep.words import plain

Value = None | bool | int | float | str

SILENT_SECONDS = 10.0
"""A study whose coordinator has not beaten for so long is shown as stopped; it beats every second."""

FINISHED = frozenset({"COMPLETE", "PRUNED", "FAIL"})

REVIVES = "revives"
"""The user attribute of a trial that continues a pruned one, whose number it is."""

CONTINUES = "continues"
"""The user attribute of a trial that does so since that one is due again, rather than because a person wants it."""

RUN = "run"
"""The user attribute of a trial that is its run's name."""

DELETED = "sweep:deleted"
"""The system attribute of a trial whose run was deleted, so that it is only a number: the name of the folder that went
with the run, empty if none did."""

OUT_OF_MEMORY = "out of memory"
"""How the reason of a run begins that failed for want of memory: samplers learn from it, and it is not tried again."""

ADDED = "added through Optuna, not trained by sweep"
"""The reason of a run whose trial another program wrote into Optuna's tables; it does not count towards `trials`."""


@dataclass(frozen=True)
class Training:
    """One model's epochs within a trial.

    Attributes:
        number: its place among the trainings of the trial, from 0.
        label: what the user calls it, if anything.
        judged: whether pruners judge its epochs; `marked` whether the user said so (`judge=True`).
        first: the epoch of the run, from 0, at which it begins.
        epochs: how many it has finished.
        planned: how many it is to have.
        architecture: that of its model, as in run names.
        monitor: the metric that chooses its best epoch.
        value: what the last `sweep.fit` call of it returned.
        best_epoch: its epoch, from 0, whose weights are kept.
        how: in which way its epochs ran, and how fast, as a sentence; known when it has ended.
        asked: how many epochs its calls were given, whatever `--epochs` made of it; None where they were given none.
        unpausable: why it cannot be resumed exactly, so that it is not paused; None where it can.
    """

    number: int
    label: str | None = None
    judged: bool = False
    marked: bool = False
    first: int = 0
    epochs: int = 0
    planned: int | None = None
    architecture: str | None = None
    monitor: str | None = None
    value: float | None = None
    best_epoch: int | None = None
    how: str | None = None
    asked: int | None = None
    unpausable: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The training as JSON can hold it."""
        return dict(vars(self))

    def trained(self, epochs: int) -> "Training":
        """The training when it has finished so many epochs."""
        later = object.__new__(Training)  # `dataclasses.replace` takes ten times as long, and an epoch needs this once
        later.__dict__.update(self.__dict__, epochs=epochs)
        return later

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Training":
        """The inverse of `as_dict`; names that this version does not know are skipped."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class RepeatRecord:
    """A run trained again with another seed, once it has ended.

    Attributes:
        repeat_of: the run's number.
        repeat: which of its repeats, from 1; that of this number of every run has the same seed.
        value: what `train` returned; None unless it is COMPLETE and the number finite.
        epoch: how many epochs it has finished.
        reason: why it ended, unless it is COMPLETE.
        started: in Unix seconds; `duration` in seconds.
        snapshot: the hash of the files that it trained with.
        test: what the study file's `test` returned for its model, by name; None until that was called.
        of_value: whether it is part of the run's value, as in a study that trains every trial with several seeds: the
            run itself is the first of these. Otherwise its seed is fresh: it came after the value was known.
    """

    repeat_of: int
    repeat: int
    seed: int
    name: str | None = None
    state: str = "COMPLETE"
    directory: str | None = None
    value: float | None = None
    epoch: int = 0
    reason: str | None = None
    started: float | None = None
    duration: float | None = None
    snapshot: str | None = None
    test: Mapping[str, float] | None = None
    of_value: bool = False

    def row(self, study_id: int, folder: str | None = None) -> dict[str, Any]:
        """The repeat as a row of `sweep_repeats`; `folder` is the study's."""
        row: dict[str, Any] = {**vars(self), "study_id": study_id}
        row["directory"] = kept(self.directory, folder) if self.directory is not None else None
        row["test"] = json.dumps(dict(self.test)) if self.test is not None else None
        return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}

    @classmethod
    def from_row(cls, row: Any, folder: str | None = None) -> "RepeatRecord":
        """The inverse of `row`."""
        values = {name: value for name, value in dict(row).items() if name != "study_id"}
        values["directory"] = whole(values["directory"], folder) if values["directory"] is not None else None
        values["test"] = json.loads(values["test"]) if values["test"] is not None else None
        return cls(**values)


@dataclass
class RunRecord:
    """One trial's run.

    `values` are what `train` returned, in the order of the study's objectives; only a COMPLETE run has them. `best` and
    `last` are the objective's values at its best and its last epoch.

    `epoch` counts finished epochs, `best_epoch` counts from 0; `started` is in Unix seconds, `duration` in seconds.
    `name` is None until it is fixed: at `sweep.fit`, the first report or the end of the objective. `revives` is the
    number of the pruned run that it goes on with, `interruptions` say after how many epochs each earlier attempt ended
    and why.

    `repeats` are its trainings with other seeds. `mean`, `sd` and `n` are of those with fresh seeds, without those that
    are part of its value, which has been selected; of these where there are no others.

    If a pruner stopped or paused it, `verdict` says why; otherwise `reason` does, as text. `why` is the text of either.
    A run that was pruned before schema 0005 has a reason and no verdict. `rungs` are those that it has entered, where
    the pruner pauses runs.
    """

    number: int
    name: str | None = None
    state: str = "RUNNING"
    attempt: int = 0
    directory: str | None = None
    family: str | None = None
    architecture: str | None = None
    params: dict[str, Value] = field(default_factory=dict)
    seed: int | None = None
    epoch: int = 0
    epochs: int | None = None
    last: float | None = None
    best: float | None = None
    best_epoch: int | None = None
    reason: str | None = None
    findings: list[Finding] = field(default_factory=list)
    traceback: str | None = None
    worker: str | None = None
    started: float | None = None
    duration: float | None = None
    snapshot: str | None = None
    revives: int | None = None
    interruptions: list[str] = field(default_factory=list)
    values: list[float] | None = None
    constraints: dict[str, float] = field(default_factory=dict)
    trainings: list[Training] = field(default_factory=list)
    verdict: Verdict | None = None
    rungs: list[RungEntry] = field(default_factory=list)
    repeats: Sequence[RepeatRecord] = ()

    def __copy__(self) -> "RunRecord":
        """A copy, made for every epoch: without the detour that `copy.copy` takes otherwise."""
        other = object.__new__(RunRecord)
        other.__dict__.update(self.__dict__)
        return other

    @property
    def why(self) -> str | None:
        """Why it ended or waits, as text."""
        return sentence(self.verdict) if self.verdict is not None else self.reason

    @property
    def value(self) -> float | None:
        """What `train` returned, the first of several; None unless the run is COMPLETE."""
        return self.values[0] if self.values else None

    @property
    def fresh(self) -> Sequence[RepeatRecord]:
        """Its repeats with fresh seeds."""
        return [one for one in self.repeats if not one.of_value] if self.repeats else ()

    @property
    def of_value(self) -> Sequence[RepeatRecord]:
        """The trainings that its value is the mean of, as far as they have ended; the first one is its own."""
        return [one for one in self.repeats if one.of_value] if self.repeats else ()

    @property
    def measured(self) -> list[float]:
        """What `train` returned in the repeats that `mean` is of, as far as they are COMPLETE."""
        return [one.value for one in self.fresh or self.of_value if one.value is not None]

    @property
    def mean(self) -> float | None:
        """The mean over its repeats; None without one that is COMPLETE."""
        return statistics.fmean(self.measured) if self.repeats and self.measured else None

    @property
    def sd(self) -> float | None:
        """The standard deviation of its repeats, n - 1 in the denominator; None below two."""
        return statistics.stdev(self.measured) if len(self.repeats) > 1 and len(self.measured) > 1 else None

    @property
    def n(self) -> int | None:
        """How many repeats `mean` is of; None where it was never repeated."""
        return len(self.measured) if self.repeats else None

    @property
    def ended(self) -> float:
        """When it ended if it trained without a break, in Unix seconds; 0 where nothing is known."""
        return (self.started or 0.0) + (self.duration or 0.0)

    @property
    def added(self) -> bool:
        """Whether another program added or trained its trial; then it does not count towards the study's `trials`."""
        return self.reason == ADDED

    @property
    def is_trained_here(self) -> bool:
        """Whether a worker of sweep trains it, or has; no run that was added or imported has a seed or a worker."""
        return self.seed is not None or self.worker is not None

    @property
    def has_trained(self) -> bool:
        """Whether it has trained an epoch, reported a value, or ended with one."""
        return self.epoch > 0 or self.state == "COMPLETE"

    @property
    def judged_training(self) -> Training | None:
        """The training whose epochs pruners judge, if one of them is."""
        return next((training for training in self.trainings if training.judged), None)

    @property
    def feasible(self) -> bool | None:
        """Whether every constraint is met, that is 0 or less; None for a run without constraints."""
        return all(value <= 0 for value in self.constraints.values()) if self.constraints else None

    def row(self, study_id: int, folder: str | None = None) -> dict[str, Any]:
        """The run as a row of `sweep_runs`.

        Args:
            folder: the study's, to which the row's directory is to be relative.
        """
        row: dict[str, Any] = {**vars(self), "study_id": study_id}
        del row["repeats"]  # which have a table
        row["directory"] = kept(self.directory, folder) if self.directory is not None else None
        row["params"] = json.dumps(self.params)
        row["findings"] = json.dumps([found.as_dict() for found in self.findings]) if self.findings else None
        row["interruptions"] = json.dumps(self.interruptions) if self.interruptions else None
        row["values"] = json.dumps(self.values) if self.values is not None else None
        row["constraints"] = json.dumps(self.constraints) if self.constraints else None
        row["trainings"] = json.dumps([one.as_dict() for one in self.trainings]) if self.trainings else None
        row["verdict"] = json.dumps(self.verdict.as_dict()) if self.verdict is not None else None
        row["rungs"] = json.dumps([vars(entry) for entry in self.rungs]) if self.rungs else None
        row["last"], row["last_kind"] = split_float(self.last)
        return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}

    @classmethod
    def from_row(cls, row: Any, folder: str | None = None) -> "RunRecord":
        """The run that a row of `sweep_runs` holds; the inverse of `row`.

        Args:
            folder: the study's, to which the row's directory is relative.
        """
        values = dict(row._mapping)
        del values["study_id"]
        values["directory"] = whole(values["directory"], folder) if values["directory"] is not None else None
        values["params"] = json.loads(values["params"])
        values["findings"] = (
            [Finding.from_dict(item) for item in json.loads(values["findings"])] if values["findings"] else []
        )
        values["interruptions"] = json.loads(values["interruptions"]) if values["interruptions"] else []
        for name in ("reason", "traceback"):  # those of earlier versions may have colours
            values[name] = plain(values[name]) if values[name] is not None else None
        values["interruptions"] = [plain(text) for text in values["interruptions"]]
        values["values"] = json.loads(values["values"]) if values.get("values") else None
        values["constraints"] = json.loads(values["constraints"]) if values.get("constraints") else {}
        values["trainings"] = [Training.from_dict(item) for item in json.loads(values.get("trainings") or "[]")]
        values["verdict"] = Verdict.from_dict(json.loads(values["verdict"])) if values.get("verdict") else None
        values["rungs"] = [RungEntry(**item) for item in json.loads(values.get("rungs") or "[]")]
        values["last"] = join_float(values["last"], values.pop("last_kind"))
        return cls(**values)


def counts_of(runs: Iterable[RunRecord]) -> Counter[str]:
    """How many of some runs are in each state; those that other programs added do not count."""
    return Counter(run.state for run in runs if not run.added)


def epochs_spent(runs: Sequence[RunRecord]) -> int:
    """The epochs that were trained for some runs, with all seeds that their values are of.

    One that continues a pruned run has taken over what that trained.
    """
    found = {run.number: run.epoch for run in runs if run.is_trained_here}
    taken = {run.number: found.get(run.revives, 0) for run in runs if run.revives is not None}
    others = sum(one.epoch for run in runs for one in run.of_value[1:])
    return others + sum(max(0, epoch - taken.get(number, 0)) for number, epoch in found.items())


def storable(text: str) -> str:
    """A text as every database can hold it: NUL and unpaired surrogates, which may come with messages, are escaped."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Owner:
    """The coordinator that has a study: a token that no other coordinator has, and for people its host and process.

    `boot` is what its kernel calls itself since it began, the same in all containers; empty where it does not.
    """

    host: str
    pid: int
    token: str
    boot: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands in `sweep_studies`.

    `beat` counts up while its owner lives. `silent` is for how many seconds it had not when this was read, by the
    database's clock; None where no beat is known.

    `declaration` is what its file and the command line say; `keys` maps parameter names to their keys
    in run names; `space` maps each parameter to the distributions (Optuna's JSON) it was suggested with.
    """

    study_id: int
    name: str
    declaration: Declaration
    keys: dict[str, str]
    space: dict[str, list[str]]
    directory: str
    created: float
    owner: Owner | None
    beat: int
    silent: float | None = field(default=None, compare=False)

    @property
    def is_running(self) -> bool:
        """Whether its coordinator lived a moment ago. Only `sweep.control.lease` may conclude that it is gone.

        One that waits for the database cannot show its heartbeat there; it does so in the study's folder.
        """
        if self.owner is None:
            return False
        beats = self.silent is not None and -1.0 <= self.silent < SILENT_SECONDS
        return beats or is_there(Path(self.directory), self.owner.token)

    @classmethod
    def from_row(cls, row: Any, base: str | None = None) -> "StudyRecord":
        """The study that a row holds, with the columns `sweep.store.lease.RECORD`.

        Args:
            base: what the row's paths are relative to: `sweep.store.paths.base_of`.
        """
        values = dict(row._mapping)
        for name in ("declaration", "keys", "space"):
            values[name] = json.loads(values[name])
        values["directory"] = whole(values["directory"], base)
        values["declaration"] = Declaration.stored(whole_declaration(values["declaration"], base))
        owner = json.loads(values["owner"]) if values["owner"] else None
        values["owner"] = Owner(owner["host"], owner["pid"], owner["token"], owner.get("boot", "")) if owner else None
        return cls(**values)
