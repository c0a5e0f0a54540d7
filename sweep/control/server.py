"""The coordinator's end of its connections to workers: small JSON requests, one answer each, a thread for each worker.

The transport is `multiprocessing.connection` over a Unix socket in a directory of this user alone; bytes are sent,
never pickled objects.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from sweep.control.coordinator import Coordinator
from sweep.control.desk import Desk
from sweep.control.live import Fenced
from sweep.errors import SweepError
from sweep.protocol import check_protocol

OPERATIONS = (
    *("hello", "ask", "suggest", "start", "training", "resume", "epoch"),
    *("report", "should_prune", "attribute", "imported", "end"),
)
"""What workers say; each is a method of `Desk`. A change of them is one of `sweep.protocol`."""

_log = logging.getLogger(__name__)


class Server:
    """Accepts workers and answers them. `address` is where they connect."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        desk = Desk(coordinator)
        self._listener = Listener(family="AF_UNIX")
        self.address = str(self._listener.address)
        self._closed = False
        self._served: dict[str, threading.Event] = {}
        self._methods: dict[str, Callable[..., dict[str, Any]]] = {name: getattr(desk, name) for name in OPERATIONS}

    def start(self) -> None:
        """Accept workers from now on, in a thread of its own."""
        threading.Thread(target=self._accept, name="accept", daemon=True).start()

    def close(self) -> None:
        """Accept no more workers."""
        self._closed = True
        with contextlib.suppress(OSError):
            Client(self.address, family="AF_UNIX").close()  # closing alone would not wake who waits in `accept`
        self._listener.close()

    def wait_served(self, worker: str, seconds: float) -> None:
        """Wait until everything that a worker, now gone, had sent is answered."""
        served = self._served.get(worker)
        if served is not None:
            served.wait(seconds)

    @property
    def heard(self) -> int:
        """How many workers have spoken so far."""
        return len(self._served)

    def said_hello(self, worker: str) -> bool:
        """Whether a worker ever spoke."""
        return worker in self._served

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # closed, or a worker that died while it connected
                if self._closed:
                    return
                continue
            if self._closed:
                connection.close()
                return
            threading.Thread(target=self.serve, args=(connection,), name="worker connection", daemon=True).start()

    def serve(self, connection: Connection) -> None:
        """Answer one worker until it is gone."""
        served = threading.Event()
        try:
            while True:
                message = json.loads(connection.recv_bytes())
                self._served.setdefault(message["worker"], served)
                connection.send_bytes(json.dumps(self._answer(message)).encode())
        except (EOFError, OSError, ValueError, KeyError):  # it is gone, or it is no worker
            return
        finally:
            served.set()
            connection.close()

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        operation = message.pop("op")
        try:
            if operation == "refused":
                if "message" not in message:  # as of another version, which comes before any hello
                    check_protocol(None, {})
                self._coordinator.refuse(SweepError(message["message"], message["hint"]))
                return {}
            if operation == "hello":
                theirs = message["declaration"].get("versions", {})
                check_protocol(message.pop("protocol", None), theirs)
            return self._methods[operation](**message)
        except Fenced as error:
            return {"fenced": str(error)}
        except SweepError as error:
            self._coordinator.refuse(error)
            return {"error": {"message": error.message, "hint": error.hint}}
        except Exception as error:
            _log.exception("the coordinator failed at a worker's message")
            self._coordinator.crashed(error)
            return {"fenced": "the coordinator failed"}
