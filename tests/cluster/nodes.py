"""Ray's own `cluster_utils.Cluster` in a process of its own, `python -m tests.cluster.nodes`: nodes of one machine.

Each line of its input is a JSON list: the name of a method of `Nodes`, and its arguments by name. Each is answered with
a line of JSON.
"""

import json
import os
import signal
import sys
from typing import Any

from ray.cluster_utils import Cluster


class Nodes:
    """A head without cores, and nodes beside it, by numbers."""

    def __init__(self) -> None:
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}, shutdown_at_exit=True
        )
        self._nodes: list[Any] = []

    def address(self) -> str:
        """Where a driver finds the cluster."""
        return str(self._cluster.address)

    def add(self, **has: Any) -> int:
        """Add a node that has these resources, by the names of Ray's `add_node`."""
        self._nodes.append(self._cluster.add_node(**has))
        return len(self._nodes) - 1

    def remove(self, node: int) -> None:
        """Remove a node without warning: its processes are killed."""
        self._cluster.remove_node(self._nodes[node], allow_graceful=False)

    def kill_raylet(self, node: int) -> None:
        """Kill a node's raylet alone."""
        self._nodes[node].kill_raylet()

    def kill_head(self) -> None:
        """Kill every process of the head."""
        for kind in ("raylet", "gcs_server"):
            for process in self._cluster.head_node.all_processes[kind]:
                os.kill(process.process.pid, signal.SIGKILL)


def main() -> None:
    """Do as the input says until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray prints is no answer
    nodes = Nodes()
    for line in sys.stdin:
        name, named = json.loads(line)
        print(json.dumps(getattr(nodes, name)(**named)), file=answers, flush=True)


if __name__ == "__main__":
    main()
