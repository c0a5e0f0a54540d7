"""Studies over HTTP: their state, stopping, continuing, removing; exports; health; the description."""

import csv
import io
import json

import optuna
import pytest
import sqlalchemy as sa

from sweep.cli import run as sweep
from sweep.store import tables
from sweep.store.lease import new_owner
from tests.serve.asking import Client
from tests.store_builder import add_example, add_study, build_store, run


@pytest.fixture
def own(tmp_path):
    """A client with an empty store of its own, for tests that change it."""
    store = build_store(tmp_path)
    client = Client(store, tmp_path)
    client.store = store
    yield client
    client.close()


def test_studies_are_those_that_the_command_line_shows(client, store, capsys, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", str(store.url))
    assert sweep(["studies", "--json"]) == 0
    assert client.get("/api/studies").json()["studies"] == json.loads(capsys.readouterr().out)


def test_one_study_says_what_its_file_declares(client):
    study = client.get("/api/studies/diabetes").json()
    assert (study["sampler"], study["pruner"], study["trials"], study["doc"]) == (
        "tpe",
        "median",
        30,
        "Disease progression.",
    )
    assert study["keys"]["learning_rate"] == "lr"
    assert study["counts"]["WAITING"] == 2


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_an_export_is_what_the_command_line_writes(client, store, form, capsys, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", str(store.url))
    assert sweep(["export", "diabetes", "--format", form]) == 0
    answer = client.get("/api/studies/diabetes/export", format=form)
    assert answer.text == capsys.readouterr().out
    assert answer.headers["content-disposition"] == f'attachment; filename="diabetes.{form}"'
    if form == "csv":
        assert {row["number"] for row in csv.DictReader(io.StringIO(answer.text))} == {str(n) for n in range(30)}


def test_a_summary_is_what_the_command_line_prints(client, store, capsys, monkeypatch):
    monkeypatch.setenv("SWEEP_STORAGE", str(store.url))
    assert sweep(["summary", "diabetes", "--json", "--since", "9000d"]) == 0
    printed = json.loads(capsys.readouterr().out)
    answered = client.get("/api/studies/diabetes/summary", since="9000d").json()
    assert answered["since"] == pytest.approx(printed.pop("since"), abs=60)
    for name in ("text", "since"):
        printed.pop(name, None)
        answered.pop(name)
    assert answered == printed


def test_a_summary_of_no_time_is_refused(client):
    answer = client.get("/api/studies/diabetes/summary", since="yesterday")
    assert answer.status_code == 422
    assert "--since must be a time above 0" in answer.text


def test_a_running_study_is_asked_to_stop(own):
    add_study(own.store, runs=[run(0, state="RUNNING")], owner=new_owner())
    assert own.post("/api/studies/diabetes/stop").status_code == 202
    with own.store.engine.connect() as connection:
        assert connection.execute(sa.select(tables.commands.c.verb)).scalars().all() == ["stop"]


def test_a_study_that_does_not_run_is_not_stopped(client):
    assert client.post("/api/studies/diabetes/stop").status_code == 409


def test_a_study_goes_on_only_from_a_file_of_the_folder(client):
    answer = client.post("/api/studies/diabetes/go-on")
    assert answer.status_code in (404, 409)


def folder_of(client, name):
    folder = client.settings.logdir / name
    (folder / "dnn-t0000").mkdir(parents=True)
    (folder / "dnn-t0000" / "events").write_text("x")
    return folder


def test_a_study_is_removed_with_its_runs_when_its_name_is_given_once_more(own):
    folder = folder_of(own, "diabetes")
    add_example(own.store, "diabetes", directory=str(folder))
    add_example(own.store, "wine")
    for query in ({}, {"confirm": "wine"}, {"confirm": "diabete"}):
        assert own.ask("DELETE", "/api/studies/diabetes", params=query).status_code == 422
    answer = own.ask("DELETE", "/api/studies/diabetes", params={"confirm": "diabetes"})
    assert answer.json() == {"study": "diabetes", "removed": True, "directory": str(folder)}
    assert not folder.exists()
    assert [study.name for study in own.store.studies()] == ["wine"]
    assert len(own.store.runs(own.store.study("wine").study_id)) == 30
    assert own.store.metrics(1) == {}
    assert own.get("/api/studies/diabetes").status_code == 404


def test_of_a_removed_study_optuna_keeps_nothing_either(own):
    storage = optuna.storages.RDBStorage(str(own.store.url))
    for name in ("gone", "kept"):
        study = optuna.create_study(storage=storage, study_name=name)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        study.set_user_attr("a", 1)
    storage.engine.dispose()
    add_study(own.store, "gone", [run(0), run(1), run(2)])
    assert own.ask("DELETE", "/api/studies/gone", params={"confirm": "gone"}).status_code == 200
    with own.store.engine.connect() as connection:
        counts = {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in optuna.storages._rdb.models.BaseModel.metadata.sorted_tables
        }
    assert (counts["studies"], counts["trials"], counts["trial_params"], counts["study_user_attributes"]) == (
        1,
        3,
        3,
        1,
    )


@pytest.mark.parametrize("where", ["elsewhere", "link", "name"])
def test_a_folder_that_is_not_the_studys_own_is_left(own, where, tmp_path):
    folder = tmp_path / "elsewhere" / "diabetes"
    folder.mkdir(parents=True)
    directory = folder
    if where == "link":
        own.settings.logdir.mkdir()
        directory = own.settings.logdir / "diabetes"
        directory.symlink_to(folder)
    if where == "name":
        directory = own.settings.logdir
        directory.mkdir()
    add_example(own.store, directory=str(directory))
    answer = own.ask("DELETE", "/api/studies/diabetes", params={"confirm": "diabetes"})
    assert answer.json()["directory"] is None
    assert folder.is_dir()
    assert directory.exists()


def test_a_running_study_is_not_removed(own):
    add_study(own.store, runs=[run(0, state="RUNNING")], owner=new_owner())
    assert own.ask("DELETE", "/api/studies/diabetes", params={"confirm": "diabetes"}).status_code == 409
    assert len(own.store.studies()) == 1


def test_health_and_metrics(client):
    assert client.get("/api/health").json()["status"] == "ok"
    measured = client.get("/metrics").text
    assert 'sweep_studies{state="stopped"} 1.0' in measured
    assert 'sweep_runs{state="WAITING",study="diabetes"} 2.0' in measured
    assert 'sweep_best{objective="val_loss",study="diabetes"}' in measured


def test_the_description_names_every_route_and_is_a_page_without_scripts(client):
    described = client.get("/api/openapi.json").json()
    page = client.get("/api/docs").text
    assert "<script" not in page
    for path in described["paths"]:
        assert path in page
    assert '<link rel="stylesheet" href="/static/sweep.css">' in page
    assert "text of at most 255 characters" in page
    assert "anyOf" not in page
    assert "`" not in page


def test_a_database_that_is_away_is_answered_by_503_without_its_name(own):
    def refuse(*arguments):
        raise sa.exc.OperationalError("SELECT", {}, Exception("connection to db.example refused, password=hunter2"))

    sa.event.listen(own.store.engine, "before_cursor_execute", refuse)
    answer = own.get("/api/studies")
    sa.event.remove(own.store.engine, "before_cursor_execute", refuse)
    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
