"""A thread that does one thing after another."""

import logging
import queue
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Hands(threading.Thread):
    """Does one thing after another.

    Args:
        name: of the thread.
        failed: called with what something raises.
    """

    def __init__(self, name: str, failed: Callable[[BaseException], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._failed = failed
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
        while (action := self._queue.get()) is not None:
            try:
                action()
            except Exception as error:
                _log.exception("the %s thread failed", self.name)
                self._failed(error)
