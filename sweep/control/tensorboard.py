"""TensorBoard as a process of ours on localhost: started on a free port, watched until it has loaded the runs.

Every user of the machine can reach the port, so all addresses of it begin with a secret path, which neither the process
list nor TensorBoard's own list of instances shows. What it loads runs with listens at a random port of its own, without
a secret.
"""

import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from sweep.commands import environment, python
from sweep.control.tensorboard_process import PREFIX_VARIABLE
from sweep.descriptors import raise_limit
from sweep.errors import SweepError

HOST = "127.0.0.1"
DESCRIPTORS_A_FILE = 4
"""TensorBoard's fast loader keeps an event file open for ever, and more files than these come while it runs."""

_SPARE_DESCRIPTORS = 1024
_PORTS_TRIED = 200
_POLL_SECONDS = 0.1
_START_SECONDS = 60.0


class TensorBoard:
    """A TensorBoard on one log directory, which ends with this process; a context manager.

    Args:
        directory: the log directory; it may be empty, and is made if it is not there.
        port: where to begin to look for a free port.
        reload_seconds: how often it looks for new data.

    Attributes:
        port: where it listens.
        url: its address, with the secret path and a slash at the end.

    Raises:
        SweepError: the directory cannot be made, there is no free port, or TensorBoard does not start.
    """

    def __init__(self, directory: Path, port: int, *, reload_seconds: int = 5) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SweepError(f"Cannot use {directory} as a log directory: {error.strerror}.") from None
        self._arguments = ["--logdir", str(directory), "--host", HOST, "--reload_interval", str(reload_seconds)]
        self._secret = f"/{secrets.token_urlsafe(12)}"
        wanted = DESCRIPTORS_A_FILE * len(event_files(directory)) + _SPARE_DESCRIPTORS
        self._arguments += [] if raise_limit(wanted) >= wanted else ["--load_fast", "false"]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by `stop`
        self._process, self.port = self._start(port)
        self.url = f"http://{HOST}:{self.port}{self._secret}/"

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, first: int) -> tuple[subprocess.Popen[bytes], int]:
        """Start it on the first port that is free; another process may take one between the look and the start."""
        for port in free_ports(first):
            process = self._spawn(port)
            if self._answers(process, port):
                return process, port
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip().splitlines()
            if not any("in use" in line for line in said):
                raise SweepError(
                    f"TensorBoard did not start: {said[-1] if said else f'exit status {process.returncode}'}"
                )
        raise SweepError(f"No port is free for TensorBoard from {first} on.", "Choose another with --port.")

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        self._log.truncate(0)
        command = python("sweep.control.tensorboard_process", *self._arguments, "--port", str(port))
        # A session of its own, so that Ctrl-C reaches us alone and we end it.
        return subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**environment(), PREFIX_VARIABLE: self._secret},
        )

    def _answers(self, process: subprocess.Popen[bytes], port: int) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                return True
            time.sleep(_POLL_SECONDS)
        process.kill()
        process.wait()
        return False

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def runs(self) -> list[str]:
        """The names of the runs that TensorBoard has loaded."""
        with urllib.request.urlopen(f"{self.url}data/runs", timeout=30) as answer:
            names: list[str] = json.load(answer)
        return names

    def wait(self, seconds: float = 120.0) -> int:
        """Wait until every run that is in the log directory now has been loaded; returns how many have been.

        It gives up quietly after `seconds`, or when TensorBoard has ended.
        """
        expected = run_names(self.directory)
        deadline = time.monotonic() + seconds
        loaded: set[str] = set()
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                loaded = set(self.runs())
            if expected <= loaded:
                break
            time.sleep(_POLL_SECONDS)
        return len(loaded)

    def join(self) -> int:
        """Wait until TensorBoard ends, and return its exit status."""
        return self._process.wait()

    def stop(self) -> None:
        """End it."""
        self._log.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def event_files(directory: Path) -> list[Path]:
    """The event files below a log directory, as TensorBoard looks for them."""
    found = os.walk(directory, followlinks=True)
    return [Path(folder, name) for folder, _, names in found for name in names if "tfevents" in name]


def run_names(directory: Path) -> set[str]:
    """The names that TensorBoard gives the runs below a log directory: their paths in it."""
    return {str(file.parent.relative_to(directory)) for file in event_files(directory)}


def free_ports(first: int) -> Iterator[int]:
    """Ports from `first` on that nobody listens on."""
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        yield port
