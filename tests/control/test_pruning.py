"""Verdicts equal Optuna's, and their numbers and sentences can be checked."""

import json
import math
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from sweep.control.pruning import Pruning
from sweep.core.pruners import Verdict, sentence
from sweep.specs import make_pruner

History = tuple[TrialState, dict[int, float]]
Curve = list[tuple[int, float]]


def new_study(direction: str, finished: Sequence[History] = ()) -> optuna.Study:
    study = optuna.create_study(study_name="s", direction=direction, sampler=optuna.samplers.RandomSampler(0))
    for state, values in finished:
        value = None if state == TrialState.FAIL else 1.0
        study.add_trial(create_trial(state=state, value=value, intermediate_values=values))
    return study


def complete(*curves: Sequence[float]) -> list[History]:
    return [(TrialState.COMPLETE, dict(enumerate(curve))) for curve in curves]


def frozen(study: optuna.Study, trial: Trial) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[trial.number]


def first_stop(study: optuna.Study, pruning: Pruning, curve: Sequence[float]) -> Verdict | None:
    """Report a curve epoch by epoch as the coordinator does; the verdict that stops it, if one does."""
    trial = study.ask()
    for step, value in enumerate(curve):
        trial.report(value, step)
        verdict = pruning.verdict(frozen(study, trial), step, value)
        if verdict is not None:
            assert isinstance(verdict, Verdict)
            study.tell(trial, state=TrialState.PRUNED)
            pruning.ended(frozen(study, trial))
            return verdict
    study.tell(trial, curve[-1])
    pruning.ended(frozen(study, trial))
    return None


def as_stored(verdict: Verdict) -> Verdict:
    """A verdict as it is read from the store; its sentence is not empty."""
    assert sentence(verdict)
    return Verdict.from_dict(json.loads(json.dumps(verdict.as_dict())))


class Twins:
    """One history in two studies: ours gives its verdicts on one, Optuna's own pruner on the other."""

    def __init__(self, spec: str, direction: str, finished: Sequence[History] = ()) -> None:
        self.ours, self.theirs = new_study(direction, finished), new_study(direction, finished)
        self.pruning = Pruning(self.ours, spec)
        self.theirs.pruner = make_pruner(spec)

    def compare(self, curves: Sequence[Curve], turns: Sequence[int], early: bool) -> None:
        """Train the curves side by side, one epoch of a running one at each turn; all end."""
        running = [(self.ours.ask(), self.theirs.ask(), list(curve)) for curve in curves]
        for turn in [*turns, *[0] * sum(map(len, curves))]:
            if not running:
                break
            ours, theirs, left = running[turn % len(running)]
            step, value = left.pop(0)
            before = frozen(self.ours, ours)
            ours.report(value, step)
            theirs.report(value, step)
            verdict = self.pruning.verdict(before if early else frozen(self.ours, ours), step, value)
            assert (verdict is not None) == theirs.should_prune()
            assert verdict is None or (isinstance(verdict, Verdict) and as_stored(verdict) == verdict)
            if verdict is not None or not left:
                state = {"state": TrialState.PRUNED} if verdict is not None else {"values": value}
                self.ours.tell(ours, **state)
                self.theirs.tell(theirs, **state)
                self.pruning.ended(frozen(self.ours, ours))
                running.remove((ours, theirs, left))


numbers = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-1e6, 1e6, allow_subnormal=False)
steps = st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True)
curves = st.lists(
    steps.flatmap(
        lambda at: st.lists(numbers, min_size=len(at), max_size=len(at)).map(lambda v: list(zip(at, v, strict=True)))
    ),
    min_size=1,
    max_size=8,
)
ordered_curves = curves.map(lambda several: [sorted(curve) for curve in several])
turns = st.lists(st.integers(0, 7), max_size=40)
directions = st.sampled_from(["minimize", "maximize"])
odd_numbers = numbers | st.sampled_from([math.nan, math.inf, -math.inf])
histories = st.lists(
    st.tuples(
        st.sampled_from([TrialState.COMPLETE] * 4 + [TrialState.PRUNED, TrialState.FAIL]),
        st.dictionaries(st.integers(0, 9), odd_numbers, max_size=8),
    ),
    max_size=8,
)


