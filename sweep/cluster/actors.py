"""The workers of a study on a cluster, as its driver sees them: started in actors, listened to, waited for."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from sweep.cluster.actor import THREADS, WorkerActor
from sweep.cluster.probe import Probe
from sweep.cluster.relay import Listener, Relay, ask
from sweep.core.events import Exited
from sweep.words import one_line

LEAVE_SECONDS = 2.0
KILL_SECONDS = 5.0  # for a worker to end that was killed; then its actor, which does not answer, is given up


class WorkerActors:
    """Obeys the orders `launch` and `kill`.

    Args:
        file: the study file, below its folder.
        packed: that folder; see `sweep.cluster.archive`.
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
        self._actor_class = ray.remote(WorkerActor).options(
            num_cpus=cpus,
            num_gpus=gpus,
            resources=others,
            max_restarts=0,  # the coordinator says what is tried again
            max_concurrency=THREADS,
            scheduling_strategy="SPREAD",
        )
        self._arguments = (file, ray.put(packed), cpus, gpus, probe)
        self._actors: dict[int, Any] = {}  # by slot
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
            if slot not in self._actors:
                self._actors[slot] = self._actor_class.remote(*self._arguments)
            actor = self._actors[slot]
        threading.Thread(target=self._keep, args=(worker, slot, actor), name=f"worker {worker}", daemon=True).start()

    def kill(self, worker: str) -> None:
        """End a worker at once."""
        with self._lock:
            slot = self._where.get(worker)
            actor = self._actors.get(slot) if slot is not None else None
            placed = any(self._where.get(other) == slot for other in self._begun)
        if actor is None:
            return
        if placed:
            actor.kill.remote(worker)
            threading.Thread(target=self._give_up, args=(worker, actor), daemon=True).start()
        else:
            ray.kill(actor)

    def close(self) -> None:
        """Have actors remove what they hold on their nodes, as far as they answer."""
        with self._lock:
            leaving = [actor.leave.remote() for slot, actor in self._actors.items()]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=LEAVE_SECONDS)

    def _keep(self, worker: str, slot: int, actor: Any) -> None:
        """See a worker through, and tell how it ended."""
        try:
            begun = ask(actor.begin, worker)
            with self._lock:
                self._begun.add(worker)
                unseen = begun.folder is not None and begun.host not in self._unseen
                if unseen:
                    self._unseen.add(begun.host)
            if unseen:
                self._told.say(f"{begun.host} does not see {self._logdir}: its workers bring their files")
            relay = Relay(worker, actor, self._address, self._logdir, begun.folder, self._told)
            threading.Thread(target=relay.run, name=f"relay {worker}", daemon=True).start()
            ending = ask(actor.wait, worker)
        except RayError as error:
            ending = self._lost(worker, slot, actor, error)
        with self._lock:
            self._begun.discard(worker)
            del self._where[worker]
            self._ended.pop(worker).set()
        self._told.tell("ended", worker=worker, how=ending.how, killed=ending.killed, output=ending.output)

    def _lost(self, worker: str, slot: int, actor: Any, error: RayError) -> Exited:
        """How a worker ended whose actor is gone, or failed; its successor has a new actor, perhaps on another node."""
        with self._lock:
            if self._actors.get(slot) is actor:
                del self._actors[slot]
        ray.kill(actor)
        if isinstance(error, RayActorError) and not error.actor_init_failed:
            return Exited(worker, "lost with its node or its Ray actor", True, one_line(str(error)))
        return Exited(worker, "unable to begin on its node", True, str(error))

    def _give_up(self, worker: str, actor: Any) -> None:
        """Have Ray kill an actor that does not obey."""
        ended = self._ended.get(worker)
        if ended is not None and not ended.wait(KILL_SECONDS):
            ray.kill(actor)
