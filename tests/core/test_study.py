"""What the core decides about a study, event by event, without a thread or a file."""

import math
from dataclasses import replace

import pytest

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.pruners import Judge, Verdict
from sweep.core.study import AT_FIRST, LEAVE_SECONDS, SILENT_SECONDS, StudyMachine
from sweep.core.trial import MOVES, State, Trial
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.options import Settings
from sweep.snapshot import Snapshot
from sweep.store import ADDED, Command, RunRecord, Training
from sweep.wire import messages as wire

DECLARATION = Declaration("study", ["val_loss"], ["minimize"], 3, pruner="nop", seed=7)


class Played:
    """A study that is open, with what it wants done."""

    def __init__(self, *, judge=None, declaration=DECLARATION, **settings):
        self.study = StudyMachine(Settings(**settings))
        self.now = 0.0
        self.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())))
        opened = ev.Opened(
            declaration=declaration,
            runs=[],
            again=[],
            changed=frozenset(),
            begun=0,
            exhausted=False,
            marked=0,
            judge=judge,
            logdir="/runs",
            limits=Limits(declaration),
        )
        self.apply(opened)

    def apply(self, event, seconds=0.0):
        self.now += seconds
        self.effects = self.study.apply(event, self.now)
        return self.effects

    def say(self, message, worker="a"):
        """Say something for a worker; the answers that come at once."""
        return self.answers(self.apply(ev.Said(worker, message)))

    def answers(self, effects):
        return [effect.answer for effect in effects if isinstance(effect, ev.Reply)]

    def begin(self, worker="a", number=0):
        """Have a worker train a trial."""
        self.say(wire.Ask(), worker)
        self.apply(ev.Sampled(number))
        self.say(wire.Begin(number, "mlp", None, None), worker)
        self.apply(ev.Named(worker, number, f"mlp-t{number:04}", "mlp", {}, None))
        self.apply(ev.Written())
        self.say(wire.BeginTraining(number, Training(0, judged=True, monitor="val_loss").as_dict()), worker)


class Stops:
    """A judge that stops every run."""

    def verdict(self, number, values):
        step = max(values)
        return Verdict("threshold", "val_loss", values[step], step, 0.0)

    def completed(self, trials):
        pass


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"val_loss": math.nan}, "a loss or metric is NaN or infinite at epoch 1"),
        ({"val_loss": -math.inf}, "a loss or metric is NaN or infinite at epoch 1"),
        ({"val_loss": 0.5, "loss": math.inf}, "a loss or metric is NaN or infinite at epoch 1"),
    ],
)
@pytest.mark.parametrize("judge", [None, Stops()])
def test_a_loss_that_is_not_finite_stops_a_run_at_once_whatever_the_pruner_and_whoever_protects_it(
    metrics, reason, judge
):
    played = Played(judge=judge)
    played.begin()
    played.study.trials[0].shielded = True
    (advice,) = played.say(wire.Epoch(0, 0, metrics, None, None))
    assert advice.verdict == "prune"
    assert advice.reason.endswith("at epoch 1")
    assert played.study.trials[0].verdict is None


@pytest.mark.parametrize(("value", "said"), [(math.nan, "NaN"), (math.inf, "inf")])
def test_a_reported_value_that_is_not_finite_says_which(value, said):
    played = Played()
    played.begin()
    played.say(wire.Report(0, 2, value))
    (advice,) = played.say(wire.ShouldPrune(0))
    assert advice == wire.Advice("prune", f"val_loss is {said} at epoch 3")


def test_a_verdict_goes_to_the_worker_as_text_and_to_the_run_as_numbers():
    played = Played(judge=Stops())
    played.begin()
    (advice,) = played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    assert advice == wire.Advice("prune", "threshold: val_loss 0.500 at epoch 1 is above the upper bound 0")
    played.say(wire.End(0, "PRUNED", None, advice.reason, None, []))
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    run = played.study.runs[0]
    assert (run.state, run.reason, run.verdict.threshold) == ("PRUNED", None, 0.0)


def test_optunas_pruner_is_asked_and_its_verdict_answers_the_epoch():
    played = Played()
    played.begin()
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None)) == []
    assert ev.Judgement("a", 0, 0, 0.5) in played.effects
    assert played.answers(played.apply(ev.Judged("a", 0, None))) == [wire.Advice("go")]


def test_an_end_is_answered_when_it_is_written_and_not_before():
    played = Played(judge=Stops())
    played.begin()
    assert played.say(wire.End(0, "COMPLETE", [0.5], None, None, [])) == []
    effects = played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    assert played.answers(effects) == []
    assert any(isinstance(effect, ev.Write) for effect in effects)
    (ended,) = played.answers(played.apply(ev.Written()))
    assert ended.state == "COMPLETE"


