"""The gate: every route is refused without the token, under a foreign name, and from another site."""

import pytest

from sweep.serve.auth import COOKIE, LARGEST_BODY, LOGIN, SAFE_METHODS, host_name
from sweep.serve.problems import Busy
from tests.serve.asking import TOKEN
from tests.serve.routes import filled, leaves

BEARER = {"authorization": f"Bearer {TOKEN}"}


def every_route(app):
    every = {(method, filled(path)) for method, path, _ in leaves(app)}
    return sorted({*every, *FIXED} - {("GET", LOGIN), ("POST", LOGIN)})


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
        ("GET", "/static/data/runs"),
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
        {"cookie": b"sweep_session=\xff\xfe"},
    ],
)
def test_nothing_is_given_for_a_wrong_token(guarded, headers):
    for method, path in every_route(guarded.app):
        assert guarded.ask(method, path, headers=headers).status_code in (401, 429), (method, path)


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


def test_the_token_and_a_session_open_the_gate(guarded):
    for headers in (BEARER, {"cookie": f"{COOKIE}={guarded.service.sessions.begin()}"}):
        assert guarded.ask("GET", "/api/studies", headers=headers).status_code == 200
        here = {**headers, "origin": "http://localhost", "sec-fetch-site": "same-origin"}
        dry = guarded.ask("POST", "/api/studies/diabetes/prune", json={"filter": ".", "dry_run": True}, headers=here)
        assert dry.status_code == 200


@pytest.mark.parametrize(
    "others",
    [
        "a=b; {}", "{}; a=b", "theme={{\"dark\": true}}; {}", "=; {}", ";;;{};;", "a@b(c)=d; {}", "é=ü; {}",
        "x=\"unclosed; {}", "sweep_session=stale; {}", "{}; sweep_session=stale", "[a]={{}}; \t{}\t", "a,b; {}",
    ],
)  # fmt: skip
def test_cookies_of_other_applications_do_no_harm(guarded, others):
    session = f"{COOKIE}={guarded.service.sessions.begin()}"
    headers = {"cookie": others.format(session).encode("latin-1")}
    assert guarded.ask("GET", "/api/studies", headers=headers).status_code == 200


def test_a_password_that_a_proxy_asks_for_does_not_hide_a_session(guarded):
    headers = {"authorization": "Basic cHJveHk6c2VjcmV0", "cookie": f"{COOKIE}={guarded.service.sessions.begin()}"}
    assert guarded.ask("GET", "/api/studies", headers=headers).status_code == 200


FOREIGN = [
    {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    for site in ("cross-site", "same-site")
    for mode, dest in [
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("no-cors", "style"),
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("navigate", "object"),
    ]
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_reaches_nothing_even_without_a_token(client, headers):
    for method, path in every_route(client.app):
        assert client.ask(method, path, headers=headers).status_code == 403, (method, path)


def test_a_link_from_elsewhere_is_followed(client):
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.ask("GET", "/studies/diabetes", headers=followed).status_code == 200
    assert client.ask("POST", "/api/studies/diabetes/stop", headers=followed).status_code == 403


def test_no_get_runs_a_study_file(client, monkeypatch):
    """Every route is asked for the file, by each method that changes nothing."""
    ran = []
    monkeypatch.setattr(client.service.previews, "of", ran.append)
    monkeypatch.setattr(client.service.launcher, "start", lambda *of: ran.append(of))
    monkeypatch.setattr(client.service.boards, "of", no_board)
    for method, path in every_route(client.app):
        if method in SAFE_METHODS and not path.endswith("/events"):
            client.ask(method, path, params={"file": "wine.py"})
    assert ran == []
    client.ask("POST", "/start/preview", params={"file": "wine.py"})
    client.ask("POST", "/api/files/wine.py/names")
    assert len(ran) == 2


async def no_board(_study):
    raise Busy("There is no TensorBoard here.")


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
