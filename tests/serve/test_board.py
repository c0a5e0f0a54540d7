"""TensorBoard behind the login: paths that are refused, and a real one that is asked through the service."""

import httpx
import pytest

from sweep.serve import board
from sweep.serve.app import create_app
from sweep.serve.board import STUB, framed, is_forbidden
from sweep.serve.settings import ServeSettings
from sweep.tensorboard.event_files import RunWriter
from tests.serve.asking import TOKEN
from tests.serve.serving import served
from tests.store_builder import add_study, build_store, run

BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "path",
    [
        "data/environment",
        "data/environment/",
        "data//environment",
        "/data/environment",
        "DATA/Environment",
        "data/./environment",
        "x/../data/environment",
        "..",
        "../diabetes/data/environment",
        "data\\environment",
        "data/environmen%74",
        "data/run\x00s",
        "data/environment\n",
    ],
)
def test_what_gives_its_flags_away_and_what_is_no_plain_path_is_refused(path):
    assert is_forbidden(path)


@pytest.mark.parametrize("path", ["", "data/runs", "data/plugin/scalars/scalars", "index.js", "font-roboto/a.woff2"])
def test_what_its_pages_ask_is_not(path):
    assert not is_forbidden(path)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", "frame-ancestors 'self'"),
        ("default-src 'self'", "default-src 'self'; frame-ancestors 'self'"),
        ("a; b;", "a; b; frame-ancestors 'self'"),
    ],
)
def test_its_pages_may_be_framed_by_ours_alone(policy, expected):
    assert framed(policy) == expected


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    store = build_store(folder)
    study = add_study(store, runs=[run(0)], directory=str(folder / "runs" / "diabetes"))
    with RunWriter(folder / "runs" / "diabetes" / "dnn-lr=0.1-t0000") as writer:
        writer.scalars(0, {"val_loss": 0.5})
    app = create_app(ServeSettings(str(store.url), folder / "runs", token=TOKEN), store)
    with served(app) as url, httpx.Client(base_url=url, headers=BEARER, timeout=60) as client:
        yield client, app.state.service, study


@pytest.mark.slow
def test_tensorboard_is_started_asked_and_started_again_when_it_has_died(service):
    client, own, study = service
    first = client.get("/tensorboard/diabetes/data/runs")
    assert first.status_code == 200
    while client.get("/tensorboard/diabetes/data/runs").json() != ["dnn-lr=0.1-t0000"]:
        pass
    page = client.get("/tensorboard/diabetes/")
    assert "'unsafe-eval'" in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].endswith("frame-ancestors 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"
    script = client.get("/tensorboard/diabetes/index.js")
    assert len(script.content) > 1_000_000
    groups = {"experimentName": "", "allowedStatuses": [], "colParams": [], "startIndex": 0, "sliceSize": 1}
    asked = client.post("/tensorboard/diabetes/data/plugin/hparams/session_groups", json=groups)
    assert asked.status_code == 200
    own.boards._boards[study.study_id].running._process.kill()
    own.boards._boards[study.study_id].running._process.wait()
    assert client.get("/tensorboard/diabetes/data/runs").status_code == 200
    assert own.boards.running == 1


@pytest.mark.parametrize(
    "path", ["data/environment", "data/%65nvironment", "data%2Fenvironment", "data/environment?x=1"]
)
def test_its_page_is_told_of_an_environment_that_says_nothing_of_this_machine(service, path):
    answer = service[0].get(f"/tensorboard/diabetes/{path}")
    assert (answer.status_code, answer.json()) == (200, dict(STUB))
    assert (STUB["data_location"], STUB["debug"]) == ("", {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["data//environment/", "data/environment/", "DATA/environment", "data/Environment", "data/environment%2F"]
)
def test_other_spellings_of_its_environment_are_refused(service, path):
    assert service[0].get(f"/tensorboard/diabetes/{path}").status_code == 404


@pytest.mark.parametrize("path", ["data/environment", "data/runs"])
def test_nothing_of_it_is_given_without_the_token(service, path):
    assert service[0].get(f"/tensorboard/diabetes/{path}", headers={"authorization": ""}).status_code == 401


@pytest.mark.slow
def test_one_that_nobody_asks_is_ended(service, monkeypatch):
    client, own, _ = service
    assert client.get("/tensorboard/diabetes/data/runs").status_code == 200
    monkeypatch.setattr(board, "IDLE_SECONDS", -1.0)
    import anyio

    anyio.run(own.boards.stop_idle)
    assert own.boards.running == 0


def test_the_address_without_its_slash_leads_to_it_with_the_query(service):
    answer = service[0].get("/tensorboard/diabetes?runFilter=%5Ednn", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/tensorboard/diabetes/?runFilter=%5Ednn")


def test_a_study_that_is_not_there_has_none(service):
    assert service[0].get("/tensorboard/none/data/runs").status_code == 404


def test_at_most_so_many_run(service, monkeypatch):
    monkeypatch.setattr(board, "MOST", 0)
    client, own, study = service
    if study.study_id not in own.boards._boards:
        assert client.get("/tensorboard/diabetes/data/runs").status_code == 503
