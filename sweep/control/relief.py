"""Workers that have outgrown their memory are relieved: neither a trial nor the time that a worker loads is lost.

A worker says that it has outgrown where it asks for its next trial. It is given more of them while its successor loads
the study file; when that one asks for its first trial, the old one is sent home at its next, and only when it has left
does the new one begin, so that no more trials run at once than there are workers.
"""

from sweep.control.coordinator import Coordinator


class Relief:
    """Who relieves whom."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._successors: dict[str, str] = {}
        self._ready: set[str] = set()

    def may_leave(self, worker: str, *, outgrown: bool) -> bool:
        """Whether a worker that asks for a trial is to leave instead, its successor being there."""
        coordinator = self._coordinator
        with coordinator.lock:
            successor = self._successors.get(worker)
            if successor is not None and successor not in coordinator.departed:
                return successor in self._ready
            if outgrown and coordinator.stopped is None and coordinator.left() > 0:
                successor = coordinator.relieve(worker)
                if successor is not None:
                    self._successors[worker] = successor
            return False

    def wait(self, worker: str) -> None:
        """Wait until the one whom a worker relieves, if any, has left."""
        coordinator = self._coordinator
        with coordinator.changed:
            self._ready.add(worker)
            relieved = next((old for old, new in self._successors.items() if new == worker), None)
            while relieved is not None and relieved not in coordinator.departed and coordinator.stopped is None:
                coordinator.changed.wait(timeout=0.5)
