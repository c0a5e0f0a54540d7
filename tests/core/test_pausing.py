"""How a study pauses runs and continues them, event by event."""

import pytest

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.pruners import Verdict
from sweep.core.pruners.asha import Asha, RungEntry, Schedule
from sweep.core.study import StudyMachine
from sweep.errors import StudyError
from sweep.objective import Objective
from sweep.options import Settings
from sweep.store import Command, RunRecord, Training
from sweep.wire import messages as wire
from tests.core.test_study import DECLARATION, Played, Stops

PLANNED = 4


def paused_study(rungs=(1,), factor=3, **limits):
    judge = Schedule(Asha(factor, list(rungs)), Objective("val_loss"))
    return Played(judge=judge, declaration=DECLARATION.replaced(**limits))


def begin(played, number, *, unpausable=None):
    """Have worker `a` train a trial of four epochs."""
    if number not in played.study.trials:
        played.say(wire.Ask())
        played.apply(ev.Sampled(number))
    played.say(wire.Begin(number, "mlp", None, None))
    played.apply(ev.Named("a", number, f"mlp-t{number:04}", "mlp", {}, None))
    played.apply(ev.Written())
    training = Training(0, judged=True, monitor="val_loss", planned=PLANNED)
    played.say(wire.BeginTraining(number, training.as_dict(), unpausable))


def train(played, number, *losses, first=0):
    """Report epochs; the answer to the last."""
    for epoch, loss in enumerate(losses, start=first):
        (advice,) = played.say(wire.Epoch(number, epoch, {"val_loss": loss}, None, None))
    return advice


def pause(played, number, loss, size=0):
    """Have a trial come to the first rung and pause there, with a checkpoint of so many bytes."""
    begin(played, number)
    advice = train(played, number, loss)
    assert advice.verdict == "pause"
    played.say(wire.End(number, "PAUSED", None, advice.reason, None, []))
    limited = played.study.declaration.paused_limit is not None
    assert ev.Pause(number, f"/runs/study/mlp-t{number:04}" if limited else None) in played.effects
    played.apply(ev.Paused(number, size))
    played.apply(ev.Written())


def complete(played, number, *losses, first=0):
    train(played, number, *losses, first=first)
    played.say(wire.End(number, "COMPLETE", [losses[-1]], None, None, []))
    played.apply(ev.Told(number, "COMPLETE", [losses[-1]], {}, {}, exhausted=False))
    played.apply(ev.Written())


def samples(played):
    return [effect for effect in played.effects if isinstance(effect, ev.Sample)]


def test_a_run_that_is_not_among_the_best_is_told_to_pause_and_why():
    played = paused_study()
    begin(played, 0)
    assert train(played, 0, 0.5) == wire.Advice(
        "pause", "asha: paused at epoch 1: ranked 1st of 1 (the best one continues when 3 have come this far)"
    )


def test_a_run_that_paused_is_kept_with_its_reason_its_rung_and_no_worker():
    played = paused_study()
    pause(played, 0, 0.5)
    run = played.study.runs[0]
    assert (run.state, run.reason, run.verdict.rule, run.attempt) == ("PAUSED", None, "asha", 1)
    assert run.rungs == [RungEntry(1, 0.5, continued=False)]
    assert list(played.study.paused) == [0]
    assert played.study.trials == {}


def test_the_worker_of_a_paused_run_is_answered_when_the_pause_is_written():
    played = paused_study()
    begin(played, 0)
    train(played, 0, 0.5)
    played.say(wire.End(0, "PAUSED", None, "", None, []))
    assert played.answers(played.apply(ev.Paused(0))) == []
    (ended,) = played.answers(played.apply(ev.Written()))
    assert ended.state == "PAUSED"


def test_a_run_that_is_due_goes_before_a_new_trial():
    played = paused_study()
    for number, loss in enumerate([0.5, 0.3]):
        pause(played, number, loss)
    begin(played, 2)
    played.say(wire.End(2, "PAUSED", None, train(played, 2, 0.6).reason, None, []))
    played.apply(ev.Paused(2))
    played.apply(ev.Written())
    played.study.budget = 9
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(1, "/runs/study/mlp-t0001")]
    assert played.study.runs[1].rungs == [RungEntry(1, 0.3, continued=True)]


