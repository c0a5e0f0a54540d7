"""The coordinator's end of its connections, over real ones."""

import asyncio
import json
import logging
import struct
import threading
from multiprocessing.connection import Client

import pytest
from optuna.distributions import distribution_to_json

from sweep.control.loop import Loop
from sweep.control.progress import Silent
from sweep.control.start import running
from sweep.core import events as ev
from sweep.declaration import versions
from sweep.errors import MachineFault, StudyError, SweepError
from sweep.options import Settings
from sweep.wire import messages as wire
from sweep.worker.link import Link, StudyRefused, TrialTaken
from tests.control.memory import declare
from tests.control.started import wait_for
from tests.control.workers import SPACE, a_house


@pytest.fixture
def loop(tmp_path):
    with a_house(tmp_path) as house:
        yield house.loop


@pytest.fixture
def link(loop):
    with connected(loop) as connection:
        yield said_hello(connection)


def connected(loop: Loop):
    """A new connection, of a worker that has said nothing yet."""
    return Client(loop.address, family="AF_UNIX")


def said_hello(connection) -> Link:
    """Worker 0, which has declared the study."""
    link = Link(connection, "0")
    link.call(wire.Hello(declare().as_dict(), None, wire.PROTOCOL), wire.Welcome)
    return link


def test_a_trial_goes_over_the_connection(link):
    number = link.call(wire.Ask(), wire.Assignment).number
    link.call(wire.Suggest(number, "x", distribution_to_json(SPACE["x"])), wire.Suggestion)
    assert link.call(wire.Begin(number, "mlp", None, 1), wire.Started).name.endswith("-t0000")
    link.call(wire.BeginTraining(number, {"number": 0, "judged": True, "monitor": "loss"}), wire.Done)
    link.send(wire.Epoch(number, 0, {"loss": float("nan")}, None, None))
    assert link.receive(wire.Advice).verdict == "prune"
    ended = link.call(wire.End(number, "PRUNED", None, "why", None, []), wire.Ended)
    assert (ended.state, ended.reason) == ("PRUNED", "why")


@pytest.mark.parametrize(
    "hello",
    [
        {"is": "Hello", "protocol": None},
        {"is": "Hello", "protocol": wire.PROTOCOL + 1, "unheard_of": 1},
        {"op": "hello", "protocol": 2},
    ],
)
def test_a_worker_of_another_protocol_is_refused_with_both_versions(loop, hello):
    declaration = declare().as_dict() | {"versions": {"sweep": "0.0.9"}}
    with connected(loop) as connection:
        connection.send_bytes(json.dumps({**hello, "worker": "0", "declaration": declaration}).encode())
        assert json.loads(connection.recv_bytes())["is"] == "Rejected"
    said = str(wait_for(lambda: loop.study.error))
    assert said.startswith(f"A worker has sweep 0.0.9 (protocol {hello['protocol']})")
    assert f"the coordinator has sweep {versions()['keras-sweep']} (protocol {wire.PROTOCOL})" in said
    assert not loop.study.is_open


def test_a_worker_is_told_that_it_is_fenced(link):
    with pytest.raises(TrialTaken):
        link.call(wire.ShouldPrune(17), wire.Advice)


def test_what_the_study_does_wrong_ends_it(loop, link):
    link.call(wire.Ask(), wire.Assignment)
    with pytest.raises(StudyRefused):
        link.call(wire.Suggest(0, "", distribution_to_json(SPACE["x"])), wire.Suggestion)
    assert isinstance(loop.study.error, StudyError)
    assert link.call(wire.Ask(), wire.NoMore) == wire.NoMore()


def test_a_worker_may_refuse_its_study(loop):
    error = StudyError("It is impossible.", "Do something else.")
    with connected(loop) as connection:
        Link(connection, "0").refuse(error)
    assert str(loop.study.error) == str(error)
    assert loop.wait(30)


def test_a_refusal_by_a_worker_of_another_version_ends_the_study_too(loop):
    with connected(loop) as connection:
        connection.send_bytes(json.dumps({"op": "refused", "worker": "0", "rule": "a rule", "got": None}).encode())
        assert "Install the same version of sweep" in json.loads(connection.recv_bytes())["error"]["hint"]


@pytest.mark.parametrize(
    "message", [{"is": "Nothing"}, {"is": "Ask", "number": 3}, {"is": "Epoch", "number": "x"}, {"worker": "0"}]
)
def test_a_message_that_is_none_ends_the_study_with_its_traceback(loop, link, caplog, message):
    link._connection.send_bytes(json.dumps({"worker": "0", **message}).encode())
    link._unanswered += 1
    with caplog.at_level(logging.CRITICAL), pytest.raises(TrialTaken):
        link.receive(wire.Done)
    wait_for(lambda: loop.study.crash)
    with pytest.raises((KeyError, TypeError)):
        loop.raise_error()


