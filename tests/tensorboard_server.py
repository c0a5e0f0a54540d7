"""A real TensorBoard over a log directory, and what its HTTP API says. For tests."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.control.tensorboard import HOST, free_ports
from sweep.control.tensorboard_process import PREFIX_VARIABLE

# Without TensorFlow it starts in a fifth of the time and is the same otherwise.
WITHOUT_TENSORFLOW = [sys.executable, "-m", "sweep.control.tensorboard_process"]
BY_HAND = [sys.executable, "-m", "tensorboard.main"]

LOADERS = {"fast": ["--load_fast", "true"], "legacy": ["--load_fast", "false"]}

_EVERY_STATUS = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


@dataclass(frozen=True)
class Server:
    """A running TensorBoard."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        """What a GET answers, parsed if it is JSON."""
        address = f"{self.url}{path}{'?' if query else ''}{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            data = answer.read()
            return json.loads(data) if answer.headers.get_content_type() == "application/json" else data

    def post(self, path: str, **body: Any) -> Any:
        """What a POST of JSON answers."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self) -> list[str]:
        """The names of the runs it has loaded."""
        return self.get("data/runs")

    def wait_for_runs(self, count: int) -> list[str]:
        """The names of the runs, as soon as there are so many."""
        return self.wait_for(self.runs, lambda names: len(names) >= count)

    def wait_for(self, ask: Callable[[], Any], enough: Callable[[Any], bool], seconds: float = 60) -> Any:
        """The answer to a question, asked until it is enough: loading is asynchronous.

        Raises:
            TimeoutError: it never was; with the last answer.
        """
        deadline = time.monotonic() + seconds
        answer = None
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.HTTPError):
                answer = ask()
                if enough(answer):
                    return answer
            time.sleep(0.2)
        raise TimeoutError(f"the last answer was {answer!r}")

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        """A tag's steps and values, as they are drawn."""
        rows = self.get("data/plugin/scalars/scalars", run=run, tag=tag)
        return [(step, float(value)) for _, step, value in rows]

    def scalar_tags(self) -> dict[str, list[str]]:
        """The scalar tags by run."""
        return {run: sorted(tags) for run, tags in self.get("data/plugin/scalars/tags").items()}

    def histogram_tags(self) -> dict[str, list[str]]:
        """The histogram tags by run."""
        return {run: sorted(tags) for run, tags in self.get("data/plugin/histograms/tags").items()}

    def histograms(self, run: str, tag: str) -> dict[int, list[list[float]]]:
        """A tag's histograms by step, each a list of left edge, right edge, count."""
        rows = self.get("data/plugin/histograms/histograms", run=run, tag=tag)
        return {step: table for _, step, table in rows}

    def texts(self, run: str, tag: str) -> dict[int, str]:
        """A tag's texts by step, as HTML."""
        return {row["step"]: row["text"] for row in self.get("data/plugin/text/text", run=run, tag=tag)}

    def graph(self, run: str, **query: str) -> str:
        """A run's graph of operations as a text proto; of layers with `tag="keras", conceptual="true"`."""
        return self.get("data/plugin/graphs/graph", run=run, **query).decode()

    def experiment(self) -> Any:
        """The HParams experiment: its columns with their types."""
        return self.post("data/plugin/hparams/experiment", experimentName="")

    def session_groups(self, **more: Any) -> dict[str, Any]:
        """The HParams session groups by name."""
        answer = self.post(
            "data/plugin/hparams/session_groups",
            **{
                "experimentName": "",
                "allowedStatuses": _EVERY_STATUS,
                "colParams": [],
                "startIndex": 0,
                "sliceSize": 1_000_000,
                **more,
            },
        )
        return {group["name"]: group for group in answer.get("sessionGroups", [])}


@contextlib.contextmanager
def tensorboard(logdir: Path, loader: str = "fast", command: list[str] = WITHOUT_TENSORFLOW) -> Iterator[Server]:
    """A TensorBoard on a free port, which looks for new data every second."""
    with tempfile.TemporaryFile() as log:
        process, port = _start(logdir, loader, command, log)
        try:
            yield Server(f"http://{HOST}:{port}{_prefix(command)}/")
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _prefix(command: list[str]) -> str:
    """What the addresses of a TensorBoard that is not started by hand begin with."""
    return "" if command is BY_HAND else "/tests"


def _asked(port: int, command: list[str]) -> Any:
    return urllib.request.urlopen(f"http://{HOST}:{port}{_prefix(command)}/data/runs", timeout=60)


def _start(logdir: Path, loader: str, command: list[str], log: Any) -> tuple["subprocess.Popen[bytes]", int]:
    # Tests that run beside this one look for a port as well: each begins at another one.
    first = 20000 + time.time_ns() // 1000 % 20000
    for port in free_ports(first):
        arguments = ["--logdir", str(logdir), "--host", HOST, "--port", str(port), "--reload_interval", "1"]
        environment = {**os.environ, PREFIX_VARIABLE: _prefix(command)}
        whole = [*command, *arguments, *LOADERS[loader]]
        process = subprocess.Popen(whole, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            with contextlib.suppress(OSError), _asked(port, command):
                return process, port
            time.sleep(0.1)
        log.seek(0)
        said = log.read().decode(errors="replace")
        if "in use" not in said:
            raise RuntimeError(f"TensorBoard ended: {said}")
    raise RuntimeError("there is no free port")