def test_ends_that_come_while_one_is_written_are_written_together():
    played = Played(judge=Stops(), trials=3)
    for worker in "bc":
        played.say(wire.Hello(DECLARATION.as_dict()), worker)
    for number, worker in enumerate("abc"):
        played.begin(worker, number)
    writes = []
    for number, worker in enumerate("abc"):
        played.say(wire.End(number, "COMPLETE", [0.5], None, None, []), worker)
        effects = played.apply(ev.Told(number, "COMPLETE", [0.5], {}, {}, exhausted=False))
        writes += [effect for effect in effects if isinstance(effect, ev.Write)]
    assert len(writes) == 1
    effects = played.apply(ev.Written())
    (second,) = [effect for effect in effects if isinstance(effect, ev.Write)]
    assert [run.number for run in second.changes.runs] == [1, 2]
    assert len(played.answers(played.apply(ev.Written()))) == 2


@pytest.mark.parametrize("lost", [True, False])
def test_a_study_that_cannot_go_on_ends_although_its_trial_reports_nothing(lost):
    played = Played(workers=1)
    played.apply(ev.Room(1))
    played.say(wire.Hello(DECLARATION.as_dict()), "0")
    played.begin("0")
    refused = played.apply(ev.Refused(StudyError("the lease is lost"), lost=lost))
    assert (ev.Kill("0") in refused) == lost, "another coordinator's workers may be at the same run"
    if not lost:
        assert ev.Kill("0") in played.apply(ev.Tick(), LEAVE_SECONDS)
    played.apply(ev.HungUp("0"))
    played.apply(ev.Exited("0", "killed by SIGKILL", killed=True))
    played.apply(ev.Written())
    played.apply(ev.PutBack(0))
    played.apply(ev.Written())
    assert any(isinstance(effect, ev.Finish) for effect in played.effects)


def test_a_start_that_is_refused_opens_nothing_for_its_second_worker():
    study = StudyMachine(Settings())
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict())), 0.0)
    study.apply(ev.Refused(StudyError("another coordinator has it")), 0.0)
    effects = study.apply(ev.Said("1", wire.Hello(DECLARATION.as_dict())), 0.0)
    assert [type(effect.answer) for effect in effects if isinstance(effect, ev.Reply)] == [wire.Rejected]
    assert not any(isinstance(effect, ev.Open) for effect in effects)


def test_a_trial_moves_only_as_the_table_says():
    trial = Trial(RunRecord(0))
    for state in (State.QUEUED, State.SAMPLING, State.BUILDING):
        trial.move(state)
    with pytest.raises(ValueError, match="cannot go from"):
        trial.move(State.COMPLETE)
    assert all(not MOVES.get(state) for state in (State.COMPLETE, State.PRUNED, State.FAIL))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_however_often_ctrl_c_comes_the_study_ends(times):
    played = Played(workers=1)
    played.apply(ev.Room(1))
    played.say(wire.Hello(DECLARATION.as_dict()), "0")
    played.begin("0")
    for _ in range(times):
        effects = played.apply(ev.Signal("Ctrl-C"))
    assert (ev.Kill("0") in effects) == (times > 1)
    assert played.study.stopped == "Ctrl-C"


@pytest.mark.parametrize(("value", "best"), [(0.25, 0.25), (math.inf, None)])
def test_the_end_of_a_run_without_epochs_has_the_value_that_it_returned(value, best):
    played = Played()
    played.begin()
    played.say(wire.End(0, "COMPLETE", [value], None, None, []))
    played.apply(ev.Told(0, "COMPLETE", [value], {"x": 0.5}, {}, exhausted=False), seconds=2.0)
    run = played.study.runs[0]
    assert (run.state, run.last, run.best, run.best_epoch) == ("COMPLETE", value, best, None)
    assert (run.params, run.duration) == ({"x": 0.5}, 2.0)


def test_epochs_of_an_earlier_attempt_are_not_written_after_those_of_the_next():
    played = Played()
    played.begin()
    played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    played.study.runs[0].attempt = 1
    played.study._forget(played.study.trials[0])
    changes = played.study._take_changes()
    assert (changes.metrics, changes.restarted, [run.epoch for run in changes.runs]) == ([], {0}, [0])


def opened(**values):
    """The event that opens a study of three trials."""
    usual = {"runs": [], "again": [], "changed": frozenset(), "begun": 0, "exhausted": False, "marked": 0}
    return ev.Opened(declaration=DECLARATION, judge=None, logdir="/runs", **{**usual, **values})


def test_workers_that_are_ended_because_nobody_needs_them_are_no_failures_to_load():
    study = StudyMachine(Settings())
    study.apply(ev.Room(64), 0.0)
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict())), 0.0)
    killed = [effect.worker for effect in study.apply(opened(), 0.0) if isinstance(effect, ev.Kill)]
    assert len(killed) == 61
    for worker in killed:
        study.apply(ev.Exited(worker, "killed by SIGKILL", killed=True), 0.0)
    assert study.error is None


def test_after_a_crash_whoever_waits_is_answered_once_and_everything_else_is_fenced():
    study = StudyMachine(Settings(workers=2))
    study.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())), 0.0)
    effects = study.apply(ev.Crashed(ZeroDivisionError()), 0.0)
    assert [effect for effect in effects if isinstance(effect, ev.Reply)] == [
        ev.Reply("a", wire.Fenced("the coordinator failed"))
    ]
    played = Played()
    played.begin()
    assert played.answers(played.apply(ev.Crashed(ZeroDivisionError()))) == []
    (answer,) = played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    assert isinstance(answer, wire.Fenced)


