"""Logging in with the token, and where one is led afterwards."""

import time

import pytest

from sweep.serve import logins
from sweep.serve.auth import COOKIE, local
from sweep.serve.logins import DAYS, ENDED, FREE_TRIES, LONGEST_WAIT, OVERALL_TRIES, Sessions, TooManyTries, Tries
from tests.serve.asking import TOKEN

HERE = {"origin": "http://localhost"}


def log_in(client, token, target="/"):
    return client.ask("POST", "/login", data={"token": token, "next": target}, headers=HERE)


def test_the_login_page_is_shown_to_anybody_and_loads_nothing(guarded):
    answer = guarded.get("/login")
    assert answer.status_code == 200
    assert 'name="token"' in answer.text
    assert "<script" not in answer.text


def test_the_token_gives_a_cookie_that_scripts_cannot_read_and_that_is_not_the_token(guarded):
    answer = log_in(guarded, TOKEN, "/studies/diabetes")
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies/diabetes")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "\ud800".encode("utf-8", "replace").decode(), "é" * 50])
def test_a_wrong_token_gives_none(guarded, token):
    answer = log_in(guarded, token)
    assert answer.status_code in (401, 429)
    assert "set-cookie" not in answer.headers


def test_what_was_typed_is_not_shown_again(guarded):
    assert "my-other-password" not in log_in(guarded, "my-other-password").text


@pytest.mark.parametrize("body", [b"", b"\xff", b"token", b"token=a&token=b", b"%", b"next=%00"])
def test_any_form_is_answered(guarded, body):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert guarded.ask("POST", "/login", content=body, headers=headers).status_code in (400, 401, 429)


