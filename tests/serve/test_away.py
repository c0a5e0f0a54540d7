"""A service whose database does not answer, or whose clients do not say what they want: the rest of it goes on."""

import contextlib
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from sweep.descriptors import raise_limit
from sweep.serve import connections
from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.store import Store
from tests.control.started import wait_for
from tests.serve import serving
from tests.serve.serving import served
from tests.store_builder import add_example, build_store

ROOT = Path(__file__).parent.parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serve(folder, storage, descriptors=None):
    """`sweep serve` as a process, its address as a client, and the file with all that it prints."""
    port = free_port()

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweep", "serve", "--port", str(port)],
            cwd=folder,
            env={**kept, "SWEEP_STORAGE": storage, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
            preexec_fn=limit if descriptors else None,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_for(lambda: b"sweep is at" in log.read_bytes())
            wait_for(lambda: answers(client))
            yield client, process, log
    finally:
        process.kill()
        process.wait()


def answers(client):
    try:
        return client.get("/api/health/live").status_code == 200
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def frozen(postgresql):
    """Every process of the server is stopped: connections are accepted by the kernel, and never answered."""
    server = psutil.Process(postgresql._server.get_pid())
    every = [server, *server.children(recursive=True)]
    for process in every:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in every:
            process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def crashed(postgresql):
    """The server has been killed: connections are refused."""
    postgresql.crash()
    try:
        yield
    finally:
        postgresql.restart()


@contextlib.contextmanager
def locked(folder):
    """Another process holds every lock that a reader of the SQLite file could take (`READ0` to `READ4` of its WAL)."""
    with (folder / "sweep.db-shm").open("r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, 5, 123)
        yield  # closing the file frees them


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "postgresql that crashes"])
def test_a_database_that_does_not_answer_keeps_health_files_and_the_login_from_nobody(kind, tmp_path, request):
    if kind != "sqlite":
        postgresql = request.getfixturevalue("postgresql")
        url = postgresql.create_with_schema()
        store = Store(url)
        away = partial(frozen if kind == "postgresql" else crashed, postgresql)
    else:
        store = build_store(tmp_path)
        url = str(store.url)
        away = partial(locked, tmp_path)
    add_example(store)
    store.close()
    with serve(tmp_path, url) as (client, process, log):
        assert client.get("/api/health").json()["database"] == "ok"
        assert client.get("/studies/diabetes").status_code == 200
        if kind == "sqlite":
            client.post("/api/studies/none/stop")
        with away():
            asking = [threading.Thread(target=ask, args=(client, "/studies/diabetes")) for _ in range(60)]
            for thread in asking:
                thread.start()
            assert_away(client)
            for thread in asking:
                thread.join()
        wait_for(lambda: client.get("/api/health").status_code == 200)
        assert client.get("/studies/diabetes").status_code == 200
        with away():
            wait_for(lambda: client.get("/api/health").status_code == 503)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        assert log.stat().st_size < 10_000


def ask(client, path):
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code in (200, 503)


