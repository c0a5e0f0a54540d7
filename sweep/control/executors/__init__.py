"""Executors: places where workers run. Each is one file here: this machine (`local`), or a Ray cluster (`ray`)."""

from typing import Protocol


class Executor(Protocol):
    """Starts and ends workers.

    It posts `Room` as soon as it knows for how many workers there is room, and whenever that changes; and `Exited` when
    a worker has ended, after what it started and left behind was ended too. One thread calls `submit` and `kill`.
    """

    def start(self) -> None:
        """Post what there is room for, and be ready."""
        ...

    def submit(self, worker: str, slot: int, slots: int) -> None:
        """Start a worker by its name in slot `slot` of `slots`; the workers of a slot share what it has."""
        ...

    def kill(self, worker: str) -> None:
        """End a worker at once, with everything that it started; one that has ended is skipped."""
        ...

    def close(self) -> None:
        """Give back what was taken for workers, none of which is left."""
        ...