def test_a_form_with_a_file_or_without_an_end_is_answered(guarded):
    assert guarded.ask("POST", "/login", files={"token": b"x"}).status_code in (400, 401, 429)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert guarded.ask("POST", "/login", content=b"--x\r\nbroken", headers=broken).status_code in (400, 401, 429)
    assert (
        guarded.ask("POST", "/login", content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400
    )


@pytest.mark.parametrize(
    ("target", "led"),
    [
        ("/studies/a?filter=^dnn", "/studies/a?filter=^dnn"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nset-cookie: a=b", "/"),
        ("/login?next=/login", "/"),
        ("", "/"),
    ],
)
def test_one_is_led_to_addresses_of_this_site_alone(target, led):
    assert local(target) == led


def session_of(answer):
    return answer.headers["set-cookie"].partition(";")[0]


def shows(client, cookie):
    return client.ask("GET", "/api/studies", headers={"cookie": cookie}).status_code == 200


def test_logging_out_ends_the_session_also_of_whoever_has_stolen_its_cookie(guarded):
    stolen, other = (session_of(log_in(guarded, TOKEN)) for _ in range(2))
    assert stolen != other
    assert shows(guarded, stolen)
    out = guarded.ask("POST", "/logout", headers={**HERE, "cookie": stolen})
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert not shows(guarded, stolen)
    assert shows(guarded, other)


def test_a_session_that_was_ended_stays_so_after_a_restart(tmp_path):
    first = Sessions(TOKEN, tmp_path / "runs")
    ended, open_still = first.begin(), first.begin()
    first.end(ended)
    first.end("garbage")
    again = Sessions(TOKEN, tmp_path / "runs")
    assert [again.is_open(cookie) for cookie in (ended, open_still)] == [False, True]
    assert len((tmp_path / "runs" / ENDED).read_text().splitlines()) == 1


def test_a_session_ends_although_it_cannot_be_written_down(tmp_path, caplog):
    (tmp_path / "runs").write_text("")
    sessions = Sessions(TOKEN, tmp_path / "runs")
    cookie = sessions.begin()
    sessions.end(cookie)
    assert not sessions.is_open(cookie)
    assert "until the service restarts" in caplog.text


@pytest.mark.parametrize(
    "change", ["0.{1}.{2}", "{0}.x.{2}", "{0}.{1}.0", "{0}.{1}", "", ".", "..", "9{0}.{1}.{2}", "é"]
)
def test_a_cookie_that_is_none_of_ours_opens_nothing(tmp_path, change):
    sessions = Sessions(TOKEN, tmp_path)
    cookie = sessions.begin()
    assert sessions.is_open(cookie)
    assert not sessions.is_open(change.format(*cookie.split(".")))
    assert not Sessions("another-token-of-16", tmp_path).is_open(cookie)


def test_a_session_expires(tmp_path, monkeypatch):
    sessions = Sessions(TOKEN, tmp_path)
    cookie = sessions.begin()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + (DAYS + 1) * 86400)
    assert not sessions.is_open(cookie)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def tried(tries, text, address):
    try:
        return tries.is_token(text, address)
    except TooManyTries as error:
        return error.wait


def test_wrong_tokens_wait_longer_and_longer_and_those_that_wait_do_not_count():
    clock = Clock()
    tries = Tries(TOKEN, clock)
    assert [tried(tries, "wrong", "10.0.0.1") for _ in range(FREE_TRIES)] == [False] * FREE_TRIES
    waits = []
    for _ in range(9):
        waits.append(tried(tries, "wrong", "10.0.0.1"))
        assert tried(tries, TOKEN, "10.0.0.1") == waits[-1]  # not even read
        clock.now += waits[-1]
        assert tried(tries, "wrong", "10.0.0.1") is False
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert tried(tries, "wrong", "10.0.0.2") is False  # another address does not wait


def test_six_hundred_wrong_tokens_from_as_many_addresses_are_slowed():
    clock = Clock()
    tries = Tries(TOKEN, clock)
    answers = [tried(tries, "wrong", f"10.0.{number // 200}.{number % 200}") for number in range(600)]
    assert answers.count(False) == OVERALL_TRIES + 1
    clock.now += 10
    assert [tried(tries, "wrong", f"10.1.0.{number}") for number in range(20)].count(False) == 10


def test_the_owner_is_never_locked_out_where_the_token_was_shown_before():
    clock = Clock()
    tries = Tries(TOKEN, clock)
    assert tried(tries, TOKEN, "10.0.0.1") is True
    for number in range(600):
        tried(tries, "wrong", "10.0.0.1")
        tried(tries, "wrong", f"10.0.1.{number}")
        assert tried(tries, TOKEN, "10.0.0.1") is True


def test_the_address_of_a_session_is_its_owners(guarded, monkeypatch):
    tries = Tries(TOKEN, Clock())
    monkeypatch.setattr(guarded.service, "tries", tries)
    for _ in range(FREE_TRIES + 1):
        tried(tries, "wrong", "127.0.0.1")
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("GET", "/api/studies", headers=bearer).status_code == 429
    assert shows(guarded, f"{COOKIE}={guarded.service.sessions.begin()}")
    assert guarded.ask("GET", "/api/studies", headers=bearer).status_code == 200


def test_the_owner_comes_in_from_anywhere_a_minute_after_the_last_wrong_token():
    clock = Clock()
    tries = Tries(TOKEN, clock)
    for _ in range(10_000):
        tried(tries, "wrong", "10.0.0.1")
        clock.now += 1
    clock.now += LONGEST_WAIT
    assert tried(tries, TOKEN, "10.0.0.1") is True


def test_the_addresses_of_one_host_count_together():
    tries = Tries(TOKEN, Clock())
    assert [tried(tries, "wrong", f"2001:db8::{number}") for number in range(8)] == [False] * FREE_TRIES + [1] * 3
    assert tried(tries, "wrong", "2001:db8:1::1") is False


def test_many_addresses_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(logins, "_KEPT", 10)
    clock = Clock()
    tries = Tries(TOKEN, clock)
    for number in range(100):
        clock.now += 1
        tried(tries, "wrong", f"10.0.0.{number}")
        tried(tries, TOKEN, f"10.0.1.{number}")
    assert (len(tries._wrong), len(tries._known)) == (10, 10)


def test_the_login_page_says_how_long_to_wait_and_no_token_is_logged(guarded, monkeypatch, caplog):
    monkeypatch.setattr(guarded.service, "tries", Tries(TOKEN, Clock()))
    answers = [log_in(guarded, "my-other-password") for _ in range(FREE_TRIES + 1)]
    assert [answer.status_code for answer in answers] == [401] * FREE_TRIES + [429]
    assert answers[-1].headers["retry-after"] == "1"
    assert "Try again in 1 second." in answers[-1].text
    bearer = guarded.ask("GET", "/api/studies", headers={"authorization": "Bearer my-other-password"})
    assert (bearer.status_code, bearer.headers["retry-after"]) == (429, "1")
    assert guarded.get("/login").status_code == 200
    assert f"tried {FREE_TRIES} wrong tokens" in caplog.text
    assert "my-other-password" not in caplog.text
