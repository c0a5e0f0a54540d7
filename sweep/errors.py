"""The errors a user can cause: one line each, made of the rule, what was got, and what to do.

The command line prints such an error as that one line and exits with status 2. Every other exception is a fault of ours
and keeps its traceback.
"""

import errno

from sweep.words import plain

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What an `OSError` says by its `errno` where there is no room on the disk, or for this user."""


class SweepError(Exception):
    """Something a user gave or asked for that cannot be.

    Args:
        rule: what must hold, as a sentence without its full stop.
        got: what was found instead, if that helps.
        remedy: what to do about it, if there is something to do.
    """

    def __init__(self, rule: str, got: str | None = None, remedy: str | None = None) -> None:
        rule, got, remedy = plain(rule), got and plain(got), remedy and plain(remedy)
        self.rule = rule
        self.got = got
        self.remedy = remedy
        line = rule if got is None else f"{rule}: got {got}"
        between = " " if line.endswith((".", "?", "!")) else "; "
        super().__init__(line if remedy is None else f"{line}{between}{remedy}")


class StudyError(SweepError):
    """A study, its file, its search space or its objective is not as it must be."""


class RunNameError(SweepError):
    """A text is no run name, or parameters cannot be encoded in one."""


class FilterError(SweepError):
    """A pattern is no regular expression; `position` is the offending character's index, from 0, where known."""

    def __init__(
        self, rule: str, got: str | None = None, remedy: str | None = None, *, position: int | None = None
    ) -> None:
        super().__init__(rule, got, remedy)
        self.position = position


class StoreError(SweepError):
    """The database cannot be opened, is not ours, or holds something else than what was asked for."""
