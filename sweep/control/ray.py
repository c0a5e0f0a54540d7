"""Workers on a Ray cluster. Nothing of Ray is imported here: its driver is a process of its own.

Ray ends the process of a driver whose cluster is lost, and a coordinator must not end like that: it says so in a line,
and the study can go on. `sweep.cluster.driver` is that process. The two speak JSON over a pair of sockets; workers'
messages do not go that way, but from the driver into the coordinator's own socket.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from sweep.control.executor import Ending
from sweep.errors import SweepError
from sweep.options import Cluster

DEFAULTS = {
    "RAY_AUTH_MODE": "token",  # else anybody who reaches the cluster runs what they like on it
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Ray's own settings by their environment variables, where the user has not set them."""

CLOSE_SECONDS = 30.0  # for the driver to leave its cluster


class Remote:
    """A worker on the cluster."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._ended = threading.Event()
        self._ending = Ending("lost", True, "")

    def wait(self) -> Ending:
        """Wait until it is said to have ended."""
        self._ended.wait()
        return self._ending

    def kill(self) -> None:
        """Have it ended at once."""
        self._kill()

    def end(self, ending: Ending) -> None:
        """It has ended."""
        self._ending = ending
        self._ended.set()


class OnRay:
    """A Ray cluster as a place for workers.

    Args:
        file: the study file; its folder is sent to the nodes.
        address: the coordinator's socket.
        logdir: where run directories are, here.
        cluster: which cluster, and what a worker takes.
        say: is told what a person should know.
        refuse: is told why the study cannot begin, or go on.
    """

    def __init__(
        self,
        file: str,
        address: str,
        logdir: str,
        cluster: Cluster,
        *,
        say: Callable[[str], None],
        refuse: Callable[[SweepError], None],
    ) -> None:
        self.most = 1  # until the cluster is reached
        self.when_room: Callable[[], None] = lambda: None
        self._say = say
        self._refuse = refuse
        self._remotes: dict[str, Remote] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._gone = False  # the driver
        self._folder = Path(tempfile.mkdtemp(prefix="sweep-"))
        ours, theirs = Pipe()
        self._line = ours
        with (self._folder / "driver.log").open("wb") as log:
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "sweep.cluster.driver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the coordinator
                env={**DEFAULTS, **os.environ},
                pass_fds=[theirs.fileno()],
            )
        theirs.close()
        self._tell(file=file, address=address, logdir=str(Path(logdir).resolve()), cluster=dataclasses.asdict(cluster))
        self._listener = threading.Thread(target=self._listen, name="Ray's driver", daemon=True)
        self._listener.start()

    def launch(self, worker: str, slot: int, count: int) -> Remote:  # noqa: ARG002  # a Place's
        """Have a worker started, as soon as a node has room for it."""
        remote = Remote(lambda: self._tell(order="kill", worker=worker))
        with self._lock:
            self._remotes[worker] = remote
            gone = self._gone
        if gone:
            self._all_lost()
        else:
            self._tell(order="launch", worker=worker, slot=slot)
        return remote

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        self._closed = True
        self._tell(order="close")
        try:
            self._driver.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._driver.kill()
        self._listener.join()
        self._line.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, **order: Any) -> None:
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
                    self._end(news.pop("worker"), Ending(**news))
                elif kind == "room":
                    self.most = news["most"]
                    self.when_room()
                elif kind == "say":
                    self._say(news["text"])
                else:
                    refused = True
                    self._refuse(SweepError(news["message"], news["hint"]))
        if not (self._closed or refused):
            last = (self._folder / "driver.log").read_text(errors="replace").strip().rpartition("\n")[2]
            self._refuse(
                SweepError(
                    f"Lost the Ray cluster: {last.rstrip('.') or 'its driver ended'}.",
                    "Start the study again to continue. Nothing is lost.",
                )
            )
        self._all_lost()

    def _end(self, worker: str, ending: Ending) -> None:
        with self._lock:
            remote = self._remotes.pop(worker, None)
        if remote is not None:
            remote.end(ending)

    def _all_lost(self) -> None:
        with self._lock:
            self._gone = True
            workers = list(self._remotes)
        for worker in workers:
            self._end(worker, Ending("lost with its cluster", True, ""))
