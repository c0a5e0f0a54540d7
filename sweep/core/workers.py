"""The workers of a study, and the slots that they have: which to start, and which to replace."""

from dataclasses import dataclass

from sweep.core.events import Exited, Launch


@dataclass
class Worker:
    """A worker.

    Attributes:
        slot: its share of the cores, or of the GPUs; None for a worker that no executor has started.
        heard: whether it has sent a message, `connected` whether it still may.
        asks: whether it waits for a trial; `trial`: the number of the one that it had last.
        owed: whether it waits for an answer.
        killed: whether the study has ordered its end.
        early: whether it was launched before the study was loaded, and has not been welcomed yet.
        exit: how its process ended, at `exited` by the clock.
    """

    name: str
    slot: int | None
    heard: bool = False
    connected: bool = False
    asks: bool = False
    owed: bool = False
    killed: bool = False
    early: bool = False
    trial: int = -1
    exit: Exited | None = None
    exited: float = 0.0


class Workers:
    """Workers by their names, and how many there shall be.

    A worker that has grown too large is relieved: its successor loads the study file in the same slot, and takes over
    when it asks for a trial, so that neither a trial nor the time to load is lost.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Worker] = {}
        self.wanted = 0
        self._holders: dict[int, str] = {}  # the worker of each slot, the successor where one is relieved
        self._serial = 0
        self._launched = 0  # how many of those there are
        self._successors: dict[str, str] = {}

    @property
    def is_empty(self) -> bool:
        """Whether every worker that an executor has started is gone."""
        return not self._launched

    def resize(self, wanted: int) -> tuple[list[Launch], list[str]]:
        """Have so many workers; those that are launched, and the names of those that are no longer wanted."""
        self.wanted = wanted
        surplus = [name for slot, name in self._holders.items() if slot >= wanted]
        self._holders = {slot: name for slot, name in self._holders.items() if slot < wanted}
        launched = [launch for slot in range(wanted) if (launch := self.fill(slot)) is not None]
        return launched, surplus

    def fill(self, slot: int) -> Launch | None:
        """Start a worker in a slot; None where none is wanted, or one is there."""
        return self._launch(slot) if slot < self.wanted and slot not in self._holders else None

    def start_successor(self, name: str) -> Launch | None:
        """Start the successor of a worker, in its slot; None where the worker has no slot, or lost it."""
        slot = self.by_name[name].slot
        if slot is None or slot >= self.wanted or self._holders.get(slot) != name:
            return None
        launch = self._launch(slot)
        self._successors[name] = launch.worker
        return launch

    def successor(self, name: str) -> Worker | None:
        """The worker that relieves one."""
        return self.by_name.get(self._successors.get(name, ""))

    def predecessor(self, name: str) -> Worker | None:
        """The worker that one relieves."""
        return next((self.by_name[old] for old, new in self._successors.items() if new == name), None)

    def join(self, name: str) -> Worker:
        """The worker that has sent a message: a new one where no executor has started it, as in the study's process."""
        worker = self.by_name.get(name)
        if worker is None:
            worker = self.by_name[name] = Worker(name, None)
        return worker

    def remove(self, name: str) -> int | None:
        """Forget a worker that is gone; returns its slot if that is free now."""
        worker = self.by_name.pop(name, None)
        self._successors.pop(name, None)
        if worker is None or worker.slot is None:
            return None
        self._launched -= 1
        if self._holders.get(worker.slot) != name:
            return None
        relieved = self.predecessor(name)
        if relieved is not None:  # it keeps its slot, and may be relieved by another
            del self._successors[relieved.name]
            self._holders[worker.slot] = relieved.name
            return None
        del self._holders[worker.slot]
        return worker.slot

    def _launch(self, slot: int) -> Launch:
        name = str(self._serial)
        self._serial += 1
        self.by_name[name] = Worker(name, slot)
        self._launched += 1
        self._holders[slot] = name
        return Launch(name, slot, self.wanted)
