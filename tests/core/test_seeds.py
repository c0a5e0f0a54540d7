"""How a study trains each trial with several seeds, event by event."""

import math
from dataclasses import replace

import pytest

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.pruners import Judge
from sweep.core.pruners.asha import Asha, Schedule
from sweep.core.trial import State
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.objective import Objective
from sweep.store import Command, RunRecord, Training
from sweep.wire import messages as wire
from tests.core.test_study import DECLARATION, Played, Stops

SEEDS = DECLARATION.replaced(repeats=3)


class Lenient(Judge):
    """A judge that stops no run, and remembers which were complete."""

    def __init__(self):
        self.known = {}

    def verdict(self, number, values):
        return None

    def completed(self, trials):
        self.known.update(trials)


def seeded(declaration=SEEDS):
    return Played(declaration=declaration, judge=Lenient())


def trained(played, *losses, value=None):
    """Have worker `a` train what it has to the end, and say so; the answers until then."""
    played.say(wire.BeginTraining(0, Training(0, judged=True, monitor="val_loss").as_dict()))
    for epoch, loss in enumerate(losses):
        assert played.say(wire.Epoch(0, epoch, {"val_loss": loss}, None, None)) == [wire.GO]
    return played.say(wire.End(0, "COMPLETE", [losses[-1] if value is None else value], None, None, []))


def begin_again(played):
    """Have worker `a` take the trial with its next seed, and give the run its name; the assignment."""
    (assignment,) = played.say(wire.Ask())
    played.say(wire.Begin(0, "mlp", None, None))
    played.apply(ev.Named("a", 0, "mlp-t0000", "mlp", {"x": 0.5}, None))
    played.apply(ev.Written())
    return assignment


def first_done(played, loss=0.5):
    """Have trial 0 train with its first seed."""
    played.begin()
    trained(played, loss)
    played.apply(ev.Written())
    return played.study.runs[0]


def writes(played):
    return [effect for effect in played.effects if isinstance(effect, ev.Write)]


def told(played):
    return [effect for effect in played.effects if isinstance(effect, ev.Tell)]


def test_a_trial_trains_with_each_seed_and_its_value_is_the_mean_of_what_train_returned():
    played = seeded()
    run = first_done(played, 0.5)
    for loss in (0.25, 0.75):
        begin_again(played)
        trained(played, loss)
    assert told(played) == [ev.Tell(0, "COMPLETE", [0.5], hopeless=False)]
    played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    assert (run.state, run.value, run.mean, run.n) == ("COMPLETE", 0.5, 0.5, 3)
    assert [one.value for one in run.of_value] == [0.5, 0.25, 0.75]
    assert run.fresh == []


def test_nothing_is_told_to_optuna_before_the_last_seed():
    played = seeded()
    first_done(played)
    assert told(played) == []
    begin_again(played)
    assert trained(played, 0.25) == []
    assert told(played) == []


def test_each_seed_has_a_run_name_and_a_directory_of_its_own_and_is_the_same_for_every_trial():
    played = seeded()
    first_done(played)
    assignment = begin_again(played)
    assert (assignment.number, assignment.seed) == (0, SEEDS.repeat_seed(2))
    again = played.study.trials[0].repeat
    assert (again.name, again.directory) == ("mlp-t0000r2", "/runs/study/repeats/mlp-t0000r2")
    assert SEEDS.repeat_seed(2) != SEEDS.repeat_seed(3)


def test_weights_are_kept_of_the_first_seed_alone_and_no_other_is_paused():
    played = seeded()
    first_done(played)
    assignment = begin_again(played)
    assert (assignment.keep, assignment.pauses) == (False, False)


def test_a_training_is_acknowledged_when_it_is_written():
    played = seeded()
    played.begin()
    assert trained(played, 0.5) == []
    (write,) = writes(played)
    assert [(one.repeat, one.value) for one in write.changes.repeats] == [(1, 0.5)]
    assert played.answers(played.apply(ev.Written())) == [wire.Ended("WAITING", None, 0.0)]
    begin_again(played)
    trained(played, 0.25)
    assert played.answers(played.apply(ev.Written())) == [wire.Ended("COMPLETE", None, 0.0)], "its event file ends"