def test_a_trial_is_not_silent_while_its_worker_waits_for_us():
    played = Played(declaration=DECLARATION.replaced(stall_timeout=60.0))
    played.say(wire.Ask())
    played.apply(ev.Sampled(0))
    played.say(wire.Begin(0, "mlp", None, None))
    played.apply(ev.Named("a", 0, "mlp-t0000", "mlp", {}, None))
    assert not any(isinstance(effect, ev.Tell) for effect in played.apply(ev.Tick(), 70.0)), "the database is away"
    played.apply(ev.Written())
    assert not any(isinstance(effect, ev.Tell) for effect in played.apply(ev.Tick(), 50.0))
    assert any(isinstance(effect, ev.Tell) for effect in played.apply(ev.Tick(), 20.0))


def test_of_the_workers_that_wait_for_the_study_only_the_one_with_another_file_is_rejected():
    study = StudyMachine(Settings(workers=3))
    for worker, code in zip("abc", ["1", "2", "1"], strict=True):
        hello = DECLARATION.as_dict() | {"hash": code * 64}
        study.apply(ev.Said(worker, wire.Hello(hello)), 0.0)
    effects = study.apply(opened(), 0.0)
    answers = {effect.worker: type(effect.answer) for effect in effects if isinstance(effect, ev.Reply)}
    assert answers == {"a": wire.Welcome, "b": wire.Rejected, "c": wire.Welcome}


def test_changes_that_could_not_be_written_are_written_before_later_ones():
    first = ev.Changes([RunRecord(0, epoch=1), RunRecord(1)], metrics=[(0, 0, "loss", 1.0), (1, 0, "loss", 2.0)])
    second = ev.Changes([RunRecord(0, epoch=2)], restarted={1}, metrics=[(0, 1, "loss", 0.5)])
    both = first.then(second)
    assert [(run.number, run.epoch) for run in both.runs] == [(0, 2), (1, 0)]
    assert both.metrics == [(0, 0, "loss", 1.0), (0, 1, "loss", 0.5)]
    assert both.restarted == {1}


def test_a_worker_that_is_one_too_many_is_given_no_trial_before_it_ends():
    study = StudyMachine(Settings())
    study.apply(ev.Room(64), 0.0)
    study.apply(ev.Said("63", wire.Hello(DECLARATION.as_dict())), 0.0)  # it is the first to have loaded the file
    assert ev.Kill("63") in study.apply(opened(), 0.0)
    assert not any(isinstance(effect, ev.Sample) for effect in study.apply(ev.Said("63", wire.Ask()), 0.0))
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict())), 0.0)
    assert any(isinstance(effect, ev.Sample) for effect in study.apply(ev.Said("0", wire.Ask()), 0.0))


def test_a_worker_that_waits_for_a_trial_is_answered_once_after_a_crash():
    played = Played(trials=1)
    played.begin()
    played.say(wire.Hello(DECLARATION.as_dict()), "b")
    played.say(wire.Ask(), "b")
    answers = played.answers(played.apply(ev.Crashed(ZeroDivisionError())))
    assert [type(answer) for answer in answers] == [wire.Fenced]


def test_what_was_asked_for_before_a_crash_answers_nobody_after_it():
    played = Played()
    played.begin()
    played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    (answer,) = played.answers(played.apply(ev.Crashed(ZeroDivisionError())))
    assert isinstance(answer, wire.Fenced)
    assert played.answers(played.apply(ev.Judged("a", 0, None))) == []


def test_no_trial_begins_when_the_study_is_over_although_a_run_is_revived():
    study = StudyMachine(Settings())
    for worker in "ab":
        study.apply(ev.Said(worker, wire.Hello(DECLARATION.as_dict())), 0.0)
    study.apply(opened(runs=[RunRecord(0, state="PRUNED")], begun=3), 0.0)
    study.apply(ev.Said("a", wire.Ask()), 0.0)
    assert study.over
    study.apply(ev.Revived(0), 0.0)
    assert ev.Reply("b", wire.NoMore()) in study.apply(ev.Said("b", wire.Ask()), 0.0)


def test_workers_that_ask_while_a_trial_is_sampled_are_given_the_next_ones_together():
    played = Played()
    played.study.budget = 10
    for worker in "abcd":
        played.say(wire.Ask(), worker)
    samples = [effect for effect in played.apply(ev.Sampled(0)) if isinstance(effect, ev.Sample)]
    assert samples == [ev.Sample(None, most=3)]
    given = {}
    for number, more in ((1, True), (2, True), (3, False)):
        effects = played.apply(ev.Sampled(number, more=more))
        assert not any(isinstance(effect, ev.Sample) for effect in effects), "all three are on their way"
        given |= {effect.worker: effect.answer.number for effect in effects if isinstance(effect, ev.Reply)}
    assert given == {"b": 1, "c": 2, "d": 3}


