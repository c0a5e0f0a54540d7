"""What the machine does costs no trial: the study stops, says what happened, and the next start finishes it."""

import errno
import itertools
import os
from pathlib import Path

import optuna
import pytest

import sweep
from sweep import records
from sweep.errors import _MACHINES, _MACHINES_WHERE_WE_WRITE, MachineFault, SweepError, machine_fault
from sweep.store.records import OUT_OF_MEMORY
from sweep.tensorboard.event_files import RunWriter
from tests.whole_study import read, run_study

TRIALS = 3


def train(trial):
    trial.suggest_float("x", 0, 1)
    epochs = sweep.epochs(trial, 2)
    for _ in epochs:
        epochs.report({"loss": 1.0})
    return epochs.value


def run(folder, objective=train):
    return run_study(objective, folder, objective="loss", trials=TRIALS, pruner="nop")


def failing(real, at, number, path=None):
    """A function that raises an error of the system the so many-th time that it is called, and from then on."""
    calls = itertools.count()

    def call(*arguments, **settings):
        if next(calls) >= at:
            raise OSError(number, os.strerror(number), path)
        return real(*arguments, **settings)

    return call


def states(folder):
    return [run.state for run in read(f"sqlite:///{folder / 'sweep.db'}", "test", folder).runs]


@pytest.mark.parametrize("number", [*_MACHINES, *_MACHINES_WHERE_WE_WRITE], ids=errno.errorcode.get)
def test_an_event_file_that_cannot_be_written_stops_the_study_and_the_next_start_finishes_it(
    tmp_path, monkeypatch, number
):
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", failing(records.write, 14, number))
        with pytest.raises(SweepError) as stopped:
            run(tmp_path)
    assert str(tmp_path / "runs" / "test") in stopped.value.message
    assert stopped.value.hint.endswith("then start the study again to continue.")
    assert set(states(tmp_path)) <= {"COMPLETE", "WAITING"}
    kept = run(tmp_path)
    assert [run.state for run in kept.runs] == ["COMPLETE"] * TRIALS


@pytest.mark.parametrize("at", range(0, 24, 2))
def test_it_does_so_whichever_write_is_the_first_to_fail(tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", failing(records.write, at, errno.EROFS))
        with pytest.raises(SweepError, match="read-only"):
            run(tmp_path)
    if (tmp_path / "sweep.db").exists():  # else nothing had begun
        assert set(states(tmp_path)) <= {"COMPLETE", "WAITING"}
    kept = run(tmp_path)
    assert [run.state for run in kept.runs] == ["COMPLETE"] * TRIALS


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_run_directory_that_cannot_be_made_stops_the_study(tmp_path, monkeypatch, number):
    path = str(tmp_path / "runs" / "test" / "run")
    with monkeypatch.context() as patch:
        patch.setattr("sweep.worker.run.RunWriter", failing(None, 0, number, path))
        with pytest.raises(SweepError) as stopped:
            run(tmp_path)
    assert path in stopped.value.message
    assert [run.state for run in run(tmp_path).runs] == ["COMPLETE"] * TRIALS


@pytest.mark.parametrize("number", _MACHINES_WHERE_WE_WRITE, ids=errno.errorcode.get)
def test_what_the_system_refuses_to_the_code_of_the_user_fails_its_trial_alone(tmp_path, number):
    def reading(trial):
        trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            raise OSError(number, os.strerror(number), "/data/wine.csv")
        return 1.0

    kept = run(tmp_path, reading)
    assert [run.state for run in kept.runs] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "/data/wine.csv" in kept.runs[1].traceback


@pytest.mark.parametrize("number", _MACHINES, ids=errno.errorcode.get)
def test_a_full_or_failing_disk_is_the_machines_wherever_it_is_met(tmp_path, number):
    def caching(trial):
        trial.suggest_float("x", 0, 1)
        raise OSError(number, os.strerror(number), "/cache/rows")

    with pytest.raises(SweepError, match="/cache/rows"):
        run(tmp_path, caching)
    kept = run(tmp_path)
    assert [run.state for run in kept.runs] == ["COMPLETE"] * TRIALS


def test_the_value_of_a_trial_that_has_ended_stays_although_its_files_could_not_be_closed(tmp_path, monkeypatch):
    close = RunWriter.close

    def fail(writer):
        close(writer)
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "close", fail)
        with pytest.raises(SweepError, match="input/output error"):
            run(tmp_path)
    assert states(tmp_path)[0] == "COMPLETE"
    trials = optuna.load_study(study_name="test", storage=f"sqlite:///{tmp_path / 'sweep.db'}").trials
    assert trials[0].value == 1.0
    assert [run.state for run in run(tmp_path).runs] == ["COMPLETE"] * TRIALS


@pytest.mark.parametrize("where", ["journal.Hold", "sampling_thread.SamplingThread._enter"])
def test_what_the_coordinator_cannot_write_or_read_stops_the_study_too(tmp_path, monkeypatch, where):
    path = str(tmp_path / "runs" / "test" / "x")
    with monkeypatch.context() as patch:
        patch.setattr(f"sweep.control.{where}", failing(None, 0, errno.EIO, path))
        with pytest.raises(SweepError, match="input/output error"):
            run(tmp_path)
    assert [run.state for run in run(tmp_path).runs] == ["COMPLETE"] * TRIALS


def test_memory_that_the_system_refuses_to_a_trial_is_its_configurations_fault(tmp_path):
    def greedy(trial):
        trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return 1.0

    kept = run(tmp_path, greedy)
    assert [run.state for run in kept.runs] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert kept.runs[1].reason.startswith(OUT_OF_MEMORY)


def test_a_machines_fault_crosses_the_wire_and_names_the_command_that_continues():
    fault = MachineFault("The disk is full.", "Make room")
    again = SweepError.from_dict(fault.as_dict())
    assert isinstance(again, MachineFault)
    assert (again.message, again.hint) == (fault.message, fault.hint)
    assert again.continued_by("sweep start x.py").hint == "Make room, then continue with: sweep start x.py"


def test_an_error_without_a_number_is_nobodys_but_the_users():
    assert machine_fault(OSError("no such camera"), Path("/runs")) is None
    assert machine_fault(ValueError("5"), Path("/runs")) is None