def test_bytes_that_are_no_message_end_their_connection_alone(loop, link):
    with connected(loop) as connection:
        connection.send_bytes(b"\x80\x04]nonsense")
        with pytest.raises(EOFError):
            connection.recv_bytes()
    assert link.call(wire.Ask(), wire.Assignment)


def test_a_message_may_come_in_pieces_and_two_at_once(loop, link):
    data = wire.encode(wire.Ask(), worker="1")
    hello = wire.encode(wire.Hello(declare().as_dict(), None, wire.PROTOCOL), worker="1")
    frames = b"".join(struct.pack("!i", len(part)) + part for part in (hello, data))
    with connected(loop) as connection:
        for place in range(0, len(frames), 100):
            connection._send(frames[place : place + 100])
        answers = [wire.decode_answer(connection.recv_bytes()) for _ in range(2)]
    assert [type(answer) for answer in answers] == [wire.Welcome, wire.Assignment]


def test_what_a_worker_sent_last_counts_although_it_is_gone(loop, link):
    number = link.call(wire.Ask(), wire.Assignment).number
    link.send(wire.End(number, "COMPLETE", [0.5], None, None, []))
    link._connection.close()
    wait_for(lambda: loop.study.runs[number].state == "COMPLETE")


def test_a_loop_that_has_stopped_leaves_no_thread_and_no_file(tmp_path):
    before = set(threading.enumerate())
    with a_house(tmp_path) as house:
        house.worker("0").train()
        address = house.loop.address
    wait_for(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()])
    with pytest.raises(FileNotFoundError):
        Client(address, family="AF_UNIX")


def test_two_studies_run_in_one_process_beside_another_event_loop(tmp_path):
    async def both() -> list[int]:
        with a_house(tmp_path, name="one") as one, a_house(tmp_path, name="two") as two:
            return [house.worker("0").train() for house in (one, two) for _ in range(2)]

    assert asyncio.run(both()) == [0, 1, 0, 1]


def test_a_socket_that_cannot_be_made_is_refused_in_a_line(tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(SweepError, match=r"Cannot make a socket at .*: AF_UNIX path too long Set TMPDIR to a shorter"):
        Loop(Settings()).start()


class SlowExecutor:
    """Starts its first worker when it is let."""

    def __init__(self, post):
        self.post, self.started, self.may = post, [], threading.Event()

    def start(self):
        self.post(ev.Room(3))

    def submit(self, worker, _slot, _slots):
        self.started.append(worker)
        self.may.wait()

    def kill(self, worker):
        self.post(ev.Exited(worker, "killed by SIGKILL", killed=True))

    def close(self): ...


def test_workers_whose_turn_has_not_come_are_not_started_when_the_study_ends():
    loop = Loop(Settings())
    with running(loop):
        executor = SlowExecutor(loop.post)
        loop.use(executor)
        wait_for(lambda: executor.started)
        loop.signal("Ctrl-C", 1)
        wait_for(lambda: loop.study.over)
        executor.may.set()
        assert loop.wait()
    assert executor.started == ["0"]


def test_a_display_that_fails_ends_nothing(caplog):
    class Broken(Silent):
        def message(self, text):
            raise ValueError(text)

    loop = Loop(Settings(), Broken())
    with running(loop):
        loop.post(ev.Troubled("something"))
        wait_for(lambda: "the display failed" in caplog.text)
        loop.signal("Ctrl-C", 1)
        assert loop.wait()
    loop.raise_error()


def no_memory(*_arguments, **_settings):
    raise MemoryError


@pytest.mark.parametrize("thread", ["coordinator", "its callbacks", "hands", "sampling"])
def test_a_thread_that_dies_for_want_of_memory_ends_the_study_in_a_sentence(thread, monkeypatch, caplog, capsys):
    loop = Loop(Settings())
    with running(loop):
        if thread == "coordinator":
            monkeypatch.setattr(loop, "_callback_failed", no_memory)
            loop._loop.set_exception_handler(no_memory)  # asyncio logs what that raises, unless it has no memory to
            monkeypatch.setattr("asyncio.base_events.logger.error", no_memory)
            loop._loop.call_soon_threadsafe(no_memory)
        elif thread == "its callbacks":
            loop._loop.call_soon_threadsafe(no_memory)
        else:
            monkeypatch.setattr(loop, "post", no_memory)
            hands = loop._hands if thread == "hands" else loop.sampling._hands
            hands._failed = no_memory
            hands.put(no_memory)
        with pytest.raises(MachineFault, match="Not enough memory for the process that runs the study"):
            loop.wait(30)
    assert caplog.text == ""
    assert "Traceback" not in capsys.readouterr().err


def test_a_thread_that_dies_of_something_else_ends_the_study_with_that():
    def broken(_error):
        raise ValueError("a fault of ours")

    loop = Loop(Settings())
    with running(loop):
        loop._hands._failed = broken
        loop._hands.put(no_memory)
        with pytest.raises(ValueError, match="a fault of ours"):
            loop.wait(30)
