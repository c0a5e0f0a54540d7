"""When a study is spent: by its epochs, by the rules of `--stop-when`, and by `study.stop()`."""

import pytest

from sweep.core import events as ev
from sweep.core.limits import Limits
from sweep.core.study import StudyMachine
from sweep.declaration import Declaration
from sweep.errors import SweepError
from sweep.options import Settings
from sweep.store import ADDED, RunRecord
from sweep.wire import messages as wire

DECLARATION = Declaration("study", ["val_loss"], ["minimize"], 30, pruner="nop", seed=7)


def run(number, value=None, *, epoch=3, state="COMPLETE", **more):
    """A run that a worker of this study has trained."""
    values = [value] if value is not None and state == "COMPLETE" else None
    return RunRecord(number, state=state, values=values, epoch=epoch, worker="0", seed=1, **more)


def limits(*rules, runs=(), direction="minimize", **more):
    """The limits of a study with these rules and runs."""
    return Limits(DECLARATION.replaced(stop_when=list(rules), direction=[direction], **more), runs)


def reached_after(found, runs):
    """After how many runs that ended the study is spent; None if it is not."""
    for count, one in enumerate(runs, start=1):
        found.trained(one, {})
        found.ended(one)
        if found.reached is not None:
            return count
    return None


def test_a_budget_of_epochs_is_spent_when_all_runs_together_have_trained_them():
    found = limits(budget_epochs=10)
    for epoch in range(1, 6):
        found.trained(run(0, epoch=epoch, state="RUNNING"), {})
        found.trained(run(1, epoch=epoch, state="RUNNING"), {})
        assert (found.reached is None) == (epoch < 5)
    assert found.reached == "its budget of 10 epochs is spent"


def test_epochs_of_earlier_starts_count_and_those_of_other_programs_do_not():
    theirs = RunRecord(1, state="COMPLETE", values=[1.0], epoch=100, reason=ADDED)
    assert limits(budget_epochs=10, runs=[run(0, epoch=9), theirs]).reached is None
    assert limits(budget_epochs=10, runs=[run(0, epoch=9), run(1, epoch=1)]).reached is not None


def test_a_run_that_begins_anew_gives_its_epochs_back_and_one_that_continues_another_takes_them_over():
    found = limits(budget_epochs=10)
    found.trained(run(0, epoch=6, state="PRUNED"), {})
    found.trained(run(1, epoch=3, state="RUNNING"), {})
    found.trained(run(1, epoch=1, state="RUNNING"), {})
    found.trained(run(2, epoch=8, state="RUNNING", revives=0), {})
    found.trained(run(3, epoch=8, state="RUNNING", revives=2), {})
    assert found.reached is None
    found.trained(run(3, epoch=9, state="RUNNING", revives=2), {})
    assert found.reached is not None


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_no_better_in_three_trials(direction):
    sign = 1 if direction == "minimize" else -1
    values = [0.5, 0.4, 0.6, 0.4, 0.3, 0.3, 0.9, 0.8]
    found = limits("no better in 3 trials", direction=direction)
    assert reached_after(found, [run(number, sign * value) for number, value in enumerate(values)]) == 8
    assert found.reached == "no trial of the last 3 was better than t0004"


def test_pruned_and_failed_trials_are_no_better_and_before_a_complete_one_nothing_is_counted():
    runs = [run(number, state=state) for number, state in enumerate(["PRUNED", "FAIL", "PRUNED"])]
    runs += [run(3, 0.5), run(4, state="PRUNED"), run(5, state="FAIL")]
    assert reached_after(limits("No better in 2 trials"), runs) == 6


def test_what_other_programs_add_is_not_counted():
    theirs = [RunRecord(number, state="COMPLETE", values=[1.0], reason=ADDED) for number in range(1, 5)]
    assert reached_after(limits("no better in 1 trial"), [run(0, 0.5), *theirs]) is None


def test_trials_of_earlier_starts_count_in_the_order_in_which_they_ended():
    runs = [run(0, 0.1, started=0.0, duration=100.0), run(1, 0.5, started=1.0, duration=2.0)]
    assert limits("no better in 1 trial", runs=runs).reached is None  # the best one ended last
    assert limits("no better in 1 trial", runs=[*runs, run(2, 0.2, started=99.0, duration=2.0)]).reached is not None


