"""What happens in a study as server-sent events, which every client of a study gets from one reading of the store.

`epoch`: a run finished an epoch; `start` and `end`: a run began or ended; `best`: there is a new best run; `study`: its
state or counts changed, also sent first to whoever begins to listen. The data are JSON objects. A client that cannot
keep up is let go; it comes again by itself and reads the lists anew.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from sweep.read.report import run_object, study_object
from sweep.read.studies import Standing
from sweep.serve.problems import Busy, NotFound
from sweep.store import FINISHED, RunRecord, StudyRecord

if TYPE_CHECKING:
    from sweep.serve.context import Service

POLL_SECONDS = 0.5
SILENCE_SECONDS = 15.0
"""After so long without an event a comment is sent, so that proxies keep the line open."""

MOST_LISTENERS = 1000
_BACKLOG = 2000  # events that wait for a client


class Streams:
    """The streams of one service; used in its event loop alone, but for `listeners`."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._studies: dict[str, _StudyStream] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many clients listen."""
        return sum(len(stream.queues) for stream in list(self._studies.values()))

    async def listen(self, name: str) -> AsyncIterator[bytes]:
        """The events of a study from now on, each as the text of a server-sent event.

        Raises:
            NotFound: there is no such study.
            Busy: too many clients listen.
        """
        study = await run_in_threadpool(self._service.study, name)
        if self.listeners >= MOST_LISTENERS or self._closed:
            raise Busy(
                f"This stream already has {MOST_LISTENERS} listeners, which is the most it can.", "Try again shortly."
            )
        return self._events(study)

    async def _events(self, study: StudyRecord) -> AsyncIterator[bytes]:
        stream = self._studies.get(study.name)
        if stream is None or stream.task.done():
            stream = self._studies[study.name] = _StudyStream(self._service, study.name)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)
        stream.queues.add(queue)
        try:
            yield b"retry: 2000\n\n"
            yield event("study", study_object(await run_in_threadpool(self._service.standing, study)))
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), SILENCE_SECONDS)
                except TimeoutError:
                    text = b": silence\n\n"
                if text is None:
                    return
                yield text
        finally:
            stream.queues.discard(queue)
            if not stream.queues and self._studies.get(study.name) is stream:
                del self._studies[study.name]
                stream.task.cancel()

    async def close(self) -> None:
        """End every stream."""
        self._closed = True
        for stream in list(self._studies.values()):
            stream.end()
            stream.task.cancel()
            with suppress(asyncio.CancelledError):
                await stream.task


class _StudyStream:
    """Reads one study while somebody listens, and gives every listener what changed."""

    def __init__(self, service: "Service", name: str) -> None:
        self._service = service
        self._name = name
        self.queues: set[asyncio.Queue[bytes | None]] = set()
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        before: _Reading | None = None
        while True:
            try:
                now = await run_in_threadpool(_read, self._service, self._name)
            except NotFound:
                self.end()
                return
            except Exception:  # the database is away; the clients wait
                await asyncio.sleep(POLL_SECONDS)
                continue
            if before is not None:
                for text in changes(before, now):
                    self._send(text)
            before = now
            await asyncio.sleep(POLL_SECONDS)

    def _send(self, text: bytes) -> None:
        for queue in list(self.queues):
            if queue.full():
                self.queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)

    def end(self) -> None:
        for queue in self.queues:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)


class _Reading:
    """A study's runs as they stood at one moment."""

    def __init__(self, standing: Standing, runs: list[RunRecord], metrics: Mapping[int, Mapping[str, float]]) -> None:
        self.standing = standing
        self.runs = runs
        self.metrics = metrics


def _read(service: "Service", name: str) -> _Reading:
    study = service.study(name)
    snapshot = service.snapshots.of(study)
    return _Reading(service.standing(study), snapshot.runs, service.snapshots.last_metrics(snapshot))


def changes(before: _Reading, now: _Reading) -> Iterator[bytes]:
    """The events between two readings."""
    study = now.standing.study
    earlier = {run.number: run for run in before.runs}
    for run in now.runs:
        old = earlier.get(run.number)
        if run is old:
            continue
        if kind := _kind(old, run):
            yield event(kind, run_object(study, run, now.metrics.get(run.number, {})))
    best, last = now.standing.best, before.standing.best
    if best is not None and (last is None or last.number != best.number):
        yield event("best", run_object(study, best, now.metrics.get(best.number, {})))
    if study_object(before.standing) != study_object(now.standing):
        yield event("study", study_object(now.standing))


def _kind(old: RunRecord | None, run: RunRecord) -> str | None:
    """What happened to a run; None if nothing did that anybody is told."""
    if run.state in FINISHED:
        return "end" if old is None or old.state != run.state else None
    if old is None or old.state != run.state or old.attempt != run.attempt or old.name != run.name:
        return "start"
    return "epoch" if old.epoch != run.epoch else None


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(data, allow_nan=False)}\n\n".encode()
