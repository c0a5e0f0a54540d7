"""Studies on a Ray cluster of several nodes on this machine, and what becomes of them when parts of it are lost."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sweep.store import RunRecord
from sweep.tensorboard import event_files
from tests.control.oracle import JOURNAL, Oracle
from tests.control.started import MANY_EPOCHS, ONE_EPOCH, RESUMED, Folder, Started, wait_for
from tests.ray_cluster import TOKEN, Nodes, OnCluster, cluster
from tests.refusals import refusal_of

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """A cluster that has nothing but its head yet."""
    with cluster() as nodes:
        yield nodes


WHERE = """
    with open(f"{FOLDER}/where-{trial.number}", "w") as file:
        json.dump([os.environ["CUDA_VISIBLE_DEVICES"], os.environ["RAY_RAYLET_PID"], os.getpid()], file)
    open(f"{FOLDER}/here-{os.getpid()}", "w").close()
    while sum(name.startswith("here-") for name in os.listdir(FOLDER)) < WORKERS:
        time.sleep(0.05)  # until each worker has a trial
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    return x * x
"""
EPOCHS = (
    MANY_EPOCHS.replace("0.05", "0.1")
    .replace("range(20)", "range(8)")
    .replace("return x * x", "return x * x + 1 / (epoch + 1)")
)


def placed(path: Path, nodes: Nodes, body: str, settings: str, *options: str) -> OnCluster:
    """A study that knows its folder and journals there what is acknowledged."""
    folder = OnCluster(path, nodes, body, settings, *options)
    file = path / "tiny.py"
    lines = f"import json\nimport sweep\nFOLDER = {str(path)!r}\nos.chdir(FOLDER)\n{JOURNAL}"
    file.write_text(file.read_text().replace("import sweep\n", lines, 1))
    return folder


def workers() -> list[psutil.Process]:
    """The workers of this process's clusters that live."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            is_worker = "sweep.worker" in (process.info["cmdline"] or [])
            if is_worker and process.environ().get("RAY_AUTH_TOKEN") == TOKEN:
                found.append(process)
        except psutil.Error:
            continue
    return found


def completed(started: Started) -> int:
    """How many trials are complete."""
    return sum(run.state == "COMPLETE" for run in started.folder.runs())


def goes_on(started: Started, trials: int) -> None:
    """Wait until so many more trials are complete."""
    enough = completed(started) + trials
    wait_for(lambda: completed(started) >= enough or started.process.poll() is not None)


def test_workers_are_spread_over_the_nodes_and_each_has_its_gpu(tmp_path, nodes):
    for _ in range(2):
        nodes.add(num_cpus=2, num_gpus=2)
    folder = placed(tmp_path, nodes, WHERE.replace("WORKERS", "4"), "trials=16, seed=7")
    done = folder.start(*folder.options)
    assert done.returncode == 0, done.stdout + done.stderr
    where = [json.loads((tmp_path / f"where-{number}").read_text()) for number in range(16)]
    slots = {(node, gpus) for gpus, node, _ in where}
    assert len(slots) == 4, "as many workers as there are GPUs, one each"
    assert {gpus for _, gpus in slots} == {"0", "1"}
    assert len({pid for _, _, pid in where}) == 4
    Oracle(tmp_path, folder.url).check(16)
    assert not workers()


def test_two_workers_share_a_gpu(tmp_path, nodes):
    nodes.add(num_cpus=2, num_gpus=1)
    folder = placed(tmp_path, nodes, WHERE.replace("WORKERS", "2"), "trials=8, seed=7", "--gpus-per-worker", "0.5")
    done = folder.start(*folder.options)
    assert done.returncode == 0, done.stdout + done.stderr
    where = [json.loads((tmp_path / f"where-{number}").read_text()) for number in range(8)]
    assert {gpus for gpus, _, _ in where} == {"0"}
    assert len({pid for _, _, pid in where}) == 2


