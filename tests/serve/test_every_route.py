"""Every route of the table, asked with odd paths, queries, bodies, headers and methods: none answers with a 5xx.

The routes are those of the application itself, so that a new one is asked as well. `test_bad_inputs.py` has the inputs
that somebody thought of; here they are drawn.
"""

import asyncio
import json
import socket
from types import SimpleNamespace
from urllib.parse import quote, quote_from_bytes, unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from sweep.serve import app as application
from sweep.serve.board import _Board
from sweep.store import Store
from tests.serve.asking import Client
from tests.serve.routes import NAME, leaves
from tests.serve.serving import served
from tests.serve.test_bad_inputs import BODIES, VALUES
from tests.store_builder import add_example, build_store

EXAMPLES = 30
TABLE = sorted(
    {(method, path) for part in application.ROUTES for method, path, _ in leaves(part.router)}
    | {("GET", "/static/{path}"), ("GET", "/api/openapi.json"), ("HEAD", "/api/openapi.json")}
)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def client(request, tmp_path_factory):
    """A service whose children are stand-ins: nothing that is drawn trains, previews or starts a TensorBoard."""
    folder = tmp_path_factory.mktemp("routes")
    (folder / "studies").mkdir()
    (folder / "studies" / "wine.py").write_text("study = None\n")
    if request.param == "postgresql":
        store = Store(request.getfixturevalue("postgresql").create_with_schema())
    else:
        store = build_store(folder)
    study = add_example(store)
    client = Client(store, folder, studies=folder / "studies")
    service = client.service
    seen = SimpleNamespace(study="wine", doc="", runs=[], keys={}, space={}, warnings=list)
    service.previews = SimpleNamespace(of=lambda _path: seen)
    ended = SimpleNamespace(poll=lambda: 0, pid=2**22)
    service.launcher._spawn = lambda _words, log, _token: log.touch() or ended
    board = SimpleNamespace(alive=True, url="http://127.0.0.1:1/x/", stop=lambda: None)
    service.boards._boards[study.study_id] = _Board(board)
    answer = lambda _request: httpx.Response(200, stream=httpx.ByteStream(b"[]"))  # noqa: E731
    service.boards._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    yield client
    client.close()


def ask(client, method, target, headers, body):
    """One request as uvicorn hands it on, whatever a client library would make of it; returns the status."""
    return client._runner.run(_ask(client.app, method, target, headers, body))


async def _ask(app, method, target, headers, body):
    path, _, query = target.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    asked, status = False, []

    async def receive():
        nonlocal asked
        if asked:
            await asyncio.sleep(0)
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await app(scope, receive, send)
    return status[0]


def test_the_routes_that_are_asked_are_all_there_are(client):
    mounted = {(method, path) for method, path, _ in leaves(client.app)}
    assert mounted | {("HEAD", "/api/openapi.json")} == set(TABLE)
    assert len(TABLE) > 40


def parameters(client, method, path):
    """The names that a route takes in its query and its body, its dependencies' included."""
    route = next((each for _, known, each in leaves(client.app) if known == path and method in _methods(each)), None)
    dependant = getattr(route, "dependant", None)
    found, waiting = [], [dependant] if dependant is not None else []
    while waiting:
        each = waiting.pop()
        found += [field.alias for field in each.query_params]
        for body in each.body_params:
            found += list(getattr(body.field_info.annotation, "model_fields", {}))
        waiting += each.dependencies
    return [*found, "token", "next", "confirm", "limit", "filter"]


def _methods(route):
    return route.methods if isinstance(route, Route) else {"GET"}


