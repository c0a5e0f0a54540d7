"""A Ray cluster on this machine, which only its token lets one into."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.control.started import ROOT, Folder

TOKEN = secrets.token_hex(16)


class Nodes:
    """A cluster: its head has no cores; the methods are those of `tests.cluster.nodes`.

    Args:
        blind_to: a folder that the nodes do not see, but an empty one in its place; it takes root.
    """

    def __init__(self, blind_to: Path | None = None) -> None:
        command = [sys.executable, "-m", "tests.cluster.nodes"]
        if blind_to is not None:
            script = f"mount -t tmpfs tmpfs {blind_to} && exec {' '.join(command)}"
            command = ["unshare", "--mount", "sh", "-c", script]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address: str = self.ask("address")

    def ask(self, method: str, **named: Any) -> Any:
        """Have a method called there; what it returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([method, named]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def add(self, **has: Any) -> int:
        """Add a node."""
        number: int = self.ask("add", **has)
        return number

    def close(self) -> None:
        """End the cluster."""
        with self._process:  # closes its input, which ends it, and waits
            pass


@contextmanager
def cluster(blind_to: Path | None = None) -> Iterator[Nodes]:
    """A cluster, which this process is let into, for as long as the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_AUTH_MODE", "token")
        nodes = Nodes(blind_to)
        try:
            yield nodes
        finally:
            nodes.close()


class OnCluster(Folder):
    """A working directory whose studies are started on a cluster."""

    def __init__(self, path: Path, nodes: Nodes, body: str, settings: str, *options: str) -> None:
        super().__init__(path, body, settings)
        self.options = ("--on", "ray", "--address", nodes.address, *options)
