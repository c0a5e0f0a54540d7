"""Bad inputs, some thousand of them: none is answered by an error of ours, none changes anything.

Each value is put into each place that takes one: paths, queries, bodies, headers. What the store itself holds may be
bad as well: names, parameters, reasons and tracebacks that look like HTML.
"""

import json
import resource
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from sweep.finding import Finding, Picture
from sweep.serve.auth import LARGEST_BODY
from sweep.store import tables
from tests.serve.asking import Client
from tests.store_builder import add_epochs, add_study, build_store, run

TRAVERSAL = [
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..\\..\\windows", "/etc/passwd",
    "....//....//etc/passwd", "file:///etc/passwd", "diabetes/../../secret.py", "diabetes\x00.py", "~root", "C:\\x",
    "..;/", "%c0%ae%c0%ae/", "\\\\host\\share", "wine.py/.", ".git/config",
]  # fmt: skip
XSS = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "'-alert(1)-'", "{{7*7}}",
    "{% include '/etc/passwd' %}", "${7*7}", "<svg/onload=alert(1)>", "</title><script>alert(1)</script>", "&lt;b&gt;",
]  # fmt: skip
SQL = [
    "' OR '1'='1", "'; DROP TABLE sweep_runs; --", "diabetes' --", "1; DELETE FROM sweep_runs", "\" OR \"\"=\"",
    "number; --", "(SELECT 1)", "best DESC", "x') UNION SELECT 1,2,3 --", "%' OR 1=1 /*", "\\'; --",
]  # fmt: skip
CODE = [
    "__import__('os').system('id')", "lr.__class__.__mro__", "eval('1')", "lambda: 0", "exec(chr(1))", "os.environ",
    "().__class__.__bases__[0]", "lr < 1; import os", "f'{lr}'", "open('/etc/passwd')", "cos\nsystem\n(S'id'\ntR.",
]  # fmt: skip
PATTERNS = [
    "(a+)+$", "(a|aa)+$", "(.*)*(.*)*[^x]{40}$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(((((.*)*)*)*)*)*x", "(" * 500,
    "[", "*", "a{99999999999}", "(?<n>a)(?<n>b)", "\\", "(?<=(a+)+)$", "[z-a]", "(?i)a", "\\p{L}", "a" * 1001,
]  # fmt: skip
NUMBERS = [
    "-1", "0", "1e309", "-1e309", "NaN", "Infinity", "99999999999999999999", "1_000", "0x10", "1.5", "٣", "²",
    "2147483648", "1" * 5000, "--1", "+1", "1e", ".", "١٢", "0" * 300 + "1",
]  # fmt: skip
TEXTS = [
    "", " ", "\t", "\r\nset-cookie: a=b", "\x00", "\x7f", "\ufeff", "\u202e", "é" * 300, "\U0001d54a", "a" * 10_000,
    "null", "true", "[]", "{}", "\U000e0001", "%", "%zz", "%00", "%ff%fe", "#", "?", "&a=b", ";", "+", "*",
]  # fmt: skip
VALUES = TRAVERSAL + XSS + SQL + CODE + PATTERNS + NUMBERS + TEXTS