TEXTS = (
    st.sampled_from(VALUES) | st.text(max_size=40) | st.sampled_from(["diabetes", "3", "t0003", "wine.py", "history"])
)
RAW = TEXTS.map(lambda text: quote(text, safe="", errors="replace")) | st.binary(max_size=30).map(quote_from_bytes)
NUMBERS = (
    st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([10**400, -(10**400), 1e308, 0.1, 2**31, 2**63])
)
SCALARS = st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS
VALUES_OF_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            b"accept content-type cookie origin range if-none-match if-modified-since accept-encoding authorization "
            b"expect x-forwarded-for content-length last-event-id".split()
        ),
        st.sampled_from([b"text/html", b"*/*", b"bytes=0-1", b"bytes=99999999999999999999-", b"application/json"])
        | st.binary(max_size=30),
    ),
    max_size=4,
)


def bodies(names):
    written = st.dictionaries(st.sampled_from(names) | TEXTS, VALUES_OF_JSON, max_size=5)
    forms = st.lists(st.tuples(st.sampled_from(names), RAW), max_size=4)
    return (
        written.map(lambda body: json.dumps(body).encode("utf-8", "replace"))
        | forms.map(lambda form: "&".join(f"{name}={text}" for name, text in form).encode())
        | st.sampled_from(BODIES)
        | st.binary(max_size=60)
    )


@pytest.mark.parametrize(("method", "path"), TABLE, ids=[" ".join(each) for each in TABLE])
def test_nothing_that_a_client_sends_makes_it_answer_with_a_5xx(client, method, path):
    names = parameters(client, method, path)
    segments = NAME.findall(path)
    usual = {"study": "diabetes", "name": "diabetes", "run": "3", "text": "3", "number": "3", "kind": "history"}
    usual |= {"file": "wine.py", "path": "data/runs"}

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        st.fixed_dictionaries({name: st.just(usual.get(name, "x")) | RAW for name in segments}),
        st.lists(st.tuples(st.sampled_from(names) | RAW, RAW), max_size=5),
        HEADERS,
        bodies(names),
        st.sampled_from([method, method, method, "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"]),
        st.sampled_from(
            [b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"]
        ),
    )
    def attempt(filled, query, headers, body, verb, kind):
        target = NAME.sub(lambda name: filled[name[1]], path)
        if query:
            target += "?" + "&".join(f"{name}={text}" for name, text in query)
        status = ask(client, verb, target.encode("ascii", "replace"), [(b"content-type", kind), *headers], body)
        assert status < 500

    attempt()


FIRST = b"GET / HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = FIRST.replace(b"GET", b"POST") + b"transfer-encoding: chunked\r\n"
MALFORMED = [
    b"\x00" * 100,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"G\x7fT / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /%00%ff%c0%ae HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    FIRST + b"host: b\r\n\r\n",
    FIRST.replace(b"\r\n", b"\n") + b"\n",
    FIRST + b"content-length: -1\r\n\r\n",
    FIRST + b"content-length: 99999999999999999999\r\n\r\n",
    FIRST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxx",
    FIRST + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    FIRST + b"x: y\r\n" * 5000 + b"\r\n",
    FIRST + b" x: folded\r\n\r\n",
    FIRST + b"a name: x\r\n\r\n",
    FIRST + b"expect: 200-maybe\r\n\r\n",
    FIRST + b"upgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    FIRST + b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABk\r\n\r\n",
    FIRST + b"transfer-encoding: gzip\r\n\r\n",
    CHUNKED + b"\r\nZZ\r\n",
    CHUNKED + b"\r\nffffffffffffffffff\r\n",
    CHUNKED + b"content-length: 3\r\n\r\n0\r\n\r\n",
    CHUNKED + b"\r\n1;" + b"x" * 100_000 + b"\r\n",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("malformed")
    store = build_store(folder)
    with served(application.create_app(Client(store, folder).settings, store)) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


@pytest.mark.parametrize("request_bytes", MALFORMED, ids=lambda sent: repr(sent[:40]))
def test_what_is_hardly_http_is_refused_or_left(place, request_bytes):
    with socket.create_connection(place) as client:
        client.settimeout(60)
        try:
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(65536)
        except ConnectionError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:300]
    with socket.create_connection(place) as client:
        client.sendall(b"GET /api/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
