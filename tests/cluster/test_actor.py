"""An actor without Ray: it starts a real worker, and hands on what that says, each thing once."""

import json
import os
import signal
from pathlib import Path

import pytest

from sweep.cluster.actor import WorkerActor
from sweep.cluster.archive import pack
from sweep.cluster.probe import probing, sees
from sweep.wire.messages import PROTOCOL, NoMore, Welcome, encode
from tests.control.started import ONE_EPOCH, ROOT, Folder, wait_for


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Folder(tmp_path, ONE_EPOCH, "trials=1, seed=7")
    return "tiny.py", pack(tmp_path, tmp_path / "runs")


@pytest.fixture
def blind(study, tmp_path):
    """An actor whose node does not see the log directory."""
    with probing(tmp_path / "runs") as probe:
        pass
    actor = WorkerActor(*study, 1.0, 0.0, probe)
    yield actor
    actor.kill("0")
    for held in actor._held.values():
        held.process.wait()
        held.connection.close()
    actor.leave()


def say(actor, turn, answer):
    """Answer a worker; what it says next."""
    parcel = actor.exchange("0", turn, encode(answer))
    return None if parcel.message is None else json.loads(parcel.message), parcel


def test_a_worker_says_hello_with_its_protocol_and_a_call_that_comes_twice_has_the_same_answer(blind):
    begun = blind.begin("0")
    assert blind.begin("0") == begun, "and no second worker"
    assert begun.folder is not None
    first = blind.exchange("0", 0, None)
    hello = json.loads(first.message)
    assert (hello["is"], hello["worker"], hello["protocol"]) == ("Hello", "0", PROTOCOL)
    assert blind.exchange("0", 0, None) is first
    asks, parcel = say(blind, 1, Welcome(os.devnull, preview=False))
    assert asks["is"] == "Ask"
    assert say(blind, 1, Welcome(os.devnull, preview=False))[1] is parcel, "the worker is not answered twice"


def test_a_worker_that_is_sent_home_ends_and_leaves_nothing(blind):
    folder = blind.begin("0").folder
    blind.exchange("0", 0, None)
    say(blind, 1, Welcome(os.devnull, preview=False))
    message, parcel = say(blind, 2, NoMore())
    assert (message, parcel.more) == (None, False)
    ending = blind.wait("0")
    assert (ending.how, ending.killed) == ("left with exit status 0", False)
    assert not os.path.exists(folder)


def test_a_killed_worker_says_nothing_more_and_how_it_ended_is_known(blind):
    blind.begin("0")
    blind.exchange("0", 0, None)
    blind.kill("0")
    assert blind.exchange("0", 1, b"{}").message is None
    ending = blind.wait("0")
    assert (ending.how, ending.killed) == ("killed by SIGKILL", True)
    assert blind.wait("0") == ending


def test_a_worker_that_is_killed_before_it_begins_does_not_live(blind):
    blind.kill("0")
    blind.begin("0")
    assert blind.wait("0").how == "killed by SIGKILL"


def test_a_worker_without_a_gpu_sees_none_and_has_its_cores(study, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with probing(tmp_path / "runs") as probe:
        seeing = WorkerActor(*study, 3.0, 0.0, probe)
        assert seeing.begin("0").folder is None
        pid = seeing._held["0"].process._process.pid
        environment = wait_for(lambda: _environment(pid))
        seeing.kill("0")
        seeing.wait("0")
        seeing.leave()
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["TF_NUM_INTRAOP_THREADS"] == "3"


def _environment(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/environ") as file:
        return dict(line.split("=", 1) for line in file.read().split("\0") if "=" in line)


def test_a_probe_is_seen_while_it_is_there_and_leaves_nothing(tmp_path):
    logdir = tmp_path / "logs" / "runs"
    with probing(logdir) as probe:
        assert sees(probe)
        assert [path.name for path in logdir.iterdir()] == [os.path.basename(probe.path)]
    assert not sees(probe)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_content_is_not_the_log_directory(tmp_path):
    with probing(tmp_path) as probe:
        Path(probe.path).write_text("another")
        assert not sees(probe)


def test_the_signals_that_come_from_outside_are_told_from_faults(blind):
    blind.begin("0")
    blind.exchange("0", 0, None)
    os.kill(blind._held["0"].process._process.pid, signal.SIGSEGV)
    ending = blind.wait("0")
    assert (ending.how, ending.killed) == ("died by SIGSEGV", False)
