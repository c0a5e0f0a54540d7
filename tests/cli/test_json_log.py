"""`--log-format json`: a line for each event, which every machine can read."""

import json
import logging

import optuna
import pytest

from sweep.cli import run as sweep
from sweep.cli.json_log import JsonFormatter, write_event
from tests.control.started import Folder
from tests.databases import optunas_own

BODY = """
    x = trial.suggest_float("x", -1, 1)
    trial.report(float("inf") if trial.number else 0.5, 0)
    if trial.number == 1:
        raise ValueError("no")
    return 0.5
"""


def test_a_study_is_told_as_events(tmp_path):
    folder = Folder(tmp_path, BODY, "trials=2, workers=1, seed=7")
    done = folder.start("--log-format", "json")
    assert done.returncode == 0
    assert done.stdout == ""
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events] == [
        *("loading", "opened", "started", "epoch", "ended", "started", "epoch", "ended", "closed")
    ]
    first, failed = events[4], events[7]
    assert (first["level"], first["state"], first["number"], first["epochs"]) == ("info", "COMPLETE", 0, 1)
    assert (failed["level"], failed["state"], failed["reason"]) == ("error", "FAIL", "ValueError: no")
    assert events[6]["metrics"] == {"loss": None}
    assert {event["study"] for event in events[1:]} == {"tiny"}
    closed = {name: events[8].get(name) for name in ("level", "state", "reason", "trials", "finished", "best")}
    assert closed == {"level": "info", "state": "finished", "reason": None, "trials": 2, "finished": 2, "best": 0.5}


def told(done):
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_trials_that_other_programs_added_count_in_no_event(tmp_path):
    body = BODY.replace("trial.number == 1", "False")
    folder = Folder(tmp_path, body, "trials=2, workers=1, seed=7")
    assert folder.start().returncode == 0
    with optunas_own(f"sqlite:///{tmp_path}/sweep.db") as storage:
        optuna.load_study(study_name="tiny", storage=storage).add_trial(optuna.create_trial(value=0.25))
    events = told(folder.start("--log-format", "json", "--trials", "3"))
    counts = {event["event"]: (event["finished"], event["counts"]) for event in events if "finished" in event}
    assert counts == {"opened": (2, {"COMPLETE": 2}), "closed": (3, {"COMPLETE": 3})}


def test_an_attempt_has_one_number_from_its_start_to_its_end(tmp_path):
    body = BODY.replace("trial.number == 1", "trial.attempt < 2")
    done = Folder(tmp_path, body, "trials=1, workers=1, seed=7").start("--log-format", "json", "--retries", "2")
    attempts = [(event["event"], event["attempt"], event.get("state")) for event in told(done) if "attempt" in event]
    assert [attempt for attempt in attempts if attempt[0] != "epoch"] == [
        *(("started", 0, None), ("ended", 0, "WAITING")),
        *(("started", 1, None), ("ended", 1, "WAITING")),
        *(("started", 2, None), ("ended", 2, "COMPLETE")),
    ]


def test_a_study_that_cannot_go_on_says_why_in_its_last_event(tmp_path):
    folder = Folder(tmp_path, BODY.replace("trial.number == 1", "True"), "trials=20, workers=1, seed=7")
    done = folder.start("--log-format", "json")
    assert done.returncode == 2
    last = told(done)[-1]
    assert (last["event"], last["level"], last["state"]) == ("closed", "error", "failed")
    assert last["reason"].startswith("The study has stopped, because 5 trials in a row failed")


def test_another_format_is_refused(tmp_path, monkeypatch, capsys):
    folder = Folder(tmp_path)
    monkeypatch.chdir(folder.path)
    assert sweep(["start", "tiny.py", "--log-format", "xml"]) == 2
    assert "--log-format must be text or json, not 'xml'" in capsys.readouterr().err
    assert sweep(["serve", "--log-format", "xml"]) == 2


def test_what_python_logs_is_an_event_with_its_traceback():
    try:
        raise KeyError("ä\n")
    except KeyError:
        import sys

        record = logging.LogRecord("sweep.x", logging.ERROR, "", 1, "it %s", ("failed",), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["logger"], line["text"]) == ("error", "sweep.x", "it failed")
    assert "KeyError" in line["traceback"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_null(capsys, value):
    write_event("it", value=value, nothing=None)
    line = json.loads(capsys.readouterr().err)
    assert line["value"] is None
    assert "nothing" not in line
