"""Random sequences of events against the oracle: see `tests.core.play`."""

import sys
import time
from collections import Counter
from collections.abc import Collection

import pytest

from sweep.core import events as ev
from sweep.core.study import StudyMachine
from sweep.core.trial import Ending, forget
from sweep.wire import messages as wire
from tests.core.play import HAPPENINGS, HARM, LIVE, NEVER, Broken, play

SEQUENCES = 1_500
"""How many a test run plays; `python -m tests.core.test_play 20000` plays more, and prints what they reach."""


def play_many(sequences: int) -> Counter[tuple[str, str]]:
    """Play so many sequences; how often each event came, by the states of the trials."""
    coverage: Counter[tuple[str, str]] = Counter()
    for seed in range(sequences):
        play(seed, coverage=coverage)
    return coverage


RARE = {
    "Added", "Attribute", "Constrained", "Crashed", "Imported", "Refuse", "Refused", "Resume", "Revived", "Room",
    "Signal", "Stop", "Troubled", "Unwritten",
}  # fmt: skip
"""What 1,500 sequences bring, but not to trials in every state; 20,000 do."""


def never(coverage: Counter[tuple[str, str]], happenings: Collection[str]) -> set[tuple[str, str]]:
    """The pairs of a trial's state and an event that were not played, but for those that cannot be."""
    pairs = {(state.name, happens) for state in LIVE for happens in happenings}
    return pairs - coverage.keys() - NEVER.keys()


def test_whatever_happens_nothing_acknowledged_is_lost_and_the_study_ends():
    coverage = play_many(SEQUENCES)
    assert not never(coverage, set(HAPPENINGS) - RARE), "every event comes in every state of a trial"
    assert {("", happens) for happens in HAPPENINGS} <= coverage.keys(), "and every event comes"
    assert {("harm", what) for what in HARM} <= coverage.keys()
    assert coverage["removed", "checkpoint"], "and paused runs take too much room"
    assert coverage["continued", "since it is due again"], "and a study is continued with more trials"


def acknowledged_at_once(monkeypatch):
    def acknowledge(self, *effects):
        self.kept = self._write_due = True
        self._effects += [effect for effect in effects if isinstance(effect, ev.Reply)]

    monkeypatch.setattr(StudyMachine, "_acknowledge", acknowledge)


def shown_at_once(monkeypatch):
    acknowledged = StudyMachine._acknowledge

    def acknowledge(self, *effects):
        self._effects += [effect for effect in effects if isinstance(effect, ev.Show)]
        acknowledged(self, *[effect for effect in effects if isinstance(effect, ev.Reply)])

    monkeypatch.setattr(StudyMachine, "_acknowledge", acknowledge)


def removes_checkpoints_at_once(monkeypatch):
    acknowledged = StudyMachine._acknowledge

    def acknowledge(self, *effects):
        self._effects += [effect for effect in effects if isinstance(effect, ev.RemoveCheckpoints)]
        acknowledged(self, *[effect for effect in effects if not isinstance(effect, ev.RemoveCheckpoints)])

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


def loses_trials(monkeypatch):
    monkeypatch.setattr(StudyMachine, "_lose", lambda self, trial, exit: None)


def leaves_workers(monkeypatch):
    monkeypatch.setattr("sweep.core.workers.Workers.is_empty", True)


def enters_epochs_again(monkeypatch):
    def forget_nothing(self, trial):
        forget(trial.run)
        trial.values = {}

    monkeypatch.setattr(StudyMachine, "_forget", forget_nothing)


def keeps_ended_trials(monkeypatch):
    def told(self, event):
        trial = self.trials[event.number]
        StudyMachine._told(self, event)
        self.trials[event.number] = trial

    monkeypatch.setattr("sweep.core.study._HANDLERS", {**_handlers(), ev.Told: told})


def gives_trials_to_two(monkeypatch):
    begin = StudyMachine._begin

    def begin_all(self, trial, worker, event):
        begin(self, trial, worker, event)
        assignment = self._effects[-1].answer
        for other in list(self._idle):
            self._answer_ask(other, assignment)

    monkeypatch.setattr(StudyMachine, "_begin", begin_all)


def ends_what_is_ending(monkeypatch):
    def looked(self, event):
        ended = {number: end for number, end in event.ended.items() if number in self.trials}
        for number, (state, values) in ended.items():
            self._end(self.trials[number], state, values, Ending("ended elsewhere"))
        StudyMachine._looked(self, ev.Looked(event.commands, event.added))

    monkeypatch.setattr("sweep.core.study._HANDLERS", {**_handlers(), ev.Looked: looked})


def writes_no_seed(monkeypatch):
    def keep(self, run, repeat):
        run.repeats = [*run.repeats, repeat]

    monkeypatch.setattr(StudyMachine, "_keep_repeat", keep)


def ends_after_the_first_seed(monkeypatch):
    def has_trained(self, trial, value):
        self._end(trial, "COMPLETE", [value], Ending(None, by=trial.worker))

    monkeypatch.setattr(StudyMachine, "_has_trained", has_trained)


def _handlers():
    from sweep.core.study import _HANDLERS

    return _HANDLERS


FAULTS = [
    ("A", acknowledged_at_once),
    ("A", shown_at_once),
    ("A", removes_checkpoints_at_once),
    ("A", ended_twice),
    ("A", writes_no_seed),
    ("C", ends_after_the_first_seed),
    ("B", keeps_ended_trials),
    ("B", gives_trials_to_two),
    ("C", budget_ignored),
    ("D", enters_epochs_again),
    ("E", forgets_the_queue),
    ("E", answers_late_names_with_silence),
    ("E", loses_trials),
    ("E", leaves_workers),
    ("F", ends_what_is_ending),
    ("[EF]", fences_nobody),
]
"""What is broken on purpose, by the part of the oracle that is to find it."""


@pytest.mark.parametrize(("part", "fault"), FAULTS)
def test_each_fault_is_found(monkeypatch, part, fault):
    fault(monkeypatch)
    with pytest.raises(Broken, match=f"^{part}: "):
        play_many(SEQUENCES)


def main() -> None:
    """Play as many sequences as the command line says, and print what came how often, by the states of the trials."""
    began, count = time.monotonic(), int(sys.argv[1])
    coverage = play_many(count)
    print(f"{count:,} sequences in {time.monotonic() - began:.0f} s")
    columns = ["", *(state.name for state in LIVE)]
    print(f"{'how often':17}" + "".join(f"{column or 'in all':>12}" for column in columns))
    for happens in sorted(HAPPENINGS):
        print(f"{happens:17}" + "".join(f"{coverage[column, happens]:12,}" for column in columns))
    print("harm:", ", ".join(f"{what} {coverage['harm', what]:,}" for what in sorted(set(HARM))))
    print("never, since", "; ".join(f"{' '.join(pair)}: {why}" for pair, why in NEVER.items()))
    print("never:", ", ".join(sorted(map(" ".join, never(coverage, HAPPENINGS)))) or "nothing else")


if __name__ == "__main__":
    main()