def assert_away(client):
    health = wait_for(lambda: (got := client.get("/api/health")).status_code == 503 and got).json()
    assert (health["service"], health["database"]) == ("ok", "unavailable")
    assert client.get("/api/health/live").json()["service"] == "ok"
    assert client.get("/static/sweep.css").status_code == 200
    assert client.get("/login").status_code == 200
    for path in ("/", "/studies/diabetes"):
        page = client.get(path, headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "The service is up, but its database does not answer." in page.text
    for path in ("/api/studies", "/metrics", "/api/studies/diabetes/events"):
        assert client.get(path).json()["error"] == "The service is up, but its database does not answer."


@pytest.mark.slow
@pytest.mark.parametrize("descriptors", [256, None])
def test_eleven_hundred_half_open_connections_keep_nobody_from_being_answered_and_fill_no_log(descriptors, tmp_path):
    build_store(tmp_path).close()
    raise_limit(4096)
    with (
        serve(tmp_path, f"sqlite:///{tmp_path}/sweep.db", descriptors) as (client, _, log),
        contextlib.ExitStack() as stack,
    ):
        place = ("127.0.0.1", client.base_url.port)
        for _ in range(1100):
            half = stack.enter_context(socket.create_connection(place))
            with contextlib.suppress(ConnectionError):
                half.sendall(b"GET /api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        with httpx.Client(base_url=client.base_url, timeout=60) as fresh:
            for _ in range(20):
                assert fresh.get("/api/health").json()["status"] == "ok"
            assert fresh.get("/static/sweep.css").status_code == 200
        assert log.stat().st_size < 5_000, log.read_text()[:2000]


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A service that waits for a twentieth of a second for what a client owes it."""
    store = build_store(tmp_path)
    short = dict.fromkeys(connections._ALLOWED, 0.05)
    monkeypatch.setattr(connections, "_ALLOWED", short)
    with served(create_app(ServeSettings(str(store.url), tmp_path / "runs"), store)) as url:
        yield ("127.0.0.1", int(url.rpartition(":")[2]))


BODY = b"POST /api/starts HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{"
OWING = {
    "nothing": b"",
    "a part of the first line": b"GET /api/hea",
    "a part of the headers": b"GET /api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ",
    "a part of the body": BODY,
    "a part of a body in pieces": BODY.replace(b"content-length: 100", b"transfer-encoding: chunked") + b"\r\n",
    "a body that is refused": BODY.replace(b"127.0.0.1", b"evil.example"),
    "a part of the second request": b"GET /api/health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nGET /",
    "a body that it announces": BODY[:-1].replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"),
}


@pytest.mark.parametrize("owing", OWING)
def test_a_client_that_does_not_send_what_it_owes_is_left(service, owing):
    with socket.create_connection(service) as client:
        client.settimeout(60)
        client.sendall(OWING[owing])
        while client.recv(65536):
            pass  # an answer to what it did send; the end comes by itself


def test_a_client_that_drips_is_left_as_well(service):
    with socket.create_connection(service) as client:
        client.settimeout(60)
        client.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        with contextlib.suppress(ConnectionError):  # which is how this ends
            while True:
                client.sendall(b"x")


def test_a_request_that_takes_its_time_is_answered_all_the_same(service, monkeypatch):
    """It is the client that owes, not the service: an answer may take longer than a request."""
    with httpx.Client(base_url=f"http://127.0.0.1:{service[1]}", timeout=60) as client:
        released = threading.Event()
        monkeypatch.setattr(Store, "studies", lambda _store: released.wait() and [])
        timer = threading.Timer(0.3, released.set)
        timer.start()
        assert client.get("/api/studies").json() == {"studies": []}


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone ends what nobody reads")
def test_a_client_that_reads_nothing_is_left(tmp_path, monkeypatch):
    from sweep.cli import serve as command

    monkeypatch.setattr(command, "_UNREAD_MILLISECONDS", 200)
    monkeypatch.setattr(serving, "listening", lambda: command.listen(command.Address("127.0.0.1", free_port())))
    store = build_store(tmp_path)
    app = create_app(ServeSettings(str(store.url), tmp_path / "runs"), store)
    with served(app) as url, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        client.sendall(b"GET /static/plotly.min.js HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        own = psutil.Process()
        wait_for(lambda: len(ends(own, url)) == 2)
        wait_for(lambda: len(ends(own, url)) == 1)  # the client's own


def ends(process, url):
    """The connections of this process from and to the service."""
    port = int(url.rpartition(":")[2])
    return [
        each
        for each in process.net_connections("tcp")
        if each.status == "ESTABLISHED" and port in (each.laddr.port, each.raddr.port)
    ]


def test_one_address_never_has_all_connections(tmp_path, monkeypatch):
    """It loses those that have waited longest, and another address is still answered."""
    monkeypatch.setattr(connections, "MOST", 8)
    store = build_store(tmp_path)
    with (
        served(create_app(ServeSettings(str(store.url), tmp_path / "runs"), store)) as url,
        contextlib.ExitStack() as stack,
    ):
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        opened = [stack.enter_context(socket.create_connection(place)) for _ in range(20)]
        for first in opened[:14]:
            first.settimeout(60)
            with contextlib.suppress(ConnectionError):
                assert first.recv(1) == b""
        with socket.create_connection(place, source_address=("127.0.0.2", 0)) as other:
            other.sendall(b"GET /api/health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"


def test_the_same_line_is_logged_once_a_minute(caplog):
    logger = connections.logging.getLogger("test of sparing")
    logger.addFilter(connections.Sparing())
    for number in range(1000):
        logger.warning("Invalid HTTP request received.")
        logger.warning("%s is in another's way", number)
    try:
        raise OSError(24, "Too many open files")
    except OSError:
        for _ in range(1000):
            logger.exception("socket.accept() out of system resource")
    assert len(caplog.records) == 3