def test_whatever_is_lost_of_the_cluster_the_study_loses_nothing(tmp_path, nodes):
    numbers = [nodes.add(num_cpus=1) for _ in range(3)]
    folder = placed(tmp_path, nodes, EPOCHS, "trials=60, seed=7")
    with folder.started(*folder.options) as started:
        started.reporting()
        goes_on(started, 3)
        nodes.ask("remove", node=numbers[0])
        goes_on(started, 3)
        nodes.ask("kill_raylet", node=numbers[1])
        nodes.add(num_cpus=2)
        goes_on(started, 3)
        wait_for(lambda: len(workers()) == 3)
        os.kill(workers()[0].pid, signal.SIGKILL)
        goes_on(started, 3)
        nodes.add(num_cpus=1)
        wait_for(lambda: len(workers()) == 4)
        status, said = started.end()
    assert status == 0, said
    Oracle(tmp_path, folder.url).check(60)
    again = [run for run in folder.runs() if run.attempt]
    assert len(again) >= 2, "what was lost was training"
    wait_for(lambda: not workers())


def test_a_study_whose_cluster_is_lost_says_so_in_a_line_and_goes_on_with_the_same_command(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")  # Ray's own patience is a minute
    with cluster() as nodes:
        nodes.add(num_cpus=2)
        folder = placed(tmp_path, nodes, EPOCHS, "trials=40, seed=7")
        with folder.started(*folder.options) as started:
            started.reporting()
            nodes.ask("kill_head")
            status, said = started.end()
    assert status == 2
    assert "sweep: Lost the Ray cluster: " in said
    assert "Traceback" not in said
    wait_for(lambda: not workers())
    with cluster() as nodes:
        nodes.add(num_cpus=2)
        options = [nodes.address if ":" in word else word for word in folder.options]
        done = folder.start(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    Oracle(tmp_path, folder.url).check(40)


def test_ctrl_c_ends_the_study_and_its_workers_and_it_goes_on_later(tmp_path, nodes):
    nodes.add(num_cpus=2)
    folder = placed(tmp_path, nodes, EPOCHS, "trials=12, seed=7")
    with folder.started(*folder.options) as started:
        started.reporting()
        started.send(signal.SIGINT)
        status, said = started.end()
    assert status == 130, said
    assert "will be run again when the study continues" in said
    wait_for(lambda: not workers())
    assert folder.start(*folder.options).returncode == 0
    Oracle(tmp_path, folder.url).check(12)


def test_a_coordinator_that_is_killed_leaves_no_worker(tmp_path, nodes):
    nodes.add(num_cpus=2)
    folder = placed(tmp_path, nodes, EPOCHS, "trials=12, seed=7")
    with folder.started(*folder.options) as started:
        started.reporting()
        started.process.kill()
        wait_for(lambda: not workers())
    assert folder.start(*folder.options).returncode == 0
    Oracle(tmp_path, folder.url).check(12)


KERAS = """
    import keras
    import numpy as np
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)], name="mlp")
    model.compile(keras.optimizers.Adam(rate), loss="mse")
    def say_slowly(epoch, logs):
        print("trains", trial.number, flush=True)
        time.sleep(0.3)
    slow = keras.callbacks.LambdaCallback(on_epoch_end=say_slowly)
    return sweep.fit(trial, model, x, y, validation_data=(x, y), epochs=10, callbacks=[slow], checkpoint=0)
"""


def steps(run: RunRecord) -> list[int]:
    """The epochs of a run's loss in its event files, in their order."""
    assert run.directory is not None
    return [
        event.step
        for event in event_files.read(Path(run.directory))
        for value in event.summary.value
        if value.tag == "loss"
    ]


def can_hide_folders() -> bool:
    """Whether a process may have mounts of its own."""
    try:
        subprocess.run(["unshare", "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def test_workers_bring_their_files_where_their_nodes_do_not_see_the_log_directory(tmp_path):
    (tmp_path / "runs").mkdir()
    if not can_hide_folders():
        pytest.skip("a folder is hidden from nodes by a mount of theirs, which takes root")
    with cluster(blind_to=tmp_path / "runs") as nodes:
        nodes.add(num_cpus=2)
        folder = OnCluster(tmp_path, nodes, KERAS, "trials=4, seed=7, broken='ignore'")
        refused = folder.start(*folder.options, "--shared-logdir")
        assert refused.returncode == 2
        assert "--shared-logdir needs every node to see the log directory" in refused.stderr
        with folder.started(*folder.options) as started:
            live = started.reporting()[0]
            wait_for(lambda: len(steps(live)) >= 2)  # while it trains
            wait_for(lambda: list((Path(str(live.directory)) / "checkpoints").glob("[!.]*")))
            os.kill(next(process for process in workers() if process.cmdline()[-1] == live.worker).pid, signal.SIGKILL)
            status, said = started.end()
    assert status == 0, said
    assert "does not see" in said
    for run in folder.runs():
        assert run.state == "COMPLETE"
        assert run.directory is not None
        assert sorted({*steps(run)}) == list(range(10))
        assert (Path(run.directory) / "weights.npz").exists()
        assert not (Path(run.directory) / "checkpoints").exists()
    (again,) = [run for run in folder.runs() if run.attempt]
    assert len(steps(again)) < 15, "it has gone on from its checkpoint"
    logs = "".join(log.read_text() for log in (tmp_path / "runs" / "tiny" / "workers").iterdir())
    assert all(f"trains {number}" in logs for number in range(4))
    assert not list((tmp_path / "runs").rglob(".*")), "no probe and nothing half brought is left"


PAUSES = """
    with open(f"{FOLDER}/where-{trial.number}", "a") as file:
        print(os.environ["RAY_RAYLET_PID"], file=file)
""" + RESUMED.replace("EPOCHS", "6").replace("SECONDS", "0.05").lstrip("\n")


def test_a_run_that_pauses_continues_on_another_node(tmp_path):
    (tmp_path / "runs").mkdir()
    with cluster(blind_to=tmp_path / "runs" if can_hide_folders() else None) as nodes:
        for _ in range(2):
            nodes.add(num_cpus=1)
        folder = placed(tmp_path, nodes, PAUSES, "trials=24, seed=7")
        done = folder.start(*folder.options, "--pruner", "asha(rungs=[1, 3])")
    assert done.returncode == 0, done.stdout + done.stderr
    runs = folder.runs()
    assert {run.state for run in runs} == {"COMPLETE", "PRUNED"}, [run.why for run in runs]
    moved = [number for number in range(24) if len(set((tmp_path / f"where-{number}").read_text().split())) > 1]
    assert moved, "a run has had workers of both nodes"
    assert not workers()


def test_ray_is_started_here_where_no_address_is_given(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder = Folder(tmp_path, ONE_EPOCH, "trials=4, seed=7")
    done = folder.start("--on", "ray", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.states() == ["COMPLETE"] * 4


def test_a_cluster_that_cannot_be_had_is_refused_in_a_line_that_says_what_to_do(tmp_path, nodes, monkeypatch):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=4, seed=7")
    refused = folder.start("--on", "ray", "--address", "127.0.0.1:1")
    assert refused.returncode == 2
    said = "Cannot reach the Ray cluster at 127.0.0.1:1: Connection refused."
    assert refusal_of(refused.stderr) == f"sweep: {said} Check that its head is running, with: ray status"
    monkeypatch.setenv("RAY_gcs_server_request_timeout_seconds", "5")
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]  # sees no process of the cluster, as another machine
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0:
        refused = folder.start("--on", "ray", "--address", nodes.address, before=alone)
        assert refused.returncode == 2
        assert refusal_of(refused.stderr) == (
            "sweep: This machine is not a node of the Ray cluster, and `--on ray` must be given on one. "
            f"Run here first: ray start --address={nodes.address} --num-cpus=0"
        )
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-somebody-else")
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "2")  # Ray's own patience
    refused = folder.start("--on", "ray", "--address", nodes.address)
    assert refused.returncode == 2
    assert nodes.address in refusal_of(refused.stderr)
    assert "RAY_AUTH_TOKEN" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.py"]


def test_a_worker_waits_for_a_node_that_has_what_it_takes(tmp_path, nodes):
    nodes.add(num_cpus=1)
    folder = Folder(tmp_path, ONE_EPOCH, "trials=4, seed=7")
    with folder.started("--on", "ray", "--address", nodes.address, "--resource", "large=1") as started:
        wait_for(lambda: "no node of the cluster has room for a worker, which takes 1 CPU, 1 large" in started.said())
        nodes.add(num_cpus=1, resources={"large": 2})
        status, said = started.end()
    assert status == 0, said
    assert any("sweep start" in line and "--resource large=1" in line for line in said.splitlines()[-5:])