def test_a_condition_holds_as_soon_as_a_run_fulfils_it_at_an_epoch():
    found = limits("val_loss < 0.05")
    found.trained(run(0, epoch=1, state="RUNNING"), {"val_loss": 0.06})
    assert found.reached is None
    found.trained(run(0, epoch=2, state="RUNNING", name="dnn-t0000"), {"val_loss": 0.04})
    assert found.reached == "dnn-t0000 fulfils val_loss < 0.05"
    found.trained(run(0, epoch=3, state="RUNNING"), {"val_loss": 0.07})
    assert found.reached == "dnn-t0000 fulfils val_loss < 0.05"


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("value < 0.5 and epoch >= 3", True),
        ("value < 0.3", False),
        ("learning_rate < 0.1", True),
        ("lr < 0.1 and state = 'complete'", True),
        ("constraint.size > 1 or best.val_loss <= 0.4", True),
        ("constraint.size > 2", False),
    ],
)
def test_a_condition_is_one_of_the_language_of_where(rule, holds):
    ended = run(0, 0.4, best=0.4, params={"learning_rate": 0.01}, constraints={"size": 2.0})
    found = limits(rule)
    found.learn({"learning_rate": "lr"})
    found.trained(ended, {"val_loss": 0.4})
    found.ended(ended)
    assert (found.reached is not None) == holds
    assert found.doubt() is None


def test_runs_of_earlier_starts_may_fulfil_a_condition():
    study = DECLARATION.replaced(stop_when=["val_mae < 0.1"])
    assert Limits(study, [run(3, 0.4)], {3: {"val_mae": 0.05}}).reached == "t0003 fulfils val_mae < 0.1"
    assert Limits(study, [run(3, 0.4)], {3: {"val_mae": 0.5}}).reached is None


def test_a_condition_on_what_no_run_has_is_doubted_until_one_has_it():
    found = limits("val_los < 0.05")
    found.trained(run(0), {"val_loss": 0.04})
    assert "Did you mean val_loss?" in found.doubt()
    found.trained(run(1), {"val_los": 0.04})
    assert found.doubt() is None
    assert found.reached is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no better in a while", "Expected a number of trials: no better in a while"),
        ("no better in 0 trials", "Expected a number of trials"),
        ("val_loss <", "Expected a name or a value after `<`"),
        ("", "Expected a name or a value"),
    ],
)
def test_what_is_no_rule_is_refused_in_every_way(text, said):
    with pytest.raises(SweepError, match="must be a rule, such as 'no better in 20 trials'") as refused:
        Settings(stop_when=text)
    assert said in str(refused.value)
    with pytest.raises(SweepError, match="must be a rule"):
        DECLARATION.replaced(stop_when=text)


def test_with_several_objectives_no_trial_is_better():
    several = {"objective": ["loss", "size"], "direction": ["minimize"] * 2, "trials": 3, "pruner": "nop"}
    with pytest.raises(SweepError, match="no trial is the best"):
        Declaration("study", stop_when=["no better in 5 trials"], **several)
    assert Declaration("study", stop_when=["loss < 1"], **several).stop_when == ["loss < 1"]


def opened(declaration, runs=(), begun=0, again=()):
    """The event that opens a study with its limits."""
    usual = {"changed": frozenset(), "exhausted": False, "marked": 0, "judge": None, "logdir": "/runs"}
    limits = Limits(declaration, runs)
    return ev.Opened(declaration, list(runs), list(again), begun=begun, limits=limits, **usual)


class Played:
    """A study with limits, two workers, and what it wants done."""

    def __init__(self, runs=(), begun=0, again=(), **more):
        self.study = StudyMachine(Settings())
        self.every = []
        declaration = DECLARATION.replaced(**more)
        for worker in "ab":
            self.apply(ev.Said(worker, wire.Hello(declaration.as_dict())))
        self.apply(opened(declaration, runs, begun, again))

    def apply(self, event):
        self.effects = self.study.apply(event, 0.0)
        self.every += self.effects
        return self.effects

    def say(self, message, worker="a"):
        return self.apply(ev.Said(worker, message))

    def begin(self, number, worker="a"):
        self.say(wire.Ask(), worker)
        self.apply(ev.Sampled(number))
        self.say(wire.Begin(number, "mlp", None, None), worker)
        self.apply(ev.Named(worker, number, f"mlp-t{number:04}", "mlp", {}, None))
        self.apply(ev.Written())

    def end(self, number, value, worker="a"):
        self.say(wire.End(number, "COMPLETE", [value], None, None, []), worker)
        self.apply(ev.Told(number, "COMPLETE", [value], {}, {}, exhausted=False))
        return self.apply(ev.Written())

    @property
    def messages(self):
        shown = [effect for effect in self.effects if isinstance(effect, ev.Show)]
        return [effect.arguments[0] for effect in shown if effect.method == "message"]


