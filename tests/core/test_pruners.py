"""A pruning rule is one file: it brings its settings, its verdicts and its sentence. Verdicts are read long after."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core import pruners
from sweep.core.pruners import RULES, Rule, Verdict, sentence
from sweep.core.pruners.verdict import two_figures
from sweep.objective import Objective
from sweep.specs import pruner_rule

RULE = """
from dataclasses import dataclass, field

from sweep.core.pruners.rule import Judge, Rule, bounds
from sweep.core.pruners.verdict import Verdict


@dataclass(frozen=True)
class Budget(Rule):
    name = "budget"
    help = "stops every run after so many epochs: budget(10)"
    optuna = "NopPruner"

    epochs: int = field(metadata=bounds(1))

    def judge(self, objective, judge_of):
        return _Judge(self, objective)

    @classmethod
    def sentence(cls, verdict):
        return f"{verdict.epoch_index + 1} epochs are over"


class _Judge(Judge):
    def __init__(self, rule, objective):
        self.rule, self.objective = rule, objective

    def verdict(self, number, values):
        step = max(values)
        if step + 1 < self.rule.epochs:
            return None
        return Verdict(self.rule.name, self.objective.name, values[step], step)


RULES = (Budget,)
"""


def test_a_file_in_the_folder_is_all_that_a_rule_needs(tmp_path, monkeypatch):
    (tmp_path / "budget.py").write_text(RULE)
    monkeypatch.setattr(pruners, "__path__", [*pruners.__path__, str(tmp_path)])
    rules = pruners.find_rules()
    assert rules.keys() - RULES.keys() == {"budget"}
    for name, rule in rules.items():
        monkeypatch.setitem(RULES, name, rule)
    rule = pruner_rule("patient(budget(3), patience=0)")
    judge = rule.judge(Objective("loss"), lambda inner: inner.judge(Objective("loss"), no_other_rule))
    assert judge.verdict(0, {0: 1.0, 1: 2.0}) is None
    verdict = judge.verdict(0, {0: 1.0, 1: 2.0, 2: 3.0})
    assert sentence(verdict) == (
        "patient: loss was 1.00 at epoch 1 and at best 3.00 in the last epoch; budget: 3 epochs are over"
    )


def no_other_rule(rule):
    raise AssertionError(f"{rule} is within no rule")


def test_every_rule_has_a_name_a_line_of_help_and_the_name_of_optunas_class():
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.optuna is None or rule.optuna.endswith("Pruner")
        assert rule.help
        assert "\n" not in rule.help
    assert list(RULES) == ["asha", "halving", "hyperband", "median", "nop", "patient", "percentile", "threshold"]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict("old", "loss", 0.5, 2), "old: loss 0.5 at epoch 3"),
        (Verdict("old", "loss", 0.5, 2, 0.4998), "old: loss 0.5000 at epoch 3 is above 0.4998"),
        (Verdict("old", "loss", 0.5, 2, 1.0, 7, {"x": 1}), "old: loss 0.500 at epoch 3 is below 1.00"),
    ],
)
def test_a_verdict_of_a_rule_that_is_gone_is_shown_by_its_numbers(verdict, expected):
    assert sentence(verdict) == expected


numbers = st.floats(allow_nan=False)
verdicts = st.builds(
    Verdict,
    rule=st.sampled_from(["median", "gone"]),
    objective=st.text(max_size=5),
    value=numbers,
    epoch_index=st.integers(0, 99),
    threshold=st.none() | numbers,
    rivals=st.none() | st.integers(0, 99),
    details=st.fixed_dictionaries({"percentile": numbers, "best_epoch_index": st.integers(0, 99)}),
)


@given(verdicts)
def test_a_verdict_is_read_as_it_was_written(verdict):
    read = Verdict.from_dict(json.loads(json.dumps(verdict.as_dict())))
    assert read == verdict
    assert sentence(read) == sentence(verdict)


@given(numbers, numbers)
def test_two_different_numbers_are_told_apart_in_their_order(one, other):
    if one != other:
        shown, beside = map(float, two_figures(one, other))
        assert (shown < beside, shown > beside) == (one < other, one > other)


def test_a_rule_that_optuna_decides_has_no_judge_of_its_own():
    with pytest.raises(NotImplementedError, match="halving is decided by Optuna"):
        RULES["halving"]().judge(Objective("loss"), no_other_rule)


def test_the_base_rule_is_no_rule_of_the_registry():
    assert Rule not in RULES.values()


LOSS, SCORE = Objective("loss"), Objective("score", "maximize")


def judged(spec, values, *, objective=LOSS, completed=None):
    """What a rule decides of a run with these values by step."""
    rule = pruner_rule(spec)
    judge = rule.judge(objective, lambda inner: inner.judge(objective, no_other_rule))
    judge.completed(completed or {})
    return judge.verdict(99, dict(enumerate(values)) if isinstance(values, list) else values)


@pytest.mark.parametrize(
    ("spec", "value", "bound"),
    [
        ("threshold(lower=0.1, upper=2.0)", 2.5, 2.0),
        ("threshold(lower=0.1, upper=2.0)", 0.05, 0.1),
        ("threshold(lower=0.1, upper=2.0)", 2.0, None),
        ("threshold(lower=0.1, upper=2.0)", 0.1, None),
        ("threshold(upper=2.0)", -5.0, None),
        ("threshold(lower=0.1)", 5.0, None),
        ("threshold(lower=0.1)", 0.0, 0.1),
    ],
)
def test_a_value_beyond_a_bound_stops_a_run_and_one_on_it_does_not(spec, value, bound):
    verdict = judged(spec, [value])
    assert (verdict.threshold if verdict is not None else None) == bound


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([9.0], False),
        ([9.0, 9.0], False),
        ([9.0, 9.0, 9.0], True),
        ([9.0, 9.0, 9.0, 9.0], False),
        ([9.0] * 6, True),
        ({0: 9.0, 1: 9.0, 3: 9.0}, True),  # the first step after the one that was to be judged
        ({0: 9.0, 1: 9.0, 2: 9.0, 3: 9.0}, False),
    ],
)
def test_a_rule_is_due_after_its_warmup_and_then_at_its_interval(values, stops):
    verdict = judged("threshold(upper=1.0, n_warmup_steps=2, interval_steps=3)", values)
    assert (verdict is not None) == stops


def rivals(*values):
    return {number: {0: 5.0, 1: value} for number, value in enumerate(values)}


def test_the_median_stops_a_run_whose_best_value_is_worse_and_says_what_it_was_held_against():
    verdict = judged("median(n_startup_trials=3)", [0.9, 1.0], completed=rivals(0.2, 0.4, 0.6))
    assert verdict == Verdict("median", "loss", 0.9, 1, 0.4, 3, {"percentile": 50.0, "best_epoch_index": 0})
    assert sentence(verdict) == (
        "median: the best loss, 0.900 at epoch 1, is above 0.400, the median of 3 runs at epoch 2"
    )
    verdict = judged("median(n_startup_trials=3)", [1.0, 0.9], completed=rivals(0.2, 0.4, 0.6))
    assert sentence(verdict) == "median: loss 0.900 at epoch 2 is above 0.400, the median of 3 runs at that epoch"
    assert judged("median(n_startup_trials=3)", [0.4, 1.0], completed=rivals(0.2, 0.4, 0.6)) is None
    assert judged("median(n_startup_trials=4)", [0.9, 1.0], completed=rivals(0.2, 0.4, 0.6)) is None


@pytest.mark.parametrize(("objective", "threshold"), [(LOSS, 0.25), (SCORE, 0.55)])
def test_a_percentile_is_of_the_best_end_and_between_two_runs_it_is_interpolated(objective, threshold):
    values = [2.0, 2.0] if objective is LOSS else [0.0, 0.0]
    completed = {number: {1: value} for number, value in enumerate((0.1, 0.3, 0.5, 0.7))}
    verdict = judged("percentile(25, n_startup_trials=0)", values, objective=objective, completed=completed)
    assert verdict.threshold == pytest.approx(threshold)
    assert f"percentile {verdict.details['percentile']:g} of 4 runs" in sentence(verdict)


def test_runs_that_reported_nan_count_as_having_reported_and_are_no_threshold():
    completed = {0: {0: float("nan")}, 1: {0: float("nan")}}
    assert judged("median(n_startup_trials=2)", [1.0], completed=completed) is None
    completed[2] = {0: 0.5}
    assert judged("median(n_startup_trials=2, n_min_trials=3)", [1.0], completed=completed).rivals == 1
    assert judged("median(n_startup_trials=2, n_min_trials=4)", [1.0], completed=completed) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.5, 0.7, 0.8], "loss was 0.500 at epoch 1 and at best 0.700 in the last 2 epochs"),
        ([0.5, 0.5, 0.8], None),
        ([0.5, 0.7], None),
        ([0.5, 0.8, 0.4], None),
    ],
)
def test_patience_ends_where_the_last_epochs_are_worse_than_all_before(values, said):
    verdict = judged("patient(None, patience=1)", values)
    assert (sentence(verdict) if verdict is not None else None) == (f"patient: {said}" if said else None)


def test_patience_has_a_margin_and_may_ask_another_rule():
    assert judged("patient(None, patience=0, min_delta=0.5)", [0.5, 1.0]) is None
    verdict = judged("patient(None, patience=0, min_delta=0.25)", [0.5, 1.0])
    assert sentence(verdict) == (
        "patient: loss was 0.500 at epoch 1 and at best 1.00 in the last epoch, worse by more than min_delta 0.25"
    )
    assert judged("patient(threshold(upper=2.0), patience=0)", [0.5, 1.0]) is None
    verdict = judged("patient(threshold(upper=0.75), patience=0)", [0.5, 1.0])
    assert (verdict.threshold, verdict.details["because"]["rule"]) == (0.75, "threshold")
    assert judged("patient(None, patience=0)", [0.5, 0.4], objective=SCORE).value == 0.4


@pytest.mark.parametrize(
    ("details", "threshold", "said"),
    [
        (
            {"rung": 1, "places": 2, "entered": 9},
            0.4,
            "halving: rung 1 at epoch 3: loss 0.500 is not among the best 2 of 9 (needs at most 0.400)",
        ),
        (
            {"rung": 1, "places": 2, "entered": 9, "bracket": 3},
            0.6,
            "halving: bracket 3, rung 1 at epoch 3: loss 0.500 is not among the best 2 of 9 (needs at least 0.600)",
        ),
        (
            {"rung": 0, "bootstrap_count": 4},
            None,
            "halving: rung 0 at epoch 3: the first 4 runs there stop (bootstrap_count)",
        ),
    ],
)
def test_a_rung_says_what_it_took_to_continue(details, threshold, said):
    assert sentence(Verdict("halving", "loss", 0.5, 2, threshold, details=details)) == said
