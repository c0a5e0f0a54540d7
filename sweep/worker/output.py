"""What a worker prints: a file of bounded size, whoever writes to it."""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 5 * 2**20
"""When a worker has printed more, the newest of it is moved to a second file, and what was there before is dropped."""

OLDER = ".1"  # ends the name of the second file

_logs: dict[int, Path] = {}  # by their descriptors


def redirect(log: Path) -> None:
    """Have this process and what it starts print into a file from now on."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    _logs[1] = log


def rotate(descriptor: int = 1, most: int = MOST_BYTES) -> bool:
    """Empty the file behind a descriptor if it is longer than `most` bytes; whether it was.

    It is emptied in place, so that programs and threads that write to it meanwhile go on writing to it. What they write
    in the moment between may be lost. Its last `most` bytes go to the second file, if it was named by `redirect`.

    Args:
        descriptor: of a file that is open to be read and appended to; with anything else nothing happens.
    """
    with suppress(OSError):
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size <= most:
            return False
        if descriptor in _logs:
            kept = os.pread(descriptor, most, status.st_size - most)
            log = _logs[descriptor]
            with suppress(OSError):  # no room, even for this
                log.with_name(f"{log.name}{OLDER}").write_bytes(kept[kept.find(b"\n") + 1 :])
        os.ftruncate(descriptor, 0)
        return True
    return False
