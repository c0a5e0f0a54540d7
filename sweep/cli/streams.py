"""Standard output and error of a command: what others wrote moves no cursor, and a lost reader ends no study."""

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from sweep.words import plain

_optional = threading.Event()  # whether what is printed may be lost


class Unshown(OSError):
    """What was to be printed could not be: nobody reads it any more, or there is no room for it."""


def print_if_possible() -> None:
    """Have this command go on to its end where nothing can be printed any more, for it does more than print."""
    _optional.set()


class Stream:
    """A text stream that raises `Unshown` when it cannot be written, and takes in silence what comes after.

    Args:
        file: where the text goes.
        exact: write escape sequences as they are, such as those of our own display; else as a person can read them.
    """

    def __init__(self, file: TextIO, *, exact: bool = False) -> None:
        self._file = file
        self._exact = exact

    @property
    def exact(self) -> "Stream":
        """The same stream for text that holds escape sequences of our own, or that programs read."""
        return Stream(self._file, exact=True)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            self._file.write(text if self._exact else plain(text))
        except (OSError, ValueError) as error:  # ValueError: it is closed
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Have what was written arrive."""
        try:
            self._file.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _give_up(self, error: OSError | ValueError) -> None:
        with contextlib.suppress(OSError, ValueError):  # what is still to be flushed goes nowhere
            descriptor, null = self._file.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
        if _optional.is_set():
            return
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EPIPE
        raise Unshown(number, os.strerror(number)) from error


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Print through such streams as long as the context lasts; one that was closed from the start takes everything."""
    before = sys.stdout, sys.stderr
    _optional.clear()
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows `?` for a sparkline
    with open(os.devnull, "w") as nothing:
        sys.stdout, sys.stderr = (Stream(stream or nothing) for stream in before)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            sys.stdout, sys.stderr = before
