"""`--log-format json`: a JSON object a line on standard error, for machines that read logs."""

import dataclasses
import logging
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from sweep.cli.output import json_text
from sweep.control.progress import Opening
from sweep.control.start import Outcome
from sweep.store import RunRecord, counts_of
from sweep.view.runs import best_of, finished, verdict_object

STAMP = "%Y-%m-%dT%H:%M:%SZ"


def write_event(event: str, level: str = "info", **values: Any) -> None:
    """Write one event; what is None is left out, NaN and infinity are null."""
    line = {"time": time.strftime(STAMP, time.gmtime()), "level": level, "event": event}
    line |= {name: _plain(value) for name, value in values.items() if value is not None}
    sys.stderr.write(f"{json_text(line)}\n")
    sys.stderr.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonDisplay:
    """A display of `sweep start` that writes an event a line; a context manager, and a watcher of a coordinator."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._study: str | None = None

    def closed(self, state: str, reason: str | None = None, outcome: Outcome | None = None) -> None:
        """The study has ended, which is the last event.

        Args:
            state: `finished`, `stopped` or `failed`.
            reason: why, unless it is finished with all its trials.
            outcome: how it ended, if it could be opened.
        """
        runs = outcome.runs if outcome is not None else []
        counts = counts_of(runs)
        best = best_of(outcome.declaration.objectives, runs) if outcome is not None else None
        write_event(
            "closed",
            "error" if state == "failed" else "info",
            study=self._study,
            state=state,
            reason=reason,
            trials=outcome.budget if outcome is not None else None,
            finished=finished(counts) if outcome is not None else None,
            counts=dict(counts) if outcome is not None else None,
            best=best.value if best is not None else None,
        )

    def __enter__(self) -> Self:
        write_event("loading", file=self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def opened(self, study: Opening) -> None:
        self._study = study.name
        write_event(
            "opened",
            study=study.name,
            trials=study.trials,
            finished=finished(study.counts),
            counts=dict(study.counts),
            directory=study.directory,
        )

    def started(self, run: RunRecord) -> None:
        write_event("started", **self._about(run), directory=run.directory, params=run.params)

    def epoch(self, run: RunRecord, metrics: Mapping[str, float]) -> None:
        write_event("epoch", **self._about(run), metrics=metrics)

    def ended(self, run: RunRecord) -> None:
        level = "error" if run.state == "FAIL" else "info"
        if run.state in ("WAITING", "PAUSED"):  # its number is already that of the next attempt
            run = dataclasses.replace(run, attempt=run.attempt - 1)
        write_event(
            "ended",
            level,
            **self._about(run),
            state=run.state,
            value=run.value,
            values=run.values if run.values is not None and len(run.values) > 1 else None,
            feasible=run.feasible,
            best=run.best,
            reason=run.why,
            verdict=verdict_object(run),
            duration=round(run.duration, 3) if run.duration is not None else None,
        )

    def message(self, text: str) -> None:
        write_event("message", "warning", study=self._study, text=text)

    def _about(self, run: RunRecord) -> dict[str, Any]:
        return {
            "study": self._study,
            "run": run.name,
            "number": run.number,
            "attempt": run.attempt,
            "worker": run.worker,
            "epochs": run.epoch,
        }


class JsonFormatter(logging.Formatter):
    """Python's log records as events."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, its traceback in it."""
        line: dict[str, Any] = {
            "time": time.strftime(STAMP, time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json_text(line)


def log_as_json() -> None:
    """Have Python's logging write events from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
