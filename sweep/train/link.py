"""A worker's end of its connection to the coordinator."""

import json
import threading
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import SweepError


class Fenced(BaseException):
    """The coordinator gave this worker's trial to another, or ended it: the worker must let go of it."""


class Refused(BaseException):
    """The coordinator refused what the study does; it is ending. User code's `except Exception` does not catch it."""


class Gone(BaseException):
    """The coordinator is gone, and the worker has nobody to work for."""


class Link:
    """Small requests, one answer each. Not for several threads at once.

    Args:
        connection: to the coordinator.
        worker: this worker's name.
    """

    def __init__(self, connection: Connection, worker: str) -> None:
        self._connection = connection
        self._worker = worker
        self._lock = threading.Lock()

    def call(self, operation: str, **content: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            Fenced, Refused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        with self._lock:
            self.send(operation, **content)
            return self.receive()

    def send(self, operation: str, **content: Any) -> None:
        """Send a request whose answer is received later."""
        message = {"op": operation, "worker": self._worker, **content}
        data = json.dumps(message, default=_plain).encode()
        try:
            self._connection.send_bytes(data)
        except OSError as error:
            raise Gone from error

    def receive(self) -> dict[str, Any]:
        """The answer to the request that was sent last."""
        try:
            data = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        answer: dict[str, Any] = json.loads(data)
        if "fenced" in answer:
            raise Fenced(answer["fenced"])
        if "error" in answer:
            raise Refused(answer["error"]["rule"])
        return answer

    def refuse(self, error: SweepError) -> None:
        """Tell the coordinator that the study cannot be."""
        self.call("refused", rule=error.rule, got=error.got, remedy=error.remedy)


def _plain(value: Any) -> Any:
    """NumPy's and TensorFlow's scalars as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain value")
