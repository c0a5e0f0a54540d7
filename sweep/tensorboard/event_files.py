"""A run's directory and its event file: writing, reading, and the tags there are.

One event file a run, so that one line in TensorBoard is one trial. TensorBoard reads a run's files in the order of
their names; its fast loader drops any step of a tag that is not greater than the one before.

Tags: a metric has its own name (`loss`, `val_loss`, `learning_rate`), but for a learning rate that is a hyperparameter
as well (`EpochScalars`); at the end `value` is what `train` returned and
`best/<objective>` the objective at its best epoch. A weight has a histogram `<layer>/<weight>`, its gradient one under
`gradients/`; the run's text is `run`.
"""

import contextlib
import itertools
import json
import math
import os
import re
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from sweep import records
from sweep.errors import RunNameError
from sweep.names import Value, format_value, parse_value
from sweep.rundir import EVENTS
from sweep.store.records import RunRecord
from sweep.tensorboard import hparams, summaries
from sweep.words import one_line

RUN_TAG = "run"
TRAINING_TAG = "training"
BEST_TAG = "best/"

LEARNING_RATE = "learning_rate"
"""A metric of every epoch, which Keras' History has only where a callback adds it."""

RATE_TAG = "epoch_learning_rate"
RATE_NAMES = (LEARNING_RATE, "lr", "initial_learning_rate", "base_learning_rate", "max_learning_rate")
"""What a hyperparameter is called that is a learning rate."""

_FILE_VERSION = "brain.Event:2"