def test_no_more_trials_are_asked_for_than_the_study_has():
    played = Played()
    for worker in "abcd":
        played.say(wire.Ask(), worker)
    played.study.budget = 3
    samples = [effect for effect in played.apply(ev.Sampled(0)) if isinstance(effect, ev.Sample)]
    assert samples == [ev.Sample(None, most=2)]


def test_a_claimed_trial_that_no_worker_is_there_for_waits_and_is_the_next_to_begin():
    played = Played()
    for worker in "abc":
        played.say(wire.Ask(), worker)
    played.apply(ev.Sampled(0))
    played.apply(ev.HungUp("c"))
    played.apply(ev.Sampled(1, more=True))
    assert ev.Requeue(2) in played.apply(ev.Sampled(2))
    assert played.study.runs[2].state == "WAITING"
    played.apply(ev.PutBack(2))
    assert ev.Sample(2, None) in played.apply(ev.Said("d", wire.Ask()))


def test_a_worker_that_asks_has_let_go_of_a_trial_that_others_have_ended():
    played = Played()
    played.begin()
    played.apply(ev.Looked(ended={0: ("COMPLETE", [0.5])}))
    played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    played.say(wire.Ask())
    played.apply(ev.Sampled(1))
    assert [number for number, trial in played.study.trials.items() if trial.worker == "a"] == [1]


def shown(effects, method="message"):
    """What people are shown."""
    return [effect.arguments for effect in effects if isinstance(effect, ev.Show) and effect.method == method]


@pytest.mark.parametrize(
    ("verb", "advice"),
    [
        ("prune", wire.Advice("prune", "by hand")),
        ("protect", wire.Advice("go")),
        ("keep", wire.Advice("go")),  # the former name of protect
        ("revive", wire.Advice("prune", "threshold: val_loss 0.500 at epoch 1 is above the upper bound 0")),
    ],
)
def test_a_person_prunes_or_protects_a_running_trial(verb, advice):
    played = Played(judge=Stops())
    played.begin()
    played.apply(ev.Looked([Command(verb, 0, "by hand"), Command(verb, 7, "a run that is not there")]))
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None)) == [advice]


def test_only_a_pruned_run_is_revived_and_the_study_has_one_trial_more():
    played = Played(judge=Stops())
    for number, state in enumerate(["PRUNED", "COMPLETE"]):
        played.begin(number=number)
        played.say(wire.End(number, state, [0.5], None, None, []))
        played.apply(ev.Told(number, state, [0.5], {}, {}, exhausted=False))
        played.apply(ev.Written())
    effects = played.apply(ev.Looked([Command("revive", number, "by hand") for number in range(3)]))
    assert [effect for effect in effects if isinstance(effect, ev.Revive)] == [
        ev.Revive(0, "/runs/study/mlp-t0000"),
    ]
    assert shown(played.apply(ev.Revived(0, "its checkpoint is gone"))) == [
        ("mlp-t0000 is not revived: its checkpoint is gone",)
    ]
    assert played.study.budget == 3
    assert shown(played.apply(ev.Revived(0))) == [("mlp-t0000 will continue in a new trial",)]
    assert (played.study.budget, played.study.declaration.trials) == (4, 4)


def test_a_revived_run_begins_in_the_old_directory_and_is_not_pruned_at_once():
    played = Played(judge=Stops())
    played.begin()
    played.say(wire.End(0, "PRUNED", None, "why", None, []))
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    played.apply(ev.Written())
    played.say(wire.Ask())
    (assignment,) = played.answers(played.apply(ev.Sampled(1, revives=0)))
    assert (assignment.number, assignment.directory) == (1, "/runs/study/mlp-t0000")
    assert played.study.trials[1].shielded


def test_trials_of_other_programs_are_said_once_and_are_rivals():
    seen = []

    class Sees(Stops):
        def completed(self, trials):
            seen.append(trials)

    played = Played(judge=Sees())
    run = RunRecord(4, state="COMPLETE", values=[1.0], reason=ADDED)
    assert shown(played.apply(ev.Added([(run, {0: 1.0})]))) == [("1 trial added through Optuna: t0004",)]
    assert seen == [{4: {0: 1.0}}]
    assert shown(played.apply(ev.Added([(run, {0: 1.0})]))) == []
    assert played.study._take_changes().metrics == [(4, 0, "val_loss", 1.0)]


@pytest.mark.parametrize("event", [ev.Tick(), ev.Said("b", wire.Ask())], ids=["a tick", "a worker asks"])
def test_a_study_whose_time_is_over_begins_no_trial_and_says_so(event):
    study = StudyMachine(Settings())
    study.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())), 0.0)
    study.apply(replace(opened(), declaration=DECLARATION.replaced(timeout=60.0)), 10.0)
    study.apply(ev.Said("a", wire.Ask()), 69.0)
    assert study.stopped is None
    study.apply(ev.Said("b", wire.Hello(DECLARATION.as_dict())), 69.0)
    study.apply(ev.Sampled(0), 69.0)
    if isinstance(event, ev.Tick):
        study.apply(ev.Said("b", wire.Ask()), 69.0)
    effects = study.apply(event, 70.0)
    assert study.stopped == "its timeout of 60 s is over"
    assert ev.Reply("b", wire.NoMore()) in effects


