"""The gate: every route is refused without the token, under a foreign name, and from another site."""

import re

import pytest
from starlette.routing import Mount

from sweep.serve.auth import COOKIE, LARGEST_BODY, LOGIN, SAFE_METHODS, host_name, session
from tests.serve.asking import TOKEN

BEARER = {"authorization": f"Bearer {TOKEN}"}
FILLED = {
    "study": "diabetes",
    "run": "3",
    "file": "wine.py",
    "start": "none",
    "name": "diabetes",
    "path": "data/runs",
    "number": "3",
    "kind": "history",
}


def routes(routes_of):
    """Each method and path of an application: of its routes, of the routers in it, and one below each mount."""
    for route in routes_of:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/anything"
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router.routes)
        else:
            path = re.sub(r"\{([^}:]+)(?::path)?\}", lambda name: FILLED.get(name[1], "3"), route.path)
            yield from ((method, path) for method in route.methods)


def every_route(app):
    return sorted({*routes(app.routes), *FIXED} - {("GET", LOGIN), ("POST", LOGIN)})


FIXED = [
    ("GET", "/nothing/of/the/kind"),
    ("GET", "/tensorboard/diabetes/"),
    ("OPTIONS", "/api/studies"),
    ("HEAD", "/"),
    ("TRACE", "/"),
    ("BREW", "/"),
]


def test_every_route_is_among_those_that_are_tried(guarded):
    tried = every_route(guarded.app)
    described = [(method.upper(), path) for path, of in guarded.app.openapi()["paths"].items() for method in of]
    assert len(tried) > len(described) >= 20
    for route in [
        ("DELETE", "/api/studies/diabetes"),
        ("GET", "/metrics"),
        ("GET", "/api/docs"),
        ("GET", "/api/openapi.json"),
        ("GET", "/static/anything"),
        ("GET", "/"),
        ("GET", "/studies/diabetes/runs/3"),
        ("POST", "/tensorboard/diabetes/data/runs"),
        ("GET", "/api/studies/diabetes/events"),
    ]:
        assert route in tried


def test_nothing_is_given_without_a_token(guarded):
    for method, path in every_route(guarded.app):
        answer = guarded.ask(method, path)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "diabetes" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer"},
        {"authorization": b"Bearer \xff\xfe"},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": f"{COOKIE}=x"},
        {"cookie": f"{COOKIE}"},
        {"cookie": f"other={session(TOKEN)}"},
        {"cookie": b"sweep_session=\xff\xfe"},
    ],
)
def test_nothing_is_given_for_a_wrong_token(guarded, headers):
    for method, path in every_route(guarded.app):
        assert guarded.ask(method, path, headers=headers).status_code == 401, (method, path)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "localhost@evil.example",
        "",
        "127.0.0.1.nip.io",
        "[",
    ],
)
def test_nothing_is_given_under_a_foreign_name_even_with_the_token(guarded, host):
    for method, path in [*every_route(guarded.app), ("GET", LOGIN), ("POST", LOGIN)]:
        answer = guarded.ask(method, path, headers={**BEARER, "host": host})
        assert answer.status_code == 403, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://localhost:8080"},
        {"origin": "file://localhost"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
    ],
)
def test_nothing_is_changed_from_another_site_even_with_the_token(guarded, headers):
    changing = [(method, path) for method, path in every_route(guarded.app) if method not in SAFE_METHODS]
    assert len(changing) >= 6
    for method, path in [*changing, ("POST", LOGIN)]:
        assert guarded.ask(method, path, headers={**BEARER, **headers}).status_code == 403, (method, path)
    assert guarded.ask("GET", "/api/studies", headers=BEARER).json()["studies"][0]["study"] == "diabetes"


@pytest.mark.parametrize("headers", [BEARER, {"cookie": f"{COOKIE}={session(TOKEN)}"}])
def test_the_token_and_the_cookie_open_the_gate(guarded, headers):
    assert guarded.ask("GET", "/api/studies", headers=headers).status_code == 200
    here = {**headers, "origin": "http://localhost", "sec-fetch-site": "same-origin"}
    dry = guarded.ask("POST", "/api/studies/diabetes/prune", json={"filter": ".", "dry_run": True}, headers=here)
    assert dry.status_code == 200


def test_a_service_without_a_token_still_checks_the_name_and_the_site(client):
    assert client.ask("GET", "/api/studies").status_code == 200
    assert client.ask("GET", "/api/studies", headers={"host": "evil.example"}).status_code == 403
    evil = {"origin": "http://evil.example"}
    assert client.ask("POST", "/api/studies/diabetes/stop", headers=evil).status_code == 403


def test_somebody_who_looks_at_a_page_is_sent_to_the_login_and_back(guarded):
    answer = guarded.ask("GET", "/studies/diabetes?filter=%5Ednn", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fstudies%2Fdiabetes%3Ffilter%3D%255Ednn"


@pytest.mark.parametrize("path", ["/", "/api/studies", "/nothing", "/login", "/static/anything.js"])
def test_every_answer_has_the_security_headers(guarded, path):
    for headers in ({}, BEARER):
        answer = guarded.ask("GET", path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src" in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
        assert "frame-ancestors" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_a_body_that_is_too_large_is_not_read(client):
    assert client.ask("POST", "/api/starts", content=b"x" * (LARGEST_BODY + 1)).status_code == 413

    async def endless():
        for _ in range(1000):
            yield b"x" * 65536
        raise AssertionError("it was read to its end")

    assert client.ask("POST", "/api/starts", content=endless()).status_code == 413


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8080", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("a@localhost", ""),
        ("localhost/x", ""),
        ("[", ""),
        ("", ""),
        ("local host", ""),
    ],
)
def test_the_name_in_a_host_header(host, name):
    assert host_name(host) == name
