"""Connections: how many there are, how long a client may take to ask, and how often that is logged.

uvicorn waits for ever for a request that has begun, refuses requests but not connections, and logs each bad one. Where
descriptors run out, asyncio logs a traceback for each connection that waits, thousands in a second.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from socket import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sweep.descriptors import raise_limit

MOST = 2000
"""Connections that a service has at once; fewer where descriptors are, of which a quarter stays for everything else."""

HEADER_SECONDS = 10.0
"""How long a client may take from connecting, or from its last answer, to the end of a request's headers."""

BODY_SECONDS = 20.0
"""How long it may take from there to the end of the body."""

SPARING_SECONDS = 60.0
_LEAVE_SECONDS = 2
_DESCRIPTORS = 8192
_CANCELLED = "Cancel %s running task(s), timeout graceful shutdown exceeded"  # uvicorn's

_ALLOWED = {h11.IDLE: HEADER_SECONDS, h11.SEND_BODY: BODY_SECONDS}


class ClientConnection(H11Protocol):
    """A connection that is closed unless it sends its requests in time.

    Where there are too many connections in all, or more than three quarters of those from one address, the one that has
    waited longest without a request makes room.
    """

    def __init__(self, config: uvicorn.Config, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._most, self.limit_concurrency = config.limit_concurrency or MOST, None
        self._owes: Any = None  # what the client is to send next
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()
        self._make_room()

    def handle_events(self) -> None:
        """Handle what the client has sent, and watch what it is to send next."""
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    @property
    def address(self) -> str:
        """The address of the client; empty where it has none."""
        return self.client[0] if self.client is not None else ""

    def _watch(self) -> None:
        owes = self.conn.their_state
        if owes is self._owes:
            return
        self._owes, self._since = owes, self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_ALLOWED[owes], self.transport.close) if owes in _ALLOWED else None

    def _make_room(self) -> None:
        from_one = self._most * 3 // 4
        if len(self.connections) <= from_one:
            return
        every = [each for each in self.connections if isinstance(each, ClientConnection)]
        own = [each for each in every if each.address == self.address]
        if len(own) > from_one:
            self._close_one(own)
        elif len(self.connections) > self._most:
            self._close_one(every)

    def _close_one(self, of: Collection["ClientConnection"]) -> None:
        """Close the connection that has waited longest for a request; this one, if none else waits."""
        waiting = [each for each in of if each._owes is h11.IDLE]
        longest = min(waiting, key=lambda each: each._since, default=self)
        self.connections.discard(longest)
        longest.transport.abort()


class Sparing(logging.Filter):
    """Lets the same line, or the same exception, through once a minute, and no stream that ends with the service."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[Any, ...], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError) or record.msg == _CANCELLED:
            return False
        key = (record.name, str(record.msg)[:60], repr(error)[:200])
        if record.created - self._last.get(key, 0.0) < SPARING_SECONDS:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = record.created
        return True


class Server(uvicorn.Server):
    """uvicorn's server, which ends although a thread waits for something that never answers, such as a database.

    Args:
        app: the application.
        leave: ends the process; it is called where a thread keeps the event loop from closing.
    """

    def __init__(self, app: ASGIApp, leave: Callable[[], None] = lambda: None) -> None:
        most = min(MOST, raise_limit(_DESCRIPTORS) * 3 // 4)
        config = uvicorn.Config(
            app,
            http=ClientConnection,
            ws="none",
            log_config=None,  # Python's, as it was set up
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=most,
            timeout_graceful_shutdown=_LEAVE_SECONDS,
        )
        super().__init__(config)
        self._leave = leave
        for name in ("uvicorn.error", "asyncio", "sweep.serve.problems"):
            logger = logging.getLogger(name)
            if not any(isinstance(each, Sparing) for each in logger.filters):
                logger.addFilter(Sparing())

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close the connections, and leave if a request cannot be ended."""
        await super().shutdown(sockets)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest and (await asyncio.wait(rest, timeout=_LEAVE_SECONDS))[1]:
            self._leave()
