"""Patterns of strangers, matched in child processes: a catastrophic one ends its child and nothing else.

The engine holds the interpreter while it matches, so that no thread of this process could end it. The child lets the
kernel do so: a timer of its own CPU time ends it, whatever has become of the service.
"""

import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from sweep.commands import environment, python
from sweep.errors import FilterError
from sweep.serve.matcher_process import CPU_SECONDS
from sweep.serve.problems import Refusal

CHILDREN = 2
FROM_ONE = 16
"""Patterns that one client may have waiting, beside the one that is being matched."""

FROM_ALL = 24
_WAIT_SECONDS = 10.0


class TooManyPatterns(Refusal):
    """A client, or all together, have too many patterns waiting to be matched."""

    status = 429

    def __init__(self) -> None:
        super().__init__("Too many filters wait to be matched.", "Try again when the others have been.")


class Matcher:
    """Matches patterns with run names; any thread may ask, and waits while all children are at work.

    One client has one child at a time, so that its patterns never keep another client's waiting.
    """

    def __init__(self) -> None:
        self._turns = threading.Condition()
        self._working: Counter[str] = Counter()  # by client
        self._waiting: Counter[str] = Counter()
        self._idle: list[_Child] = []

    def match(self, pattern: str, names: Sequence[str], client: str = "") -> frozenset[str]:
        """The names in which a pattern is found, by the rules of `sweep.view.filters`.

        Args:
            client: whoever asks.

        Raises:
            FilterError: the pattern is no regular expression, or takes too long.
            TooManyPatterns: other patterns of this client, or of all, are being matched.
        """
        self._take_turn(client)
        try:
            child = self._idle.pop() if self._idle else _Child()
            try:
                answer = child.ask({"pattern": pattern, "names": list(names)})
            except BaseException:
                child.end()
                raise
            self._idle.append(child)
        finally:
            with self._turns:
                self._working -= Counter([client])
                self._turns.notify_all()
        if "places" not in answer:
            position = answer.pop("position")
            raise FilterError(**answer, position=position)
        return frozenset(names[place] for place in answer["places"])

    def _take_turn(self, client: str) -> None:
        """Wait for a child, and until this client has no other."""

        def is_free() -> bool:
            return self._working.total() < CHILDREN and not self._working[client]

        with self._turns:
            if self._waiting[client] >= FROM_ONE or self._waiting.total() >= FROM_ALL:
                raise TooManyPatterns
            self._waiting[client] += 1
            came = self._turns.wait_for(is_free, _WAIT_SECONDS)
            self._waiting -= Counter([client])
            if not came:
                raise TooManyPatterns
            self._working[client] += 1

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
