"""Passwords in the URLs of databases: hidden in every text, error and page, in the process list and from children."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from sweep.cli import run as sweep
from sweep.cli.app import COMMANDS
from sweep.cli.detach import _without_storage
from sweep.commands import command
from sweep.errors import StoreError, SweepError
from sweep.passwords import has_password, masked, masked_arguments
from sweep.store import Store
from sweep.store.database import parse_url
from sweep.store.typed_url import shown
from tests.control.started import TINY, wait_for
from tests.serve.asking import Client
from tests.store_builder import add_example

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:hunter2@h/db", "postgresql://u:***@h/db"),
        ("postgres://u:hunter2@h/db", "postgres://u:***@h/db"),
        ("POSTGRESQL://u:hunter2@h/db", "POSTGRESQL://u:***@h/db"),
        ("postgresql+psycopg://u:hunter2@h:5432/db", "postgresql+psycopg://u:***@h:5432/db"),
        ("postgresql://u:hun%40ter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun@ter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun/ter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun:ter'2\"@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun?ter#2&@h/db", "postgresql://u:***@h/db"),
        ("postgresql://:hunter2@h/db", "postgresql://:***@h/db"),
        ("postgresql://h/db?user=u&password=hunter2", "postgresql://h/db?user=u&password=***"),
        ("postgresql://h/db?PASSWORD=hunter2&x=1", "postgresql://h/db?PASSWORD=***&x=1"),
        ("postgresql://h/db?sslpassword=hunter2", "postgresql://h/db?sslpassword=***"),
        ("host=h password=hunter2 dbname=db", "host=h password=*** dbname=db"),
        ("mysql://u:hunter2@h/db", "mysql://u:***@h/db"),
        ("http://u:hunter2@h:8080/x", "http://u:***@h:8080/x"),
        ("at 'postgresql://u:hunter2@h/db', and so on", "at 'postgresql://u:***@h/db', and so on"),
        ("sqlite:///sweep.db", "sqlite:///sweep.db"),
        ("sqlite:////srv/a:b@c/sweep.db", "sqlite:////srv/a:b@c/sweep.db"),
        ("postgresql://user@host/sweep", "postgresql://user@host/sweep"),
        ("http://host:8080/studies/a@b", "http://host:8080/studies/a@b"),
        ("me@example.org: lr=0.1", "me@example.org: lr=0.1"),
        ("", ""),
    ],
)
def test_a_password_in_a_text_is_hidden(text, shown):
    assert masked(text) == shown
    assert has_password(text) == (text != shown)
    assert str(SweepError(text, text)) == (f"{shown} {shown}" if text else "")


@pytest.mark.parametrize(
    ("password", "written"),
    [
        ("hunter2", "hunter2"),
        ("hun@ter2", "hun@ter2"),
        ("hun@ter2", "hun%40ter2"),
        ("a@b@c", "a@b@c"),
        ("hun/ter:2", "hun/ter:2"),
        ("hunter 2", "hunter 2"),
    ],
)
def test_a_password_may_hold_any_character_and_is_shown_nowhere(password, written):
    for url in (
        parse_url(f"postgresql://u:{written}@h:5432/db?sslmode=disable"),
        parse_url(f"postgresql://u@h:5432/db?sslmode=disable&password={quote(password)}"),
    ):
        assert (url.username, url.password, url.host, url.database) == ("u", password, "h", "db")
        assert url.render_as_string() == "postgresql+psycopg://u:***@h:5432/db?sslmode=disable"
        again = parse_url(url.render_as_string(hide_password=False))
        assert again == url


@pytest.mark.parametrize(
    ("typed", "shown_as"),
    [
        ("sweep.db", "sweep.db"),
        ("sqlite:///runs of May/sweep.db", "sqlite:///runs of May/sweep.db"),
        ("sqlite:////srv/a:b@c/sweep.db", "sqlite:////srv/a:b@c/sweep.db"),
        ("postgres://u@h/db", "postgres://u@h/db"),
        ("postgresql://h/db?sslmode=disable", "postgresql://h/db?sslmode=disable"),
        ("postgresql+psycopg2://u:hunter2@h/db", "postgresql+psycopg2://u:***@h/db"),
        ("postgresql://u:hun ter@2/x@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u@h/db?password=hun ter2&sslmode=disable", "postgresql://u@h/db?password=***&sslmode=disable"),
    ],
)
def test_a_database_is_shown_as_it_was_typed_but_for_its_password(typed, shown_as, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", "sqlite:///other.db")
    assert shown(parse_url(typed)) == shown_as
    assert shlex.split(command("runs", storage=typed)) == ["sweep", "runs", "--storage", shown_as]
    monkeypatch.setenv("SWEEP_STORAGE", typed)
    assert command("runs", storage=shown_as) == "sweep runs"


def test_a_url_that_was_made_from_another_is_shown_as_one_could_type_it():
    made = parse_url("postgresql://u:hunter2@h/db").set(database="other")
    assert shown(made) == "postgresql://u:***@h/other"


@pytest.mark.parametrize("text", ["postgresql://u:hun ter2@h:port/db", "x y://u:hunter2@h", "host=h password=hunter2:"])
def test_what_is_no_url_is_refused_without_its_password(text):
    with pytest.raises(StoreError) as refused:
        parse_url(text)
    assert "hun" not in str(refused.value)


def test_a_command_to_copy_has_no_password(monkeypatch):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    assert "hunter2" not in command("runs", "wine", storage="postgresql://u:hunter2@h/db")


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sweep", "runs", "--storage", "postgresql://u:hunter2@h/db"], "sweep runs --storage postgresql://u:*******@h/db"),
        (["sweep", "--storage=postgresql://u:hun@er2@h/db"], "sweep --storage=postgresql://u:*******@h/db"),
        (["sweep", "db", "copy", "a.db", "postgresql://u:h 2@h/db"], "sweep db copy a.db postgresql://u:***@h/db"),
        (["sweep", "serve", "--token", "secret-token"], "sweep serve --token ************"),
        (["sweep", "serve", "--token=secret-token"], "sweep serve --token=************"),
        (["sweep", "runs", "^dnn", "--where", "lr = 0.1"], "sweep runs ^dnn --where lr = 0.1"),
    ],
)  # fmt: skip
def test_secrets_among_arguments_are_hidden_and_every_argument_stays_as_long(arguments, shown):
    hidden = masked_arguments(arguments)
    assert " ".join(hidden) == shown
    assert [len(each) for each in hidden] == [len(each) for each in arguments]


def test_a_detached_study_is_given_its_database_where_nobody_sees_it():
    words = ["start", "a.py", "--storage", "postgresql://u:p@h/db", "--trials", "3"]
    assert _without_storage(words) == ["start", "a.py", "--trials", "3"]
    assert _without_storage(["start", "--storage=postgresql://u:p@h/db", "a.py"]) == ["start", "a.py"]


ARGUMENTS = {
    "show": ["3"],
    "start": ["tiny.py"],
    "names": ["tiny.py"],
    "prune": ["."],
    "protect": ["3"],
    "revive": ["3"],
    "rerun": ["3"],
    "rm": ["wine", "--yes"],
    "clean": ["wine", ".", "--dry-run"],
}
OF_DATABASE = ("upgrade", "check", "copy")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        *((name, "x@hunter2") for name in sorted(set(COMMANDS) - {"db"})),
        *((f"db {verb}", "x@hunter2") for verb in OF_DATABASE),
        *(("runs", password) for password in ("hunter2", "%68unter2", "x/hunter2")),
    ],
)
def test_no_command_prints_the_password_of_a_database_that_is_away(name, password, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    (tmp_path / "tiny.py").write_text(TINY.format(body="    return 0.5", settings="trials=1"))
    url = f"postgresql://u:{password}@127.0.0.1:1/db"
    given = [url, "sqlite:///b.db"] if name == "db copy" else [*ARGUMENTS.get(name, []), "--storage", url]
    status = sweep([*name.split(), *given])
    printed = "".join(capfd.readouterr())
    assert status == 2 or (name == "names" and status == 0)
    assert "hunter2" not in printed, printed
    assert password not in printed


@pytest.fixture
def guarded_by_a_password(postgresql):
    """A database with an example study, and a URL with a password, which this server does not ask for."""
    bare = parse_url(postgresql.create_with_schema())
    url = bare.set(password="hunt@r2").render_as_string(hide_password=False)
    store = Store(url)
    add_example(store)
    store.close()
    return url


@pytest.mark.parametrize(
    "words",
    [
        ["runs"], ["runs", "--json"], ["show", "3"], ["show", "3", "--json"], ["best"], ["studies"],
        ["studies", "--json"], ["export"], ["db", "check"], ["db", "upgrade"], ["rm", "diabetes", "--dry-run"],
        ["stop", "diabetes"], ["prune", "diabetes", "."], ["clean", "diabetes", ".", "--dry-run"],
    ],
)  # fmt: skip
def test_no_command_prints_the_password_of_its_database(words, guarded_by_a_password, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    assert sweep([*words, "--storage", guarded_by_a_password]) in (0, 1, 2)
    printed = "".join(capfd.readouterr())
    assert printed
    assert not re.search("hunt.{1,3}r2", printed), printed


def test_no_page_shows_the_password_of_the_database(guarded_by_a_password, tmp_path):
    store = Store(guarded_by_a_password)
    client = Client(store, tmp_path)
    try:
        for path in ("/", "/studies/diabetes", "/studies/diabetes/runs/3", "/start", "/api/studies/diabetes"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "hunt" not in answer.text, path
    finally:
        client.close()


LOOKING = """
    import os
    print(sorted(os.environ.items()))
    return 0.5
"""


@pytest.mark.parametrize("detached", [False, True])
def test_a_study_is_trained_without_its_password_being_seen(detached, postgresql, tmp_path):
    """Neither in the process list, nor in what it prints, nor in its files, nor in the environment of its worker."""
    (tmp_path / "tiny.py").write_text(TINY.format(body=LOOKING, settings="trials=2, workers=1"))
    bare = parse_url(postgresql.create_with_schema())
    url = bare.set(password="hunt@r2").render_as_string(hide_password=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "start", "tiny.py", "--storage", url, *(["--detach"] if detached else [])],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT), "SWEEP_TOKEN": "a-secret-token"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: process.poll() is not None or "***" in " ".join(psutil.Process(process.pid).cmdline()))
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 0, printed
    store = Store(url)
    try:
        wait_for(lambda: store.counts(store.study("tiny").study_id) == {"COMPLETE": 2})
    finally:
        store.close()
    written = [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert any("PYTHONPATH" in text for text in written)  # what the worker has printed
    for text in [printed, *written]:
        assert not re.search("hunt(@|%40)r2", text)
        assert "a-secret-token" not in text
