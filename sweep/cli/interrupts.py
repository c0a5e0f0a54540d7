"""Ctrl-C twice ends a command within two seconds, whatever it waits for."""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Iterator

GRACE_SECONDS = 2.0
"""For a command to end by itself after the second Ctrl-C or SIGTERM."""

_SHOW_CURSOR = b"\x1b[?25h"
_STOPPED = b"sweep: Stopped at once, since something does not answer. What was acknowledged is on the disk.\n"


@contextlib.contextmanager
def ended_by_the_second() -> Iterator[None]:
    """End this process two seconds after the second signal that asks for it, as long as the context lasts.

    A thread that waits within SQLite, libpq or the resolver of host names runs no signal handler of Python's. So the
    signals are read from a pipe that the interpreter writes them to as they arrive.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(heard,), name="interrupts", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)  # which ends the thread


def _listen(heard: int) -> None:
    asked = 0
    while asked < 2:
        got = os.read(heard, 1)
        if not got:
            os.close(heard)
            return
        asked += got[0] in (signal.SIGINT, signal.SIGTERM)
    end_by = time.monotonic() + GRACE_SECONDS
    while select.select([heard], [], [], max(0.0, end_by - time.monotonic()))[0]:
        if not os.read(heard, 1):  # the command has ended
            os.close(heard)
            return
    _end(128 + got[0])


def _end(status: int) -> None:
    for descriptor, text in ((1, _SHOW_CURSOR if os.isatty(1) else b""), (2, _STOPPED)):
        with contextlib.suppress(OSError):
            if text and select.select([], [descriptor], [], 0)[1]:  # a terminal may be frozen too
                os.write(descriptor, text)
    os._exit(status)