def test_a_spent_study_begins_no_trial_and_its_running_ones_finish():
    played = Played(budget_epochs=2)
    played.begin(0)
    played.begin(1, "b")
    played.say(wire.Report(0, 0, 0.5))
    played.say(wire.Report(0, 1, 0.5))
    why = "its budget of 2 epochs is spent"
    assert played.messages == [f"no more trials begin, and the running ones finish: {why}"]
    assert (played.study.spent, played.study.stopped) == (why, None)
    played.end(0, 0.5)
    assert not any(isinstance(effect, ev.Sample) for effect in played.say(wire.Ask()))
    played.say(wire.Report(1, 0, 0.5), "b")
    played.end(1, 0.4, "b")
    assert ev.Reply("a", wire.NoMore()) in played.every
    assert played.study.over
    assert [run.state for run in played.study.runs.values()] == ["COMPLETE", "COMPLETE"]


def test_study_stop_spends_a_study_and_its_total_is_what_has_begun():
    played = Played()
    played.begin(0)
    assert ev.Reply("a", wire.Done()) in played.say(wire.Stop(0))
    assert played.study.spent == "t0000 called study.stop()"
    played.end(0, 0.5)
    for worker in "ab":
        played.apply(ev.HungUp(worker))
    played.apply(ev.Tick())
    played.apply(ev.Written())
    (finish,) = [effect for effect in played.every if isinstance(effect, ev.Finish)]
    assert finish.changes.declaration.trials == 1


def test_a_preview_trains_nothing_and_so_is_never_spent():
    study = StudyMachine(Settings(), preview=True)
    study.apply(ev.Said("a", wire.Hello(DECLARATION.as_dict())), 0.0)
    study.apply(opened(DECLARATION), 0.0)
    study.apply(ev.Said("a", wire.Ask()), 0.0)
    study.apply(ev.Sampled(0), 0.0)
    assert ev.Reply("a", wire.Done()) in study.apply(ev.Said("a", wire.Stop(0)), 0.0)
    assert study.spent is None


def test_a_study_that_was_spent_before_begins_nothing_but_what_it_had_begun():
    played = Played(runs=[run(0, 0.01), run(1, state="WAITING")], begun=2, again=[1], stop_when=["value < 0.05"])
    assert played.study.spent == "t0000 fulfils value < 0.05"
    effects = played.say(wire.Ask())
    assert [effect.number for effect in effects if isinstance(effect, ev.Sample)] == [1]


def test_a_run_that_another_program_adds_may_fulfil_a_condition():
    played = Played(stop_when=["value < 0.05", "no better in 1 trial"])
    played.begin(0)
    for number, value in ((1, 0.5), (2, 0.6)):
        played.apply(ev.Added([(RunRecord(number, state="COMPLETE", values=[value], reason=ADDED), {})]))
    assert played.study.spent is None, "they are no trials of this study"
    played.apply(ev.Added([(RunRecord(3, state="COMPLETE", values=[0.01], reason=ADDED), {})]))
    assert played.study.spent == "t0003 fulfils value < 0.05"


def test_the_first_limit_that_is_reached_is_the_reason():
    played = Played(trials=1, budget_epochs=2)
    played.begin(0)
    played.say(wire.Report(0, 0, 0.5))
    played.say(wire.Report(0, 1, 0.5))
    assert played.study.spent is None, "all its trials had begun by then"


def test_a_condition_on_what_no_run_has_is_said_once():
    played = Played(stop_when=["val_los < 0.1"])
    played.begin(0)
    played.say(wire.Report(0, 0, 0.5))
    said = []
    for number in (0, 1):
        if number:
            played.begin(number)
        played.say(wire.End(number, "COMPLETE", [0.5], None, None, []))
        played.apply(ev.Told(number, "COMPLETE", [0.5], {}, {}, exhausted=False))
        said += played.messages
        played.apply(ev.Written())
    assert len(said) == 1
    assert "val_los" in said[0]