def test_a_run_that_continues_reports_what_it_has_and_is_not_judged_at_its_rung_again():
    played = paused_study()
    for number, loss in enumerate([0.5, 0.3, 0.6]):
        pause(played, number, loss)
    played.say(wire.Ask())
    played.apply(ev.Sampled(1, fresh=False))
    begin(played, 1)
    played.say(wire.Resume(1, 0, [{"val_loss": 0.3}]))
    assert train(played, 1, 0.9, first=1) == wire.GO


def test_a_run_is_not_paused_at_its_last_epoch():
    played = paused_study(rungs=(PLANNED,))
    begin(played, 0)
    assert train(played, 0, 0.5, 0.5, 0.5, 0.5) == wire.GO


def test_at_the_end_the_best_paused_run_continues_to_the_last_epoch_and_the_others_are_pruned():
    played = paused_study(rungs=(1, 2))
    for number, loss in enumerate([0.5, 0.3, 0.4]):
        pause(played, number, loss)
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(1, "/runs/study/mlp-t0001")]  # it is due: the best of three
    played.apply(ev.Sampled(1, fresh=False))
    begin(played, 1)
    advice = train(played, 1, 0.2, first=1)
    played.say(wire.End(1, "PAUSED", None, advice.reason, None, []))
    played.apply(ev.Paused(1))
    played.apply(ev.Written())
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(1, "/runs/study/mlp-t0001")]  # now out of turn
    played.apply(ev.Sampled(1, fresh=False))
    begin(played, 1)
    complete(played, 1, 0.2, 0.1, first=2)
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(2, "/runs/study/mlp-t0002")]  # of three trials two are COMPLETE
    played.apply(ev.Sampled(2, fresh=False))
    begin(played, 2)
    complete(played, 2, 0.4, 0.4, 0.4, first=1)
    assert list(played.study.trials) == [0]  # which ends
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    assert [played.study.runs[number].state for number in range(3)] == ["PRUNED", "COMPLETE", "COMPLETE"]
    assert played.study.runs[0].why == "asha: paused at epoch 1: ranked 3rd of 3 (the best one continues)"
    assert played.study.over


def test_a_study_whose_budget_is_spent_completes_one_run_and_prunes_the_rest():
    played = paused_study(rungs=(1,), budget_epochs=3, trials=9)
    for number, loss in enumerate([0.5, 0.3]):
        pause(played, number, loss)
    begin(played, 2)
    advice = train(played, 2, 0.4)
    played.say(wire.End(2, "PAUSED", None, advice.reason, None, []))
    played.apply(ev.Paused(2))
    played.apply(ev.Written())
    assert played.study.spent == "its budget of 3 epochs is spent"
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(1, "/runs/study/mlp-t0001")]
    played.apply(ev.Sampled(1, fresh=False))
    begin(played, 1)
    complete(played, 1, 0.3, 0.3, 0.3, first=1)
    assert set(played.study.trials) == {0, 2}


def test_a_study_that_is_stopped_leaves_its_runs_paused():
    played = paused_study()
    pause(played, 0, 0.5)
    played.apply(ev.Signal("Ctrl-C"))
    played.say(wire.Ask())
    assert played.study.over
    assert played.study.runs[0].state == "PAUSED"


def test_the_next_start_continues_where_the_last_one_paused():
    runs = [
        RunRecord(number, f"mlp-t{number:04}", "PAUSED", rungs=[RungEntry(1, loss, continued=False)])
        for number, loss in enumerate([0.5, 0.3, 0.6])
    ]
    played = paused_study()
    study = type(played.study)(played.study.settings)
    played.study = study
    played.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())))
    judge = Schedule(Asha(3, [1]), Objective("val_loss"))
    played.apply(
        ev.Opened(DECLARATION, runs, [], frozenset(), 3, exhausted=False, marked=0, judge=judge, logdir="/runs")
    )
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(1, None)]


