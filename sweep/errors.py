"""The errors that a user can cause: what happened, in a sentence, and what to do about it.

The command line prints such an error in a line or two and exits with status 2. Every other exception is a fault of
sweep and keeps its traceback.
"""

import errno
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

from sweep.passwords import masked
from sweep.words import plain

_MACHINES = {
    errno.ENOSPC: ("No room is left on the disk at {where}.", "Make room"),
    errno.EDQUOT: ("The disk quota at {where} is used up.", "Make room"),
    errno.EIO: ("The disk at {where} fails: input/output error.", "Check the disk"),
    errno.EMFILE: ("No more files can be opened, as at {where}: the limit of a process is reached.", "Raise ulimit -n"),
    errno.ENFILE: (
        "No more files can be opened, as at {where}: the limit of the machine is reached.",
        "Raise fs.file-max",
    ),
}
_MACHINES_WHERE_WE_WRITE = {
    errno.EFBIG: (
        "{where} may not grow any more: the limit of a file's size is reached.",
        "Raise it with ulimit -f unlimited",
    ),
    errno.EROFS: ("The file system at {where} has become read-only.", "Make it writable"),
    errno.EACCES: ("{where} cannot be written any more: permission denied.", "Restore the rights"),
    errno.EPERM: ("{where} cannot be written any more: not permitted.", "Restore the rights"),
    errno.ENOMEM: ("The system has no memory to write at {where}.", "Free some"),
    errno.ENOENT: ("{where} is gone.", "Bring its folder back"),
    errno.ENOTDIR: ("{where} is no folder any more.", "Bring it back"),
    **dict.fromkeys(
        (errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN),
        ("The file system at {where} is not connected any more.", "Mount it again"),
    ),
}


_PREFIX = "sweep: "
_INDENT = " " * len(_PREFIX)


class SweepError(Exception):
    """Something that a user gave or asked for is impossible. As text it is the message and the hint, in one line.

    Args:
        message: what happened, as a sentence in the words of the person who typed it.
        hint: what to do about it, as a sentence or as a command; None where there is nothing to advise.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = plain(masked(message))
        self.hint = plain(masked(hint)) if hint else None
        super().__init__(" ".join(filter(None, (self.message, self.hint))))

    def as_dict(self) -> dict[str, str | None]:
        """The error as JSON can hold it."""
        return {"message": self.message, "hint": self.hint}

    @classmethod
    def from_dict(cls, values: Mapping[str, str | None]) -> "SweepError":
        """The inverse of `as_dict`."""
        if values.get("remedy"):
            return MachineFault(values["message"] or "", values["remedy"] or "")
        return cls(values["message"] or "", values["hint"])


class MachineFault(SweepError):
    """A study stops because of the machine. No trial fails for it, and the next start continues the study.

    Args:
        message: what happened, and where.
        remedy: what to do before that start, as an imperative without a full stop.
    """

    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = plain(remedy)
        super().__init__(message, f"{self.remedy}, then start the study again to continue.")

    def as_dict(self) -> dict[str, str | None]:
        """The error as JSON can hold it."""
        return {**super().as_dict(), "remedy": self.remedy}

    def continued_by(self, command: str) -> SweepError:
        """The same with the command that continues the study."""
        return SweepError(self.message, f"{self.remedy}, then continue with: {command}")


def machine_fault(error: BaseException, folder: Path) -> MachineFault | None:
    """The error that stops a study because of the machine, whose fault costs no trial; None for anything else.

    A full or failing disk and a lack of descriptors are the machine's wherever they are met; what else the system
    refuses is the machine's where the study itself writes, and that of the user's code elsewhere.

    Args:
        folder: where the study writes.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return None
    where = str(error.filename or folder)
    known = _MACHINES.get(error.errno)
    is_ours = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder)
    if known is None and is_ours:
        known = _MACHINES_WHERE_WE_WRITE.get(error.errno)
    if known is None:
        return None
    message, remedy = known
    return MachineFault(message.format(where=where), remedy)


def printed(error: SweepError) -> str:
    """An error as a terminal shows it: what happened, and what to do about it on a line of its own."""
    hint = f"\n{_INDENT}{error.hint}" if error.hint else ""
    return f"{_PREFIX}{error.message}{hint}"


def last_words(output: str) -> str:
    """What a process of sweep printed last, in a line: its error with the hint, else its last line; may be empty."""
    lines = output.strip().splitlines() or [""]
    first = max((place for place, line in enumerate(lines) if line.startswith(_PREFIX)), default=len(lines) - 1)
    hint = itertools.takewhile(lambda line: line.startswith(_INDENT), lines[first + 1 :])
    return " ".join([lines[first].removeprefix(_PREFIX), *(line.strip() for line in hint)])


_WANT = (
    "can't start new thread",
    "Cannot allocate memory",
    "failed to map segment from shared object",
    "error return without exception set",  # an interpreter that had no memory for the exception
)


def wants_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, is for want of memory in this process."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, RuntimeError | ImportError | SystemError) and any(text in str(error) for text in _WANT):
        return True
    return error is not None and wants_memory(error.__cause__)


class StudyError(SweepError):
    """A study, its file, its search space or its objective is invalid."""


class RunNameError(SweepError):
    """A text is not a run name, or parameters cannot be encoded in one."""


class FilterError(SweepError):
    """A filter or a condition is invalid.

    Args:
        position: the index of the offending character, from 0; None where no character is to blame.
    """

    def __init__(self, message: str, hint: str | None = None, *, position: int | None = None) -> None:
        super().__init__(message, hint)
        self.position = position


class StoreError(SweepError):
    """The database cannot be opened, is not sweep's, or does not hold what was asked for."""


class ReadOnly(StoreError):
    """The database can be read from here, and not changed.

    Args:
        reason: why, as a sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "Reading works. To change something, copy the folder to where you can write.")
