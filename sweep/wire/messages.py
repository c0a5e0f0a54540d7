"""The messages between a worker and its coordinator, and their form as JSON.

A worker sends a message and gets one answer. The names of the classes are what travels, so a change of a name, a field
or a meaning is a change of `PROTOCOL`: on a cluster, a node may have another version of sweep.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.declaration import Value
from sweep.distribution import NAME, __version__, renamed
from sweep.errors import StudyError

PROTOCOL = 6
"""The version of these messages, which a worker sends with its first one."""


# What a worker says.


@dataclass(frozen=True)
class Hello:
    """The worker has loaded the study file.

    Attributes:
        declaration: the study, as `Declaration.as_dict` gives it.
        snapshot: the study file and the modules beside it, as `Snapshot.as_text` gives them; None without a file.
    """

    declaration: dict[str, Any]
    snapshot: str | None = None
    protocol: int | None = None


@dataclass(frozen=True)
class Ask:
    """The worker wants a trial. `outgrown`: it uses more memory than it should, and wants to be replaced."""

    outgrown: bool = False


@dataclass(frozen=True)
class Suggest:
    """The trial wants the value of a parameter, whose domain is Optuna's JSON of a distribution."""

    number: int
    name: str
    distribution: str


@dataclass(frozen=True)
class Begin:
    """The run can be named: its parameters are known. `failed`: it raised, perhaps before all were suggested."""

    number: int
    family: str | None
    architecture: str | None
    epochs: int | None
    failed: bool = False


@dataclass(frozen=True)
class BeginTraining:
    """A training of the trial begins, or continues with more epochs.

    Attributes:
        training: `Training.as_dict`.
        unpausable: why it cannot be paused, if so: it could not be resumed exactly.
    """

    number: int
    training: dict[str, Any]
    unpausable: str | None = None


@dataclass(frozen=True)
class Resume:
    """The run continues from a checkpoint: the metrics of its epochs from `epoch` (from 0) on, already trained."""

    number: int
    epoch: int
    log: Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Epoch:
    """The run has finished an epoch, counted from 0 over all its trainings.

    Attributes:
        findings: those of the run by now; None where they have not changed.
        broken: why the run cannot recover, if a severe finding is to prune it.
        unpausable: why it cannot be paused here, if so.
    """

    number: int
    epoch: int
    metrics: dict[str, float]
    findings: list[dict[str, Any]] | None
    broken: str | None
    unpausable: str | None = None


@dataclass(frozen=True)
class Report:
    """An objective of plain Optuna reports a value."""

    number: int
    step: int
    value: float


@dataclass(frozen=True)
class ShouldPrune:
    """An objective of plain Optuna wants the verdict on its last report."""

    number: int


@dataclass(frozen=True)
class Attribute:
    """The trial sets an attribute: `kind` is `user`, `system` or `constraint`."""

    number: int
    kind: str
    key: str
    value: Any


@dataclass(frozen=True)
class Imported:
    """The trial has imported more modules from beside the study file: their text by path."""

    number: int
    files: dict[str, str]


@dataclass(frozen=True)
class Stop:
    """The trial wants no further one to begin: `study.stop()`."""

    number: int


@dataclass(frozen=True)
class End:
    """The trial has ended in its worker. `state` is Optuna's; WAITING puts the trial back into the queue, and PAUSED
    leaves it where its checkpoint is."""

    number: int
    state: str
    values: list[float] | None
    reason: str | None
    traceback: str | None
    trainings: list[dict[str, Any]]


@dataclass(frozen=True)
class Refuse:
    """The study cannot be: a `SweepError`, as `SweepError.as_dict` gives it."""

    error: dict[str, Any]


Message = (
    Hello
    | Ask
    | Suggest
    | Begin
    | BeginTraining
    | Resume
    | Epoch
    | Report
    | ShouldPrune
    | Attribute
    | Imported
    | Stop
    | End
    | Refuse
)


# What the coordinator answers.


@dataclass(frozen=True)
class Done:
    """It is done, and there is nothing to say about it."""


@dataclass(frozen=True)
class Welcome:
    """The study is open. `log` is the file for what the worker prints; `preview`: end trials once they are named."""

    log: str
    preview: bool


