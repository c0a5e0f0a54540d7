"""Server-sent events: what happened between two looks, and a stream that clients really read."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import sqlalchemy as sa

from sweep.serve import stream
from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.serve.stream import event
from sweep.store import tables
from sweep.view.changes import Look
from sweep.view.studies import view_study
from tests.serve.serving import served
from tests.store_builder import add_study, build_store, run


def look(runs):
    return Look(view_study(STUDY, runs, running=True), runs)


@pytest.fixture(scope="module", autouse=True)
def study(tmp_path_factory):
    global STUDY
    store = build_store(tmp_path_factory.mktemp("stream"))
    STUDY = add_study(store)
    store.close()


def happened(before, now):
    found = []
    for text in stream.events(look(before), look(now), {}):
        kind, data = text.decode().strip().split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: ")).get("number")))
    return found


ENDED = run(0, 0.5)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([ENDED], [ENDED], []),
        ([], [run(0, state="RUNNING", epoch=0)], [("start", 0), ("study", None)]),
        ([run(0, state="RUNNING", epoch=1)], [run(0, state="RUNNING", epoch=3)], [("epoch", 0)]),
        ([run(0, state="RUNNING", epoch=3)], [run(0, state="RUNNING", epoch=3)], []),
        ([run(0, state="RUNNING")], [run(0, state="PRUNED")], [("end", 0), ("study", None)]),
        ([run(0, state="WAITING")], [run(0, state="RUNNING")], [("start", 0), ("study", None)]),
        ([run(0, state="RUNNING", name=None)], [run(0, state="RUNNING")], [("start", 0)]),
        ([run(0, state="RUNNING")], [run(0, state="RUNNING", attempt=1)], [("start", 0)]),
        ([run(0, state="RUNNING")], [run(0, 0.5)], [("end", 0), ("best", 0), ("study", None)]),
        ([ENDED], [ENDED, run(1, 0.1)], [("end", 1), ("best", 1), ("study", None)]),
        ([ENDED], [ENDED, run(1, 0.9)], [("end", 1), ("study", None)]),
    ],
)
def test_what_happened_between_two_looks(before, now, expected):
    assert happened(before, now) == expected


def test_an_event_is_one_whatever_its_data_hold():
    text = event("end", {"reason": "line\r\n\ndata: x\nevent: y"}).decode()
    assert text.count("\n") == 3
    assert text.startswith("event: end\ndata: ")


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.05)
    store = build_store(tmp_path)
    add_study(store, runs=[run(0, state="RUNNING", epoch=1)])
    app = create_app(ServeSettings(str(store.url), tmp_path), store)
    with served(app) as url:
        yield url, store, app.state.service


def change(store, **values):
    with store.engine.begin() as connection:
        connection.execute(sa.update(tables.runs).values(**values))


def events(lines):
    kind = None
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def until(found, wanted):
    return next(data for kind, data in found if kind == wanted)


def test_clients_see_epochs_ends_and_the_best_as_they_come(service):
    url, store, _ = service
    with httpx.stream("GET", f"{url}/api/studies/diabetes/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        found = events(answer.iter_lines())
        assert next(found)[0] == "study"
        change(store, epoch=2, last=0.75)
        assert until(found, "epoch")["last"] == 0.75
        change(store, state="COMPLETE", best=0.25, last=0.5, values="[0.5]")
        ended = until(found, "end")
        assert (ended["state"], ended["value"], ended["values"]) == ("COMPLETE", 0.5, {"val_loss": 0.5})
        assert until(found, "best")["number"] == 0


def test_many_clients_share_one_reading_and_leave_nothing(service):
    url, store, own = service

    def listen(_):
        with httpx.stream("GET", f"{url}/api/studies/diabetes/events", timeout=30) as answer:
            return until(events(answer.iter_lines()), "epoch")["epoch"]

    with ThreadPoolExecutor(20) as pool:
        listening = [pool.submit(listen, place) for place in range(20)]
        while own.streams.listeners < 20:
            pass
        change(store, epoch=5)
        assert [each.result() for each in listening] == [5] * 20
    while own.streams.listeners:
        pass
    assert own.streams._studies == {}


def test_a_study_that_is_removed_ends_its_stream(service):
    url = service[0]
    with httpx.stream("GET", f"{url}/api/studies/diabetes/events", timeout=30) as answer:
        lines = answer.iter_lines()
        assert next(events(lines))[0] == "study"
        assert httpx.delete(f"{url}/api/studies/diabetes?confirm=diabetes").status_code == 200
        list(lines)


def test_a_stream_of_no_study_is_not_found(service):
    assert httpx.get(f"{service[0]}/api/studies/none/events").status_code == 404


def test_a_stream_has_so_many_listeners(service, monkeypatch):
    monkeypatch.setattr(stream, "MOST_LISTENERS", 0)
    assert httpx.get(f"{service[0]}/api/studies/diabetes/events").status_code == 429


def test_one_address_leaves_streams_for_others(service, monkeypatch):
    monkeypatch.setattr(stream, "FROM_ONE", 0)
    answer = httpx.get(f"{service[0]}/api/studies/diabetes/events")
    assert answer.status_code == 429
    assert answer.json()["hint"] == "Close a page."