def test_a_study_whose_time_is_over_ends_its_running_trials_at_their_next_epoch_to_be_run_again():
    played = Played(judge=Stops(), declaration=DECLARATION.replaced(timeout=60.0))
    played.begin()
    played.study.trials[0].shielded = True  # from its judge
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None)) == [wire.Advice("go")]
    played.apply(ev.Tick(), 60.0)
    (advice,) = played.say(wire.Epoch(0, 1, {"val_loss": 0.5}, None, None))
    assert advice == wire.Advice("requeue", played.study.stopped)


def test_a_trial_that_fails_is_tried_again_once_and_then_says_why():
    played = Played(retries=1)
    played.begin()
    played.say(wire.End(0, "FAIL", None, "ValueError: no", "trace", []))
    assert ev.Requeue(0) in played.effects
    played.apply(ev.PutBack(0))
    assert played.study.runs[0].reason == "tried again: ValueError: no"
    played.apply(ev.Written())
    played.say(wire.Ask())
    played.apply(ev.Sampled(0, fresh=False))
    played.say(wire.End(0, "FAIL", None, None, None, []))
    played.apply(ev.Told(0, "FAIL", None, {}, {}, exhausted=False))
    assert (played.study.runs[0].state, played.study.runs[0].reason) == ("FAIL", "it failed")


def test_a_trial_whose_worker_says_nothing_for_too_long_fails_with_the_option_that_says_so():
    played = Played(workers=1, declaration=DECLARATION.replaced(stall_timeout=60.0))
    played.apply(ev.Room(1))
    played.say(wire.Hello(DECLARATION.as_dict()), "0")
    played.begin("0")
    assert not any(isinstance(effect, ev.Tell) for effect in played.apply(ev.Tick(), 60.0))
    effects = played.apply(ev.Tick(), 1.0)
    assert ev.Kill("0") in effects
    assert any(isinstance(effect, ev.Tell) for effect in effects)
    assert played.study.trials[0].end.reason == "its worker reported nothing for 60 s, its --stall-timeout"


def hurried(**more):
    """A study whose trials may train for 100 s, and one that has."""
    played = Played(workers=1, judge=Judge(), declaration=DECLARATION.replaced(max_trial_time=100.0, **more))
    played.apply(ev.Room(1))
    played.say(wire.Hello(DECLARATION.as_dict()), "0")
    played.begin("0")
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None), "0") == [wire.Advice("go")]
    played.now += 99.0
    assert played.say(wire.Epoch(0, 1, {"val_loss": 0.5}, None, None), "0") == [wire.Advice("go")]
    return played


def fails(effects):
    """The reasons of the trials that fail."""
    return [effect.number for effect in effects if isinstance(effect, ev.Tell) and effect.state == "FAIL"]


def test_a_trial_whose_time_is_over_is_told_to_finish_at_each_epoch_and_people_once():
    played, over = hurried(), "its --max-trial-time of 100 s is over"
    played.now += 1.0
    for epoch in (2, 3):
        assert played.say(wire.Epoch(0, epoch, {"val_loss": 0.5}, None, None), "0") == [wire.Advice("finish", over)]
        assert shown(played.effects) == ([(f"mlp-t0000 finishes early: {over}",)] if epoch == 2 else [])
    played.say(wire.End(0, "COMPLETE", [0.5], None, None, []), "0")
    assert ev.Tell(0, "COMPLETE", [0.5], hopeless=False) in played.effects


def test_a_train_that_has_not_returned_a_minute_after_its_time_is_over_fails():
    played = hurried()
    played.now += 50.0
    played.say(wire.Epoch(0, 2, {"val_loss": 0.5}, None, None), "0")  # it is told now
    assert fails(played.apply(ev.Tick(), 60.0)) == []
    effects = played.apply(ev.Tick(), 1.0)
    assert fails(effects) == [0]
    assert ev.Kill("0") in effects
    reason = "its --max-trial-time of 100 s is over, and train had not returned a minute later"
    assert played.study.trials[0].end.reason == reason


def test_an_epoch_that_takes_as_long_as_others_may_end_before_the_minute_begins():
    played = hurried()  # whose second epoch took 99 s
    assert fails(played.apply(ev.Tick(), 1.0 + 99.0 + 60.0)) == []
    assert fails(played.apply(ev.Tick(), 1.0)) == [0]


def test_an_attempt_that_begins_when_the_time_is_over_already_may_load_and_train_an_epoch():
    played = hurried()
    played.now += 10.0
    played.say(wire.End(0, "WAITING", None, "Ctrl-C", None, []), "0")
    played.apply(ev.PutBack(0))
    played.apply(ev.Written())
    played.say(wire.Ask(), "0")
    played.apply(ev.Sampled(0, fresh=False))
    assert fails(played.apply(ev.Tick(), 160.0)) == []
    assert fails(played.apply(ev.Tick(), 1.0)) == [0]


