"""A service at a port, as `sweep serve` runs one, for what needs a connection: streams, the proxy, the command line."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from fastapi import FastAPI

from sweep.serve.connections import Server


def listening() -> socket.socket:
    """A socket at a free port."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    found.listen(512)
    return found


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application at a free port of this machine, in a thread; gives its address."""
    with listening() as place:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