IN_PATHS = [
    "/api/studies/{}", "/api/studies/{}/runs", "/api/studies/diabetes/runs/{}", "/api/studies/diabetes/runs/{}/values",
    "/api/studies/{}/export", "/api/files/{}", "/api/starts/{}", "/api/records/studies/{}", "/studies/{}",
    "/studies/diabetes/runs/{}", "/static/{}", "/{}", "/api/{}",
]  # fmt: skip
IN_QUERIES = [
    ("/api/studies/diabetes/runs", "where"), ("/api/studies/diabetes/runs", "sort"),
    ("/api/studies/diabetes/runs", "state"), ("/api/studies/diabetes/runs", "cursor"),
    ("/api/studies/diabetes/runs", "limit"), ("/api/studies/diabetes/export", "format"),
    ("/api/records/studies/diabetes/runs", "number"), ("/studies/diabetes", "sort"), ("/studies/diabetes", "where"),
    ("/studies/diabetes/rows", "from"), ("/login", "next"),
]  # fmt: skip
IN_BODIES = [
    ("prune", {"runs": [1]}, "where"), ("prune", {}, "runs"), ("prune", {"filter": "."}, "dry_run"),
    ("go-on", {}, "trials"), ("prune", {"runs": []}, "other"),
]  # fmt: skip


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A client, and what must not change: the tables and the files."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "studies").mkdir()
    (folder / "studies" / "wine.py").write_text("study = None\n")
    (folder / "secret.py").write_text("secret = 'hunter2'\n")
    store = build_store(folder)
    study = add_study(store, runs=[run(0, 0.5), run(1, 0.25), run(2, state="RUNNING")])
    add_epochs(store, study, 0, [{"val_loss": 0.5}])
    client = Client(store, folder, studies=folder / "studies")

    def state():
        with store.engine.connect() as connection:
            rows = [connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables]
        files = sorted(str(path) for path in folder.rglob("*") if not path.name.startswith("sweep.db-"))
        return repr(rows), files

    before = state()
    yield client
    assert state() == before
    client.close()


def check(answer, given):
    assert answer.status_code < 500, (given[:100], answer.text[:300])
    assert "hunter2" not in answer.text, given
    assert "root:x:0" not in answer.text, given
    if answer.headers.get("content-type") == "application/problem+json":
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["error"]
        assert len(answer.text) < 20_000


@pytest.mark.parametrize("path", IN_PATHS)
def test_any_text_in_a_path(watched, path):
    for value in VALUES:
        check(watched.ask("GET", path.format(quote(value, safe=""))), value)


@pytest.mark.parametrize(("path", "name"), IN_QUERIES)
def test_any_text_in_a_query(watched, path, name):
    for value in VALUES:
        check(watched.get(path, **{name: value}), value)


def test_any_text_as_a_filter(watched):
    for value in VALUES:
        check(watched.get("/api/studies/diabetes/runs", filter=value), value)


def test_any_pattern_as_a_filter_of_a_page(watched):
    for value in PATTERNS:
        check(watched.get("/studies/diabetes", filter=value), value)


@pytest.mark.parametrize(("path", "body", "name"), IN_BODIES)
def test_any_text_in_a_body(watched, path, body, name):
    for value in VALUES:
        check(watched.post(f"/api/studies/diabetes/{path}", **{**body, name: value}), value)
    for value in (None, True, -1, 10**400, 1.5, [], [[]], {}, {"a": {}}, "x"):
        check(watched.post(f"/api/studies/diabetes/{path}", **{**body, name: value}), repr(value))


@pytest.mark.parametrize(
    "name", ["file", "name", "sampler", "pruner", "seed", "trials", "timeout", "fixed", "enqueue", "x"]
)
def test_any_text_in_a_start(watched, name):
    """The file is one that is not there, so that whatever is accepted starts nothing."""
    for value in VALUES:
        check(watched.post("/api/starts", **{"file": "none.py", name: value}), value)
        check(watched.post("/api/starts", **{"file": "none.py", name: {value: value}}), value)
        check(watched.post("/api/starts", **{"file": "none.py", name: [value]}), value)
    assert watched.get("/api/starts").json() == {"starts": []}


@pytest.mark.parametrize(
    "name", ["host", "origin", "cookie", "authorization", "accept", "content-type", "sec-fetch-site"]
)
def test_any_text_in_a_header(watched, name):
    for value in VALUES:
        headers = {name: value.encode("utf-8")[:4000].replace(b"\x00", b"0").replace(b"\r", b"").replace(b"\n", b"")}
        check(watched.ask("GET", "/api/studies", headers=headers), value)
        check(watched.ask("POST", "/api/studies/diabetes/prune", content=b"{}", headers=headers), value)