@st.composite
def percentile_specs(draw: st.DrawFn) -> str:
    head = draw(st.sampled_from(["median("]) | st.integers(0, 100).map(lambda p: f"percentile({p}, "))
    chosen = [draw(st.integers(*bounds)) for bounds in ((0, 4), (0, 4), (1, 4), (1, 3))]
    names = ("n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials")
    return head + ", ".join(f"{name}={value}" for name, value in zip(names, chosen, strict=True)) + ")"


@settings(max_examples=150, deadline=None)
@given(percentile_specs(), directions, histories, curves, turns, st.booleans())
def test_median_and_percentile_decide_as_optuna_does(
    spec: str, direction: str, finished: list[History], curves: list[Curve], turns: list[int], early: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy on columns of NaN, in Optuna's pruner
        Twins(spec, direction, finished).compare(curves, turns, early)


@pytest.mark.parametrize(
    "spec",
    [
        "nop",
        "halving",
        "halving(min_resource=1, reduction_factor=2)",
        "halving(min_resource=2, reduction_factor=3, bootstrap_count=2)",
        "hyperband",
        "hyperband(min_resource=1, max_resource=9, reduction_factor=2)",
        "threshold(lower=0.25)",
        "threshold(lower=-3, upper=0.5, n_warmup_steps=1, interval_steps=3)",
        "patient(None, 0)",
        "patient(None, 2, min_delta=0.25)",
        "patient(median(n_startup_trials=1), patience=1)",
        "patient(halving(min_resource=1, reduction_factor=2), patience=1)",
        "patient(patient(threshold(upper=0.5), 1), 2)",
    ],
)
@settings(max_examples=25, deadline=None)
@given(direction=directions, curves=ordered_curves | curves, turns=turns, early=st.booleans())
def test_every_other_pruner_decides_as_optuna_does(
    spec: str, direction: str, curves: list[Curve], turns: list[int], early: bool
) -> None:
    Twins(spec, direction).compare(curves, turns, early)


@settings(max_examples=50, deadline=None)
@given(directions, ordered_curves, st.sampled_from(["median(1)", "halving(1, 2)", "hyperband(1, 9, 2)"]))
def test_a_stopped_run_is_worse_than_the_threshold_it_was_held_against(
    direction: str, curves: list[Curve], spec: str
) -> None:
    study = new_study(direction)
    pruning = Pruning(study, spec)
    for curve in curves:
        values = [value for _, value in curve]
        verdict = first_stop(study, pruning, values)
        if verdict is None:
            continue
        assert verdict.threshold is not None
        assert verdict.rivals is not None
        assert verdict.rivals >= 1
        reported = list(study.trials[-1].intermediate_values.values())
        worst = (max if direction == "minimize" else min)(verdict.threshold, reported[-1])
        assert worst == reported[-1] != verdict.threshold


REASONS: list[tuple[str, str, list[list[float]], list[float], str, float | None, int | None]] = [
    (
        "median(n_startup_trials=1)",
        "minimize",
        [[0.9, 0.5], [0.9, 0.64], [0.9, 0.7]],
        [0.9, 0.912],
        "median: the best val_loss, 0.900 at epoch 1, is above 0.640, the median of 3 runs at epoch 2",
        0.64,
        3,
    ),
    (
        "median(n_startup_trials=1)",
        "minimize",
        [[0.9, 0.5], [0.9, 0.64], [0.9, 0.7]],
        [0.9, 0.8123],
        "median: val_loss 0.812 at epoch 2 is above 0.640, the median of 3 runs at that epoch",
        0.64,
        3,
    ),
    (
        "median(n_startup_trials=1)",
        "minimize",
        [[0.64]],
        [0.64001],
        "median: val_loss 0.64001 at epoch 1 is above 0.64000, the median of 1 run at that epoch",
        0.64,
        1,
    ),
    (
        "percentile(25, n_startup_trials=1)",
        "maximize",
        [[1.0], [2.0], [3.0], [4.0], [5.0]],
        [3.5],
        "percentile: val_loss 3.50 at epoch 1 is below 4.00, percentile 75 of 5 runs at that epoch",
        4.0,
        5,
    ),
    (
        "threshold(upper=2)",
        "minimize",
        [],
        [1.0, 2.001],
        "threshold: val_loss 2.001 at epoch 2 is above the upper bound 2",
        2.0,
        None,
    ),
    (
        "threshold(lower=0.125)",
        "maximize",
        [],
        [0.1],
        "threshold: val_loss 0.100 at epoch 1 is below the lower bound 0.125",
        0.125,
        None,
    ),
    (
        "patient(None, 1, min_delta=0.05)",
        "minimize",
        [],
        [0.7, 0.5, 0.6, 0.7],
        "patient: val_loss was 0.500 at epoch 2 and at best 0.600 in the last 2 epochs, "
        "worse by more than min_delta 0.05",
        0.55,
        None,
    ),
    (
        "patient(median(n_startup_trials=1), 0)",
        "maximize",
        [[0.9, 0.9]],
        [0.7, 0.5],
        "patient: val_loss was 0.700 at epoch 1 and at best 0.500 in the last epoch; "
        "median: the best val_loss, 0.700 at epoch 1, is below 0.900, the median of 1 run at epoch 2",
        0.9,
        1,
    ),
]


@pytest.mark.parametrize(
    ("spec", "direction", "finished", "curve", "reason", "threshold", "rivals"),
    REASONS,
    ids=[f"{case[0]} {case[1]} {case[3]}" for case in REASONS],
)
def test_a_reason_names_rule_value_threshold_and_rivals(
    spec: str,
    direction: str,
    finished: list[list[float]],
    curve: list[float],
    reason: str,
    threshold: float | None,
    rivals: int | None,
) -> None:
    study = new_study(direction, complete(*finished))
    verdict = first_stop(study, Pruning(study, spec, objective="val_loss"), curve)
    assert verdict is not None
    assert (sentence(verdict), verdict.threshold, verdict.rivals) == (reason, threshold, rivals)
    assert (verdict.rule, verdict.objective) == (spec.partition("(")[0], "val_loss")
    assert verdict.epoch_index == len(study.trials[-1].intermediate_values) - 1


def test_halving_names_the_rung_and_what_it_took_to_be_promoted() -> None:
    study = new_study("minimize")
    pruning = Pruning(study, "halving(min_resource=2, reduction_factor=2)", objective="val_loss")
    stops = [first_stop(study, pruning, [1, 1, value, 1, value]) for value in (0.64, 0.5, 0.71)]
    assert stops[:2] == [None, None]
    reason = "halving: rung 0 at epoch 3: val_loss 0.710 is not among the best 1 of 3 (needs at most 0.500)"
    assert stops[2] == Verdict("halving", "val_loss", 0.71, 2, 0.5, 2, details={"rung": 0, "places": 1, "entered": 3})
    assert sentence(stops[2]) == reason


def test_halving_says_when_it_stops_the_first_runs_at_a_rung() -> None:
    study = new_study("minimize")
    verdict = first_stop(study, Pruning(study, "halving(min_resource=1, bootstrap_count=2)"), [1, 1])
    assert verdict is not None
    assert sentence(verdict) == "halving: rung 0 at epoch 2: the first 2 runs there stop (bootstrap_count)"
    assert (verdict.threshold, verdict.rivals) == (None, 0)


def test_hyperband_names_the_bracket_and_counts_only_the_runs_in_it() -> None:
    study = new_study("maximize")
    pruning = Pruning(study, "hyperband(min_resource=1, max_resource=8, reduction_factor=2)", objective="accuracy")
    stops = [first_stop(study, pruning, [1.0 - 0.01 * number] * 8) for number in range(20)]
    brackets: dict[int, int] = {}
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    for number, verdict in enumerate(stops):
        if verdict is None:
            continue
        bracket = verdict.details["bracket"]
        assert bracket == study.pruner._get_bracket_id(study, study.trials[number]), "samplers see the same brackets"
        said = sentence(verdict)
        assert said.startswith(f"hyperband: bracket {bracket}, rung {verdict.details['rung']} at epoch ")
        assert "accuracy 0." in said
        assert "is not among the best " in said
        assert "(needs at least " in said
        assert verdict.rivals is not None
        assert verdict.rivals > brackets.get(bracket, 0)  # in order of the runs, each bracket on its own
        brackets[bracket] = verdict.rivals
    assert len(brackets) > 1


def test_hyperband_gives_its_brackets_to_the_sampler_through_the_study() -> None:
    study = new_study("minimize")
    Pruning(study, "hyperband")
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)


