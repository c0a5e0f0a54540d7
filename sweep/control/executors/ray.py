"""Workers on a Ray cluster. Nothing of Ray is imported here: its driver is a process of its own.

Ray ends the process of a driver whose cluster is lost, and a coordinator must not end like that: it says so in a line,
and the study can go on. `sweep.cluster.driver` is that process. The two speak JSON over a pair of sockets; workers'
messages do not go that way, but from the driver into the coordinator's own socket.
"""

import contextlib
import dataclasses
import json
import subprocess
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from sweep.commands import environment, python
from sweep.core.events import Exited, Refused, Room, Troubled
from sweep.errors import SweepError
from sweep.options import Cluster
from sweep.scratch import Scratch

DEFAULTS = {
    "RAY_AUTH_MODE": "token",  # else anybody who reaches the cluster runs what they like on it
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Ray's own settings by their environment variables, where the user has not set them."""

CLOSE_SECONDS = 30.0  # for the driver to leave its cluster


class OnRay:
    """A Ray cluster.

    Args:
        file: the study file; its folder is sent to the nodes.
        address: the coordinator's socket.
        post: takes `Room` and `Exited`, `Troubled` and `Refused`.
        logdir: where run directories are, here.
        cluster: which cluster, and what a worker takes.
    """

    def __init__(
        self,
        file: str,
        address: str,
        post: Callable[[Room | Exited | Troubled | Refused], None],
        logdir: str,
        cluster: Cluster,
    ) -> None:
        self._post = post
        self._workers: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._gone = False  # the driver
        self._scratch = Scratch()
        self._folder = self._scratch.path
        ours, theirs = Pipe()
        self._line = ours
        with (self._folder / "driver.log").open("wb") as log:
            self._driver = subprocess.Popen(
                python("sweep.cluster.driver", str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the coordinator
                env=environment(**DEFAULTS),
                pass_fds=[theirs.fileno()],
            )
        theirs.close()
        self._order(file=file, address=address, logdir=str(Path(logdir).resolve()), cluster=dataclasses.asdict(cluster))
        self._listener = threading.Thread(target=self._listen, name="Ray's driver", daemon=True)

    def start(self) -> None:
        """Listen to the driver, in a thread of its own."""
        self._listener.start()

    def submit(self, worker: str, slot: int, slots: int) -> None:  # noqa: ARG002  # an Executor's
        """Have a worker started, as soon as a node has room for it."""
        with self._lock:
            self._workers.add(worker)
            gone = self._gone
        if gone:
            self._all_lost()
        else:
            self._order(order="launch", worker=worker, slot=slot)

    def kill(self, worker: str) -> None:
        """Have a worker ended at once."""
        self._order(order="kill", worker=worker)

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        self._closed = True
        self._order(order="close")
        try:
            self._driver.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._driver.kill()
        if self._listener.is_alive():
            self._listener.join()
        self._line.close()
        self._scratch.close()

    def _order(self, **order: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # a driver that is gone is noticed where it is listened to
            self._line.send_bytes(json.dumps(order).encode())

    def _listen(self) -> None:
        """Hear what the driver tells, until it is gone."""
        refused = False
        with contextlib.suppress(EOFError, OSError):
            while True:
                news = json.loads(self._line.recv_bytes())
                kind = news.pop("news")
                if kind == "ended":
                    self._end(**news)
                elif kind == "room":
                    self._post(Room(news["most"]))
                elif kind == "say":
                    self._post(Troubled(news["text"]))
                else:
                    refused = True
                    self._post(Refused(SweepError.from_dict(news)))
        if not (self._closed or refused):
            last = (self._folder / "driver.log").read_text(errors="replace").strip().rpartition("\n")[2]
            error = SweepError(
                f"Lost the Ray cluster: {last.rstrip('.') or 'its driver ended'}.",
                "Give the same command again to continue. Nothing is lost.",
            )
            self._post(Refused(error))
        self._all_lost()

    def _end(self, worker: str, how: str, *, killed: bool, output: str = "") -> None:
        with self._lock:
            known = worker in self._workers
            self._workers.discard(worker)
        if known:
            self._post(Exited(worker, how, killed, output))

    def _all_lost(self) -> None:
        with self._lock:
            self._gone = True
            workers = sorted(self._workers)
        for worker in workers:
            self._end(worker, "lost with its cluster", killed=True)
