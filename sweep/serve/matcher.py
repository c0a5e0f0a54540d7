"""Patterns of strangers, matched in child processes: a catastrophic one ends its child and nothing else.

The engine holds the interpreter while it matches, so that no thread of this process could end it. The child lets the
kernel do so: a timer of its own CPU time ends it, whatever has become of the service.
"""

import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from sweep.commands import environment, python
from sweep.errors import FilterError
from sweep.serve.matcher_process import CPU_SECONDS
from sweep.serve.problems import Busy

CHILDREN = 2
_WAIT_SECONDS = 10.0


class Matcher:
    """Matches patterns with run names; any thread may ask, and waits while all children are at work."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(CHILDREN)
        self._idle: list[_Child] = []

    def match(self, pattern: str, names: Sequence[str]) -> frozenset[str]:
        """The names in which a pattern is found, by the rules of `sweep.view.filters`.

        Raises:
            FilterError: the pattern is no regular expression, or takes too long.
            Busy: other patterns keep all children at work.
        """
        if not self._free.acquire(timeout=_WAIT_SECONDS):
            raise Busy("This service is busy with other filters.", "Try again shortly.")
        try:
            child = self._idle.pop() if self._idle else _Child()
            try:
                answer = child.ask({"pattern": pattern, "names": list(names)})
            except BaseException:
                child.end()
                raise
            self._idle.append(child)
        finally:
            self._free.release()
        if "places" not in answer:
            position = answer.pop("position")
            raise FilterError(**answer, position=position)
        return frozenset(names[place] for place in answer["places"])

    def close(self) -> None:
        """End the children."""
        while self._idle:
            self._idle.pop().end()


class _Child:
    def __init__(self) -> None:
        self._line, theirs = Pipe()
        with theirs:
            command = python("sweep.serve.matcher_process", str(theirs.fileno()))
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=environment(),
            )

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            self._line.send_bytes(json.dumps(question).encode())
            answer: dict[str, Any] = json.loads(self._line.recv_bytes())
        except (EOFError, OSError):
            late = self._process.wait() == -signal.SIGPROF
            reason = f"longer than {CPU_SECONDS:g} s" if late else "too much memory"
            raise FilterError(f"The filter takes {reason}.", "Nest fewer repetitions.") from None
        return answer

    def end(self) -> None:
        self._line.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