@pytest.mark.parametrize(("verb", "to_the_end"), [("protect", True), ("revive", False)])
def test_a_person_has_a_paused_run_continue_out_of_turn(verb, to_the_end):
    played = paused_study(rungs=(1, 2))
    pause(played, 0, 0.5)
    pause(played, 1, 0.3)
    played.apply(ev.Looked([Command(verb, 0, "by hand")]))
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(0, "/runs/study/mlp-t0000")]
    played.apply(ev.Sampled(0, fresh=False))
    begin(played, 0)
    assert train(played, 0, 0.5, first=1).verdict == ("go" if to_the_end else "pause")


def test_a_person_prunes_a_paused_run():
    played = paused_study()
    pause(played, 0, 0.5)
    played.apply(ev.Looked([Command("prune", 0, "by hand")]))
    assert ev.Tell(0, "PRUNED", None, hopeless=False) in played.effects
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    run = played.study.runs[0]
    assert (run.state, run.why) == ("PRUNED", "by hand")


def test_the_worst_paused_runs_are_pruned_where_their_checkpoints_take_too_much_room():
    played = paused_study(trials=20, factor=9, paused_limit=25)
    pause(played, 0, 0.5, size=10)
    pause(played, 1, 0.3, size=10)
    pause(played, 2, 0.4, size=10)
    assert set(played.study.trials) == {0}, "it ends"
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    why = "its checkpoint of 10 B was beyond --paused-limit 25 B, and it was the worst paused run"
    assert (played.study.runs[0].state, played.study.runs[0].why) == ("PRUNED", why)
    assert set(played.study.paused) == {1, 2}
    played.apply(ev.Written())
    pause(played, 3, 0.1, size=100)
    assert set(played.study.paused) == {3}, "the best one stays, however large it is"


def removed(effects):
    """The numbers of the runs whose checkpoints are removed."""
    return [effect.run.number for effect in effects if isinstance(effect, ev.RemoveCheckpoints)]


def test_a_checkpoint_that_takes_too_much_room_goes_when_the_end_of_its_run_is_written():
    played = paused_study(trials=20, factor=9, paused_limit=15)
    pause(played, 0, 0.5, size=10)
    pause(played, 1, 0.3, size=10)
    assert removed(played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))) == []
    assert removed(played.apply(ev.Written())) == [0]


def test_a_checkpoint_that_takes_too_much_room_stays_where_the_end_of_its_run_is_not_written():
    played = paused_study(trials=20, factor=9, paused_limit=15)
    pause(played, 0, 0.5, size=10)
    pause(played, 1, 0.3, size=10)
    played.apply(ev.Told(0, "PRUNED", None, {}, {}, exhausted=False))
    lost = StudyError("another coordinator has taken the study")
    assert removed(played.apply(ev.Refused(lost, unwritten=True, lost=True))) == []
    assert removed(played.apply(ev.Written())) == []


def test_paused_runs_of_earlier_starts_that_take_too_much_room_are_pruned_when_the_study_is_opened():
    study, effects = reopened(paused_runs(0.5, 0.3, 0.4), paused_limit=25, sizes={0: 10, 1: 10, 2: 10})
    assert [effect.number for effect in effects if isinstance(effect, ev.Tell)] == [0]
    assert set(study.paused) == {1, 2}


def test_the_worst_paused_run_is_that_of_the_lowest_rung_unless_it_is_spared():
    schedule = Schedule(Asha(9, [1, 2]), Objective("val_loss"))
    for number, losses in enumerate([[0.5], [0.6], [0.9, 0.9]]):
        assert schedule.verdict(number, dict(enumerate(losses))) is not None
        schedule.pause(number)
    assert schedule.worst_paused([]) == 1
    assert schedule.worst_paused([1]) == 0
    assert schedule.worst_paused([0, 1]) == 2
    assert schedule.worst_paused([0, 1, 2]) is None


