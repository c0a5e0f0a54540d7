"""Threads: one that does one thing after another, and how often threads take turns while a study runs."""

import contextlib
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator

from sweep.errors import wants_memory

TURN_SECONDS = 0.0005
"""For so long a thread keeps the interpreter from one that waits for it. The loop gives it away three times for each
message, at every call of the operating system, and by Python's default of 5 ms would get it back 15 ms later while a
sampler computes."""

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_studies = 0
_before = 0.0


@contextlib.contextmanager
def short_turns() -> Iterator[None]:
    """Have threads take turns often as long as the context lasts, or the last of several in the process."""
    global _studies, _before
    with _lock:
        if not _studies:
            _before = sys.getswitchinterval()
            if _before > TURN_SECONDS:
                sys.setswitchinterval(TURN_SECONDS)
        _studies += 1
    try:
        yield
    finally:
        with _lock:
            _studies -= 1
            if not _studies and _before > TURN_SECONDS:
                sys.setswitchinterval(_before)


class Hands(threading.Thread):
    """Does one thing after another.

    Args:
        name: of the thread.
        failed: called with what something raises.

    Attributes:
        fallen: what it has died of, which `failed` raised; None while it lives.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._failed = failed
        self.fallen: BaseException | None = None
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def put(self, action: Callable[[], None]) -> None:
        """Have something done."""
        self._queue.put(action)

    def stop(self, seconds: float | None = None) -> None:
        """Stop after what is to be done by now, and wait for it."""
        self._queue.put(None)
        self.join(seconds)

    def run(self) -> None:
        """Do what comes until stopped."""
        try:
            self._work()
        except BaseException as error:
            self.fallen = error

    def _work(self) -> None:
        while (action := self._queue.get()) is not None:
            try:
                action()
            except Exception as error:
                self._failed(error)
                if not (isinstance(error, OSError) or wants_memory(error)):  # which are the machine's
                    _log.exception("the %s thread failed", self.name)
