"""A worker's end of its connection to the coordinator."""

import json
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import SweepError


class TrialTaken(BaseException):
    """The coordinator gave this worker's trial to another, or ended it: the worker must let go of it."""


class Refused(BaseException):
    """The coordinator refused what the study does; it is ending. User code's `except Exception` does not catch it."""


class Gone(BaseException):
    """The coordinator is gone, and the worker has nobody to work for. No EOFError, which user code may raise itself."""


class Link:
    """Small requests, one answer each. For one thread, as an Optuna trial is.

    Args:
        connection: to the coordinator.
        worker: this worker's name.
    """

    def __init__(self, connection: Connection, worker: str) -> None:
        self._connection = connection
        self._worker = worker
        self._unanswered = 0

    def call(self, operation: str, **content: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            TrialTaken, Refused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        while self._unanswered:  # what was to receive it has failed
            self._receive()
        self.send(operation, **content)
        return self.receive()

    def send(self, operation: str, **content: Any) -> None:
        """Send a request whose answer is received later."""
        message = {"op": operation, "worker": self._worker, **content}
        data = json.dumps(message, default=plain).encode()
        try:
            self._connection.send_bytes(data)
        except OSError as error:
            raise Gone from error
        self._unanswered += 1

    def receive(self) -> dict[str, Any]:
        """The answer to the request that was sent last.

        Raises:
            TrialTaken, Refused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        answer = self._receive()
        if "fenced" in answer:
            raise TrialTaken(answer["fenced"])
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return answer

    def refuse(self, error: SweepError) -> None:
        """Tell the coordinator that the study cannot be."""
        self.call("refused", message=error.message, hint=error.hint)

    def _receive(self) -> dict[str, Any]:
        try:
            data = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        answer: dict[str, Any] = json.loads(data)
        self._unanswered -= 1
        return answer


def plain(value: Any) -> Any:
    """Scalars and arrays of NumPy and TensorFlow as Python's numbers and lists."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain value")
