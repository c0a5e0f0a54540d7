"""A worker's end of its connection to the coordinator."""

from multiprocessing.connection import Connection
from typing import Any, TypeVar, overload

from sweep.errors import SweepError
from sweep.wire import messages as wire

Expected = TypeVar("Expected", bound=wire.Answer)
Other = TypeVar("Other", bound=wire.Answer)


class TrialTaken(BaseException):
    """The coordinator gave this worker's trial to another, or ended it: the worker must let go of it."""


class StudyRefused(BaseException):
    """The coordinator refused what the study does; it is ending. User code's `except Exception` does not catch it."""


class Gone(BaseException):
    """The coordinator is gone, and the worker has nobody to work for. No EOFError, which user code may raise itself."""


class Link:
    """Messages, one answer each. For one thread, as an Optuna trial is.

    Args:
        connection: to the coordinator.
        worker: this worker's name.
    """

    def __init__(self, connection: Connection, worker: str) -> None:
        self._connection = connection
        self._worker = worker
        self._unanswered = 0

    @overload
    def call(self, message: wire.Message, expected: type[Expected]) -> Expected: ...

    @overload
    def call(self, message: wire.Message, expected: tuple[type[Expected], type[Other]]) -> Expected | Other: ...

    def call(self, message: wire.Message, expected: Any) -> Any:
        """Send a message and wait for its answer.

        Args:
            expected: the class of the answer; two where it is one of them.

        Raises:
            TrialTaken, StudyRefused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        while self._unanswered:  # what was to receive it has failed
            self._receive()
        self.send(message)
        return self.receive(expected)

    def send(self, message: wire.Message) -> None:
        """Send a message whose answer is received later."""
        data = wire.encode(message, worker=self._worker)
        try:
            self._connection.send_bytes(data)
        except OSError as error:
            raise Gone from error
        self._unanswered += 1

    def receive(self, expected: type[Expected]) -> Expected:
        """The answer to the message that was sent last; see `call`.

        Raises:
            TrialTaken, StudyRefused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        answer = self._receive()
        if isinstance(answer, wire.Fenced):
            raise TrialTaken(answer.reason)
        if isinstance(answer, wire.Rejected):
            raise StudyRefused(str(SweepError.from_dict(answer.error)))
        if not isinstance(answer, expected):
            raise TypeError(f"the coordinator has answered with {type(answer).__name__}")
        return answer

    def refuse(self, error: SweepError) -> None:
        """Tell the coordinator that the study cannot be."""
        self.call(wire.Refuse(error.as_dict()), wire.Done)

    def _receive(self) -> wire.Answer:
        try:
            data = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        self._unanswered -= 1
        return wire.decode_answer(data)
