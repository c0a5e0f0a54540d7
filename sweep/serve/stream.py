"""What happens in a study as server-sent events, which every client of a study gets from one reading of the store.

`epoch`: a run finished an epoch; `start` and `end`: a run began or ended; `best`: there is a new best run; `study`: its
state or counts changed, also sent to each client first. The data are JSON objects. A client that cannot keep up is
disconnected; it connects again by itself and reads the lists anew.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from sweep.quantities import Metrics
from sweep.serve.problems import Full, NotFound, Refusal
from sweep.store import StudyRecord
from sweep.view.changes import Look, RunChange, run_changes
from sweep.view.runs import run_object

POLL_SECONDS = 0.5
SILENCE_SECONDS = 15.0
"""After so long without an event a comment is sent, so that proxies keep the line open."""

MOST_LISTENERS = 1000
FROM_ONE = 750
"""Listeners from one address, so that others are left some."""

_THREADS = 4  # of their own, so that a database which does not answer leaves threads for everything else
_BACKLOG = 2000  # events that wait for a client


class TooManyListeners(Refusal):
    """One client listens to too many streams."""

    status = 429

    def __init__(self) -> None:
        super().__init__(f"This address already listens {FROM_ONE} times, which is the most it can.", "Close a page.")


class Streams:
    """The streams of one service; used in its event loop alone, but for `listeners`.

    Args:
        find: finds a study by its name; raises `NotFound`.
        look: looks at a study; with the last metrics of each run by number.
    """

    def __init__(self, find: Callable[[str], StudyRecord], look: Callable[[StudyRecord], tuple[Look, Metrics]]) -> None:
        self._find = find
        self._look = look
        self._studies: dict[str, _StudyStream] = {}
        self._clients: Counter[str] = Counter()
        self._closed = False
        self._threads = anyio.CapacityLimiter(_THREADS)

    @property
    def listeners(self) -> int:
        """How many clients listen."""
        return sum(len(stream.queues) for stream in list(self._studies.values()))

    async def listen(self, name: str, client: str = "") -> AsyncIterator[bytes]:
        """The events of a study from now on, each as the text of a server-sent event; `client` is who listens.

        Raises:
            NotFound: there is no such study.
            Full: too many clients listen.
            TooManyListeners: this one listens too often.
        """
        study = await anyio.to_thread.run_sync(self._find, name, limiter=self._threads)
        if self.listeners >= MOST_LISTENERS or self._closed:
            raise Full(
                f"This stream already has {MOST_LISTENERS} listeners, which is the most it can.", "Try again shortly."
            )
        if self._clients[client] >= FROM_ONE:
            raise TooManyListeners
        return self._events(study, client)

    async def _events(self, study: StudyRecord, client: str) -> AsyncIterator[bytes]:
        stream = self._studies.get(study.name)
        if stream is None or stream.task.done():
            stream = self._studies[study.name] = _StudyStream(partial(self._look_at, study.name))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)
        stream.queues.add(queue)
        self._clients[client] += 1
        try:
            yield b"retry: 2000\n\n"
            yield event("study", (await self._look_at(study.name))[0].view.as_object())
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
            self._clients -= Counter([client])
            if not stream.queues and self._studies.get(study.name) is stream:
                del self._studies[study.name]
                stream.task.cancel()

    async def _look_at(self, name: str) -> tuple[Look, Metrics]:
        return await anyio.to_thread.run_sync(lambda: self._look(self._find(name)), limiter=self._threads)

    async def close(self) -> None:
        """End every stream."""
        self._closed = True
        for stream in list(self._studies.values()):
            stream.end()
            stream.task.cancel()
            await asyncio.wait({stream.task}, timeout=1.0)  # its thread may wait for the database


class _StudyStream:
    """Reads one study while somebody listens, and gives every listener what changed."""

    def __init__(self, look: Callable[[], Awaitable[tuple[Look, Metrics]]]) -> None:
        self._look = look
        self.queues: set[asyncio.Queue[bytes | None]] = set()
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        before: Look | None = None
        while True:
            try:
                now, metrics = await self._look()
            except NotFound:
                self.end()
                return
            except Exception:  # the database is away; the clients wait
                await asyncio.sleep(POLL_SECONDS)
                continue
            if before is not None:
                for text in events(before, now, metrics):
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


def events(before: Look, now: Look, metrics: Metrics) -> Iterator[bytes]:
    """The events between two looks; `metrics` are those of each run's last finished epoch, by number."""
    study = now.view.study
    for change in run_changes(before.runs, now.runs):
        if kind := _kind(change):
            yield event(kind, run_object(study, change.run, metrics.get(change.run.number, {})))
    if (best := now.new_best(before)) is not None:
        yield event("best", run_object(study, best, metrics.get(best.number, {})))
    if now.differs(before):
        yield event("study", now.view.as_object())


def _kind(change: RunChange) -> str | None:
    """The event that says what became of a run, if there is one."""
    if change.ended:
        return "end"
    if change.began or change.waits:
        return "start"
    return "epoch" if change.advanced else None


def event(kind: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(data, allow_nan=False)}\n\n".encode()
