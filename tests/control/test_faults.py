"""Faults that a study survives, with real processes: signals, deaths, study code that fails, databases that refuse."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading

import optuna
import psutil
import pytest

from sweep.control.consistency import check_database
from sweep.store import Store
from tests.control.started import MANY_EPOCHS, Folder, lives, wait_for
from tests.databases import optunas_own
from tests.refusals import refusal_of

pytestmark = pytest.mark.slow


def finished(folder: Folder, count: int) -> bool:
    """Whether a study ended as it should: `count` trials, all numbers once, all names different, none unended."""
    runs = folder.runs()
    states = folder.states()
    return (
        [run.number for run in runs] == list(range(count))
        and len({run.name for run in runs}) == count
        and set(states) <= {"COMPLETE", "PRUNED", "FAIL"}
        and [trial.number for trial in folder.trials()] == list(range(count))
    )


def test_two_hundred_trials_of_one_epoch_on_four_workers_are_two_hundred(tmp_path):
    folder = Folder(tmp_path, settings="trials=200, workers=4, seed=7")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert finished(folder, 200)
    assert set(folder.states()) == {"COMPLETE"}


@pytest.mark.sample
def test_ctrl_c_once_requeues_what_runs_and_going_on_finishes_it_under_its_name(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS)
    with folder.started() as started:
        started.reporting()
        started.send(signal.SIGINT)
        status, said = started.end()
        assert status == 130
        assert "sweep start tiny.py" in said
        assert started.workers() == []
    waiting = [run for run in folder.runs() if run.state == "WAITING"]
    assert waiting
    assert set(folder.states()) <= {"COMPLETE", "WAITING"}
    assert folder.start().returncode == 0
    assert finished(folder, 6)
    after = {run.number: run for run in folder.runs()}
    for run in waiting:
        assert (after[run.number].name, after[run.number].directory) == (run.name, run.directory)
        assert after[run.number].attempt == 1
        assert list(folder.trials()[run.number].intermediate_values) == list(range(20))


def test_ctrl_c_twice_stops_at_once(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("0.05", "3600 if epoch else 0"))
    with folder.started() as started:
        started.reporting()
        started.send(signal.SIGINT)
        wait_for(lambda: "Ctrl-C again" in started.said())
        started.send(signal.SIGINT)
        status, _ = started.end()
        assert status == 130
        assert wait_for(lambda: not started.workers())
    assert set(folder.states()) == {"WAITING"}


def test_sigterm_is_as_ctrl_c_once(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS)
    with folder.started() as started:
        started.reporting()
        started.send(signal.SIGTERM)
        status, said = started.end()
    assert status == 143
    assert "sweep start tiny.py" in said
    assert "WAITING" in folder.states()
    assert "RUNNING" not in folder.states()


@pytest.mark.sample
def test_a_killed_worker_is_replaced_and_its_trial_run_again(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=3, workers=1, seed=7")
    with folder.started() as started:
        run = started.reporting()[0]
        started.worker_of(run).kill()
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 3)
    again = folder.runs()[run.number]
    assert (again.name, again.attempt, again.epoch) == (run.name, 1, 20)


def test_workers_that_are_killed_while_they_load_are_replaced_as_long_as_one_may_still_load(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=4, workers=4, seed=7")
    with folder.started() as started:
        wait_for(lambda: len(started.workers()) == 4)
        for loading in started.workers()[:3]:
            loading.kill()
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 4)


@pytest.mark.parametrize("options", [[], ["--retries", "2"]])
def test_a_trial_whose_worker_is_killed_three_times_has_failed_whatever_the_retries(tmp_path, options):
    body = """
    trial.suggest_float("x", -1, 1)
    if trial.number == 1:
        open("kills", "a").write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    done = folder.start(*options)
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert folder.runs()[1].reason == "its worker was killed by SIGKILL 3 times"
    assert (tmp_path / "kills").read_text() == "xxx"


def test_an_idle_worker_that_is_killed_is_given_no_trial(tmp_path):
    body = MANY_EPOCHS.replace("range(20)", "range(20 if trial.number else 40)")
    folder = Folder(tmp_path, body, "trials=2, workers=2, seed=7")
    with folder.started() as started:
        wait_for(lambda: [run.state for run in folder.runs()].count("COMPLETE") == 1)
        busy = started.worker_of(next(run for run in folder.runs() if run.state == "RUNNING"))
        for worker in started.workers():
            if worker.pid != busy.pid:
                worker.kill()
        busy.kill()
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 2)


