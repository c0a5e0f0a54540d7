"""TensorBoard behind the login: paths that are refused, and a real one that is asked through the service."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest

from sweep.serve import board
from sweep.serve.app import create_app
from sweep.serve.board import STUB, framed, is_allowed
from sweep.serve.settings import ServeSettings
from sweep.tensorboard.event_files import RunWriter
from tests.serve.asking import TOKEN, Client
from tests.serve.serving import served
from tests.store_builder import add_study, build_store, run

BEARER = {"authorization": f"Bearer {TOKEN}"}


REFUSED = [
    # what gives away its flags and the paths of this machine, in many spellings
    "data/environment", "data/environment/", "data//environment", "/data/environment", "DATA/Environment",
    "data/./environment", "x/../data/environment", "..", "../diabetes/data/environment", "data\\environment",
    "data/environmen%74", "data/environment\n", "data/environment;x", "data/environment;", "data/environment?x",
    "data/environment#x", "data/environment\x00", "data/logdir", "data/logdir/", "data/LOGDIR", "data/logdir;x",
    "experiment/x/data/environment", "experiment//data/environment", "experiment/x/data/logdir",
    "experiment/defaultExperimentId/data/environment", "experiment/defaultExperimentId/data/logdir",
    "experiment/x/experiment/y/data/environment", "experiment/x/data/runs", "data/window_properties",
    # what reads files beside the runs, or files of code
    "data/plugin/projector/info", "data/plugin/projector/tensor", "data/plugin/projector/metadata",
    "data/plugin/projector/sprite_image", "data/plugin/projector/bookmarks", "data/plugin/projector/runs",
    "data/plugin/debugger-v2/source_files/list", "data/plugin/debugger-v2/source_files/file",
    "data/plugin/debugger-v2/runs", "data/plugin/debugger-v2/stack_frames/stack_frames",
    "data/plugin/profile/data", "data/plugin/unknown/x", "data/plugin_entry.html", "___rPc_sWiTcH___",
    # what is no path of its
    "data/run\x00s", "data/runs/", "data/runs\n", "data/runs;x", "data/runs%00", "data/plugin/scalars/../text/text",
    "data/plugin/scalars/", "data/plugin/scalars", "data/plugin//scalars", "data/plugin/scalars/scalars/x",
    "index.html/..", "index.js/", "font-roboto/../index.js", "font-roboto/", "http://evil.example/", "//evil.example",
    "data/plugin/scalars/sc\u0430lars", "\u202edata/runs", "é", " ", "data/runs ", "@evil.example/",
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED)
def test_what_its_page_does_not_need_is_refused(path):
    assert not is_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "index.html",
        "index.js",
        "icon_bundle.svg",
        "font-roboto/oMMgfZMQthOryQo9n22dcuvvDin1pK8aKteLpeZ5c0A.woff2",
        "data/runs",
        "data/plugins_listing",
        "data/plugin/scalars/scalars",
        "data/plugin/scalars/scalars_multirun",
        "data/plugin/hparams/session_groups",
        "data/plugin/images/individualImage",
        "experiment/defaultExperimentId/data/runs",
        "experiment/defaultExperimentId/data/plugin/timeseries/timeSeries",
    ],
)
def test_what_its_page_asks_is_not(path):
    assert is_allowed(path)


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
    "path",
    [
        *("data//environment/", "data/environment/", "DATA/environment", "data/environment%2F", "data/environment;x"),
        *("experiment/x/data/environment", "data/logdir", "data/%6cogdir", "data%2Flogdir", "data/logdir%3Bx"),
        *("experiment/defaultExperimentId/data/logdir", "data/plugin/projector/info", "%2e%2e/data/logdir"),
    ],
)
def test_what_gives_away_paths_of_this_machine_is_refused_in_every_spelling(service, path):
    answer = service[0].get(f"/tensorboard/diabetes/{path}")
    assert answer.status_code == 404
    assert "logdir" not in answer.text.replace(path, "").replace("data/logdir", "")


def test_parameters_and_headers_that_it_does_not_know_are_not_passed_on(tmp_path, monkeypatch):
    """A stand-in for TensorBoard answers with the address that it was asked."""
    asked, passed = [], []

    def answer(request):
        asked.append(str(request.url))
        passed.append(repr(request.headers.raw))
        return httpx.Response(200, json=[], headers={"location": "http://evil.example"})

    store = build_store(tmp_path)
    study = add_study(store, runs=[run(0)])
    client = Client(store, tmp_path)
    boards = client.service.boards
    stand_in = SimpleNamespace(alive=True, url="http://127.0.0.1:1/secret/", stop=lambda: None)
    boards._boards[study.study_id] = board._Board(stand_in)
    monkeypatch.setattr(boards, "_client", httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    odd = {"accept": b"\x80\xff", "cookie": "secret", "authorization": "secret", "x-forwarded-for": "secret"}
    found = client.ask(
        "GET", "/tensorboard/diabetes/data/plugin/text/text?run=a%26x&tag=b%23&logdir=/etc&run=c&;x=1", headers=odd
    )
    assert asked == ["http://127.0.0.1:1/secret/data/plugin/text/text?run=a%26x&tag=b%23&run=c"]
    assert "location" not in found.headers
    assert r"\x80\xff" in passed[0]
    assert "secret" not in passed[0]
    client.close()


@pytest.mark.slow
def test_its_port_gives_nothing_without_its_secret_path_which_no_other_user_sees(service):
    client, own, study = service
    assert client.get("/tensorboard/diabetes/data/runs").status_code == 200
    running = own.boards._boards[study.study_id].running
    secret = running.url.split("/")[3]
    assert len(secret) == 16
    for path in ("/", "/data/runs", "/data/environment", "/data/logdir", "/tensorboard/diabetes/data/runs"):
        assert httpx.get(f"http://127.0.0.1:{running.port}{path}").status_code == 404
    process = psutil.Process(running._process.pid)
    assert secret not in " ".join(word for each in [process, *process.children()] for word in each.cmdline())
    listed = Path(tempfile.gettempdir(), ".tensorboard-info", f"pid-{process.pid}.info")
    assert secret in listed.read_text()
    assert listed.stat().st_mode & 0o077 == 0


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
        assert client.get("/tensorboard/diabetes/data/runs").status_code == 429