def test_nop_needs_no_single_objective() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    trial = study.ask()
    assert Pruning(study, "nop").verdict(frozen(study, trial), 0, 1.0) is None


def test_a_finished_trial_counts_once_however_often_it_is_given() -> None:
    study = new_study("minimize", complete([0.5]))
    pruning = Pruning(study, "median(n_startup_trials=2)")
    for _ in range(3):
        pruning.ended(study.trials[0])
    assert first_stop(study, pruning, [0.9]) is None  # one of two trials that must have finished
    verdict = first_stop(study, pruning, [0.9])
    assert verdict is not None
    assert verdict.rivals == 2


def test_only_complete_trials_are_rivals_of_the_median() -> None:
    study = new_study("minimize", [(TrialState.PRUNED, {0: 0.1}), (TrialState.FAIL, {0: 0.1})])
    pruning = Pruning(study, "median(n_startup_trials=0)")
    for trial in study.trials:
        pruning.ended(trial)
    assert first_stop(study, pruning, [0.9]) is None


@pytest.mark.parametrize("spec", ["median(n_startup_trials=1)", "halving(min_resource=1, reduction_factor=2)"])
def test_a_verdict_asked_for_again_is_the_same(spec: str) -> None:
    study = new_study("minimize")
    pruning = Pruning(study, spec)
    assert first_stop(study, pruning, [0.1, 0.1, 0.1]) is None
    trial = study.ask()
    trial.report(0.9, 1)
    verdicts = []
    for _ in range(3):
        verdicts.append(pruning.verdict(frozen(study, trial), 1, 0.9))
    assert verdicts[0] is not None
    assert verdicts == [verdicts[0]] * 3


