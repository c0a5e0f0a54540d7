"""The command line: `sweep ...`."""

import atexit
import contextlib
import errno
import os
import resource
import signal
import sys
from pathlib import Path

from sweep.cli.interrupts import ended_by_the_second
from sweep.cli.process_list import hide_secrets
from sweep.cli.streams import Unshown, safe_streams
from sweep.errors import SweepError, machine_fault, printed, wants_memory

NEEDED = 1 << 30
"""Addresses that the coordinator of a study needs, most of them for the stacks and heaps of its threads."""
_SHOWN = 200  # characters of a path
_MORE_MEMORY = "Free some memory, or raise the limits that `ulimit -v` and `ulimit -u` show."


def main() -> None:
    """Run one command. A user's error is printed to stderr, with exit status 2; other errors keep their traceback."""
    hide_secrets()
    with ended_by_the_second():
        status = run(sys.argv[1:])
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(status))  # while threads end
            atexit.register(signal.signal, number, signal.SIG_IGN)  # while the interpreter takes itself apart
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    with safe_streams():
        try:
            return _run(arguments)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except SweepError as error:
            return _refused(error)
        except Unshown as error:
            if error.errno == errno.EPIPE:  # as with `sweep runs | head`
                return 1
            return _refused(SweepError(f"Standard output cannot be written: {error.strerror}.", "Make room."))
        except (MemoryError, RuntimeError, ImportError, SystemError) as error:
            if not wants_memory(error):
                raise
            return _refused(SweepError("Not enough memory for this command.", _MORE_MEMORY))
        except OSError as error:
            fault = machine_fault(error, Path.cwd()) or _of_file(error)
            if fault is None:
                raise
            return _refused(fault)


def _run(arguments: list[str]) -> int:
    _check_memory(arguments)
    import typer

    from sweep.cli.app import app

    try:
        return app(arguments or ["--help"], prog_name="sweep", standalone_mode=False) or 0
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        print("sweep: Nothing was changed.", file=sys.stderr)
        return 1


def _check_memory(arguments: list[str]) -> None:
    """Refuse to train in a process that may have too few addresses: libraries would end it, or have it crash.

    Raises:
        SweepError: it may.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if arguments[:1] in (["start"], ["try"], ["rerun"]) and resource.RLIM_INFINITY != allowed < NEEDED:
        raise SweepError(
            f"Not enough memory for this command: it may have {allowed >> 20} MiB of addresses and needs "
            f"{NEEDED >> 20} MiB.",
            "Raise the limit: ulimit -v unlimited",
        )


def _of_file(error: OSError) -> SweepError | None:
    """What the system says about a file that was named to it; None where it names none."""
    if error.filename is None or error.strerror is None:
        return None
    name = os.fsdecode(error.filename)
    return SweepError(f"{error.strerror}: {name if len(name) <= _SHOWN else f'{name[:_SHOWN]}…'}")


def _refused(error: SweepError) -> int:
    with contextlib.suppress(OSError):
        print(printed(error), file=sys.stderr)
    return 2


def _usage_error(error: Exception) -> int:
    """Print what is wrong with a command line, and which command shows its help."""
    context = getattr(error, "ctx", None)
    text = error.format_message()  # type: ignore[attr-defined]
    message = text if text.endswith((".", "?")) else f"{text}."
    help = f"See: {context.command_path if context else 'sweep'} --help"
    print(printed(SweepError(message, help)), file=sys.stderr)
    return int(getattr(error, "exit_code", 2))