def test_a_paused_run_that_somebody_else_ends_ends_so():
    played = paused_study()
    pause(played, 0, 0.5)
    played.apply(ev.Looked(ended={0: ("COMPLETE", [0.25])}))
    assert ev.Tell(0, "COMPLETE", [0.25], hopeless=False) in played.effects


def test_what_cannot_be_resumed_exactly_is_pruned_and_people_are_told_once():
    played = paused_study(trials=20)
    said = []
    for number in range(2):
        begin(played, number, unpausable="its data begin anew")
        said += [effect.arguments[0] for effect in played.effects if isinstance(effect, ev.Show)]
        advice = train(played, number, 0.5 + number)
        if number == 0:
            assert advice == wire.GO  # the first one there
            complete(played, 0, 0.5, 0.5, 0.5, first=1)
    assert advice.verdict == "prune"
    assert said == ["runs are pruned rather than paused, since its data begin anew"]


def test_a_finding_stops_a_run_for_good_at_a_rung_too():
    played = paused_study()
    begin(played, 0)
    (advice,) = played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, "its units are dead"))
    assert advice == wire.Advice("prune", "its units are dead")


@pytest.mark.parametrize("protected", [False, True])
def test_a_finding_stops_a_run_that_continues_to_the_last_epoch_unless_a_person_protects_it(protected):
    played = paused_study()
    for number, loss in enumerate([0.5, 0.3, 0.4]):
        pause(played, number, loss)
    for number in (1, 2):  # the best of three, then the one that is to be COMPLETE as well
        played.say(wire.Ask())
        played.apply(ev.Sampled(number, fresh=False))
        begin(played, number)
        if number == 1:
            complete(played, 1, 0.3, 0.3, 0.3, first=1)
    if protected:
        played.apply(ev.Looked([Command("protect", 2, "by hand")]))
    (advice,) = played.say(wire.Epoch(2, 1, {"val_loss": 0.4}, None, "its units are dead"))
    assert advice.verdict == ("go" if protected else "prune")


def test_a_trial_that_is_left_unpruned_is_not_paused_but_stopped_by_a_finding():
    played = paused_study(unpruned=1.0)
    for number, loss in enumerate((0.5, 0.6)):
        begin(played, number)
        assert train(played, number, loss) == wire.GO
        if number == 0:
            complete(played, 0, 0.5, 0.5, 0.5, first=1)
    (advice,) = played.say(wire.Epoch(1, 1, {"val_loss": 0.6}, None, "its units are dead"))
    assert advice == wire.Advice("prune", "its units are dead")


def test_a_trial_that_is_left_unpruned_is_not_pruned_by_any_pruner():
    played = Played(judge=Stops(), declaration=DECLARATION.replaced(unpruned=1.0))
    begin(played, 0)
    assert train(played, 0, 0.5, 0.6) == wire.GO


def test_a_study_whose_epochs_are_limited_promises_one_complete_run():
    schedule = Schedule(Asha(), Objective("val_loss"))
    played = Played(judge=schedule, declaration=DECLARATION.replaced(budget_epochs=300, trials=300))
    begin(played, 0)
    (said,) = [effect.arguments[0] for effect in played.effects if isinstance(effect, ev.Show)]
    assert said.endswith("at least 1 trains to the last epoch")


def test_a_study_of_one_trial_does_not_pause_it():
    played = paused_study(trials=1)
    begin(played, 0)
    assert train(played, 0, 0.5, 0.5, 0.5, 0.5) == wire.GO


def test_epochs_without_a_state_cannot_be_paused_there_and_people_are_told_once():
    played = paused_study(trials=20)
    begin(played, 0)
    answers = played.say(wire.Epoch(0, 0, {"val_loss": 0.5}, None, None, "its epochs have no state"))
    assert answers == [wire.GO], "the best one at its rung so far"
    said = [effect.arguments[0] for effect in played.effects if isinstance(effect, ev.Show)]
    assert "runs are pruned rather than paused, since its epochs have no state" in said
    complete(played, 0, 0.5, 0.5, 0.5, first=1)
    begin(played, 1)
    (advice,) = played.say(wire.Epoch(1, 0, {"val_loss": 0.6}, None, None, "its epochs have no state"))
    assert advice.verdict == "prune"


