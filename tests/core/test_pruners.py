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
        assert (rule.name, rule.optuna[-6:]) == (name, "Pruner")
        assert rule.help
        assert "\n" not in rule.help
    assert list(RULES) == ["halving", "hyperband", "median", "nop", "patient", "percentile", "threshold"]


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
