"""Logging in with the token, and where one is led afterwards."""

import pytest

from sweep.serve.auth import COOKIE, local, session
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
    assert f"{COOKIE}={session(TOKEN)}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "\ud800".encode("utf-8", "replace").decode(), "é" * 50])
def test_a_wrong_token_gives_none(guarded, token):
    answer = log_in(guarded, token)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_what_was_typed_is_not_shown_again(guarded):
    assert "my-other-password" not in log_in(guarded, "my-other-password").text


@pytest.mark.parametrize("body", [b"", b"\xff", b"token", b"token=a&token=b", b"%", b"next=%00"])
def test_any_form_is_answered(guarded, body):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert guarded.ask("POST", "/login", content=body, headers=headers).status_code in (400, 401)


def test_a_form_with_a_file_or_without_an_end_is_answered(guarded):
    assert guarded.ask("POST", "/login", files={"token": b"x"}).status_code in (400, 401)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert guarded.ask("POST", "/login", content=b"--x\r\nbroken", headers=broken).status_code in (400, 401)
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
