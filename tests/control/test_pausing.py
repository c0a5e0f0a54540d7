"""Runs that pause and continue, in processes: what stays through Ctrl-C, kills and another start."""

import signal
import time
from contextlib import suppress

import psutil
import pytest

from sweep.control.consistency import check_database
from sweep.control.run_files import checkpoint_size
from sweep.control.storage import PAUSED
from sweep.core.pruners.asha import complete_of
from sweep.store import FINISHED, Store
from sweep.tensorboard import event_files
from sweep.tensorboard.event_files import RUN_TAG
from sweep.words import shown_size
from tests.control.started import RESUMED, Folder, wait_for

EPOCHS = 9
BODY = RESUMED.replace("EPOCHS", str(EPOCHS)).replace("SECONDS", "0.02")


def pausing(path, settings="trials=12, workers=2, seed=7", storage=None, pruner="asha(rungs=[1, 3])"):
    """A folder with a study that pauses its runs."""
    folder = Folder(path, BODY, settings, storage=storage)
    file = path / "tiny.py"
    file.write_text(file.read_text().replace('pruner="nop"', f'pruner="{pruner}"'))
    return folder


def states_of(folder):
    return [run.state for run in folder.runs()]


def stopped_with_paused_runs(path, trials):
    """A folder with a study that was stopped by Ctrl-C when three runs or more had paused."""
    folder = pausing(path, f"trials={trials}, workers=2, seed=7")
    with folder.started() as started:
        wait_for(lambda: states_of(folder).count("PAUSED") >= 3)
        started.send(signal.SIGINT)
        started.end()
    return folder


def consistent(folder):
    store = Store(folder.url)
    try:
        return check_database(store) == []
    finally:
        store.close()


def test_a_study_pauses_its_runs_and_the_best_are_complete(tmp_path, storage_url):
    folder = pausing(tmp_path, storage=storage_url)
    done = folder.start()
    assert done.returncode == 0, done.stderr
    states = folder.states()
    assert set(states) == {"COMPLETE", "PRUNED"}
    runs = folder.runs()
    assert {run.epoch for run in runs if run.state == "PRUNED"} <= {1, 3}
    assert sum(run.state == "COMPLETE" for run in runs) >= complete_of(len(runs))
    assert {run.epoch for run in runs if run.state == "COMPLETE"} == {EPOCHS}
    assert all(run.verdict.rule == "asha" for run in runs if run.state == "PRUNED")
    assert consistent(folder)


def test_a_paused_run_has_one_line_in_tensorboard_and_its_text_says_why(tmp_path):
    folder = pausing(tmp_path, "trials=3, workers=1, seed=7")
    assert folder.start().returncode == 0
    continued = next(run for run in folder.runs() if run.state == "COMPLETE")
    assert continued.attempt > 0, "it has paused"
    events = list(event_files.read(tmp_path / "runs" / "tiny" / continued.name))
    steps = [event.step for event in events for value in event.summary.value if value.tag == "loss"]
    assert steps == list(range(EPOCHS))
    texts = [
        value.tensor.string_val[0].decode() for event in events for value in event.summary.value if value.tag == RUN_TAG
    ]
    assert any("PAUSED" in text and "asha: paused at epoch" in text for text in texts)
    assert "COMPLETE" in texts[-1]


def test_a_paused_run_that_is_pruned_has_its_end_and_its_best_value_in_tensorboard(tmp_path):
    folder = pausing(tmp_path, "trials=6, workers=1, seed=7")
    assert folder.start().returncode == 0
    pruned = [run for run in folder.runs() if run.state == "PRUNED"]
    assert pruned
    for run in pruned:
        events = list(event_files.read(tmp_path / "runs" / "tiny" / run.name))
        shown = [(value.tag, event.step, value) for event in events for value in event.summary.value]
        *_, (step, last) = [(at, value.tensor.string_val[0].decode()) for tag, at, value in shown if tag == RUN_TAG]
        assert f"<strong>PRUNED</strong>: {run.why}" in last or f"**PRUNED**: {run.why}" in last
        assert step == max(at for tag, at, _ in shown if tag == RUN_TAG)
        ((at, best),) = [(at, value.tensor.float_val[0]) for tag, at, value in shown if tag == "best/loss"]
        assert (at, best) == (run.epoch - 1, pytest.approx(run.best))


