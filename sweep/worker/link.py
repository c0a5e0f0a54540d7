"""A worker's end of its connection to the coordinator."""

import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar, overload

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
    """Messages, one answer each. Only the process that has made it may speak; its threads may do so in turn.

    Args:
        connection: to the coordinator.
        worker: this worker's name.
    """

    def __init__(self, connection: Connection, worker: str) -> None:
        self._connection = connection
        self._worker = worker
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._unanswered = 0
        self._early: deque[wire.Answer] = deque()  # to what was sent by `send`, received by another thread's `call`

    @property
    def is_ours(self) -> bool:
        """Whether this process has made it: one that the user's code has forked may not speak for a trial."""
        return os.getpid() == self._process

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the link for one thread as long as the context lasts.

        Raises:
            RuntimeError: this process was forked from the one that has made it.
        """
        if not self.is_ours:
            raise RuntimeError("a trial belongs to the process that runs train, and this one was forked from it")
        with self._lock:
            yield

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
        with self.turn():
            while self._unanswered:
                self._early.append(self._receive())
            self._send(message)
            answer = self._receive()
        return _checked(answer, expected)

    def send(self, message: wire.Message) -> None:
        """Send a message whose answer is received later, by `receive`, before the next one is sent so."""
        with self.turn():
            while self._unanswered:  # what was to receive it has failed
                self._receive()
            self._early.clear()
            self._send(message)

    def receive(self, expected: type[Expected]) -> Expected:
        """The answer to the message that `send` has sent; see `call`.

        Raises:
            TrialTaken, StudyRefused: the coordinator says so.
            Gone: the coordinator is gone.
        """
        with self.turn():
            answer = self._early.popleft() if self._early else self._receive()
        checked: Expected = _checked(answer, expected)
        return checked

    def refuse(self, error: SweepError) -> None:
        """Tell the coordinator that the study cannot be."""
        self.call(wire.Refuse(error.as_dict()), wire.Done)

    def _send(self, message: wire.Message) -> None:
        data = wire.encode(message, worker=self._worker)
        try:
            self._connection.send_bytes(data)
        except OSError as error:
            raise Gone from error
        self._unanswered += 1

    def _receive(self) -> wire.Answer:
        try:
            data = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Gone from error
        self._unanswered -= 1
        return wire.decode_answer(data)


def _checked(answer: wire.Answer, expected: Any) -> Any:
    """An answer, if it is of the class that was expected."""
    if isinstance(answer, wire.Fenced):
        raise TrialTaken(answer.reason)
    if isinstance(answer, wire.Rejected):
        raise StudyRefused(str(SweepError.from_dict(answer.error)))
    if not isinstance(answer, expected):
        raise TypeError(f"the coordinator has answered with {type(answer).__name__}")
    return answer


def leave_fork(error: BaseException | None) -> NoReturn:
    """End a process that the user's code has forked, and that has come out of `train`, as a script would end.

    Nothing is flushed or closed that belongs to the worker.
    """
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        status = 1
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(status)