def test_a_run_that_cannot_be_paused_is_not_stopped_before_a_tenth_of_its_epochs():
    schedule = Schedule(Asha(), Objective("val_loss"))
    schedule.settle(60)
    assert schedule.rungs == (2, 7, 20)
    assert schedule.explained(20, pausable=False).startswith(
        "a run that is not among the best third after epoch 7 or 20 stops there; at least 7 of 20 trials"
    )
    schedule.verdict(0, dict.fromkeys(range(7), 0.1))
    values = dict.fromkeys(range(7), 0.5)
    for epochs in range(1, 7):
        assert schedule.verdict(1, dict(list(values.items())[:epochs]), pausable=False) is None
    assert schedule.verdict(2, dict.fromkeys(range(2), 0.5)) is not None, "it can be paused"
    assert schedule.verdict(3, values, pausable=False, needed=True) is None
    assert schedule.verdict(1, values, pausable=False) is not None


def test_rungs_are_derived_from_the_epochs_of_the_first_training_and_stay_with_the_study():
    played = Played(judge=Schedule(Asha(), Objective("val_loss")))
    begin(played, 0)
    assert played.study.declaration.pruner == "asha(rungs=[1])"
    (said,) = [effect.arguments[0] for effect in played.effects if isinstance(effect, ev.Show)]
    assert said.startswith("a run that is not among the best third after epoch 1 pauses")


def report(played, number, *losses):
    """Have worker `a` run an objective of plain Optuna, which says nowhere how many epochs it has; the last verdict."""
    played.say(wire.Ask())
    played.apply(ev.Sampled(number))
    played.say(wire.Begin(number, "mlp", None, None))
    played.apply(ev.Named("a", number, f"mlp-t{number:04}", "mlp", {}, None))
    played.apply(ev.Written())
    for step, loss in enumerate(losses):
        played.say(wire.Report(number, step, loss))
        (advice,) = played.say(wire.ShouldPrune(number))
        if advice.verdict != "go":
            break
    return advice


def test_where_nothing_says_how_many_epochs_runs_have_they_have_those_of_the_first_complete_one():
    played = Played(judge=Schedule(Asha(), Objective("val_loss")), declaration=DECLARATION.replaced(trials=20))
    assert report(played, 0, 0.5, 0.4, 0.3, 0.2, 0.2, 0.2).verdict == "go"
    played.say(wire.End(0, "COMPLETE", [0.2], None, None, []))
    effects = played.apply(ev.Told(0, "COMPLETE", [0.2], {}, {}, exhausted=False))
    assert played.study.declaration.pruner == "asha(rungs=[1, 2])"
    assert [entry.rung for entry in played.study.runs[0].rungs] == [1, 2]
    said = [effect.arguments[0] for effect in effects if isinstance(effect, ev.Show) and effect.method == "message"]
    assert said == [
        "a run that is not among the best third after epoch 1 or 2 stops there; at least 7 of 20 trials train to the "
        "last epoch"
    ]
    played.apply(ev.Written())
    worse = report(played, 1, 0.9)
    assert worse.verdict == "prune"
    assert worse.reason == "asha: stopped at epoch 1: ranked 2nd of 2 (the best one continues)"


def reopened(runs, rungs=(1,), sizes=(), **limits):
    """The next start of a study whose trials have all begun; `sizes`: of the checkpoints of paused runs, by number."""
    judge = Schedule(Asha(3, list(rungs)), Objective("val_loss"))
    study = StudyMachine(Settings())
    study.apply(ev.Room(2), 0.0)
    study.apply(ev.Said("0", wire.Hello(DECLARATION.as_dict())), 0.0)
    usual = {"exhausted": False, "marked": 0, "judge": judge, "logdir": "/runs", "kept": True}
    declaration = DECLARATION.replaced(**limits)
    opened = ev.Opened(declaration, runs, [], frozenset(), len(runs), sizes=dict(sizes), **usual)
    return study, study.apply(opened, 0.0)


