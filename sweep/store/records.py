"""A study and a run as they stand in our tables, and their rows."""

import json
from dataclasses import dataclass, field, fields
from typing import Any

from sweep.finding import Finding
from sweep.store.tables import join_float, split_float

Value = None | bool | int | float | str

FINISHED = frozenset({"COMPLETE", "PRUNED", "FAIL"})

REVIVES = "revives"
"""The user attribute of a trial that goes on with a pruned one, whose number it is."""

OUT_OF_MEMORY = "out of memory"
"""How the reason of a run begins that failed for want of memory: samplers learn from it, and it is not tried again."""


@dataclass
class RunRecord:
    """One trial's run.

    `epoch` counts finished epochs, `best_epoch` counts from 0; `started` is in Unix seconds, `duration` in seconds.
    `name` is None until it is fixed: at `sweep.fit`, the first report or the end of the objective. `revives` is the
    number of the pruned run that it goes on with, `interruptions` say after how many epochs each earlier attempt ended
    and why.
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

    def row(self, study_id: int) -> dict[str, Any]:
        """The run as a row of `sweep_runs`."""
        row: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        row["study_id"] = study_id
        row["params"] = json.dumps(self.params)
        row["findings"] = json.dumps([found.as_dict() for found in self.findings]) if self.findings else None
        row["interruptions"] = json.dumps(self.interruptions) if self.interruptions else None
        row["last"], row["last_kind"] = split_float(self.last)
        return {name: storable(value) if isinstance(value, str) else value for name, value in row.items()}

    @classmethod
    def from_row(cls, row: Any) -> "RunRecord":
        """The run that a row of `sweep_runs` holds; the inverse of `row`."""
        values = dict(row._mapping)
        del values["study_id"]
        values["params"] = json.loads(values["params"])
        values["findings"] = (
            [Finding.from_dict(item) for item in json.loads(values["findings"])] if values["findings"] else []
        )
        values["interruptions"] = json.loads(values["interruptions"]) if values["interruptions"] else []
        values["last"] = join_float(values["last"], values.pop("last_kind"))
        return cls(**values)


def storable(text: str) -> str:
    """A text as every database can hold it: NUL and unpaired surrogates, which may come with messages, are escaped."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Owner:
    """The coordinator that has a study: its host, process and a token no other coordinator has.

    `born` is when its process began, in seconds after its host did, since process numbers come again; None where that
    is not known. No clock that somebody may set is in it.
    """

    host: str
    pid: int
    token: str
    born: float | None = None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands in `sweep_studies`.

    `declaration` is what `sweep.study.Declaration.as_dict` gives; `keys` maps parameter names to their keys
    in run names; `space` maps each parameter to the distributions (Optuna's JSON) it was suggested with.
    """

    study_id: int
    name: str
    declaration: dict[str, Any]
    keys: dict[str, str]
    space: dict[str, list[str]]
    directory: str
    created: float
    owner: Owner | None
    beat: int

    @classmethod
    def from_row(cls, row: Any) -> "StudyRecord":
        """The study that a row of `sweep_studies` holds."""
        values = dict(row._mapping)
        for name in ("declaration", "keys", "space"):
            values[name] = json.loads(values[name])
        values["owner"] = Owner(**json.loads(values["owner"])) if values["owner"] else None
        return cls(**values)
