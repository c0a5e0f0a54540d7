"""The protocol's version is that of its messages: whoever changes one raises it, and writes them down here anew."""

from dataclasses import fields

from sweep.wire import messages as wire

MESSAGES = {
    "Hello": ["declaration", "snapshot", "protocol"],
    "Ask": ["outgrown"],
    "Suggest": ["number", "name", "distribution"],
    "Begin": ["number", "family", "architecture", "epochs", "failed"],
    "BeginTraining": ["number", "training", "unpausable"],
    "Resume": ["number", "epoch", "log"],
    "Epoch": ["number", "epoch", "metrics", "findings", "broken", "unpausable"],
    "Report": ["number", "step", "value"],
    "ShouldPrune": ["number"],
    "Attribute": ["number", "kind", "key", "value"],
    "Imported": ["number", "files"],
    "Stop": ["number"],
    "End": ["number", "state", "values", "reason", "traceback", "trainings"],
    "Refuse": ["error"],
}
ANSWERS = {
    "Done": [],
    "Welcome": ["log", "preview"],
    "Assignment": [
        *("number", "seed", "attempt", "directory", "keep", "broken", "epochs", "force_epochs"),
        *("objective", "direction", "result", "judged", "pauses"),
    ],
    "NoMore": [],
    "Suggestion": ["value"],
    "NoValue": ["reason"],
    "Started": ["name", "directory", "started", "text", "stop"],
    "Advice": ["verdict", "reason"],
    "Ended": ["state", "reason", "duration"],
    "Fenced": ["reason"],
    "Rejected": ["error"],
}


def fields_of(kinds):
    """The names of each kind's fields."""
    return {kind.__name__: [field.name for field in fields(kind)] for kind in kinds.__args__}


def test_these_are_the_messages_of_protocol_6():
    assert wire.PROTOCOL == 6
    assert fields_of(wire.Message) == MESSAGES
    assert fields_of(wire.Answer) == ANSWERS
