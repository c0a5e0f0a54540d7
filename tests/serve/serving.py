"""A service at a port, as `sweep serve` runs one, for what needs a connection: streams, the proxy, the command line."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from fastapi import FastAPI

from sweep.serve.connections import Server


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application at a free port of this machine, in a thread; gives its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
