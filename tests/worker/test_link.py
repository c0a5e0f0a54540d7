"""A worker's link: each answer reaches who asked for it, whichever thread it is."""

import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import pytest

from sweep.wire import messages as wire
from sweep.worker.link import Link


@pytest.fixture
def link():
    """A link whose coordinator answers each report with what it was given, in the order in which they come."""
    ours, theirs = Pipe()

    def answer():
        while True:
            try:
                data = theirs.recv_bytes()
            except EOFError:
                return
            _, message = wire.decode_message(data)
            theirs.send_bytes(wire.encode(wire.Suggestion(getattr(message, "step", -1))))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield Link(ours, "0")
    ours.close()
    thread.join()


def test_threads_that_ask_at_once_have_their_own_answers(link):
    def ask(step):
        return link.call(wire.Report(0, step, 0.5), wire.Suggestion).value

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(400))) == list(range(400))


def test_an_answer_that_is_received_later_waits_while_others_ask(link):
    link.send(wire.Report(0, 7, 0.5))
    assert [link.call(wire.Report(0, step, 0.5), wire.Suggestion).value for step in (8, 9)] == [8, 9]
    assert link.receive(wire.Suggestion).value == 7


def test_an_answer_that_nobody_has_received_is_not_taken_for_the_next_one(link):
    link.send(wire.Report(0, 1, 0.5))
    link.call(wire.Report(0, 2, 0.5), wire.Suggestion)
    link.send(wire.Report(0, 3, 0.5))
    assert link.receive(wire.Suggestion).value == 3
    link.send(wire.Report(0, 4, 0.5))
    link.send(wire.Report(0, 5, 0.5))
    assert link.receive(wire.Suggestion).value == 5