def test_the_last_training_is_written_with_the_end_of_its_trial():
    played = seeded()
    first_done(played)
    begin_again(played)
    trained(played, 0.25)
    played.apply(ev.Written())
    begin_again(played)
    trained(played, 0.75)
    played.apply(ev.Tick())
    assert not any(one.repeat == 3 for write in writes(played) for one in write.changes.repeats)
    played.apply(ev.Written())
    played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    (write,) = writes(played)
    assert [one.repeat for one in write.changes.repeats] == [3]
    assert [run.state for run in write.changes.runs] == ["COMPLETE"]
    assert [effect.run.number for effect in played.effects if isinstance(effect, ev.EndFiles)] == [0]


def test_epochs_with_another_seed_are_neither_the_runs_nor_judged():
    played = Played(judge=Stops(), declaration=SEEDS)
    played.begin()
    played.study.trials[0].shielded = True
    trained(played, 0.5)
    played.study.trials[0].shielded = False
    played.apply(ev.Written())
    begin_again(played)
    trained(played, 0.9, 0.1)
    run = played.study.runs[0]
    assert (run.epoch, run.last, run.best) == (1, 0.5, 0.5)
    metrics = [row for write in writes(played) for row in write.changes.metrics]
    assert metrics == []
    assert not any(isinstance(effect, ev.Enter) for effect in played.effects)


def test_a_trial_that_is_not_complete_with_one_seed_ends_so_and_says_with_which():
    played = seeded()
    run = first_done(played)
    begin_again(played)
    played.say(wire.BeginTraining(0, Training(0, judged=True, monitor="val_loss").as_dict()))
    (advice,) = played.say(wire.Epoch(0, 0, {"val_loss": math.nan}, None, None))
    assert advice.verdict == "prune"
    played.say(wire.End(0, "PRUNED", None, advice.reason, None, []))
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    assert run.state == "PRUNED"
    assert run.why == "with seed 2 of 3: a loss or metric is NaN or infinite at epoch 1"
    assert [(one.repeat, one.state) for one in run.of_value] == [(1, "COMPLETE"), (2, "PRUNED")]


def test_a_report_that_is_not_finite_stops_a_plain_objective_with_any_seed():
    played = seeded()
    first_done(played)
    begin_again(played)
    played.say(wire.Report(0, 0, math.inf))
    assert played.say(wire.ShouldPrune(0)) == [wire.Advice("prune", "val_loss is inf at epoch 1")]


def test_a_worker_that_is_lost_costs_the_seed_that_it_was_at_and_no_other():
    played = seeded()
    run = first_done(played)
    begin_again(played)
    trial = played.study.trials[0]
    played.apply(ev.HungUp("a"))
    played.apply(ev.PutBack(0))
    assert trial.state is State.QUEUED
    assert run.interruptions == ["after 0 epochs with seed 2: its worker was interrupted"]
    played.apply(ev.Said("b", wire.Hello(DECLARATION.as_dict())))
    played.say(wire.Ask(), "b")
    (assignment,) = played.answers(played.apply(ev.Sampled(0, seed=5, fresh=False)))
    assert (assignment.seed, assignment.attempt) == (SEEDS.repeat_seed(2), 1)


def test_a_stop_has_a_trial_wait_for_its_other_seeds():
    played = seeded()
    run = first_done(played)
    played.apply(ev.Signal("SIGINT"))
    assert ev.Requeue(0) in played.effects
    played.apply(ev.PutBack(0))
    assert (run.state, run.attempt, run.interruptions) == ("WAITING", 0, [])
    assert played.say(wire.Ask()) == [wire.NoMore()]


