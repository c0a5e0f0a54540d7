"""The workers of a study on a cluster, as its driver sees them: launched into berths, listened to, waited for."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from sweep.cluster.berth import THREADS, Berth
from sweep.cluster.carrying import Carrier, Listener, ask
from sweep.cluster.probe import Probe
from sweep.core.events import Exited
from sweep.words import one_line

LEAVE_SECONDS = 2.0
KILL_SECONDS = 5.0  # for a worker to end that was killed; then its berth, which does not answer, is given up


class Berths:
    """Obeys the orders `launch` and `kill`.

    Args:
        file: the study file, below its folder.
        packed: that folder; see `sweep.cluster.shipping`.
        address: the coordinator's socket.
        logdir: the log directory here.
        taken: what a worker takes of its node, by Ray's names.
        probe: tells whether a node sees the log directory.
        told: is told how workers end.
    """

    def __init__(
        self,
        file: str,
        packed: bytes,
        address: str,
        logdir: Path,
        taken: Mapping[str, float],
        probe: Probe,
        told: Listener,
    ) -> None:
        self._address = address
        self._logdir = logdir
        self._told = told
        others = {name: amount for name, amount in taken.items() if name not in ("CPU", "GPU")}
        cpus, gpus = taken.get("CPU", 0.0), taken.get("GPU", 0.0)
        self._actor = ray.remote(Berth).options(
            num_cpus=cpus,
            num_gpus=gpus,
            resources=others,
            max_restarts=0,  # the coordinator says what is tried again
            max_concurrency=THREADS,
            scheduling_strategy="SPREAD",
        )
        self._arguments = (file, ray.put(packed), cpus, gpus, probe)
        self._berths: dict[int, Any] = {}  # by slot
        self._where: dict[str, int] = {}  # the slots of workers
        self._begun: set[str] = set()
        self._ended: dict[str, threading.Event] = {}
        self._unseen: set[str] = set()  # the hosts that do not see the log directory
        self._lock = threading.Lock()

    def launch(self, worker: str, slot: int) -> None:
        """Start a worker in a slot, as soon as a node has room for it."""
        with self._lock:
            self._where[worker] = slot
            self._ended[worker] = threading.Event()
            if slot not in self._berths:
                self._berths[slot] = self._actor.remote(*self._arguments)
            berth = self._berths[slot]
        threading.Thread(target=self._keep, args=(worker, slot, berth), name=f"worker {worker}", daemon=True).start()

    def kill(self, worker: str) -> None:
        """End a worker at once."""
        with self._lock:
            slot = self._where.get(worker)
            berth = self._berths.get(slot) if slot is not None else None
            placed = any(self._where.get(other) == slot for other in self._begun)
        if berth is None:
            return
        if placed:
            berth.kill.remote(worker)
            threading.Thread(target=self._give_up, args=(worker, berth), daemon=True).start()
        else:
            ray.kill(berth)

    def close(self) -> None:
        """Have berths remove what they hold on their nodes, as far as they answer."""
        with self._lock:
            leaving = [berth.leave.remote() for slot, berth in self._berths.items()]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_SECONDS)

    def _keep(self, worker: str, slot: int, berth: Any) -> None:
        """See a worker through, and tell how it ended."""
        try:
            begun = ask(berth.begin, worker)
            with self._lock:
                self._begun.add(worker)
                unseen = begun.folder is not None and begun.host not in self._unseen
                if unseen:
                    self._unseen.add(begun.host)
            if unseen:
                self._told.say(f"{begun.host} does not see {self._logdir}: its workers bring their files")
            carrier = Carrier(worker, berth, self._address, self._logdir, begun.folder, self._told)
            threading.Thread(target=carrier.carry, name=f"carrier {worker}", daemon=True).start()
            ending = ask(berth.wait, worker)
        except RayError as error:
            ending = self._lost(worker, slot, berth, error)
        with self._lock:
            self._begun.discard(worker)
            del self._where[worker]
            self._ended.pop(worker).set()
        self._told.tell("ended", worker=worker, how=ending.how, killed=ending.killed, output=ending.output)

    def _lost(self, worker: str, slot: int, berth: Any, error: RayError) -> Exited:
        """How a worker ended whose berth is gone, or failed; its successor has a new berth, perhaps on another node."""
        with self._lock:
            if self._berths.get(slot) is berth:
                del self._berths[slot]
        ray.kill(berth)
        if isinstance(error, RayActorError) and not error.actor_init_failed:
            return Exited(worker, "lost with its node or its Ray actor", True, one_line(str(error)))
        return Exited(worker, "unable to begin on its node", True, str(error))

    def _give_up(self, worker: str, berth: Any) -> None:
        """Have Ray kill a berth that does not obey."""
        ended = self._ended.get(worker)
        if ended is not None and not ended.wait(KILL_SECONDS):
            ray.kill(berth)