BODIES = [
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"\x00", b"{}" * 100, b'{"filter":', b'{"filter": NaN}',
    b"[" * 100_000, b'{"a":' * 50_000, b'{"runs": [' + b"1," * 20_000 + b"1]}", b'{"filter": "\\ud800"}',
    b'{"runs": [' + b"9" * 5000 + b"]}", b'{"filter": "' + b"a" * 100_000 + b'"}', b'{"runs": [1e400]}',
    b'{"filter": ".", "filter": "x"}', b'{"__proto__": {}, "filter": "."}', b'{"\\ud800": 1}', b'{"filter": "\\u0000"}',
    b"filter=.", b"<xml/>", b"%PDF", b"x" * (LARGEST_BODY + 1), b'{"runs": {"length": 99}}',
]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["studies/diabetes/prune", "studies/diabetes/go-on", "starts", "records/studies/diabetes/commands"]
)
def test_any_body(watched, path):
    for body in BODIES:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            check(watched.ask("POST", f"/api/{path}", content=body, headers={"content-type": kind}), repr(body[:50]))


def test_a_study_is_removed_by_nothing_but_its_name(watched):
    for value in VALUES:
        answer = watched.ask("DELETE", "/api/studies/diabetes", params={"confirm": value})
        assert answer.status_code == 422, value


def test_memory_stays_bounded(watched):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        watched.ask("POST", "/api/starts", content=b"[" * LARGEST_BODY, headers={"content-type": "application/json"})
        watched.ask("POST", "/api/starts", content=b"x" * (20 * LARGEST_BODY))
        watched.get("/api/studies/diabetes/runs", where="(" * 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    store = build_store(folder)
    params = {HOSTILE: HOSTILE, "'\"><img src=x>": 1.5, "a\nb": "\u202e"}
    texts = {
        "reason": HOSTILE,
        "findings": [Finding(HOSTILE, HOSTILE, HOSTILE, layer=HOSTILE, picture=Picture(HOSTILE, [[0.5]], [[1.0]]))],
        "traceback": f"Traceback\n{HOSTILE}",
        "worker": HOSTILE,
    }
    runs = [
        run(0, 0.5, name=f"dnn-{HOSTILE}-t0000", params=params, family=HOSTILE, **texts),
        run(1, 0.25, name="dnn-t0001", params=params, state="FAIL", **texts),
        run(2, 0.75, name="dnn-t0002", params={"'\"><img src=x>": 0.5}),
    ]
    keys = {HOSTILE: "a", "'\"><img src=x>": "b", "a\nb": "c"}
    study = add_study(store, "diabetes", runs, keys=keys, doc=HOSTILE, objective=[HOSTILE], file=f"/x/{HOSTILE}.py")
    add_epochs(store, study, 0, [{HOSTILE: 0.5}] * 3)
    client = Client(store, folder)
    yield client
    client.close()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/studies",
        "/studies/diabetes",
        "/studies/diabetes/runs/0",
        "/studies/diabetes/runs/1",
        "/studies/diabetes/compare?runs=0,1",
        "/studies/diabetes/rows",
        "/start",
        "/api/docs",
        f"/studies/diabetes?filter={HOSTILE}&where={HOSTILE}",
        f"/studies/{HOSTILE}",
        f"/login?next=/{HOSTILE}",
    ],
)
def test_what_looks_like_html_is_shown_as_text(hostile, path):
    answer = hostile.ask("GET", path, headers={"accept": "text/html"})
    assert answer.status_code < 500, answer.text
    if "html" in answer.headers["content-type"]:
        assert HOSTILE not in answer.text
        assert "<img src=x>" not in answer.text
    else:
        for text in json.dumps(answer.json()).split("<"):
            assert not text.startswith("img src=x>")


def test_the_api_gives_it_back_exactly(hostile):
    found = hostile.get("/api/studies/diabetes/runs/1").json()
    assert found["reason"] == HOSTILE
    assert found["params"][HOSTILE] == HOSTILE
    assert hostile.get("/metrics").status_code == 200
