"""Executors: so many workers are kept alive until a study has ended, wherever they run.

A place says where: `sweep.control.local` on this machine, `sweep.control.ray` on a cluster. Each worker has a slot,
which is a share of cores or of a GPU.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Ending:
    """How a worker ended.

    Attributes:
        how: in words that go on from "its worker was" or "its worker".
        killed: from outside, rather than by what it ran.
        output: what it printed last.
    """

    how: str
    killed: bool
    output: str


class Worker(Protocol):
    """A worker that was started."""

    def wait(self) -> Ending:
        """Wait until it has ended, and end what it started and left behind."""
        ...

    def kill(self) -> None:
        """End it at once, with everything it started; a worker that has ended is passed over."""
        ...


class Place(Protocol):
    """Where workers run.

    Attributes:
        most: for how many workers there is room.
        when_room: is called when that has changed.
    """

    most: int
    when_room: Callable[[], None]

    def launch(self, worker: str, slot: int, count: int) -> Worker:
        """Start a worker by its name in a slot, of so many; the workers of a slot share what it has."""
        ...

    def close(self) -> None:
        """Give back what was taken for workers, of which none is left."""
        ...


class Executor:
    """Keeps `count` workers alive until it is told not to.

    Args:
        place: where they run.
        count: how many.
        ended: called with a worker's name and how it ended, in a thread of that worker. It returns whether another is
            to take its place.
    """

    def __init__(self, place: Place, count: int, ended: Callable[[str, Ending], bool]) -> None:
        self._place = place
        self._wanted = count
        self._ended = ended
        self._workers: dict[str, Worker] = {}
        self._slots: dict[str, int] = {}  # of the workers not dismissed; two in one while the second relieves the first
        self._serial = 0
        self._closed = False
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []  # each keeps a slot, or ends with the worker that is relieved there

    def start(self) -> None:
        """Start all workers."""
        for slot in range(self._wanted):
            self._begin(slot)

    def resize(self, count: int) -> None:
        """Have `count` workers from now on. Those too many end at once: call this before any has a trial."""
        with self._lock:
            self._wanted = count
            surplus = [worker for worker, slot in self._slots.items() if slot >= count]
            for worker in surplus:
                del self._slots[worker]
                self._workers[worker].kill()
        for slot in range(count):
            self._begin(slot)

    def grow(self, count: int) -> None:
        """Have at least `count` workers from now on."""
        if count > self._wanted:
            self.resize(count)

    def relieve(self, worker: str) -> str | None:
        """Start another worker in a worker's place while that one still lives.

        Returns:
            The new worker's name; None if none is wanted there any more.
        """
        with self._lock:
            slot = self._slots.get(worker)
        return None if slot is None else self._begin(slot, relieving=worker)

    def end_worker(self, worker: str) -> None:
        """End a worker at once, with everything it started; another takes its place, as after any death."""
        with self._lock:
            there = self._workers.get(worker)
        if there is not None:
            there.kill()

    def close(self, seconds: float, busy: Callable[[str], bool] = lambda _worker: True) -> None:
        """End all workers.

        Args:
            seconds: how long they may take to end by themselves; then they are killed.
            busy: whether a worker, by its name, may have something to end; others are killed at once.
        """
        with self._lock:
            self._closed = True
            idle = [there for worker, there in self._workers.items() if not busy(worker)]
        for there in idle:
            there.kill()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        for thread in self._threads:
            thread.join()
        self._place.close()

    def kill(self) -> None:
        """End all workers at once, with everything they started."""
        with self._lock:
            self._closed = True
            workers = list(self._workers.values())
        for there in workers:
            there.kill()

    def _begin(self, slot: int, relieving: str | None = None) -> str | None:
        worker = self._launch(slot, relieving)
        if worker is not None:
            thread = threading.Thread(target=self._keep, args=(slot, worker), name=f"slot {slot}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return worker

    def _keep(self, slot: int, first: str) -> None:
        """Keep a worker alive in one slot, from its first one on."""
        worker: str | None = first
        while worker is not None:
            ending = self._workers[worker].wait()
            with self._lock:
                del self._workers[worker]
                dismissed = self._slots.pop(worker, None) is None
            again = not dismissed and self._ended(worker, ending)
            worker = self._launch(slot) if again else None

    def _launch(self, slot: int, relieving: str | None = None) -> str | None:
        """Start a worker in a slot that nobody has but the one it relieves; None if none is wanted there."""
        with self._lock:
            others = [worker for worker, taken in self._slots.items() if taken == slot and worker != relieving]
            if self._closed or slot >= self._wanted or others:
                return None
            worker = str(self._serial)
            self._serial += 1
            self._workers[worker] = self._place.launch(worker, slot, self._wanted)
            self._slots[worker] = slot
            return worker
