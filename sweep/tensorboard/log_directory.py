"""A log directory that others wrote, with HParams: its sessions, their parameters and their scalars.

A session is a directory with a start record of the HParams plugin, as `hp.hparams` and `hp.KerasCallback` write it.
Its scalars are in itself and in folders below it: Keras' `TensorBoard` callback writes `epoch_loss` into `train` and
`validation`, which are called `loss` and `val_loss` here, as in Keras' History.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.util.tensor_util import make_ndarray

from sweep import records
from sweep.names import Value
from sweep.tensorboard import hparams

Curve = dict[int, float]
"""A scalar's values by step."""

_KERAS = "epoch_"  # how the tags of Keras' callback begin that have a value for each epoch
_NOT_BY_EPOCH = ("batch_", "evaluation_")  # and those that count batches, which are left out
_VALIDATION = "validation"


@dataclass
class LoggedRun:
    """One run of others.

    Attributes:
        path: its directory.
        params: its parameters in the order of the experiment, further ones by name; whole numbers as int where the
            parameter is an integer in every session.
        started, ended: in Unix seconds: when its first event was written, if its start record does not say.
        status: `SUCCESS`, `FAILURE` or another one of HParams; None without an end record.
        metrics: its scalars by name.
    """

    path: Path
    params: dict[str, Value]
    started: float | None
    ended: float | None = None
    status: str | None = None
    metrics: dict[str, Curve] = field(default_factory=dict)


@dataclass(frozen=True)
class LogDirectory:
    """What a log directory has.

    Attributes:
        sessions: in the order in which they began.
        objective: the name of the first metric that the experiment record names; None without one.
        others: directories with event files that belong to no session.
    """

    sessions: Sequence[LoggedRun]
    objective: str | None
    others: Sequence[Path]


@dataclass
class _Folder:
    """What the event files of one directory have."""

    session: hparams.SessionStart | None = None
    status: str | None = None
    first: float | None = None  # when its first event was written
    last: float | None = None  # and its last one, or that which says how it ended
    experiment: hparams.Experiment | None = None
    curves: dict[str, Curve] = field(default_factory=dict)


def read_log_directory(root: Path, done: Callable[[int], None] = lambda _files: None) -> LogDirectory:
    """Read every event file below a directory.

    Args:
        done: is told how many files were read since the last call.

    Raises:
        OSError: a file cannot be read.
    """
    folders = {path: _read_folder(files, done) for path, files in _event_files(root)}
    sessions = {
        path: LoggedRun(path, dict(found.session.params), found.session.started or found.first)
        for path, found in folders.items()
        if found.session is not None
    }
    others = []
    for path, found in folders.items():
        owner = next((sessions[place] for place in (path, *path.parents) if place in sessions), None)
        if owner is not None:
            _take(owner, path, found)
        elif found.curves:
            others.append(path)
    experiments = [found.experiment for found in folders.values() if found.experiment is not None]
    ordered = sorted(sessions.values(), key=lambda session: (session.started or 0.0, session.path))
    _settle_types(ordered, {name: numbers for each in experiments for name, numbers in each.numbers.items()})
    _settle_order(ordered, [name for each in experiments for name in each.params])
    metrics = [metric for each in experiments for metric in each.metrics]
    return LogDirectory(ordered, metric_name(*metrics[0]) if metrics else None, others)


def _event_files(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each directory below one that has event files, with these in the order of their names; no directory twice."""
    for folder, names in sorted(_directories(root)):
        paths = [Path(folder, name) for name in sorted(names) if "tfevents" in name]
        files = [path for path in paths if path.is_file()]  # no pipe, whose end may never come
        if files:
            yield Path(folder), files


def _directories(root: Path) -> Iterator[tuple[str, list[str]]]:
    """A directory and those below it, with the names of their files: each once, under its own path if that is there.

    Links to directories come last: one may lead back, or to a directory that is there anyway.
    """
    seen, links = set[str](), deque([str(root)])
    while links:
        for folder, below, names in os.walk(links.popleft()):
            place = os.path.realpath(folder)
            if place in seen:
                below.clear()
                continue
            seen.add(place)
            links.extend(path for name in sorted(below) if os.path.islink(path := os.path.join(folder, name)))
            yield folder, names


def _read_folder(files: Sequence[Path], done: Callable[[int], None]) -> _Folder:
    found, scalars = _Folder(), set[str]()
    for file in files:
        for data in records.read(file):
            event = Event.FromString(data)
            found.first = found.first or event.wall_time
            if event.HasField("summary"):
                _take_summary(found, event, scalars)
        done(1)
    return found


def _take_summary(found: _Folder, event: Event, scalars: set[str]) -> None:
    """Take what a summary has.

    Args:
        scalars: the tags that are known to be scalars; only the first summary of a tag says so.
    """
    summary = event.summary
    if (session := hparams.parse_session(summary)) is not None:
        found.session = found.session or session
    elif (status := hparams.parse_end(summary)) is not None:
        found.status, found.last = status, event.wall_time
    elif (experiment := hparams.parse_experiment(summary)) is not None:
        found.experiment = found.experiment or experiment
    else:
        found.last = event.wall_time if found.status is None else found.last
        for value in summary.value:
            number = _number(value, scalars)
            if number is not None:
                found.curves.setdefault(value.tag, {})[event.step] = number


def _number(value: Summary.Value, scalars: set[str]) -> float | None:
    """A scalar's value; None for a summary of another kind."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor"):
        return None
    if value.metadata.plugin_data.plugin_name == "scalars":
        scalars.add(value.tag)
    return float(make_ndarray(value.tensor).item()) if value.tag in scalars else None


def _take(session: LoggedRun, path: Path, found: _Folder) -> None:
    """Have a session take what its directory, or one below it, has."""
    group = path.relative_to(session.path).as_posix() if path != session.path else ""
    if not group and found.status is not None:
        session.status = found.status
    if found.last is not None:
        session.ended = max(session.ended or 0.0, found.last)
    for tag, curve in found.curves.items():
        if not tag.startswith(_NOT_BY_EPOCH):
            name = metric_name(group, tag)
            session.metrics[f"{group}/{tag}" if name in session.metrics else name] = curve


def metric_name(group: str, tag: str) -> str:
    """What a scalar is called here.

    Args:
        group: the folder below the session's that it is in; empty for the session's own.
        tag: its tag there.
    """
    name = tag.removeprefix(_KERAS)
    if group in ("", "train"):
        return name
    return f"val_{name}" if group == _VALIDATION else (PurePath(group) / name).as_posix()


def _settle_order(sessions: Sequence[LoggedRun], described: Sequence[str]) -> None:
    """Have every session's parameters in one order: first those that the experiment describes, as it does."""
    for session in sessions:
        names = [*(name for name in dict.fromkeys(described) if name in session.params), *session.params]
        session.params = {name: session.params[name] for name in names}


def _settle_types(sessions: Sequence[LoggedRun], described: Mapping[str, Sequence[float]]) -> None:
    """Have parameters be integers whose every value, and whatever describes their domain, is whole.

    HParams has no integers: a number of units is 16.0 there.
    """
    values: dict[str, list[Value]] = {}
    for session in sessions:
        for name, value in session.params.items():
            values.setdefault(name, []).append(value)
    for name, several in values.items():
        numbers = [*several, *described.get(name, ())]
        if all(isinstance(value, float) and value.is_integer() for value in numbers):
            for session in sessions:
                if name in session.params:
                    session.params[name] = int(float(session.params[name] or 0))