def paused_runs(*losses):
    return [
        RunRecord(number, f"mlp-t{number:04}", "PAUSED", rungs=[RungEntry(1, loss, continued=False)])
        for number, loss in enumerate(losses)
    ]


def test_the_next_start_keeps_workers_for_runs_that_are_paused_although_no_trial_is_new():
    study, effects = reopened(paused_runs(0.5, 0.3, 0.6), rungs=[1])
    assert not [effect for effect in effects if isinstance(effect, ev.Kill)]
    assert study.workers.wanted == 2
    effects = study.apply(ev.Said("0", wire.Ask()), 0.0)
    assert ev.Sample(1, None) in effects


def test_a_run_that_paused_at_a_rung_that_is_no_more_continues():
    study, _ = reopened(paused_runs(0.5, 0.3, 0.6), rungs=[2])
    effects = study.apply(ev.Said("0", wire.Ask()), 0.0)
    assert ev.Sample(0, None) in effects


def spent_study(trials, *losses, rungs=(1,)):
    """A study that was spent with paused runs, which are PRUNED since, and is started with so many trials in all."""
    schedule = Schedule(Asha(2, list(rungs)), Objective("val_loss"))
    runs = []
    for number, loss in enumerate(losses):
        details = {"rank": 1, "entered": 1, "places": 0, "pausable": True, "reduction_factor": 2}
        verdict = Verdict("asha", "val_loss", loss, 0, None, 0, details)
        name = f"mlp-t{number:04}"
        run = RunRecord(number, name, "PRUNED", directory=f"/runs/study/{name}", seed=1, epoch=1, verdict=verdict)
        run.rungs = [RungEntry(1, loss, continued=False)]
        runs.append(run)
    played = Played(judge=schedule)
    played.study = StudyMachine(Settings())
    played.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())))
    declaration = DECLARATION.replaced(trials=trials)
    opened = ev.Opened(
        declaration, runs, [], frozenset(), len(runs), exhausted=False, marked=0, judge=schedule, logdir="/runs",
        limits=Limits(declaration, runs), continuable=frozenset(range(len(runs))),
    )  # fmt: skip
    played.apply(opened)
    return played


def test_a_run_that_was_pruned_since_the_study_was_spent_continues_as_a_new_trial_once_it_is_due():
    played = spent_study(3, 0.5, 0.4)
    played.say(wire.Ask())
    assert samples(played) == [ev.Sample(None, continues=1)]
    (assignment,) = played.answers(played.apply(ev.Sampled(2, revives=1, scheduled=True)))
    assert assignment.directory == "/runs/study/mlp-t0001"
    assert not played.study.trials[2].shielded
    assert played.study.runs[2].rungs == [RungEntry(1, 0.4, continued=True)]
    assert (played.study.budget, played.study.left) == (4, 1), "as many others begin as were asked for"


def test_a_run_that_continues_as_a_new_trial_is_counted_once_at_its_rungs():
    played = spent_study(3, 0.5, 0.4)
    played.say(wire.Ask())
    played.apply(ev.Sampled(2, revives=1, scheduled=True))
    begin(played, 2)
    played.say(wire.Resume(2, 0, [{"val_loss": 0.4}]))
    assert train(played, 2, 0.3, first=1) == wire.GO
    assert played.study._schedule.entries(1) == []


def test_a_study_that_is_started_without_more_trials_continues_none():
    played = spent_study(2, 0.5, 0.4)
    assert played.say(wire.Ask()) == [wire.NoMore()]
    assert samples(played) == []


def test_a_study_that_is_spent_before_a_run_is_due_again_does_not_continue_it():
    played = spent_study(9, 0.5, 0.4)
    played.study._spend("enough")
    played.say(wire.Ask())
    assert samples(played) == []