_MARKUP = re.compile(r"[\\`*\[\]|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

_STAMP = re.compile(re.escape(EVENTS) + r"(\d+)(?:\.(\d{9})\.)?")

_serial = itertools.count()


class RunWriter:
    """One event file, in a directory that is made for it; a context manager that closes it.

    Args:
        directory: the run's. No other writer may have it at the same time: TensorBoard reads one file after another.

    Raises:
        OSError: the directory or file cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        earlier = files(directory)
        self.path = directory / _file_name(earlier)
        self._file = self.path.open("xb")
        self._steps: dict[str, int] = {}
        try:
            self._event(Event(wall_time=time.time(), file_version=_FILE_VERSION))
            if not earlier:
                self.begin()
            self.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, step: int = 0) -> None:
        """Write that the run begins at a step: TensorBoard forgets what it has from that step on."""
        self._event(Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, summary: Summary, step: int) -> None:
        """Write a summary.

        Raises:
            ValueError: a tag has this step or a later one already.
        """
        for value in summary.value:
            last = self._steps.get(value.tag)
            if last is not None and step <= last:  # the first may be negative
                raise ValueError(f"steps of tag {value.tag!r} must increase: got {step} after {last}")
            self._steps[value.tag] = step
        self._event(Event(wall_time=time.time(), step=step, summary=summary))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars by tag."""
        self.add(summaries.scalars(values), step)

    def histograms(self, step: int, arrays: Mapping[str, summaries.Array]) -> None:
        """Write histograms of arrays by tag."""
        self.add(summaries.histograms(arrays), step)

    def graph(self, graph_def: bytes) -> None:
        """Write the graph of operations, a serialized GraphDef."""
        self._event(Event(wall_time=time.time(), graph_def=graph_def))

    def keras_graph(self, config: str) -> None:
        """Write the graph of layers, from `model.to_json()`."""
        self.add(summaries.keras_graph(config), 0)

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        """Write a text."""
        self.add(summaries.text(tag, markdown), step)

    def sync(self) -> None:
        """Have everything on the disk, so that a loss of power loses nothing."""
        with self._named():
            self._file.flush()
            os.fsync(self._file.fileno())

    def flush(self) -> None:
        """Hand everything to the operating system, so that TensorBoard sees it and a killed process loses nothing."""
        with self._named():
            self._file.flush()

    def close(self) -> None:
        """Flush and close; calling it again does nothing."""
        with self._named():
            self._file.close()

    def _event(self, event: Event) -> None:
        with self._named():
            records.write(self._file, event.SerializeToString())

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Have an error of the system name the file, which one that comes from writing to it does not."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self.path)
            raise


def _file_name(earlier: list[Path]) -> str:
    """`events.out.tfevents.<seconds>.<host>.<pid>.<n>`: names sort by time, and no two are the same.

    The time is later than that of a run's earlier files, even where the clock has been set back or another host's is
    behind: TensorBoard's slower loader reads no file whose name comes before one that it has read.
    """
    now = max([time.time_ns(), *(_after(path) for path in earlier)])
    seconds, nanoseconds = divmod(now, 10**9)
    return f"{EVENTS}{seconds:010}.{nanoseconds:09}.{socket.gethostname()}.{os.getpid()}.{next(_serial):06}"


def _after(path: Path) -> int:
    """The first nanosecond whose file name sorts after an event file's, ours or another writer's."""
    stamp = _STAMP.match(path.name)
    if stamp is None:
        return 0
    seconds, nanoseconds = stamp.groups()
    return int(seconds) * 10**9 + (10**9 if nanoseconds is None else int(nanoseconds) + 1)


def files(directory: Path) -> list[Path]:
    """A run's event files in the order TensorBoard reads them."""
    return sorted(directory.glob(f"{EVENTS}*"))


def read(directory: Path) -> Iterator[Event]:
    """The events of a run, all files in order. A file ends quietly where a record is cut short."""
    for path in files(directory):
        for data in records.read(path):
            yield Event.FromString(data)


def restart(directory: Path, step: int = 0) -> None:
    """Have TensorBoard forget what an earlier attempt wrote from a step on; a new writer goes on from there.

    The earlier files stay: where one is removed, TensorBoard's slower loader reads no other file of that run.

    Raises:
        OSError: the directory cannot be written.
    """
    if files(directory):
        with RunWriter(directory) as writer:
            writer.begin(step)


def end_run(run: RunRecord, objective: str) -> None:
    """Write the end of a run whose worker is gone, as one more file, which both of TensorBoard's loaders read.

    Its worker has crashed, or trains another trial since the run has paused, or since it was trained with the first of
    several seeds, whose mean is known only now.

    Args:
        run: as it has ended.
        objective: the name of the value that it has a best one of.

    Raises:
        OSError: its directory cannot be written.
    """
    if run.directory is None:
        return
    directory = Path(run.directory)
    value = run.values if run.values and len(run.values) == 1 else None
    written = {one.tag for event in read(directory) for one in event.summary.value} if value else set()
    with RunWriter(directory) as writer:
        ended = time.time() if run.started is None or run.duration is None else run.started + run.duration
        writer.add(hparams.build_end(run.state, ended), 0)
        if run.best is not None:
            writer.scalars(max(0, run.epoch - 1), {f"{BEST_TAG}{objective}": run.best})
        if value:
            returned = end_scalars([objective], value, written, run.params, feasible=run.feasible is not False)
            writer.scalars(max(0, run.epoch - 1), returned)
        known = {"seed": run.seed, "attempt": run.attempt}
        about = {key: value for key, value in known.items() if value is not None}
        text = run_text(run.name or "", run.params, run.state, run.why or "", about, list(map(str, run.findings)))
        writer.text(RUN_TAG, text, step=run.epoch + 1 if run.rungs else 1)  # behind those of its pauses


class EpochScalars:
    """The scalars of a run's epochs, each of whose tags TensorBoard's HParams makes a column of metrics.

    A learning rate that is a hyperparameter has a column already, and so no scalar while it is what the parameter says.
    Where a schedule or a callback changes it, it has one for all epochs: `epoch_learning_rate`, as Keras' own callback
    calls it, or `learning_rate` where the parameter has another name, such as `lr`.

    Args:
        params: the run's parameters.
    """

    def __init__(self, params: Mapping[str, Value]) -> None:
        self._given = next((params[name] for name in RATE_NAMES if name in params), None)
        self._tag = RATE_TAG if LEARNING_RATE in params else LEARNING_RATE
        self._changes = False
        self._held: dict[int, float] = {}

    def at(self, step: int, metrics: Mapping[str, float]) -> list[tuple[int, dict[str, float]]]:
        """What to write when an epoch has ended: steps and their scalars, in order for each tag.

        Args:
            step: the run's epoch, from 0; they come in order.
            metrics: all of the epoch.
        """
        found = dict(metrics)
        rate = found.pop(LEARNING_RATE, None)
        if rate is None:
            return [(step, found)]
        is_given = isinstance(self._given, int | float) and math.isclose(rate, self._given, rel_tol=1e-6)
        if is_given and not self._changes:
            self._held[step] = rate
            return [(step, found)]
        self._changes = True
        held, self._held = self._held, {}
        return [*((before, {self._tag: value}) for before, value in held.items()), (step, {**found, self._tag: rate})]


def end_scalars(
    objectives: Sequence[str],
    values: Sequence[float] | None,
    metrics: Collection[str],
    params: Collection[str] = (),
    *,
    feasible: bool = True,
) -> dict[str, float]:
    """The scalars at a run's end that say what `train` returned, by tag.

    Sorting HParams by `value` puts the best run first, as Optuna ranks them: only COMPLETE trials have it, and one that
    violates a constraint has `infeasible/value` instead. With several objectives there is `value.NAME` for each. An
    objective that no epoch has reported has a scalar of its own name as well.

    Args:
        objectives: their names.
        values: one for each objective; None where the trial is not COMPLETE.
        metrics, params: names that are taken: where one of them is `value`, the tag is `run.value`.
    """
    found: dict[str, float] = {}
    for name, value in zip(objectives, values or (), strict=values is not None):
        if not math.isfinite(value):  # TensorBoard fails on infinity
            continue
        tag = "value" if len(objectives) == 1 else f"value.{name}"
        tag = f"run.{tag}" if tag in metrics or tag in params else tag
        found[tag if feasible else f"infeasible/{tag}"] = value
        if name not in metrics:
            found[name] = value
    return found


def run_text(
    name: str,
    params: Mapping[str, Value],
    state: str,
    reason: str,
    about: Mapping[str, Any] | None = None,
    findings: Sequence[str] = (),
) -> str:
    """A run's text for TensorBoard, in Markdown: its state and why, findings, exact parameters, and what is known."""
    head = [f"**{_plain(name)}**", "", f"**{state}**{f': {_plain(reason)}' if reason else ''}", ""]
    head += [line for found in findings for line in (f"- {_plain(found)}", "")]
    rows = [f"| {_plain(parameter)} | {_plain(_exact(value))} |" for parameter, value in params.items()]
    more = [f"| {_plain(key)} | {_plain(str(value))} |" for key, value in (about or {}).items()]
    parameters = ["| parameter | value |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([*head, *parameters, *(["| about the run | |", "|---|---|", *more] if more else [])])


def _exact(value: Value) -> str:
    """A value as text that no other value has: a string as it is, in quotes where it would read as another kind."""
    if not isinstance(value, str):
        return format_value(value)
    is_plain = value.isprintable() and value == value.strip() and _reads_as_text(value)
    return value if is_plain else json.dumps(value)


def _reads_as_text(value: str) -> bool:
    try:
        return value[:1] not in ("", '"') and isinstance(parse_value(value), str)
    except RunNameError:  # no value is written so
        return True


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line; an underscore within a word means nothing to it."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text).replace("&", "&amp;").replace("<", "&lt;"))
