"""`--server`: each command says over HTTP exactly what it says of the database itself; and what it refuses."""

import re

import pytest
import sqlalchemy as sa

from sweep.cli import run as sweep
from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.store import RepeatRecord, tables
from sweep.store.lease import new_owner
from tests.refusals import refusal_of
from tests.serve.asking import TOKEN
from tests.serve.serving import served
from tests.store_builder import add_epochs, add_example, add_study, build_store, run

COMMANDS = [
    ["studies"],
    ["studies", "--json"],
    ["runs", "diabetes"],
    ["runs", "diabetes", "^dnn", "--sort", "val_loss", "--names"],
    ["runs", "diabetes", "--where", "lr < 0.01 and val_loss < 60", "--json"],
    ["runs", "odd", "--json"],
    ["best", "diabetes", "-n", "3"],
    ["best", "wine", "--json"],
    ["best", "repeated"],
    ["best", "repeated:confirmed", "--json"],
    ["show", "repeated", "1"],
    ["show", "diabetes", "3"],
    ["show", "diabetes", "t0006", "--json"],
    ["show", "odd", "0"],
    ["names", "diabetes"],
    ["names", "diabetes", "--json"],
    ["export", "diabetes", "--format", "csv"],
    ["export", "odd", "--format", "csv"],
    ["export", "odd", "--format", "json"],
    ["simulate", "diabetes", "--pruner", "asha", "--simulations", "2", "--json"],
    ["prune", "wine", ".", "--dry-run"],
    ["prune", "diabetes", ".", "--yes"],
    ["stop", "diabetes"],
    ["runs", "none"],
    ["runs", "diabetes", "dnn("],
    ["runs", "diabetes", "--where", "lr <"],
    ["show", "diabetes", "999"],
    ["best", "two"],
    ["summary", "diabetes"],
    ["summary", "diabetes", "--since", "9000d"],
    ["summary", "repeated"],
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    (folder / "studies").mkdir()
    store = build_store(folder)
    add_example(store, "diabetes")
    add_example(store, "wine", owner=new_owner())
    add_study(store, "two", [run(0, 0.5)], objective=["loss", "size"], direction=["minimize", "maximize"])
    repeated = add_study(store, "repeated", [run(0, 0.4), run(1, 0.5)])
    fresh = {0: [0.61, 0.62, 0.60], 1: [0.51, 0.53, 0.50]}
    store.record_repeats(
        repeated.study_id,
        [
            RepeatRecord(number, at, seed=at, value=value)
            for number in fresh
            for at, value in enumerate(fresh[number], 1)
        ],
    )
    odd = {"learning_rate": float("inf"), "opt": "a b=c", "aug": None, "n": 2**53 + 1}
    study = add_study(store, "odd", [run(0, float("nan"), params=odd, last=float("-inf")), run(1, None)])
    add_epochs(store, study, 0, [{"val_loss": float("nan"), "mae": 0.1 + 0.2}, {"val_loss": float("inf")}])
    app = create_app(ServeSettings(str(store.url), folder / "runs", folder / "studies", TOKEN), store)
    with served(app) as url:
        yield url, store


@pytest.fixture
def saying(service, monkeypatch, capsys):
    """Runs a command on the database and on the service, and gives what each printed, with the same place in hints."""
    url, store = service
    monkeypatch.delenv("SWEEP_SERVER", raising=False)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)

    def said(arguments, place):
        status = sweep([*arguments, *place])
        printed = capsys.readouterr()
        return status, *(re.sub(r" --(storage|server) \S+", " PLACE", text) for text in (printed.out, printed.err))

    return lambda arguments: (
        said(arguments, ["--storage", str(store.url)]),
        said(arguments, ["--server", url]),
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_service_is_asked_as_its_database_is(saying, arguments):
    here, there = saying(arguments)
    assert there == here


def commands(store):
    with store.engine.begin() as connection:
        found = [tuple(row) for row in connection.execute(sa.select(tables.commands.c.verb, tables.commands.c.number))]
        connection.execute(sa.delete(tables.commands))
    return found


def test_pruning_and_stopping_are_asked_of_the_coordinator(service, monkeypatch, capsys):
    url, store = service
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)
    monkeypatch.setenv("SWEEP_SERVER", url)
    assert sweep(["prune", "wine", "--where", "number = 29", "--yes"]) == 0
    assert sweep(["stop", "wine"]) == 0
    assert commands(store) == [("prune", 29), ("stop", None)]
    assert "--server" not in capsys.readouterr().err


def test_the_links_lead_to_the_services_tensorboard(service, monkeypatch, capsys):
    url = service[0]
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)
    assert sweep(["tensorboard", "diabetes", "^dnn", "--server", url]) == 0
    assert f"{url}/tensorboard/diabetes/?runFilter=%5Ednn&pinnedCards=" in capsys.readouterr().out


def test_a_study_file_that_the_service_does_not_have_is_not_started(service, monkeypatch, capsys):
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)
    assert sweep(["start", "studies/none.py", "--server", service[0]]) == 2
    assert "No such study file: none.py." in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--from", "diabetes:best:2"], ["--set", "lr"], ["--enqueue", "@file.json"]])
def test_options_that_make_no_sense_afar_are_refused(service, monkeypatch, options):
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)
    assert sweep(["start", "studies/none.py", *options, "--server", service[0]]) == 2


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_token_it_says_which_variable_holds_it(service, monkeypatch, capsys, token):
    monkeypatch.setenv("SWEEP_TOKEN", token)
    assert sweep(["studies", "--server", service[0]]) == 2
    assert "needs a token. Set SWEEP_TOKEN" in refusal_of(capsys.readouterr().err)


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1", "http://", "ftp://x", "http://user:word@host", "http://[", "x"]
)
def test_a_server_that_does_not_answer_is_one_line(monkeypatch, capsys, server):
    assert sweep(["studies", "--server", server]) == 2
    assert "word" not in refusal_of(capsys.readouterr().err)


def test_a_study_is_removed_by_the_service(service, monkeypatch, capsys):
    url, store = service
    add_example(store, "gone")
    monkeypatch.setenv("SWEEP_TOKEN", TOKEN)
    monkeypatch.setenv("SWEEP_SERVER", url)
    assert sweep(["rm", "gone", "--dry-run"]) == 0
    assert store.find_study("gone") is not None
    assert sweep(["rm", "gone", "--yes"]) == 0
    assert store.find_study("gone") is None
    assert "gone is removed" in capsys.readouterr().err
    assert sweep(["rm", "wine", "--yes"]) == 2
    assert "Cannot remove study wine while it is running" in capsys.readouterr().err
