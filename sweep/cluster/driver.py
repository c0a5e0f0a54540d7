"""Ray's driver, a process of its own, which `sweep.control.executors.ray` starts.

    python -m sweep.cluster.driver DESCRIPTOR

It obeys orders that come through the descriptor, and tells of what happens; when its coordinator is gone it ends, and
Ray ends its actors.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray

from sweep.cluster.actors import WorkerActors
from sweep.cluster.archive import pack
from sweep.cluster.connection import connect, needs, nodes, room
from sweep.cluster.probe import Probe, probing, sees
from sweep.errors import SweepError
from sweep.options import Cluster
from sweep.words import listed

LOOK_SECONDS = 2.0  # between two looks at the nodes


class Line:
    """The coordinator's end of the descriptor: orders come, news go. Safe to use from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def tell(self, news: str, **content: Any) -> None:
        """Tell of something; a coordinator that is gone hears nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.send_bytes(json.dumps({"news": news, **content}).encode())

    def say(self, text: str) -> None:
        """Tell a person."""
        self.tell("say", text=text)

    def refuse(self, error: SweepError) -> None:
        """Tell why the study cannot be, or go on."""
        self.tell("refused", **error.as_dict())

    def orders(self) -> Iterator[dict[str, Any]]:
        """What the coordinator wants, until it says that it was all, or is gone."""
        with contextlib.suppress(EOFError, OSError):
            while (order := json.loads(self._connection.recv_bytes())).get("order") != "close":
                yield order


def main() -> None:
    """Serve a coordinator until it closes the descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = Line(Connection(int(sys.argv[1])))
    orders = line.orders()
    settings = next(orders, None)
    if settings is None:
        return
    try:
        with _connected(settings, line) as actors:
            for order in orders:
                getattr(actors, order.pop("order"))(**order)
    except SweepError as error:
        line.refuse(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that still wait for Ray would keep the process


@contextmanager
def _connected(settings: dict[str, Any], line: Line) -> Iterator[WorkerActors]:
    """A study's actors on a cluster, whose nodes are looked at as long as the context lasts.

    Raises:
        SweepError: the cluster cannot be had, or a node does not see the log directory that all are to see.
    """
    cluster = Cluster(**settings["cluster"])
    file, logdir = Path(settings["file"]), Path(settings["logdir"])
    packed = pack(file.parent, logdir)
    connect(cluster)
    closed = threading.Event()
    try:
        with probing(logdir) as probe:
            if cluster.shared:
                _check_seen(probe, logdir)
            taken = needs(cluster)
            actors = WorkerActors(file.name, packed, settings["address"], logdir, taken, probe, line)
            threading.Thread(target=_look, args=(line, taken, closed), name="look", daemon=True).start()
            yield actors
            actors.close()
    finally:
        closed.set()
        ray.shutdown()


def _look(line: Line, taken: dict[str, float], closed: threading.Event) -> None:
    """Tell for how many workers there is room, whenever that has changed, and where there is none."""
    last = -1
    wanted = listed([f"{amount:g} {name}" for name, amount in taken.items()])
    while True:
        most = room(taken)
        if most != last:
            line.tell("room", most=most)
            if most == 0:
                line.say(f"no node of the cluster has room for a worker, which takes {wanted}: waiting for one")
            last = most
        if closed.wait(LOOK_SECONDS):
            return


def _check_seen(probe: Probe, logdir: Path) -> None:
    """See that every node sees the log directory.

    Raises:
        SweepError: one does not.
    """
    look = ray.remote(sees)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    there = nodes()
    asked = [
        look.options(num_cpus=0, scheduling_strategy=strategy(node["NodeID"], soft=False)).remote(probe)
        for node in there
    ]
    blind = [node["NodeManagerHostname"] for node, seen in zip(there, ray.get(asked), strict=True) if not seen]
    if blind:
        raise SweepError(
            f"--shared-logdir needs every node to see the log directory {logdir} and to write to it, but "
            f"{listed(blind)} cannot.",
            "Choose a shared folder with --logdir, or leave out --shared-logdir, so that workers send their files.",
        )


if __name__ == "__main__":
    main()
