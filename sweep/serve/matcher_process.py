"""The process `python -m sweep.serve.matcher_process DESCRIPTOR`: matches patterns for `sweep.serve.matcher`.

It imports little, so that the first pattern need not wait for it.
"""

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from sweep.errors import FilterError
from sweep.view.filters import compile_filter

CPU_SECONDS = 1.0
"""What a pattern may take over all names; 10,000 ordinary ones take a hundredth."""

_MEMORY = 1 << 30  # bytes of address space


def serve(line: Connection) -> None:
    """Answer questions until the other side is gone."""
    while True:
        try:
            question = json.loads(line.recv_bytes())
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            pattern = compile_filter(question["pattern"])
            places = [place for place, name in enumerate(question["names"]) if pattern.matches(name)]
            answer: dict[str, Any] = {"places": places}
        except FilterError as error:
            answer = {"message": error.message, "hint": error.hint, "position": error.position}
        signal.setitimer(signal.ITIMER_PROF, 0)
        line.send_bytes(json.dumps(answer).encode())


def main() -> None:
    """A child of `Matcher`, its line the descriptor that its argument names."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