def test_another_start_trains_the_seeds_that_are_missing():
    played = seeded()
    run = replace(first_done(played), state="WAITING")
    other = seeded()
    other.study = type(other.study)(other.study.settings)
    other.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())))
    opened = ev.Opened(
        SEEDS, [run], [0], frozenset(), 1, exhausted=False, marked=0, judge=None, logdir="/runs", limits=Limits(SEEDS)
    )
    other.apply(opened)
    other.say(wire.Ask())
    (assignment,) = other.answers(other.apply(ev.Sampled(0, seed=run.seed, fresh=False)))
    assert assignment.seed == SEEDS.repeat_seed(2)


def test_other_seeds_go_before_new_trials():
    played = seeded()
    first_done(played)
    played.say(wire.Ask())
    assert played.study.trials[0].state is State.BUILDING
    assert not any(isinstance(effect, ev.Sample) for effect in played.effects)


def test_epochs_with_other_seeds_count_towards_the_budget_and_the_trial_finishes():
    declaration = SEEDS.replaced(budget_epochs=2)
    played = seeded(declaration)
    first_done(played)
    assert played.study.spent is None
    begin_again(played)
    trained(played, 0.5)
    assert played.study.spent == "its budget of 2 epochs is spent"
    assert begin_again(played).seed == SEEDS.repeat_seed(3)


def test_a_new_start_counts_the_epochs_of_other_seeds_too():
    declaration = SEEDS.replaced(budget_epochs=9)
    run = first_done(seeded())
    run.epoch, run.state = 4, "COMPLETE"
    run.repeats = [replace(run.of_value[0], repeat=number, seed=number, epoch=2) for number in (1, 2, 3)]
    assert Limits(declaration, [run]).epochs_left == 9 - 4 - 2 - 2


def test_the_time_that_a_trial_may_train_is_that_of_one_seed():
    played = seeded(SEEDS.replaced(max_trial_time=100.0))
    played.begin()
    played.now += 90
    trained(played, 0.5)
    played.apply(ev.Written())
    begin_again(played)
    played.now += 90
    trained(played, 0.5)
    assert [one.duration for one in played.study.runs[0].of_value] == [90.0, 90.0]


def test_a_person_may_prune_a_trial_that_waits_for_its_next_seed():
    played = seeded()
    first_done(played)
    played.apply(ev.Looked([Command("prune", 0, "by hand")]))
    begin_again(played)
    played.say(wire.BeginTraining(0, Training(0, judged=True, monitor="val_loss").as_dict()))
    assert played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None)) == [wire.Advice("prune", "by hand")]


def test_the_first_seed_goes_through_the_rungs_and_no_other_does():
    schedule = Schedule(Asha(3, [1]), Objective("val_loss"))
    played = Played(judge=schedule, declaration=SEEDS)
    played.begin()
    schedule.never_pause(0)
    trained(played, 0.5, 0.5)
    played.apply(ev.Written())
    assert [entry.value for entry in schedule.entries(0)] == [0.5]
    begin_again(played)
    trained(played, 0.1, 0.1)
    assert [entry.value for entry in schedule.entries(0)] == [0.5]


def test_rivals_are_compared_with_the_first_seed_as_soon_as_it_is_complete():
    played = seeded()
    first_done(played)
    assert played.study._judge.known == {0: {0: 0.5}}
    for loss in (0.1, 0.2):
        begin_again(played)
        trained(played, loss)
    played.apply(ev.Told(0, "COMPLETE", [0.5], {}, {}, exhausted=False))
    assert played.study._judge.known == {0: {0: 0.5}}


def test_fresh_repeats_come_after_those_of_the_value():
    assert (DECLARATION.first_fresh, SEEDS.first_fresh) == (1, 4)


def test_the_mean_is_of_fresh_seeds_where_there_are_some():
    run = first_done(seeded())
    fresh = replace(run.of_value[0], repeat=4, value=0.75, of_value=False)
    confirmed = replace(run, repeats=[*run.repeats, fresh])
    assert (confirmed.mean, confirmed.n) == (0.75, 1)
    assert RunRecord(0).mean is None


def test_several_objectives_cannot_have_several_seeds():
    with pytest.raises(StudyError, match="several objectives"):
        Declaration("study", ["loss", "size"], ["minimize", "minimize"], 3, repeats=2, pruner="nop")
