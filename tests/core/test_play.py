"""Random sequences of events against the oracle: see `tests.core.play`."""

from collections import Counter

import pytest

from sweep.core import events as ev
from sweep.core.policy import FailurePolicy
from sweep.core.study import StudyMachine
from sweep.core.trial import State
from sweep.wire import messages as wire
from tests.core.play import Broken, play

SEQUENCES = 1_000
"""How many a test run plays; `python -m tests.core.test_play 20000` plays as many as it is told."""


def play_many(sequences: int) -> Counter[str]:
    """Play so many sequences; how often each event came, by the states of the trials."""
    coverage: Counter[str] = Counter()
    for seed in range(sequences):
        play(seed, coverage=coverage)
    return coverage


def test_whatever_happens_nothing_acknowledged_is_lost_and_the_study_ends():
    coverage = play_many(SEQUENCES)
    live = {State.QUEUED, State.BUILDING, State.TRAINING, State.ENDING}  # SAMPLING is too short for all of them
    happens = {"Tick", "HungUp", "Exited", "Signal", "Said", "Looked", "Refused", "Written"}
    expected = {f"{state.name} {event}" for state in live for event in happens}
    missing = (expected | {"SAMPLING Tick", "SAMPLING Said", "SAMPLING HungUp"}) - coverage.keys()
    assert not missing, "every event comes in every state of a trial"
    messages = {kind.__name__ for kind in (wire.Hello, wire.Ask, wire.Suggest, wire.Begin, wire.Epoch, wire.End)}
    assert messages <= coverage.keys()


def acknowledged_at_once(monkeypatch):
    def acknowledge(self, reply):
        self.kept = self._write_due = True
        if reply is not None:
            self._do(reply)

    monkeypatch.setattr(StudyMachine, "_acknowledge", acknowledge)


def ended_twice(monkeypatch):
    told = StudyMachine._told

    def tell(self, event):
        trial = self.trials[event.number]
        told(self, event)
        if trial.end.by is not None:
            self._acknowledge(ev.Reply(trial.end.by, wire.Ended(event.state, None, 0.0)))

    monkeypatch.setattr("sweep.core.study._HANDLERS", {**_handlers(), ev.Told: tell})


def fences_nobody(monkeypatch):
    def mine(self, worker, number):
        return self.trials.get(number)

    monkeypatch.setattr(StudyMachine, "_mine", mine)


def budget_ignored(monkeypatch):
    monkeypatch.setattr(StudyMachine, "left", property(lambda self: 1))


def forgets_the_queue(monkeypatch):
    def requeued(self, event):
        StudyMachine._requeued(self, event)
        self._again.clear()

    monkeypatch.setattr("sweep.core.study._HANDLERS", {**_handlers(), ev.PutBack: requeued})


def answers_late_names_with_silence(monkeypatch):
    def named(self, event):
        trial = self.trials.get(event.number)
        if trial is not None and trial.worker == event.worker and trial.is_live:
            StudyMachine._named(self, event)

    monkeypatch.setattr("sweep.core.study._HANDLERS", {**_handlers(), ev.Named: named})


def requeues_for_ever(monkeypatch):
    monkeypatch.setattr(FailurePolicy, "lost", lambda self, number, exit, *, stopping: (False, "x"))
    monkeypatch.setattr(StudyMachine, "_lose", lambda self, trial, exit: None)


def leaves_workers(monkeypatch):
    monkeypatch.setattr("sweep.core.crew.Crew.is_empty", True)


def _handlers():
    from sweep.core.study import _HANDLERS

    return _HANDLERS


@pytest.mark.parametrize(
    "fault",
    [
        acknowledged_at_once,
        ended_twice,
        fences_nobody,
        budget_ignored,
        forgets_the_queue,
        answers_late_names_with_silence,
        requeues_for_ever,
        leaves_workers,
    ],
)
def test_each_fault_is_found(monkeypatch, fault):
    fault(monkeypatch)
    with pytest.raises((Broken, ValueError, AssertionError, KeyError)):
        play_many(SEQUENCES)


def main() -> None:
    """Play as many sequences as the command line says, and print what was covered."""
    import sys
    import time

    began, count = time.monotonic(), int(sys.argv[1])
    coverage = play_many(count)
    print(f"{count} sequences in {time.monotonic() - began:.0f} s")
    for name, times in sorted(coverage.items()):
        print(f"{times:9,} {name}")


if __name__ == "__main__":
    main()
