"""The command line that other users see in the process list: without passwords and tokens.

Linux shows each process's own memory, so what is written there is what is shown. Elsewhere nothing is done; the
environment variables `SWEEP_STORAGE` and `SWEEP_TOKEN` are seen by nobody.
"""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

from sweep.passwords import masked_arguments

_START, _END = 45, 46  # fields of /proc/PID/stat after the command's name: where the arguments begin and end


def hide_secrets() -> None:
    """Overwrite passwords and tokens among the arguments of this process, as the process list shows them."""
    if masked_arguments(sys.argv) == sys.argv:
        return
    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_START]), int(fields[_END])
        arguments = os.fsdecode(ctypes.string_at(start, end - start)).split("\0")
        hidden = os.fsencode("\0".join(masked_arguments(arguments)))
        if start and len(hidden) == end - start:
            ctypes.memmove(start, hidden, len(hidden))
