"""The protocol's version is that of its messages: whoever changes one raises it, and writes them down here anew."""

import inspect

from sweep.control.desk import Desk
from sweep.control.server import OPERATIONS
from sweep.protocol import PROTOCOL

MESSAGES = {
    "hello": ["declaration", "snapshot"],
    "ask": ["outgrown"],
    "suggest": ["number", "name", "distribution"],
    "start": ["number", "family", "architecture", "epochs", "failed"],
    "training": ["number", "training"],
    "resume": ["number", "epoch", "log"],
    "epoch": ["number", "epoch", "metrics", "findings", "broken"],
    "report": ["number", "step", "value"],
    "should_prune": ["number"],
    "attribute": ["number", "kind", "key", "value"],
    "imported": ["number", "files"],
    "end": ["number", "state", "values", "reason", "traceback", "trainings"],
}


def test_these_are_the_messages_of_protocol_3():
    assert PROTOCOL == 3
    taken = {name: list(inspect.signature(getattr(Desk, name)).parameters)[2:] for name in OPERATIONS}
    assert taken == MESSAGES