def test_a_requeued_trial_keeps_the_rungs_it_has_passed_and_is_no_rival_of_its_own() -> None:
    study = new_study("minimize")
    pruning = Pruning(study, "halving(min_resource=1, reduction_factor=2)")
    assert first_stop(study, pruning, [0.5, 0.5]) is None
    trial = study.ask()
    older = frozen(study, trial)  # as it stood before the first rung, which is what a requeue goes back to
    assert pruning.verdict(older, 1, 0.4) is None
    assert pruning.verdict(older, 1, 0.9) is None
    verdict = first_stop(study, pruning, [0.7, 0.7])
    assert verdict is not None
    assert (verdict.threshold, verdict.rivals) == (0.4, 2)


def test_a_verdict_of_the_median_does_not_read_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    study = new_study("minimize", complete(*[[0.5, 0.4]] * 100))
    pruning = Pruning(study, "patient(median, patience=0)")
    trial = study.ask()
    trial.report(0.8, 0)
    before = frozen(study, trial)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("read the study's trials")

    monkeypatch.setattr(study, "get_trials", refuse)
    monkeypatch.setattr(study._storage, "get_all_trials", refuse)
    assert pruning.verdict(before, 1, 0.9) is not None


def test_verdicts_and_ends_may_come_from_several_threads() -> None:
    study = new_study("minimize")
    pruning = Pruning(study, "median(n_startup_trials=1)")
    trial = study.ask()
    trials = [create_trial(value=1.0, intermediate_values={0: float(n)}) for n in range(200)]
    for number, other in enumerate(trials):
        other.number = number + 1
    failures: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            for other in trials[offset:] + trials[:offset]:
                pruning.ended(other)
                pruning.verdict(frozen(study, trial), 0, 1e9)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(50 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    verdict = pruning.verdict(frozen(study, trial), 0, 1e9)
    assert isinstance(verdict, Verdict)
    assert (verdict.threshold, verdict.rivals) == (99.5, 200)
