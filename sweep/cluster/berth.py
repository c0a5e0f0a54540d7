"""An actor on a node: one slot of the executor, whose workers are processes that have its cores and its GPU."""

import shutil
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from sweep.cluster.files import Piece, WorkerFolder
from sweep.cluster.probe import Probe, sees
from sweep.cluster.shipping import unpack
from sweep.control.executors.local import Process, environment
from sweep.core.events import Exited

THREADS = 8
"""What a berth does at once: two workers, each waited for and listened to, while one relieves the other, and orders."""


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
class Aboard:
    """A worker of a berth."""

    process: Process
    connection: Connection
    hold: WorkerFolder | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    turn: int = -1
    parcel: Parcel = field(default_factory=lambda: Parcel(None, [], False))


class Berth:
    """Starts workers, one after another, listens to them, and knows how they end.

    Every method may be called again with the same arguments, as the driver does where it has lost an answer.

    Args:
        file: the study file, below its folder.
        packed: that folder; see `sweep.cluster.shipping`.
        cpus, gpus: what the berth has of its node.
        probe: tells whether the node sees the log directory.
    """

    def __init__(self, file: str, packed: bytes, cpus: float, gpus: float, probe: Probe) -> None:
        self._threads = max(1, int(cpus))
        self._has_gpu = gpus > 0
        self._sees = sees(probe)
        self._folder = Path(tempfile.mkdtemp(prefix="sweep-"))
        # The study's berths on a node share one folder, named after the probe, which is unique.
        self._shared = Path(tempfile.gettempdir()) / Path(probe.path).name.removeprefix(".")
        self._shared.mkdir(mode=0o700, exist_ok=True)
        self._study = self._shared / "study"
        unpack(packed, self._study)
        self._file = str(self._study / file)
        self._aboard: dict[str, Aboard] = {}
        self._killed: set[str] = set()  # before they had begun
        self._lock = threading.Lock()

    def begin(self, worker: str) -> Begun:
        """Start a worker."""
        with self._lock:
            if worker not in self._aboard:
                self._aboard[worker] = self._start(worker)
            if worker in self._killed:
                self._aboard[worker].process.kill()
        folder = self._files(worker)
        return Begun(socket.gethostname(), None if self._sees else str(folder))

    def exchange(self, worker: str, turn: int, answer: bytes | None) -> Parcel:
        """Hand an answer to a worker, if there is one, and wait for what it says next.

        Args:
            turn: counts the calls; one that was made before has the same parcel again.
        """
        aboard = self._aboard[worker]
        with aboard.lock:
            if turn != aboard.turn:
                aboard.turn, aboard.parcel = turn, self._exchange(aboard, answer)
                if aboard.connection.closed and not aboard.parcel.more:
                    shutil.rmtree(self._files(worker), ignore_errors=True)
            return aboard.parcel

    def receive(self, worker: str, pieces: list[Piece], *, anew: bool) -> None:
        """Lay files of an earlier attempt before a worker."""
        hold = self._aboard[worker].hold
        if hold is not None:
            hold.receive(pieces, anew=anew)

    def wait(self, worker: str) -> Exited:
        """Wait until a worker has ended."""
        return self._aboard[worker].process.wait()

    def kill(self, worker: str) -> None:
        """End a worker at once, with everything it started."""
        with self._lock:
            self._killed.add(worker)
            if worker in self._aboard:
                self._aboard[worker].process.kill()

    def leave(self) -> None:
        """Remove what workers have left on the node."""
        for aboard in self._aboard.values():
            if aboard.hold is not None:
                aboard.hold.close()
        for folder in (self._folder, self._shared):
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, worker: str) -> Aboard:
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
        return Aboard(process, ours, None if self._sees else WorkerFolder(self._files(worker)))

    def _exchange(self, aboard: Aboard, answer: bytes | None) -> Parcel:
        message = None
        if not aboard.parcel.more:
            try:
                if answer is not None:
                    aboard.connection.send_bytes(answer)
                message = aboard.connection.recv_bytes()
            except (EOFError, OSError):  # it has ended
                aboard.connection.close()
        pieces, more = aboard.hold.collect() if aboard.hold is not None else ([], False)
        return Parcel(message, pieces, more)

    def _files(self, worker: str) -> Path:
        return self._folder / f"files-{worker}"
