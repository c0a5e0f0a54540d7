"""`sweep watch`, `--detach`, `--notify`, and a terminal that goes."""

import os
import pty
import re
import signal
import subprocess
import sys

import psutil
import pytest

from sweep.cli import run as sweep
from sweep.cli.watch import tell
from sweep.store import RunRecord
from tests.control.started import MANY_EPOCHS, ROOT, Folder, lives, wait_for
from tests.refusals import refusal_of


class Heard:
    """A watcher that notes what it is told."""

    def __init__(self):
        self.told = []

    def started(self, run):
        self.told.append(("started", run.number))

    def epoch(self, run, metrics):
        self.told.append(("epoch", run.number, run.epoch))

    def ended(self, run):
        self.told.append(("ended", run.number, run.state))


def run(number, state="RUNNING", epoch=0, name="mlp", attempt=0):
    return RunRecord(number, name=name, state=state, epoch=epoch, attempt=attempt)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ([], [run(0)], [("started", 0), ("epoch", 0, 0)]),
        ([], [run(0, name=None)], [("epoch", 0, 0)]),
        ([run(0, name=None)], [run(0, epoch=1)], [("started", 0), ("epoch", 0, 1)]),
        ([run(0, epoch=1)], [run(0, epoch=3)], [("epoch", 0, 3)]),
        ([run(0, epoch=1)], [run(0, epoch=1)], []),
        ([run(0, epoch=1)], [run(0, "PRUNED", 2)], [("ended", 0, "PRUNED")]),
        ([], [run(0, "COMPLETE", 2)], [("started", 0), ("ended", 0, "COMPLETE")]),
        ([run(0, "COMPLETE")], [run(0, "COMPLETE")], []),
        ([run(0, epoch=4)], [run(0, "WAITING", 4)], [("ended", 0, "WAITING")]),
        ([run(0, "WAITING", 4)], [run(0, epoch=4)], [("started", 0)]),
        ([run(0, epoch=4)], [run(0, epoch=1, attempt=1)], [("started", 0), ("epoch", 0, 1)]),
    ],
)
def test_what_became_of_runs_between_two_looks_is_told(before, now, told):
    heard = Heard()
    tell(heard, before, now)
    assert heard.told == told


def test_a_study_that_does_not_run_is_not_watched(tmp_path, monkeypatch, capsys):
    folder = Folder(tmp_path)
    assert folder.start().returncode == 0
    monkeypatch.chdir(tmp_path)
    assert sweep(["watch", "tiny"]) == 2
    assert "Study tiny has finished, so there is nothing to watch." in capsys.readouterr().err


@pytest.mark.slow
def test_a_detached_study_trains_on_and_can_be_watched_to_its_end(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=8, workers=2, seed=7")
    detached = folder.start("--detach")
    assert detached.returncode == 0, detached.stderr
    pid = int(re.search(r"tiny trains in process (\d+)", detached.stdout)[1])
    coordinator = psutil.Process(pid)
    assert os.getsid(pid) == pid
    assert "sweep watch tiny" in detached.stdout
    watched = folder.command("watch")
    assert watched.returncode == 0, watched.stderr
    assert watched.stdout.count("complete mlp") + watched.stdout.count("complete tiny") > 0
    assert "tiny is finished: 8 of 8 trials" in watched.stderr
    wait_for(lambda: not lives(coordinator))
    assert "the study is finished" in (tmp_path / "runs" / "tiny" / "coordinator.log").read_text()


def test_a_study_that_cannot_be_says_so_also_when_detached(tmp_path):
    folder = Folder(tmp_path, settings='trials=8, workers=2, seed=7, sampler="nope"')
    detached = folder.start("--detach")
    assert detached.returncode == 2
    said = refusal_of(detached.stderr)
    assert said.startswith("sweep: The study did not start: No such sampler: nope. The samplers are tpe, ")
    assert said.endswith("coordinator.log.")


@pytest.mark.slow
def test_a_study_goes_on_when_its_terminal_goes(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=6, workers=2, seed=7")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "start", "tiny.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    wait_for(lambda: [run for run in folder.runs() if run.epoch])
    process.send_signal(signal.SIGHUP)
    os.close(ours)
    assert process.wait(timeout=90) == 0
    assert folder.states() == ["COMPLETE"] * 6


ONE_FAILS = """
    x = trial.suggest_float("x", 0, 1)
    if trial.number == 1:
        raise ValueError("no")
    return x
"""
NOTIFY = 'echo "$SWEEP_EVENT: $SWEEP_MESSAGE" >> told; echo "$SWEEP_SUMMARY" >> summary'


def test_the_end_is_notified_with_the_best_value(tmp_path):
    folder = Folder(tmp_path, "    return float(trial.number + 1)", "trials=3, workers=1")
    assert folder.start("--notify", NOTIFY).returncode == 0
    assert (tmp_path / "told").read_text() == "finished: tiny: 3 of 3 trials, the best value is 1\n"


def test_the_end_is_notified_with_what_sweep_summary_says(tmp_path):
    folder = Folder(tmp_path, ONE_FAILS, "trials=3, workers=1")
    done = folder.start("--notify", NOTIFY)
    assert done.returncode == 0
    told = (tmp_path / "summary").read_text()
    for line in ("1: ValueError: no, in tiny.py line ", "certain    No: it is the best of 2 complete runs"):
        assert line in told
        assert line in done.stdout
    assert "next       sweep show tiny t0001   (shows the last failure whole)" in told
    later = folder.command("summary", "tiny").stdout.partition("spent")[0]
    assert later.splitlines()
    assert set(later.splitlines()) <= set(told.splitlines())


def test_failures_in_a_row_and_the_end_that_they_are_are_notified(tmp_path):
    folder = Folder(tmp_path, '    raise ValueError("no")', "trials=9, workers=1")
    assert folder.start("--notify", NOTIFY).returncode == 2
    told = (tmp_path / "told").read_text()
    assert "failing: 5 trials of tiny in a row have failed, the last with: ValueError: no" in told
    assert "failed: The study has stopped, because 5 trials in a row failed" in told
    assert "5: ValueError: no, in tiny.py line " in (tmp_path / "summary").read_text()


def test_a_command_that_fails_is_said_and_costs_nothing(tmp_path):
    folder = Folder(tmp_path, "    return 1.0", "trials=1, workers=1")
    done = folder.start("--notify", "exit 3")
    assert done.returncode == 0
    assert "--notify left with exit status 3" in done.stderr