def test_while_a_study_runs_no_other_program_takes_its_paused_runs_and_afterwards_they_wait(tmp_path, storage_url):
    folder = pausing(tmp_path, "trials=60, workers=2, seed=7", storage_url)
    with folder.started() as started:
        wait_for(lambda: states_of(folder).count("PAUSED") >= 3)
        paused = {run.number for run in folder.runs() if run.state == "PAUSED"}
        trials = [trial for trial in folder.trials() if trial.number in paused]
        there = [trial for trial in trials if trial.system_attrs.get(PAUSED) is not None]
        assert there
        assert {trial.state.name for trial in there} == {"RUNNING"}
        started.send(signal.SIGINT)
        assert started.end()[0] == 130
    paused = {run.number for run in folder.runs() if run.state == "PAUSED"}
    assert len(paused) >= 3
    assert {trial.state.name for trial in folder.trials() if trial.number in paused} == {"WAITING"}
    assert consistent(folder)
    done = folder.start("--trials", "70")
    assert done.returncode == 0, done.stderr
    assert set(folder.states()) == {"COMPLETE", "PRUNED"}


def test_what_a_study_was_told_of_its_paused_runs_is_done(tmp_path):
    folder = pausing(tmp_path, "trials=200, workers=2, seed=7")
    with folder.started() as started:
        wait_for(lambda: states_of(folder).count("PAUSED") >= 4)
        last, *others = sorted(
            (run for run in folder.runs() if run.state == "PAUSED"), key=lambda run: -run.verdict.details["rank"]
        )
        said = folder.command("protect", "tiny", str(last.number))
        assert said.stderr == f"{last.name} will continue to its last epoch\n"
        wait_for(lambda: folder.runs()[last.number].state == "COMPLETE")
        pruned = others[0]
        assert folder.command("prune", "tiny", f"t{pruned.number:04}$", "--yes").returncode == 0
        wait_for(lambda: folder.runs()[pruned.number].state == "PRUNED")
        started.send(signal.SIGINT)
        started.end()
    assert folder.runs()[pruned.number].why == "by hand"


def test_a_study_that_goes_on_with_another_pruner_trains_its_paused_runs_to_the_end(tmp_path):
    folder = stopped_with_paused_runs(tmp_path, 30)
    done = folder.start("--pruner", "nop")
    assert done.returncode == 0, done.stderr
    assert set(folder.states()) == {"COMPLETE"}


def test_a_study_keeps_the_rungs_that_it_began_with(tmp_path):
    folder = pausing(tmp_path, "trials=4, workers=1, seed=7, epochs=9", pruner="asha")
    assert folder.start().returncode == 0
    store = Store(folder.url)
    assert store.study("tiny").declaration.pruner == "asha(rungs=[1, 3])"
    store.close()
    assert folder.start("--trials", "6", "--epochs", "27").returncode == 0
    store = Store(folder.url)
    assert store.study("tiny").declaration.pruner == "asha(rungs=[1, 3])"
    store.close()


def test_paused_runs_that_take_more_room_than_they_may_are_pruned_the_worst_first(tmp_path):
    folder = pausing(tmp_path, "trials=30, workers=1, seed=7, paused_limit='1kB'")
    assert folder.start().returncode == 0
    for_room = [run for run in folder.runs() if "--paused-limit" in (run.why or "")]
    assert for_room
    assert not any(checkpoint_size(run.directory) for run in for_room)
    assert "COMPLETE" in folder.states()
    assert consistent(folder)


