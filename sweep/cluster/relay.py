"""What one worker says, carried to the coordinator and back, with its files where its node does not see them."""

import json
import time
from collections.abc import Iterable
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.exceptions import ActorUnavailableError, RayError

from sweep.cluster.files import Piece, earlier, lay
from sweep.errors import SweepError, machine_fault

PLACES = ("directory", "log")
"""What in an answer is a path below the log directory."""
RETRY_SECONDS = 1.0


class Listener(Protocol):
    """Who is told of what happens to workers."""

    def tell(self, news: str, **content: Any) -> None: ...
    def say(self, text: str) -> None: ...
    def refuse(self, error: SweepError) -> None: ...


def ask(method: Any, *arguments: Any, **named: Any) -> Any:
    """An actor's answer; asked again while its node is out of reach.

    Raises:
        ray.exceptions.RayError: the actor is gone, or it failed.
    """
    while True:
        try:
            return ray.get(method.remote(*arguments, **named))
        except ActorUnavailableError:
            time.sleep(RETRY_SECONDS)


class Relay:
    """Carries for one worker.

    Args:
        worker: its name.
        actor: the one that has it.
        address: the coordinator's socket.
        logdir: the log directory here.
        folder: stands for it on the worker's node; None where the node sees it.
        told: is told where files cannot be laid into it.
    """

    def __init__(self, worker: str, actor: Any, address: str, logdir: Path, folder: str | None, told: Listener) -> None:
        self._worker = worker
        self._actor = actor
        self._address = address
        self._logdir = logdir
        self._folder = folder
        self._told = told
        self._turn = -1

    def run(self) -> None:
        """Carry until the worker, or the coordinator, is gone."""
        try:
            with Client(self._address, family="AF_UNIX") as coordinator:
                answer = None
                while (message := self._fetch(answer)) is not None:
                    coordinator.send_bytes(message)
                    answer = self._adapted(message, coordinator.recv_bytes())
        except RayError:  # its actor is gone, which is seen where it is waited for
            return
        except (EOFError, OSError, ValueError):  # the coordinator is gone, or files cannot be laid
            self._actor.kill.remote(self._worker)

    def _fetch(self, answer: bytes | None) -> bytes | None:
        """What the worker says next, when all files that it has written by then are here; None at its end."""
        parcel = self._exchange(answer)
        message: bytes | None = parcel.message
        self._lay(parcel.pieces)
        while parcel.more:
            parcel = self._exchange(None)
            self._lay(parcel.pieces)
        return message

    def _exchange(self, answer: bytes | None) -> Any:
        self._turn += 1
        return ask(self._actor.exchange, self._worker, self._turn, answer)

    def _lay(self, pieces: Iterable[Piece]) -> None:
        try:
            for piece in pieces:
                lay(self._logdir, piece)
        except OSError as error:
            place = error.filename or self._logdir
            other = SweepError(f"Cannot write to the log directory: {error.strerror} at {place}.")
            self._told.refuse(machine_fault(error, self._logdir) or other)
            raise

    def _adapted(self, message: bytes, answer: bytes) -> bytes:
        """An answer with the paths as they are on the worker's node, which is given what it goes on from."""
        if self._folder is None:
            return answer
        said, content = json.loads(message), json.loads(answer)
        if said["is"] == "Ask":
            self._give(content.get("directory"))
        for name in PLACES:
            path = content.get(name)
            if path is not None and Path(path).is_relative_to(self._logdir):
                content[name] = str(self._folder / Path(path).relative_to(self._logdir))
        return json.dumps(content).encode()

    def _give(self, directory: str | None) -> None:
        """Lay before the worker what an earlier attempt has left."""
        ask(self._actor.receive, self._worker, [], anew=True)
        for piece in earlier(self._logdir, Path(directory)) if directory is not None else ():
            ask(self._actor.receive, self._worker, [piece], anew=False)