@pytest.mark.sample
def test_a_killed_coordinator_takes_its_workers_with_it_and_a_new_one_goes_on(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=4, workers=2, seed=7")
    with folder.started() as started:
        run = started.reporting()[0]
        workers = started.workers()
        started.process.kill()
        started.process.wait()
        wait_for(lambda: not any(lives(worker) for worker in workers))
    assert "RUNNING" in [run.state for run in folder.runs()]
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert finished(folder, 4)
    again = folder.runs()[run.number]
    assert (again.name, again.attempt) == (run.name, 1)
    assert list(folder.trials()[run.number].intermediate_values) == list(range(20))


def test_a_second_coordinator_is_refused_and_names_the_first(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("0.05", "3600 if epoch else 0"))
    with folder.started() as started:
        started.reporting()
        second = folder.start()
        assert second.returncode == 2
        assert f"process {started.process.pid} on " in second.stderr
        refusal_of(second.stderr)
        assert started.process.poll() is None


@pytest.mark.sample
def test_a_study_file_that_is_edited_while_it_runs_never_matters_to_a_replaced_worker(tmp_path):
    body = MANY_EPOCHS.replace("x * x + 1", "helper.OFFSET + x * x + 1").replace("range(20)", "range(8)")
    folder = Folder(tmp_path, body, "trials=12, workers=2, seed=7")
    study, helper = tmp_path / "tiny.py", tmp_path / "helper.py"
    study.write_text(study.read_text().replace("import sweep\n", "import helper\nimport sweep\n"))
    helper.write_text("OFFSET = 100.0")
    whole = study.read_text()
    with folder.started() as started:
        running = started.reporting()
        study.write_text(whole.replace("return x * x", "return (x *"))  # half saved
        helper.unlink()
        started.worker_of(running[0]).kill()
        status, said = started.end()
    assert status == 0, said
    assert set(folder.states()) == {"COMPLETE"}
    assert sum(run.attempt for run in folder.runs()) >= 1
    assert all(run.last > 100.0 for run in folder.runs())
    study.write_text(whole.replace("return x * x", "return x * x + 1"))
    helper.write_text("OFFSET = 200.0")
    done = folder.start("--trials", "13")  # which takes the new file, and says so
    assert done.returncode == 0, done.stderr
    assert folder.runs()[-1].last > 200.0
    assert folder.runs()[-1].snapshot != folder.runs()[0].snapshot


FAILURES = {
    "exception": ('raise ValueError("no such thing")', "ValueError: no such thing"),
    "exit": ("sys.exit(3)", "SystemExit: 3"),
    "hard_exit": ("os._exit(4)", "its worker left with exit status 4"),
    "clean_exit": ("os._exit(0)", "its worker left with exit status 0"),
    "segfault": ("ctypes.string_at(0)", "its worker died by SIGSEGV"),
    "abort": ("os.abort()", "its worker died by SIGABRT"),
    "wrong_value": ("return 'good'", "TypeError: train returns the trial's value"),
    "nan": ("return float('nan')", "train returned NaN"),
}


def test_a_trial_that_takes_its_worker_with_it_is_not_tried_again(tmp_path):
    body = """
    trial.report(trial.suggest_float("x", -1, 1), 0)
    if trial.number == 1:
        os._exit(4)
    return 0.0
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    done = folder.start("--retries", "2")
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    run = folder.runs()[1]
    assert (run.attempt, run.reason) == (0, "its worker left with exit status 4")


@pytest.mark.parametrize("kind", FAILURES)
def test_study_code_that_fails_fails_its_trial_and_the_study_goes_on(tmp_path, kind):
    code, reason = FAILURES[kind]
    body = f"""
    x = trial.suggest_float("x", -1, 1)
    trial.report(x, 0)
    if trial.number == 1:
        {code}
    return x
"""
    folder = Folder(tmp_path, body, "trials=4, workers=2, seed=7")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    run = folder.runs()[1]
    assert run.reason.startswith(reason)
    if kind == "exception":
        assert 'raise ValueError("no such thing")' in run.traceback


def test_five_failures_in_a_row_with_one_error_stop_the_study(tmp_path):
    folder = Folder(
        tmp_path, '    trial.suggest_int("n", 1, 9)\n    raise KeyError("n")', "trials=20, workers=2, seed=7"
    )
    done = folder.start()
    assert done.returncode == 2
    assert "5 trials in a row failed in the same way" in done.stderr
    assert "KeyError" in done.stderr
    refusal_of(done.stderr)
    states = folder.states()
    assert states.count("FAIL") == len(states) - states.count("WAITING")
    assert 5 <= len(states) <= 7


def test_stop_and_prune_are_obeyed_at_the_next_epoch(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("range(20)", "range(4000)"))
    with folder.started() as started:
        run = started.reporting()[0]
        pruned = folder.command("prune", "tiny", f"t{run.number:04}$", "--yes")
        assert pruned.returncode == 0, pruned.stderr
        wait_for(lambda: folder.runs()[run.number].state == "PRUNED")
        stopped = folder.command("stop", "tiny")
        assert stopped.returncode == 0, stopped.stderr
        status, said = started.end()
        assert status == 0, said
        assert "stopped: by hand" in said
    after = folder.runs()[run.number]
    assert (after.reason, after.best is not None) == ("by hand", True)
    assert set(folder.states()) == {"PRUNED", "WAITING"}


def test_a_trial_that_somebody_else_ends_stays_as_they_ended_it(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("range(20)", "range(400 if trial.number == 0 else 1)"))
    with folder.started() as started:
        wait_for(lambda: [run for run in folder.runs() if run.number == 0 and run.epoch])
        with optunas_own(folder.url) as storage:
            optuna.load_study(study_name="tiny", storage=storage).tell(0, 0.125)
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 6)
    assert folder.trials()[0].values == [0.125]
    assert folder.runs()[0].reason == "ended by another process in Optuna's tables"


def test_a_study_that_is_deleted_while_it_runs_ends(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS)
    with folder.started() as started:
        started.reporting()
        with optunas_own(folder.url) as storage:
            optuna.delete_study(study_name="tiny", storage=storage)
        status, said = started.end()
        assert status == 2
        assert "deleted" in said
        assert started.workers() == []
    with optunas_own(folder.url) as storage:
        assert optuna.get_all_study_names(storage) == []


def test_somebody_elses_lock_on_the_database_fails_no_trial(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=6, workers=2, seed=7")
    with folder.started() as started:
        started.reporting()
        connection = sqlite3.connect(tmp_path / "sweep.db", isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        threading.Timer(60.0, connection.execute, ["ROLLBACK"]).start()
        status, said = started.end()
        connection.close()
        assert status == 0, said
    assert finished(folder, 6)
    assert set(folder.states()) == {"COMPLETE"}


def test_optuna_reads_the_study_while_it_runs(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS)
    with folder.started() as started:
        run = started.reporting()[0]
        trial = folder.trials()[run.number]
        assert (trial.state.name, trial.params.keys()) == ("RUNNING", {"x"})
        assert len(trial.intermediate_values) >= run.epoch
        assert started.end()[0] == 0


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 12), ("postgresql", 4)])
def test_several_studies_begin_in_one_new_database_at_once_each_with_its_coordinator(tmp_path, request, kind, count):
    storage = request.getfixturevalue("postgresql").create() if kind == "postgresql" else None
    folder = Folder(tmp_path, settings="trials=2, workers=1, seed=7", storage=storage)
    with contextlib.ExitStack() as stack:
        all_started = [stack.enter_context(folder.started("--name", f"study-{number}")) for number in range(count)]
        for started in all_started:
            status, said = started.end()
            assert status == 0, said
    store = Store(folder.url)
    assert len(store.studies()) == count
    assert check_database(store) == []
    store.close()


def test_the_same_study_started_four_times_at_once_is_created_once(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=2, workers=1, seed=7")
    with contextlib.ExitStack() as stack:
        ends = [started.end() for started in [stack.enter_context(folder.started()) for _ in range(4)]]
    assert sorted(status for status, _ in ends) == [0, 2, 2, 2], ends
    assert finished(folder, 2)


def test_ctrl_c_while_the_study_file_loads_ends_at_once_and_leaves_nothing(tmp_path):
    (tmp_path / "tiny.py").write_text("import time\n\ntime.sleep(3600)\n")
    folder = Folder(tmp_path, None)
    with folder.started() as started:
        wait_for(started.workers)
        started.send(signal.SIGINT)
        status, said = started.end()
    assert status == 130
    assert "stopped before the study was loaded" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "__pycache__"] == ["tiny.py"]


def test_a_worker_killed_between_its_trials_beginning_and_the_first_epoch_loses_nothing(tmp_path):
    body = """
    x = trial.suggest_float("x", -1, 1)
    if not os.path.exists("once"):
        open("once", "w").close()
        time.sleep(3600)
    trial.report(x * x, 0)
    return x * x
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    with folder.started() as started:
        wait_for((tmp_path / "once").exists)
        started.workers()[0].kill()
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 3)