def test_a_trial_that_never_reports_fails_a_minute_after_its_time_is_over():
    played = Played(workers=1, declaration=DECLARATION.replaced(max_trial_time=100.0))
    played.begin()
    assert fails(played.apply(ev.Tick(), 160.0)) == []
    assert fails(played.apply(ev.Tick(), 1.0)) == [0]


def test_the_time_of_a_trial_is_that_of_all_its_attempts_without_what_lies_between():
    played = hurried()
    played.say(wire.End(0, "WAITING", None, "Ctrl-C", None, []), "0")
    played.apply(ev.PutBack(0))
    played.apply(ev.Written())
    played.now += 10_000.0
    played.say(wire.Ask(), "0")
    played.apply(ev.Sampled(0, fresh=False))
    assert not played.study._late(played.study.trials[0])
    played.apply(ev.Tick(), 2.0)
    assert played.study._late(played.study.trials[0])


def test_a_study_that_stops_puts_a_trial_back_whose_time_is_over():
    played = hurried()
    played.apply(ev.Signal("Ctrl-C"))
    (advice,) = played.say(wire.Epoch(0, 2, {"val_loss": 0.5}, None, None), "0")
    assert advice.verdict == "requeue"


def test_when_a_runs_name_is_written_it_is_shown_and_its_worker_knows_its_place():
    played = Played()
    played.say(wire.Ask())
    played.apply(ev.Sampled(0))
    played.say(wire.Begin(0, "mlp", "32", 5))
    effects = played.apply(ev.Named("a", 0, "mlp-32-t0000", "mlp", {"x": 0.5}, None))
    assert shown(effects, "started") == played.answers(effects) == []
    effects = played.apply(ev.Written())
    ((run,),) = shown(effects, "started")
    assert (run.name, run.params, run.architecture, run.epochs) == ("mlp-32-t0000", {"x": 0.5}, "32", 5)
    (started,) = played.answers(effects)
    assert (started.name, started.directory, started.stop) == ("mlp-32-t0000", "/runs/study/mlp-32-t0000", None)


def test_an_end_that_is_not_written_is_not_shown():
    played = Played()
    played.begin(number=0)
    played.say(wire.End(0, "COMPLETE", [0.5], None, None, []))
    effects = played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    assert shown(effects, "ended") == shown(played.apply(ev.Unwritten()), "ended") == []


def test_parameters_that_have_failed_before_are_not_trained_again():
    played = Played()
    played.begin(number=0)
    played.say(wire.End(0, "FAIL", None, "ValueError: no", "trace", []))
    played.apply(ev.Told(0, "FAIL", None, {}, {}, exhausted=False))
    played.apply(ev.Written())
    played.say(wire.Ask())
    played.apply(ev.Sampled(1))
    played.say(wire.Begin(1, "mlp", None, None))
    played.apply(ev.Named("a", 1, "mlp-t0001", "mlp", {}, 0))
    (started,) = played.answers(played.apply(ev.Written()))
    assert started.stop == "the same parameters failed before training in t0000"


def test_epochs_that_were_trained_before_are_seen_by_pruners_without_a_new_verdict():
    played = Played()
    played.begin()
    effects = played.apply(ev.Said("a", wire.Resume(0, 0, [{"val_loss": 0.5}, {"val_loss": 0.25}])))
    assert [effect for effect in effects if isinstance(effect, ev.Enter)] == [
        ev.Enter(0, 0, 0.5, judged=True),
        ev.Enter(0, 1, 0.25, judged=True),
    ]
    assert not any(isinstance(effect, ev.Judgement) for effect in effects)
    assert played.answers(effects) == [wire.Done()]
    run = played.study.runs[0]
    assert (run.epoch, run.best, run.best_epoch, played.study.trials[0].values) == (2, 0.25, 1, {0: 0.5, 1: 0.25})


def test_epochs_of_a_training_that_pruners_do_not_see_are_kept_and_stop_nothing():
    played = Played(judge=Stops())
    played.begin()
    other = Training(1, judged=False, monitor="val_loss", first=0)
    played.say(wire.BeginTraining(0, other.as_dict()))
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None)) == [wire.Advice("go")]
    assert (played.study.runs[0].best, played.study.trials[0].values) == (None, {})
    assert played.study._take_changes().metrics == [(0, 0, "val_loss", 0.5)]


@pytest.mark.parametrize("step", [-1, 2**31])
def test_a_step_that_the_database_cannot_hold_is_refused(step):
    played = Played()
    played.begin()
    (answer,) = played.say(wire.Report(0, step, 0.5))
    assert isinstance(answer, wire.Rejected)
    assert "whole number from 0 to 2147483647" in str(played.study.error)


def test_the_largest_step_is_a_step_and_one_that_was_reported_before_keeps_its_value():
    played = Played()
    played.begin()
    assert played.say(wire.Report(0, 2**31 - 1, 0.5)) == [wire.Done()]
    assert played.say(wire.Report(0, 2**31 - 1, 9.0)) == [wire.Done()]
    assert played.study.trials[0].values == {2**31 - 1: 0.5}