def test_paused_runs_of_an_earlier_start_that_take_more_room_than_they_may_are_pruned_at_the_next(tmp_path):
    folder = stopped_with_paused_runs(tmp_path, 60)
    paused = [run for run in folder.runs() if run.state == "PAUSED"]
    taken = [checkpoint_size(run.directory) for run in paused]
    assert all(taken)
    done = folder.start("--paused-limit", "1B")
    assert done.returncode == 0, done.stderr
    whys = [folder.runs()[run.number].why or "" for run in paused]
    sizes = [f"its checkpoint of {shown_size(size)} was beyond --paused-limit 1 B" for size in taken]
    assert sum(size in why for size, why in zip(sizes, whys, strict=True)) >= len(paused) - 1, "the best one stays"
    assert consistent(folder)


def test_sweep_studies_shows_what_the_checkpoints_of_paused_runs_take(tmp_path):
    folder = stopped_with_paused_runs(tmp_path, 60)
    heads, line = folder.command("studies").stdout.splitlines()[:2]
    assert "of paused runs" in heads
    taken = sum(checkpoint_size(run.directory) for run in folder.runs() if run.state == "PAUSED")
    assert shown_size(taken) in line


@pytest.mark.parametrize("trials", [1, 2, 5, 8, 10])
def test_a_small_study_has_a_complete_run(tmp_path, trials):
    folder = pausing(tmp_path, f"trials={trials}, workers=2, seed=7")
    assert folder.start().returncode == 0
    assert "COMPLETE" in folder.states()
    assert len(folder.states()) == trials


@pytest.mark.slow
def test_workers_and_coordinators_that_are_killed_lose_no_paused_run(tmp_path, storage_url):
    folder = pausing(tmp_path, "trials=60, workers=3, seed=7", storage_url)
    for kills in range(6):
        with folder.started() as started:
            wait_for(lambda: [run for run in folder.runs() if run.state == "RUNNING"] or started.process.poll())
            for _ in range(4):
                time.sleep(0.2)
                with suppress(psutil.NoSuchProcess, IndexError):
                    started.training()[kills % 2].kill()
            started.kill()
        paused = {run.number for run in folder.runs() if run.state == "PAUSED"}
        ended = {trial.number for trial in folder.trials() if trial.state.is_finished()}
        assert not paused & ended, "what may continue has no final state"
        assert consistent(folder)
    done = folder.start()
    assert done.returncode == 0, done.stderr
    runs = folder.runs()
    assert len(runs) == 60
    assert {run.state for run in runs} <= FINISHED
    assert all("killed" in run.why for run in runs if run.state == "FAIL")
    assert sum(run.state == "COMPLETE" for run in runs) >= 7
    assert consistent(folder)


def test_a_study_with_more_trials_continues_runs_that_it_had_pruned_at_its_end_as_new_trials(tmp_path):
    worse_and_worse = "enqueue=[{'x': number / 50} for number in range(50)]"
    folder = pausing(tmp_path, f"trials=12, workers=2, seed=7, {worse_and_worse}")
    assert folder.start().returncode == 0
    before = {run.number: run for run in folder.runs()}
    done = folder.start("--trials", "40")
    assert done.returncode == 0, done.stderr
    runs = {run.number: run for run in folder.runs()}
    continuing = [run for run in runs.values() if run.revives is not None]
    assert continuing
    assert len(runs) == 40 + len(continuing), "as many trials as were asked for, and these"
    for run in continuing:
        old = runs[run.revives]
        assert (old.state, old.epoch) == ("PRUNED", before[old.number].epoch), "its end is final"
        assert run.params == old.params
        assert run.epoch > old.epoch
    assert consistent(folder)
    again = folder.start("--trials", "41")
    assert again.returncode == 0, again.stderr
    assert sum(run.revives is None for run in folder.runs()) == 41
