"""What holds of a study wherever its workers run: in the coordinator's process, as its processes, on a Ray cluster."""

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator

import pytest

from sweep.store import Store
from tests.control.started import MANY_EPOCHS, Folder, wait_for
from tests.ray_cluster import cluster
from tests.refusals import refusal_of

pytestmark = pytest.mark.slow


def at(place: str) -> Iterator[list[str]]:
    """The options of `sweep start` that have workers run there."""
    if place == "ray":
        with cluster() as nodes:
            nodes.add(num_cpus=2)
            yield ["--on", "ray", "--address", nodes.address, "--workers", "2"]
    else:
        yield ["--workers", {"in-process": "0", "local": "2"}[place]]


@pytest.fixture(scope="module", params=["in-process", "local", "ray"])
def anywhere(request) -> Iterator[list[str]]:
    """Each place there is."""
    yield from at(request.param)


@pytest.fixture(scope="module", params=["local", "ray"])
def elsewhere(request) -> Iterator[list[str]]:
    """Each place where a worker is a process of its own."""
    yield from at(request.param)


KINDS = """
    trial.set_user_attr("pid", os.getpid())
    x = trial.suggest_float("x", -1, 1)
    for epoch in range(3):
        trial.report(x * x + 1 / (epoch + 1), epoch)
        if trial.should_prune() or trial.number == 1:
            raise optuna.TrialPruned("enough")
    if trial.number == 2:
        raise ValueError("no such thing")
    if trial.number == 3:
        sys.exit("left")
    return float("nan") if trial.number == 4 else x * x
"""


def test_each_trial_ends_as_its_objective_does_and_the_study_is_complete(tmp_path, anywhere):
    folder = Folder(tmp_path, KINDS, "trials=8, seed=7")
    done = folder.start(*anywhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.states() == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "FAIL", *["COMPLETE"] * 3]
    runs = folder.runs()
    assert [run.reason for run in runs[1:5]] == [
        "enough",
        "ValueError: no such thing",
        "SystemExit: left",
        "train returned NaN",
    ]
    assert 'raise ValueError("no such thing")' in str(runs[2].traceback)
    assert [run.epoch for run in runs] == [3, 1, *[3] * 6]
    assert len({run.seed for run in runs}) == 8
    with contextlib.closing(Store(folder.url)) as store:
        assert store.study("tiny").declaration.file == str(tmp_path / "tiny.py"), "and no copy of it on a node"


def test_ctrl_c_queues_what_runs_and_the_same_command_goes_on_with_it(tmp_path, anywhere):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=4, seed=7")
    with folder.started(*anywhere) as started:
        started.reporting()
        started.send(signal.SIGINT)
        status, said = started.end()
    assert status == 130, said
    waiting = [run for run in folder.runs() if run.state == "WAITING"]
    assert waiting
    assert f"sweep start tiny.py {' '.join(anywhere[-2:])}" in said or "--on ray" in said
    assert folder.start(*anywhere).returncode == 0
    assert folder.states() == ["COMPLETE"] * 4
    after = {run.number: run for run in folder.runs()}
    for run in waiting:
        assert (after[run.number].name, after[run.number].attempt) == (run.name, 1)


def test_stop_and_prune_from_elsewhere_are_obeyed(tmp_path, anywhere):
    folder = Folder(tmp_path, MANY_EPOCHS.replace("range(20)", "range(4000)"), "trials=4, seed=7")
    with folder.started(*anywhere) as started:
        run = started.reporting()[0]
        assert folder.command("prune", "tiny", f"t{run.number:04}$", "--yes").returncode == 0
        wait_for(lambda: folder.runs()[run.number].state == "PRUNED")
        assert folder.command("stop", "tiny").returncode == 0
        status, said = started.end()
    assert status == 0, said
    assert set(folder.states()) == {"PRUNED", "WAITING"}


def test_a_study_that_cannot_be_is_refused_in_a_line_and_leaves_nothing(tmp_path, anywhere):
    folder = Folder(tmp_path, '    trial.suggest_float("", 0, 1)', "trials=4, seed=7")
    refused = folder.start(*anywhere)
    assert refused.returncode == 2
    assert refusal_of(refused.stderr).startswith("sweep: A parameter's name must be text of 1 to 512 characters")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["tiny.py"]


def test_a_file_that_does_not_import_is_refused_with_its_line(tmp_path, anywhere):
    (tmp_path / "tiny.py").write_text("import sweep\nimport no_such_module\n")
    refused = Folder(tmp_path, None).start(*anywhere)
    assert refused.returncode == 2
    assert "No module named 'no_such_module' (line 2)" in refused.stderr
    refusal_of(refused.stderr)


def test_a_killed_worker_is_replaced_and_its_trial_run_again(tmp_path, elsewhere):
    body = MANY_EPOCHS.replace("    x =", '    trial.set_user_attr("pid", os.getpid())\n    x =', 1)
    folder = Folder(tmp_path, body, "trials=3, seed=7")
    with folder.started(*elsewhere) as started:
        run = started.reporting()[0]
        os.kill(folder.trials()[run.number].user_attrs["pid"], signal.SIGKILL)
        status, said = started.end()
    assert status == 0, said
    assert folder.states() == ["COMPLETE"] * 3
    again = folder.runs()[run.number]
    assert (again.name, again.attempt, again.epoch) == (run.name, 1, 20)
    assert "killed by SIGKILL" in str(again.interruptions)


def test_a_trial_that_takes_its_worker_with_it_has_failed_and_is_not_tried_again(tmp_path, elsewhere):
    body = """
    trial.report(trial.suggest_float("x", -1, 1), 0)
    if trial.number == 1:
        print("last words", flush=True)
        os._exit(4)
    return 0.0
"""
    folder = Folder(tmp_path, body, "trials=3, seed=7")
    done = folder.start(*elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert (folder.runs()[1].attempt, folder.runs()[1].reason) == (0, "its worker left with exit status 4")
    logs = [log.read_text() for log in (tmp_path / "runs" / "tiny" / "workers").iterdir()]
    assert "last words\n" in logs


HOARDING = """
    import psutil
    hoard = sys.__dict__.setdefault("hoard", [])
    hoard.append(b"x" * 12_000_000)
    time.sleep(0.03)
    process = psutil.Process()
    trial.set_user_attr("pid", process.pid)
    trial.set_user_attr("process_began", process.create_time())
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    return x * x
"""


def test_a_worker_whose_memory_grows_is_relieved_while_it_goes_on_and_no_trial_is_lost(tmp_path, elsewhere):
    folder = Folder(tmp_path, HOARDING, "trials=160, seed=7")
    ended = folder.start(*elsewhere[:-1], "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert folder.states() == ["COMPLETE"] * 160
    assert {run.attempt for run in folder.runs()} == {0}
    began = {trial.user_attrs["pid"]: trial.user_attrs["process_began"] for trial in folder.trials()}
    assert len(began) > 1, "nobody was relieved"
    processes = list(began)  # in the order of their first trials; none comes back after another has begun
    assert [pid for pid, _ in itertools.groupby(trial.user_attrs["pid"] for trial in folder.trials())] == processes
    for old, new in itertools.pairwise(processes):
        last = max(trial.datetime_start for trial in folder.trials() if trial.user_attrs["pid"] == old)
        assert began[new] < last.timestamp(), "the successor was started only when its predecessor had left"