def test_a_trial_that_another_process_has_ended_ends_as_there_and_its_worker_is_fenced():
    played = Played(judge=Stops())
    played.begin()
    effects = played.apply(ev.Looked(ended={0: ("COMPLETE", [0.25]), 5: ("FAIL", None)}))
    assert [effect for effect in effects if isinstance(effect, ev.Tell)] == [ev.Tell(0, "COMPLETE", [0.25], False)]
    (answer,) = played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None))
    assert answer == wire.Fenced("trial 0 is no longer with worker a")
    effects = played.apply(ev.Told(0, "COMPLETE", [0.25], {}, {}, exhausted=False))
    assert any(isinstance(effect, ev.EndFiles) for effect in effects)
    run = played.study.runs[0]
    assert (run.state, run.reason, run.value) == ("COMPLETE", "ended by another process in Optuna's tables", 0.25)


def test_a_run_without_a_family_of_its_own_has_the_studys_name():
    played = Played()
    played.say(wire.Ask())
    played.apply(ev.Sampled(0))
    effects = played.apply(ev.Said("a", wire.Begin(0, None, None, None)))
    assert effects == [ev.Name("a", 0, "study", None, None, True)]


def test_news_are_read_at_each_tick_one_reading_at_a_time_and_a_beat_comes_every_second():
    played = Played()
    played.begin()

    def read(seconds):
        return [effect for effect in played.apply(ev.Tick(), seconds) if isinstance(effect, ev.ReadNews)]

    assert read(0.0) == [ev.ReadNews(frozenset({0}), beat=True)]
    assert read(0.1) == [], "it has not been answered yet"
    played.apply(ev.Looked())
    assert read(0.1) == [ev.ReadNews(frozenset(), beat=False)]
    played.apply(ev.Looked())
    assert read(0.8) == [ev.ReadNews(frozenset({0}), beat=True)]


def test_files_that_a_trial_imports_later_are_kept_with_its_run_and_those_that_begin_later():
    study = StudyMachine(Settings(workers=2))
    study.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())), 0.0)
    first = Snapshot("x.py", {"x.py": "import sweep"})
    study.apply(replace(opened(), snapshot=first), 0.0)
    study.apply(ev.Said("a", wire.Ask()), 0.0)
    study.apply(ev.Sampled(0), 0.0)
    assert study.runs[0].snapshot == first.hash
    effects = study.apply(ev.Said("a", wire.Imported(0, {"data.py": "X = 1"})), 0.0)
    assert ev.Reply("a", wire.Done()) in effects
    both = first.with_more({"data.py": "X = 1"})
    assert study.runs[0].snapshot == both.hash != first.hash
    assert study._take_changes().snapshots == [first, both]


def test_a_study_is_over_when_its_last_trial_has_ended_and_finishes_when_that_is_written():
    played = Played(trials=1)
    played.study.budget = 1
    played.begin()
    played.say(wire.End(0, "COMPLETE", [0.5], None, None, []))
    assert played.study.over is False
    effects = played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    assert played.study.over is True
    assert not any(isinstance(effect, ev.Finish) for effect in effects)
    (finish,) = [effect for effect in played.apply(ev.Written()) if isinstance(effect, ev.Finish)]
    assert ([run.state for run in finish.runs], finish.refused) == (["COMPLETE"], False)


def test_the_seconds_and_the_trainings_of_every_attempt_are_those_of_the_run():
    played = Played()
    played.apply(ev.Tick(), 100.0)
    played.begin()
    played.apply(ev.Tick(), 5.0)
    training = Training(0, judged=True, monitor="val_loss", epochs=3, value=0.5, best_epoch=1)
    played.say(wire.End(0, "WAITING", None, "its worker left", None, [training.as_dict()]))
    played.apply(ev.PutBack(0))
    run = played.study.runs[0]
    assert (run.state, run.duration, run.attempt, run.trainings) == ("WAITING", 5.0, 1, [training])
    played.apply(ev.Written(), 50.0)
    played.say(wire.Ask())
    played.apply(ev.Sampled(0, fresh=False))
    played.say(wire.End(0, "COMPLETE", [0.5], None, None, [training.as_dict()]))
    played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False), 2.0)
    assert (run.state, run.duration) == ("COMPLETE", 7.0)


def test_a_worker_that_speaks_shows_that_the_study_file_can_be_loaded():
    study = StudyMachine(Settings(workers=1))
    study.apply(ev.Room(1), 0.0)
    for worker in "0123456":
        if worker in "25":
            study.apply(ev.Said(worker, wire.Hello(DECLARATION.as_dict())), 0.0)
            study.apply(ev.HungUp(worker), 0.0)
        study.apply(ev.Exited(worker, "killed by SIGKILL", killed=True), 0.0)
    assert study.error is None
    for worker in "78":
        study.apply(ev.Exited(worker, "killed by SIGKILL", killed=True), 0.0)
    assert "could not load the study file" in str(study.error)


