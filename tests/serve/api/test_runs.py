"""Runs over HTTP: chosen, sorted, by pages, one of them, pruned."""

import json

import pytest
import sqlalchemy as sa

from sweep.cli import run as sweep
from sweep.store import tables
from sweep.store.lease import new_owner
from tests.serve.asking import Client
from tests.store_builder import add_study, build_store, run

RUNS = "/api/studies/diabetes/runs"


def numbers(answer):
    assert answer.status_code == 200, answer.text
    return [item["number"] for item in answer.json()["runs"]]


def test_runs_are_those_that_the_command_line_shows(client, store, capsys, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", str(store.url))
    for query, options in [
        ({}, []),
        ({"filter": "^DNN"}, ["--filter", "^DNN"]),
        ({"state": "pruned,fail"}, ["--state", "pruned", "--state", "fail"]),
        ({"sort": "-lr"}, ["--sort", "-lr"]),
        ({"where": "lr < 0.01 and val_loss < 60"}, ["--where", "lr < 0.01 and val_loss < 60"]),
        ({"filter": "mlp", "where": "width > 9"}, ["--filter", "mlp", "--where", "width > 9"]),
    ]:
        answer = client.get(RUNS, limit=1000, **query).json()
        assert sweep(["runs", *options, "--json"]) == 0
        assert answer["runs"] == json.loads(capsys.readouterr().out)
        assert answer["matched"] == len(answer["runs"]) > 0
        assert answer["total"] == 30


@pytest.mark.parametrize("sort", ["", "-best", "lr", "val_loss", "name"])
@pytest.mark.parametrize("limit", [1, 7, 10, 29, 30, 31])
def test_pages_one_after_the_other_give_each_run_once(client, sort, limit):
    whole = numbers(client.get(RUNS, sort=sort, limit=1000))
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(RUNS, sort=sort, limit=limit, cursor=cursor).json()
        assert len(page["runs"]) <= limit
        found += [item["number"] for item in page["runs"]]
        cursor = page["next"]
    assert found == whole


@pytest.mark.parametrize("text", ["3", "t0003", "t3", "0003"])
def test_one_run_is_found_by_its_number_or_name(client, text):
    found = client.get(f"{RUNS}/{text}").json()
    assert found["number"] == 3
    assert client.get(f"{RUNS}/{found['name']}").json() == found
    assert len(found["epochs"]) == found["epoch"]


@pytest.mark.parametrize("text", ["99", "t", "-1", "3.0", "x", "99999999999999999999", "dnn-lr=0.1-t0003", "٣", "²"])
def test_a_run_that_is_not_there_is_not_found(client, text):
    answer = client.get(f"{RUNS}/{text}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == f"No run {text} in study diabetes."


def test_values_are_columns_by_epoch(client):
    whole, values = client.get(f"{RUNS}/3").json(), client.get(f"{RUNS}/3/values").json()
    assert values["epoch_index"] == [epoch["epoch_index"] for epoch in whole["epochs"]]
    assert values["values"]["val_loss"] == [epoch["val_loss"] for epoch in whole["epochs"]]


@pytest.mark.parametrize(
    ("query", "position"),
    [({"filter": "dnn("}, 3), ({"filter": "[z-a]"}, None), ({"where": "lr <"}, 4), ({"where": "nothing = 3"}, 0)],
)
def test_a_wrong_filter_is_answered_with_its_place(client, query, position):
    answer = client.get(RUNS, **query)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["error"]
    if position is not None:
        assert problem["position"] == position


@pytest.fixture
def running(tmp_path):
    """A client on a study whose coordinator is this process, with two running trials."""
    store = build_store(tmp_path)
    runs = [run(0), run(1, state="RUNNING"), run(2, state="RUNNING", family="mlp"), run(3, state="PRUNED")]
    add_study(store, runs=runs, owner=new_owner())
    client = Client(store, tmp_path)
    client.store = store
    yield client
    client.close()


def commands(client):
    columns = tables.commands.c.verb, tables.commands.c.number, tables.commands.c.reason
    with client.store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"filter": "^dnn"}, [1]),
        ({"filter": "."}, [1, 2]),
        ({"runs": [0, 2, 99]}, [2]),
        ({"runs": [1, 2], "filter": "mlp"}, [2]),
        ({"where": "lr > 0.002"}, [2]),
        ({"runs": []}, []),
    ],
)
def test_running_trials_that_match_are_pruned_by_hand(running, body, expected):
    dry = running.post("/api/studies/diabetes/prune", dry_run=True, **body)
    assert numbers(dry) == expected
    assert commands(running) == []
    assert numbers(running.post("/api/studies/diabetes/prune", **body)) == expected
    assert commands(running) == [("prune", number, "by hand") for number in expected]


def test_pruning_says_what_is_pruned(running):
    assert running.post("/api/studies/diabetes/prune").status_code == 422
    assert commands(running) == []


def test_a_study_that_nobody_runs_is_not_pruned(client):
    answer = client.post("/api/studies/diabetes/prune", filter=".")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("Study diabetes is stopped, so there is nothing to ")
