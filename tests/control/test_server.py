"""The coordinator's end of its connections, over real ones."""

import json
import logging
import threading
from multiprocessing.connection import Client

import pytest
from optuna.distributions import distribution_to_json

from sweep.control.start import Engaged, running
from sweep.declaration import versions
from sweep.errors import StudyError
from sweep.protocol import PROTOCOL
from sweep.store import Training
from sweep.train.link import Link, Refused, TrialTaken
from tests.control.memory import declare
from tests.control.started import wait_for
from tests.control.workers import SPACE, a_house


@pytest.fixture
def engaged(tmp_path):
    with a_house(tmp_path) as house:
        house.close = lambda: None
        with running(house.coordinator) as engaged:
            yield engaged


@pytest.fixture
def link(engaged):
    with connected(engaged) as connection:
        yield said_hello(connection)


def connected(engaged: Engaged):
    """A new connection, of a worker that has said nothing yet."""
    return Client(engaged.server.address, family="AF_UNIX")


def said_hello(connection) -> Link:
    """Worker 0, which has declared the study."""
    link = Link(connection, "0")
    link.call("hello", protocol=PROTOCOL, declaration=declare().as_dict())
    return link


def test_a_trial_goes_over_the_connection(link):
    number = link.call("ask")["number"]
    link.call("suggest", number=number, name="x", distribution=distribution_to_json(SPACE["x"]))
    name = link.call("start", number=number, family="mlp", architecture=None, epochs=1)["name"]
    assert name.endswith("-t0000")
    training = Training(0, judged=True, monitor="loss").as_dict()
    link.call("training", number=number, training=training)
    link.send("epoch", number=number, epoch=0, metrics={"loss": float("nan")}, findings=None, broken=None)
    assert link.receive()["verdict"] == "prune"
    ended = link.call("end", number=number, state="PRUNED", values=None, reason="why", traceback=None, trainings=[])
    assert (ended["state"], ended["reason"]) == ("PRUNED", "why")


@pytest.mark.parametrize("spoken", [{}, {"protocol": PROTOCOL + 1}])
def test_a_worker_of_another_protocol_is_refused_with_both_versions(engaged, spoken):
    declaration = declare().as_dict() | {"versions": {"sweep": "0.0.9"}}
    with connected(engaged) as connection, pytest.raises(Refused):
        Link(connection, "0").call("hello", declaration=declaration, unheard_of=1, **spoken)
    said = str(engaged.coordinator.error)
    assert said.startswith(f"A worker has sweep 0.0.9 (protocol {spoken.get('protocol')})")
    assert f"the coordinator has sweep {versions()['sweep']} (protocol {PROTOCOL})" in said
    assert not engaged.coordinator.is_open


def test_a_worker_is_told_that_it_is_fenced(link):
    with pytest.raises(TrialTaken):
        link.call("should_prune", number=17)


def test_what_the_study_does_wrong_ends_it(engaged, link):
    link.call("ask")
    with pytest.raises(Refused):
        link.call("suggest", number=0, name="", distribution=distribution_to_json(SPACE["x"]))
    assert isinstance(engaged.coordinator.error, StudyError)
    assert link.call("ask") == {"end": True}
    engaged.recovery.gone("0", "left", killed=False)


def test_a_worker_may_refuse_its_study(engaged):
    with connected(engaged) as connection:
        Link(connection, "0").refuse(StudyError("It is impossible.", "Do something else."))
    assert str(engaged.coordinator.error) == "It is impossible. Do something else."
    assert engaged.coordinator.finished.is_set()


def test_a_refusal_by_a_worker_of_another_version_ends_the_study_too(engaged):
    with connected(engaged) as connection:
        connection.send_bytes(json.dumps({"op": "refused", "worker": "0", "rule": "a rule", "got": None}).encode())
        assert "Install the same version of sweep" in json.loads(connection.recv_bytes())["error"]["hint"]
    assert engaged.coordinator.finished.is_set()


@pytest.mark.parametrize(
    ("message", "arguments"), [(["nothing"], {}), (["ask"], {"number": 3}), (["epoch"], {"number": "x"})]
)
def test_a_message_that_is_none_ends_the_study_with_its_traceback(tmp_path, caplog, message, arguments):
    with a_house(tmp_path) as house:
        house.close = lambda: None
        with caplog.at_level(logging.CRITICAL), running(house.coordinator) as engaged, connected(engaged) as connection:
            link = said_hello(connection)
            with pytest.raises(TrialTaken):
                link.call(*message, **arguments)
        with pytest.raises((KeyError, TypeError)):
            house.coordinator.raise_error()


def test_bytes_that_are_no_message_end_their_connection_alone(engaged, link):
    with connected(engaged) as connection:
        connection.send_bytes(b"\x80\x04]nonsense")
        with pytest.raises(EOFError):
            connection.recv_bytes()
    assert "number" in link.call("ask")


def test_what_a_worker_sent_last_is_answered_before_it_counts_as_gone(engaged, link):
    number = link.call("ask")["number"]
    link.send("end", number=number, state="COMPLETE", values=[0.5], reason=None, traceback=None, trainings=[])
    link._connection.close()
    engaged.server.wait_served("0", seconds=30)
    engaged.recovery.gone("0", "killed by SIGKILL", killed=True)
    assert engaged.coordinator.opened.ledger.run(number).state == "COMPLETE"


def test_a_closed_server_has_no_thread_left(tmp_path):
    with a_house(tmp_path) as house, running(house.coordinator):
        assert any(thread.name == "accept" for thread in threading.enumerate())
    wait_for(lambda: not any(thread.name == "accept" for thread in threading.enumerate()))


def test_a_message_is_plain_json(engaged):
    with connected(engaged) as connection:
        connection.send_bytes(
            json.dumps({"op": "refused", "worker": "0", "message": "It is impossible.", "hint": None}).encode()
        )
        assert json.loads(connection.recv_bytes()) == {}