def test_pruners_count_epochs_from_the_first_of_the_training_that_they_see():
    played = Played()
    played.begin()
    played.say(wire.BeginTraining(0, Training(1, judged=True, monitor="val_loss", first=2).as_dict()))
    effects = played.apply(ev.Said("a", wire.Resume(0, 2, [{"val_loss": 0.5}])))
    effects += played.apply(ev.Said("a", wire.Epoch(0, 3, {"val_loss": 0.25}, None, None)))
    assert [(effect.step, effect.value) for effect in effects if isinstance(effect, ev.Enter)] == [(0, 0.5), (1, 0.25)]
    assert played.study.trials[0].values == {0: 0.5, 1: 0.25}


def test_a_worker_that_loaded_a_half_saved_file_is_replaced_by_one_that_loads_what_the_study_began_with():
    study = StudyMachine(Settings(workers=3))
    snapshot = Snapshot("tiny.py", {"tiny.py": "study"})
    study.apply(ev.Room(3), 0.0)
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict(), snapshot.as_text())), 0.0)
    effects = study.apply(replace(opened(), snapshot=snapshot), 0.0)
    assert ev.KeepSnapshot(snapshot) in effects
    other = wire.Hello(DECLARATION.replaced(hash="2" * 64).as_dict())
    assert ev.Kill("1") in study.apply(ev.Said("1", other), 0.0)
    half = wire.Refuse(StudyError("Cannot import the study file").as_dict())
    assert ev.Reply("2", wire.Done()) in study.apply(ev.Said("2", half), 0.0)
    launched = []
    for name in "12":
        study.apply(ev.HungUp(name), 0.0)
        effects = study.apply(ev.Exited(name, "killed by SIGKILL", killed=True), 0.0)
        launched += [effect.worker for effect in effects if isinstance(effect, ev.Launch)]
    assert (launched, study.error) == (["3", "4"], None)
    study.apply(ev.Said("3", half), 0.0)
    assert str(study.error) == "Cannot import the study file", "this one has loaded what the study began with"


def waits(effects):
    """What is said about waiting for the database."""
    return [(effect.why, effect.seconds) for effect in effects if isinstance(effect, ev.Wait)]


def test_a_study_whose_database_says_nothing_waits_and_says_so_and_when_it_is_over():
    played = Played()
    played.say(wire.Ask())
    played.apply(ev.Sampled(0))
    played.say(wire.Begin(0, "mlp", None, None))
    played.apply(ev.Named("a", 0, "mlp-t0000", "mlp", {}, None))
    assert waits(played.apply(ev.Tick(), 1.0)) == []
    assert waits(played.apply(ev.Tick(), SILENT_SECONDS)) == [("it does not answer", None)]
    assert waits(played.apply(ev.Tick(), 60.0)) == []
    assert waits(played.apply(ev.Refuses("locked"))) == [("locked", None)]
    assert waits(played.apply(ev.Refuses("locked"))) == []
    assert waits(played.apply(ev.Written())) == [("", 61.0 + SILENT_SECONDS)]
    played.apply(ev.Looked())
    assert waits(played.apply(ev.Tick(), 60.0)) == []


def test_each_reason_to_wait_is_said_once_and_five_at_most():
    played = Played()
    played.begin()
    said = [waits(played.apply(ev.Refuses(f"reason {number % 8}"))) for number in range(16)]
    assert said == [[(f"reason {number}", None)] for number in range(5)] + [[]] * 11


def test_a_database_that_refuses_is_said_at_once_and_another_refusal_ends_no_waiting():
    played = Played()
    played.begin()
    played.apply(ev.Tick(), 2.0)
    assert waits(played.apply(ev.Refuses("locked"))) == [("locked", None)]
    assert waits(played.apply(ev.Looked(refused=True))) == []
    assert waits(played.apply(ev.Tick(), 2 * SILENT_SECONDS)) == []  # it is known why nothing is said
    assert waits(played.apply(ev.Looked(), 1.0)) == [("", 1.0 + 2 * SILENT_SECONDS)]


def test_a_study_that_takes_long_to_be_opened_says_so_until_it_is_open_or_refused():
    for end in (ev.Opened(DECLARATION, [], [], frozenset(), 0, False, 0, None, "/runs"), ev.Refused(StudyError("no"))):
        study = StudyMachine(Settings())
        study.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())), 0.0)
        assert waits(study.apply(ev.Tick(), SILENT_SECONDS + 1)) == [("the study is not open yet", None)]
        assert waits(study.apply(end, 10.0)) == [("", 10.0)]
        assert waits(study.apply(ev.Tick(), 60.0)) == []


@pytest.mark.parametrize(("cores", "first"), [(2, AT_FIRST), (100, 100)])
def test_no_more_workers_load_the_file_than_there_may_be_work_for(cores, first):
    study = StudyMachine(Settings(workers=100_000))
    launched = [effect for effect in study.apply(ev.Room(cores), 0.0) if isinstance(effect, ev.Launch)]
    assert len(launched) == first
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict())), 0.0)
    many = DECLARATION.replaced(trials=300, workers=100_000)
    effects = study.apply(ev.Opened(many, [], [], frozenset(), 0, False, 0, None, "/runs"), 0.0)
    assert len([effect for effect in effects if isinstance(effect, ev.Launch)]) == 300 - first