@dataclass(frozen=True)
class Assignment:
    """A trial for the worker.

    Attributes:
        directory: where a checkpoint to continue from may be; None for a new trial.
        keep: whether weights are kept.
        broken: what happens to a run with a severe finding: `prune`, `report` or `ignore`.
        result: which epoch's objective `sweep.fit` returns: `best` or `last`.
        judged: the number of the training that pruners judge.
        pauses: whether the study's pruner pauses runs.
    """

    number: int
    seed: int
    attempt: int
    directory: str | None
    keep: bool
    broken: str
    epochs: int | None
    force_epochs: bool
    objective: list[str]
    direction: list[str]
    result: str
    judged: int
    pauses: bool = False


@dataclass(frozen=True)
class NoMore:
    """There is no trial for this worker any more: it ends."""


@dataclass(frozen=True)
class Suggestion:
    """The value of a parameter."""

    value: Value


@dataclass(frozen=True)
class NoValue:
    """There is no value for the parameter, through a fault of this trial alone."""

    reason: str


@dataclass(frozen=True)
class Started:
    """The run has its name.

    Attributes:
        started: when its first attempt began, in Unix seconds.
        text: what TensorBoard shows about the run beside its parameters.
        stop: why it is not to be trained, if so.
    """

    name: str
    directory: str
    started: float
    text: dict[str, Any]
    stop: str | None = None


@dataclass(frozen=True)
class Advice:
    """What the run does next, and why: `go`, `prune`, `pause` (leave a checkpoint, wait to be among the best), `finish`
    (end now, as if this epoch had been the last one), or `requeue` (end now and be run again later)."""

    verdict: str
    reason: str = ""


GO = Advice("go")


@dataclass(frozen=True)
class Ended:
    """How the trial ended: the state and reason that count, and the seconds it has trained."""

    state: str
    reason: str | None
    duration: float | None


@dataclass(frozen=True)
class Fenced:
    """The worker has this trial no longer, and must let go of it."""

    reason: str


FAILED = Fenced("the coordinator failed")
"""What workers are told when there is no coordinator any more that could answer them."""


@dataclass(frozen=True)
class Rejected:
    """The study ends with this error, since what the worker's message asks for cannot be."""

    error: dict[str, Any]


Answer = Done | Welcome | Assignment | NoMore | Suggestion | NoValue | Started | Advice | Ended | Fenced | Rejected

_MESSAGES = {kind.__name__: kind for kind in Message.__args__}
_ANSWERS = {kind.__name__: kind for kind in Answer.__args__}


def encode(said: Message | Answer, **more: Any) -> bytes:
    """A message or an answer as JSON; NumPy's and TensorFlow's numbers become Python's."""
    if said is GO:
        return _GO
    return _ENCODER.encode({"is": type(said).__name__, **more, **vars(said)}).encode()


def decode_message(data: bytes) -> tuple[str, Message]:
    """The worker that sent a message, and the message.

    Raises:
        StudyError: the worker has another version of these messages.
        ValueError: it is not JSON.
        KeyError, TypeError: it is JSON, but none of these messages.
    """
    values = json.loads(data.decode())
    if not isinstance(values, dict):
        raise ValueError("a message is a JSON object")
    if "op" in values or values.get("is") == "Hello":  # `op` was the name of `is` up to version 3
        _check_protocol(values.get("protocol"), values.get("declaration", {}).get("versions", {}))
    kind, worker = _MESSAGES[values.pop("is")], values.pop("worker")
    return worker, kind(**values)


def decode_answer(data: bytes) -> Answer:
    """The answer that `encode` has made JSON of."""
    values = json.loads(data.decode())
    return _ANSWERS[values.pop("is")](**values)  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Scalars and arrays of NumPy and TensorFlow as Python's numbers and lists."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be sent to the coordinator")


_ENCODER = json.JSONEncoder(default=plain)  # `json.dumps` would make one for each message
_GO = _ENCODER.encode({"is": "Advice", **vars(GO)}).encode()  # the answer to almost every epoch


def _check_protocol(theirs: int | None, packages: Mapping[str, str]) -> None:
    if theirs != PROTOCOL:
        raise StudyError(
            f"A worker has sweep {renamed(packages).get(NAME, '?')} (protocol {theirs}), and the coordinator has sweep "
            f"{__version__} (protocol {PROTOCOL}).",
            "Install the same version of sweep on every node.",
        )
