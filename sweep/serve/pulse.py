"""Whether the database answers, and requests that do not wait for one that does not.

A thread that waits for a frozen server or a locked file cannot be ended. So a request that needs the database begins
only while it answers, is answered with 503 as soon as it does not, and takes one of a limited number of places, which
it gives back when its thread is free: threads are left for what needs no database, such as static files.
"""

import asyncio
import threading
import time
from contextlib import suppress

import sqlalchemy as sa
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.serve import problems
from sweep.store import Store
from sweep.store.faults import DatabaseFault
from sweep.store.tables import studies

FRESH_SECONDS = 1.0
"""How long an answer counts."""

PATIENCE_SECONDS = 2.0
"""How long an answer may take."""

AT_WORK = 32
"""Requests that use the database at once; Starlette has 40 threads for all."""

WITHOUT = frozenset({"/login", "/logout", "/api/docs", "/api/openapi.json", "/api/health", "/api/health/live"})
"""Paths that need no database, beside the static files."""

AWAY = ("The service is up, but its database does not answer.", "Try again shortly. See that the database runs.")


class Pulse:
    """Whether a store's database answers; asked in one event loop.

    Whatever the service reads shows that it does. Where nothing was read for a second, a thread reads a row.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: sa.Connection | None = None
        self._asked: asyncio.Future[bool] | None = None
        self._since = self._answered = float("-inf")
        sa.event.listen(store.engine, "after_cursor_execute", self._note)

    def _note(self, *_of_the_statement: object) -> None:
        self._answered = time.monotonic()

    async def beats(self) -> bool:
        """Whether the database answers; this takes two seconds at most, and no time while it has not for longer."""
        now = time.monotonic()
        if now - self._answered < FRESH_SECONDS:
            return True
        if self._asked is None or self._asked.done():
            self._asked, self._since = self._ask(), now
        asked = self._asked  # which others may replace while this waits
        done, _ = await asyncio.wait({asked}, timeout=max(0.0, self._since + PATIENCE_SECONDS - now))
        return bool(done) and asked.result()

    def _ask(self) -> asyncio.Future[bool]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def finish(beats: bool) -> None:
            if not answer.done():
                answer.set_result(beats)

        def ask() -> None:
            beats = self._look()
            with suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(finish, beats)

        # Python waits for no daemon when it ends.
        threading.Thread(target=ask, name="database pulse", daemon=True).start()
        return answer

    def _look(self) -> bool:
        """Read a row on a connection of its own, or on a new one where that has broken."""
        for _ in range(2):
            try:
                if self._connection is None:
                    self._connection = self._store.engine.connect()
                self._connection.execute(sa.select(studies.c.study_id).limit(1)).first()
                self._connection.rollback()
                return True
            except (DatabaseFault, sa.exc.SQLAlchemyError):
                self._drop()
        return False

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DatabaseFault, sa.exc.SQLAlchemyError):
                connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Close the connection, unless a thread waits on it."""
        if self._asked is None or self._asked.done():
            self._drop()


class Desk:
    """ASGI middleware: answers 503 in place of requests that wait for a database which does not answer."""

    def __init__(self, app: ASGIApp, pulse: Pulse) -> None:
        self._app = app
        self._pulse = pulse
        self._places = asyncio.Semaphore(AT_WORK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in WITHOUT or scope["path"].startswith("/static/"):
            await self._app(scope, receive, send)
            return
        if not await self._pulse.beats():
            await _refuse(scope, receive, send)
            return
        answer = _Answer(send, self._places)
        work = asyncio.create_task(self._work(scope, receive, answer))
        try:
            while not (await asyncio.wait({work}, timeout=None if answer.begun else PATIENCE_SECONDS))[0]:
                if not answer.begun and not await self._pulse.beats() and not answer.begun:
                    answer.dropped = True  # the work ends when its thread does
                    await _refuse(scope, receive, send)
                    return
        except asyncio.CancelledError:
            work.cancel()
            raise
        await work

    async def _work(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        await self._places.acquire()
        try:
            if not answer.dropped:
                await self._app(scope, receive, answer.send)
        except Exception:
            if not answer.dropped:
                raise
        finally:
            answer.release()


class _Answer:
    """What one request is answered with; its place is free once the answer has begun, for a stream lasts."""

    def __init__(self, send: Send, places: asyncio.Semaphore) -> None:
        self._send = send
        self._places: asyncio.Semaphore | None = places
        self.begun = False
        self.dropped = False

    async def send(self, message: Message) -> None:
        if self.dropped:
            return
        self.begun = True
        self.release()
        await self._send(message)

    def release(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.release()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await problems.respond(Request(scope), problems.document(503, *AWAY))(scope, receive, send)
