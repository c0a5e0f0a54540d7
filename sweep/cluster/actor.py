"""An actor on a node: one slot of the executor, whose workers are processes that have its cores and its GPU."""

import shutil
import socket
import threading
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from sweep.cluster.archive import unpack
from sweep.cluster.files import Piece, WorkerFolder
from sweep.cluster.probe import Probe, sees
from sweep.control.executors.local import Process, environment
from sweep.core.events import Exited
from sweep.scratch import Scratch

THREADS = 8
"""What an actor does at once: two workers, each waited for and heard, while one replaces the other, and orders."""


@dataclass(frozen=True)
class Parcel:
    """What a worker says, and brings with it.

    Attributes:
        message: None where it has said nothing, or will say nothing more.
        pieces: of files, where its node does not see the log directory.
        more: there are more of them: fetch these first, the message stands.
    """

    message: bytes | None
    pieces: list[Piece]
    more: bool


@dataclass(frozen=True)
class Begun:
    """A worker that has begun: on which host, and the folder that stands for the log directory where it is not seen."""

    host: str
    folder: str | None


@dataclass
class SlotWorker:
    """A worker of an actor."""

    process: Process
    connection: Connection
    hold: WorkerFolder | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    turn: int = -1
    parcel: Parcel = field(default_factory=lambda: Parcel(None, [], False))


class WorkerActor:
    """Starts workers, one after another, listens to them, and knows how they end.

    Every method may be called again with the same arguments, as the driver does where it has lost an answer.

    Args:
        file: the study file, below its folder.
        packed: that folder; see `sweep.cluster.archive`.
        cpus, gpus: what the actor has of its node.
        probe: tells whether the node sees the log directory.
    """

    def __init__(self, file: str, packed: bytes, cpus: float, gpus: float, probe: Probe) -> None:
        self._threads = max(1, int(cpus))
        self._has_gpu = gpus > 0
        self._sees = sees(probe)
        # The study's actors on a node share one folder, named after the probe, which is unique.
        self._scratch, self._sharing = Scratch(), Scratch(Path(probe.path).name.removeprefix("."))
        self._folder, self._shared = self._scratch.path, self._sharing.path
        self._study = self._shared / "study"
        unpack(packed, self._study)
        self._file = str(self._study / file)
        self._held: dict[str, SlotWorker] = {}
        self._killed: set[str] = set()  # before they had begun
        self._lock = threading.Lock()

    def begin(self, worker: str) -> Begun:
        """Start a worker."""
        with self._lock:
            if worker not in self._held:
                self._held[worker] = self._start(worker)
            if worker in self._killed:
                self._held[worker].process.kill()
        folder = self._files(worker)
        return Begun(socket.gethostname(), None if self._sees else str(folder))

    def exchange(self, worker: str, turn: int, answer: bytes | None) -> Parcel:
        """Hand an answer to a worker, if there is one, and wait for what it says next.

        Args:
            turn: counts the calls; one that was made before has the same parcel again.
        """
        held = self._held[worker]
        with held.lock:
            if turn != held.turn:
                held.turn, held.parcel = turn, self._exchange(held, answer)
                if held.connection.closed and not held.parcel.more:
                    shutil.rmtree(self._files(worker), ignore_errors=True)
            return held.parcel

    def receive(self, worker: str, pieces: list[Piece], *, anew: bool) -> None:
        """Lay files of an earlier attempt before a worker."""
        hold = self._held[worker].hold
        if hold is not None:
            hold.receive(pieces, anew=anew)

    def wait(self, worker: str) -> Exited:
        """Wait until a worker has ended."""
        return self._held[worker].process.wait()

    def kill(self, worker: str) -> None:
        """End a worker at once, with everything it started."""
        with self._lock:
            self._killed.add(worker)
            if worker in self._held:
                self._held[worker].process.kill()

    def leave(self) -> None:
        """Remove what workers have left on the node."""
        for held in self._held.values():
            if held.hold is not None:
                held.hold.close()
        for scratch in (self._scratch, self._sharing):
            scratch.close()

    def _start(self, worker: str) -> SlotWorker:
        ours, theirs = Pipe()
        if self._has_gpu:  # which it sees alone: Ray has set CUDA_VISIBLE_DEVICES
            surroundings = environment(self._threads, None)
        else:
            surroundings = {**environment(self._threads, self._shared / "xla"), "CUDA_VISIBLE_DEVICES": ""}
        process = Process(
            self._file,
            str(theirs.fileno()),
            worker,
            self._folder / f"worker-{worker}.log",
            surroundings,
            [theirs.fileno()],
            self._study,
        )
        theirs.close()  # so that the worker's end is the end of what it says
        return SlotWorker(process, ours, None if self._sees else WorkerFolder(self._files(worker)))

    def _exchange(self, held: SlotWorker, answer: bytes | None) -> Parcel:
        message = None
        if not held.parcel.more:
            try:
                if answer is not None:
                    held.connection.send_bytes(answer)
                message = held.connection.recv_bytes()
            except (EOFError, OSError):  # it has ended
                held.connection.close()
        pieces, more = held.hold.collect() if held.hold is not None else ([], False)
        return Parcel(message, pieces, more)

    def _files(self, worker: str) -> Path:
        return self._folder / f"files-{worker}"