HANGS = """
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    if trial.number == 1:
        child = subprocess.Popen(["sleep", "3600"])
        open("child", "w").write(str(child.pid))
        while True:
            try:
                time.sleep(3600)
            except BaseException:
                pass
    return x * x
"""


def test_a_trial_that_hangs_ends_at_its_deadline_with_all_that_it_started_and_is_not_tried_again(tmp_path):
    folder = Folder(tmp_path, HANGS, "trials=4, workers=2, seed=7")
    done = folder.start("--trial-timeout", "2s", "--retries", "2")
    assert done.returncode == 0, done.stderr
    assert finished(folder, 4)
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    hung = folder.runs()[1]
    assert (hung.attempt, hung.reason) == (0, "its worker reported nothing for 2 s, its --stall-timeout")
    with contextlib.suppress(psutil.NoSuchProcess):
        assert not lives(psutil.Process(int((tmp_path / "child").read_text())))


def test_a_worker_that_is_stopped_past_its_deadline_changes_nothing_when_it_goes_on(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=2, workers=1, seed=7")
    with folder.started("--trial-timeout", "2s") as started:
        run = started.reporting()[0]
        worker = started.worker_of(run)
        worker.suspend()
        wait_for(lambda: folder.runs()[run.number].state == "FAIL")
        epochs = folder.runs()[run.number].epoch
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.resume()
        wait_for(lambda: not lives(worker))
        status, said = started.end()
        assert status == 0, said
    assert finished(folder, 2)
    assert folder.runs()[run.number].epoch == epochs


def test_a_trial_that_raises_is_tried_again_as_often_as_asked(tmp_path):
    body = """
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    if trial.number == 1 or trial.attempt < 2:
        raise OSError(f"attempt {trial.attempt}")
    return x * x
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    done = folder.start("--retries", "2")
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert [(run.attempt, run.reason) for run in folder.runs()] == [(2, None), (2, "OSError: attempt 2"), (2, None)]


@pytest.mark.parametrize("error", ['MemoryError("no room")', 'Exhausted("OOM when allocating tensor")'])
def test_what_ran_out_of_memory_is_told_apart_and_not_tried_again(tmp_path, error):
    body = f"""
    n = trial.suggest_int("n", 1, 2)
    class Exhausted(Exception): pass
    Exhausted.__name__ = "ResourceExhaustedError"
    trial.report(n, 0)
    if n == 2:
        raise {error}
    return n
"""
    folder = Folder(tmp_path, body, 'trials=8, workers=1, seed=7, sampler="random"')
    done = folder.start("--retries", "2")
    assert done.returncode == 0, done.stderr
    runs = folder.runs()
    (big,) = (run for run in runs if run.params["n"] == 2)  # they are not proposed again
    assert big.state == "FAIL"
    assert big.reason.startswith("out of memory: ")
    assert folder.states() == [run.state for run in runs]
    more = folder.start("--trials", "12", "--enqueue", "n=2")
    assert more.returncode == 0, more.stderr
    _, again = (run for run in folder.runs() if run.params["n"] == 2)
    assert (again.state, again.reason) == ("PRUNED", f"the same parameters ran out of memory in t{big.number:04d}")


def test_configurations_that_cannot_be_built_teach_the_sampler_and_their_reasons_have_no_colours(tmp_path):
    """Most pairs cannot be built; the first to fail do so before any was trained."""
    body = """
    kernel, layers = trial.suggest_int("kernel", 1, 5), trial.suggest_int("layers", 1, 5)
    if kernel * layers > 6:
        raise ValueError(f"\\x1b[1mException encountered\\x1b[0m: {kernel} by {layers}")
    trial.report(kernel, 0)
    return kernel
"""
    settings = 'trials=30, workers=1, seed=3, sampler="tpe(n_startup_trials=4)"'
    folder = Folder(tmp_path, body, settings)
    done = folder.start("--enqueue", "kernel=5,layers=5")
    assert done.returncode == 0, done.stderr
    runs = folder.runs()
    failed = [run for run in runs if run.state == "FAIL"]
    assert runs[0].reason == "ValueError: Exception encountered: 5 by 5"
    assert len({tuple(run.params.values()) for run in failed}) == len(failed)
    assert sum(run.number >= 20 for run in failed) <= 3
    assert "\x1b" not in "".join(f"{run.reason}{run.traceback}" for run in failed)
    assert folder.states() == [run.state for run in runs]
    assert folder.command("db", "check").stdout == "1 study, nothing wrong\n"


def test_a_trial_that_optuna_adds_from_another_process_while_a_study_runs(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=12, workers=2, seed=7")
    program = (
        "import optuna, sys\n"
        "study = optuna.load_study(study_name='tiny', storage=sys.argv[1])\n"
        "x = {'x': optuna.distributions.FloatDistribution(-1, 1)}\n"
        "study.add_trial(optuna.trial.create_trial(params={'x': 0.125}, distributions=x, value=-5.0))\n"
        "study.enqueue_trial({'x': 0.75})\n"
        "study.ask()\n"  # and runs one for ever: the one that was enqueued
        "study.enqueue_trial({'x': 0.5})\n"
    )
    with folder.started() as started:
        started.reporting()
        subprocess.run([sys.executable, "-c", program, folder.url], check=True, capture_output=True)
        status, said = started.end()
    assert status == 0, said
    assert "12 of 12 trials: 12 complete" in said
    runs, trials = folder.runs(), folder.trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert sorted(trial.state.name for trial in trials) == ["COMPLETE"] * 13 + ["RUNNING"]
    assert [run.params["x"] for run in runs if run.added] == [0.125]
    assert 0.5 in [run.params["x"] for run in runs if not run.added]
    assert folder.command("best", "--json").stdout.count('"value": -5.0') == 1
    assert folder.command("db", "check").stdout == "1 study, nothing wrong\n"
    for words in (
        ["runs"],
        ["runs", "^tiny"],
        ["show", f"t{trials.index(min(trials, key=lambda t: t.value or 0)):04d}"],
    ):
        shown = folder.command(*words)
        assert shown.returncode == 0, shown.stderr
    again = folder.start("--trials", "13")
    assert again.returncode == 0, again.stderr
    assert sum(run.state == "COMPLETE" and not run.added for run in folder.runs()) == 13


FORKS = {
    "returns": ("return -5.0", "0"),
    "raises": ('raise ValueError("of the child")', "1"),
    "exits": ("sys.exit(3)", "3"),
    "reports": ("trial.report(-5.0, 1)", "1"),
    "prunes": ("raise optuna.TrialPruned", "1"),
}


@pytest.mark.parametrize("kind", [pytest.param("returns", marks=pytest.mark.sample), *list(FORKS)[1:]])
def test_a_process_that_a_trial_has_forked_does_not_speak_for_it(tmp_path, kind):
    code, status = FORKS[kind]
    body = f"""
    x = trial.suggest_float("x", -1, 1)
    trial.report(x, 0)
    child = os.fork()
    if child == 0:
        {code}
    open("ended", "a").write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    trial.report(x, 2)
    return x
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert folder.states() == ["COMPLETE"] * 3
    assert [run.value for run in folder.runs()] == [run.params["x"] for run in folder.runs()]
    assert [list(trial.intermediate_values) for trial in folder.trials()] == [[0, 2]] * 3
    assert (tmp_path / "ended").read_text() == status * 3


@pytest.mark.sample
def test_threads_of_a_trial_may_report_at_once(tmp_path):
    body = """
    x = trial.suggest_float("x", -1, 1)
    def report(first):
        for step in range(first, 120, 4):
            trial.report(x, step)
            trial.set_user_attr(f"at {step}", x)
    threads = [threading.Thread(target=report, args=[first]) for first in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return x
"""
    folder = Folder(tmp_path, body, "trials=3, workers=1, seed=7")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    assert [sorted(trial.intermediate_values) for trial in folder.trials()] == [list(range(120))] * 3
    attributes = [[key for key in trial.user_attrs if key.startswith("at ")] for trial in folder.trials()]
    assert [len(keys) for keys in attributes] == [120] * 3
