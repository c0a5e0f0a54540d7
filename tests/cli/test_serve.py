"""`sweep serve`: what it refuses before it begins, its token, and a process that is asked and ended."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sweep.cli import run as sweep
from sweep.cli.serve import Address, study_folder
from sweep.errors import SweepError
from tests.refusals import refusal_of
from tests.store_builder import add_study, build_store, run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_this_machine_alone(host, loopback):
    assert Address(host, 8080).is_loopback == loopback


def test_the_names_it_may_be_asked_by():
    assert Address("127.0.0.1", 1).hosts() == {"localhost", "127.0.0.1", "::1"}
    assert Address("10.1.2.3", 1, ["Sweep.Example"]).hosts() == {
        "localhost", "127.0.0.1", "::1", "10.1.2.3", "sweep.example",
    }  # fmt: skip
    assert socket.gethostname().lower() in Address("0.0.0.0", 1).hosts()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--studies", "none"], "No such folder of study files: none."),
        (["--studies", ".", "--no-studies"], "--studies and --no-studies contradict each other."),
        (["--token", "short"], "at least 16 characters"),
        (["--token", "é" * 20], "at least 16 characters"),
        (["--host", "203.0.113.1"], "Use an address of this machine."),
        (["--host", "no.such.host.invalid"], "Use an address of this machine."),
        (["--storage", "mysql://x"], "SQLite or PostgreSQL"),
    ],
)
def test_an_impossible_service_is_refused(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_TOKEN", raising=False)
    assert sweep(["serve", "--port", "48123", *arguments]) == 2
    printed = refusal_of(capsys.readouterr().err)
    assert said in printed
    assert "short" not in printed


@pytest.mark.parametrize(
    ("arguments", "expected"), [((None, False), "studies"), ((None, True), None), (("others", False), "others")]
)
def test_the_folder_studies_is_served_unless_another_or_none_is_asked_for(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    assert study_folder(None, False) is None
    (tmp_path / "studies").mkdir()
    (tmp_path / "others").mkdir()
    assert study_folder(*arguments) == (tmp_path / expected if expected else None)


def test_a_port_that_is_taken_is_answered_with_one_that_is_free(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert sweep(["serve", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"Port {port} is in use by another process." in said


def start(folder, *arguments, **environment):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return port, subprocess.Popen(
        [sys.executable, "-m", "sweep", "serve", "--port", str(port), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ask(port, token=None, path="/api/health"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for _ in range(200):
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
            ) as got:
                return json.load(got)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            signal.sigtimedwait([], 0.05)
    raise AssertionError("it did not answer")


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_it_answers_until_it_is_told_to_end_and_makes_its_database(tmp_path, how):
    (tmp_path / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "softmax.py", tmp_path / "studies")
    port, process = start(tmp_path)
    line = process.stdout.readline()
    assert line == f"sweep is at http://127.0.0.1:{port}/\n"
    assert ask(port)["status"] == "ok"
    assert [file["file"] for file in ask(port, path="/api/files")["files"]] == ["softmax.py"]
    process.send_signal(how)
    rest = process.communicate(timeout=30)[0]
    assert "Traceback" not in rest
    assert (tmp_path / "sweep.db").exists()


def test_it_ends_in_silence_although_a_page_is_open_which_listens(tmp_path):
    store = build_store(tmp_path)
    add_study(store, runs=[run(0, 0.5)])
    store.close()
    port, process = start(tmp_path)
    assert ask(port)["status"] == "ok"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies/diabetes/events", timeout=30) as stream:
        stream.read(1)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
    assert [line for line in said.splitlines() if not line.startswith(("sweep is at", "Press Ctrl-C"))] == []


def test_bound_to_more_than_this_machine_it_makes_a_token_and_prints_it_once(tmp_path):
    port, process = start(tmp_path, "--host", "0.0.0.0", SWEEP_TOKEN="")
    process.stdout.readline()
    token = re.fullmatch(r"the token, which is not shown again: (\S{40,})\n", process.stdout.readline())[1]
    assert ask(port) == 401
    assert ask(port, "wrong") == 401
    assert ask(port, token)["status"] == "ok"
    process.terminate()
    assert token not in process.communicate(timeout=30)[0]


def test_a_token_of_the_environment_is_not_printed(tmp_path):
    port, process = start(tmp_path, "--host", "0.0.0.0", SWEEP_TOKEN="a-token-of-this-test")
    assert ask(port, "a-token-of-this-test")["status"] == "ok"
    process.terminate()
    assert "a-token-of-this-test" not in process.communicate(timeout=30)[0]


def test_an_address_is_refused_where_it_is_none():
    from sweep.cli.serve import listen

    with pytest.raises(SweepError):
        listen(Address("not an address", 1))
