"""What runs with a finding have in common."""

import pytest

from sweep.finding import Finding
from sweep.view.findings import common_findings
from tests.store_builder import run


def runs(having, others, kind="dead-relu"):
    """Runs with a finding and without, each with these parameters."""
    found = [Finding(kind, "", "")]
    return [
        run(number, 0.5, params=params, findings=found if number < len(having) else [])
        for number, params in enumerate([*having, *others])
    ]


def said(having, others):
    return [str(common) for common in common_findings(runs(having, others))]


def rates(*values):
    return [{"lr": value} for value in values]


def test_a_bound_is_said_that_divides_them_from_the_others():
    assert said(rates(0.05, 0.2, 0.1), rates(0.001, 0.01, 0.02, 0.005)) == [
        "3 of 7 runs had dead-relu, all with lr > 0.04"
    ]
    assert said(rates(0.001, 0.002, 0.003), rates(0.1, 0.2, 0.3)) == ["3 of 6 runs had dead-relu, all with lr < 0.05"]


def test_one_choice_that_they_share_is_said():
    having, others = [{"opt": "sgd"}] * 4, [{"opt": "adam"}] * 3
    assert said(having, others) == ["4 of 7 runs had dead-relu, all with opt = 'sgd'"]


@pytest.mark.parametrize(
    ("having", "others"),
    [
        (rates(0.1, 0.2, 0.3), rates(0.15, 0.25, 0.35)),
        (rates(0.1, 0.2), rates(0.01, 0.02, 0.03)),
        (rates(0.1, 0.2, 0.3), rates(0.01, 0.02)),
        ([{"a": 1}, {"b": 2}, {"c": 3}], rates(1.0, 2.0, 3.0)),
        (rates(0.1, 0.1, 0.1), rates(0.1, 0.1, 0.1)),
        (rates(0.2, 0.2, 0.2), rates(0.2, 0.2, 0.1)),
    ],
    ids=["mixed", "few", "few others", "other parameters", "all the same", "most the same"],
)
def test_nothing_is_said_that_does_not_divide_them(having, others):
    (line,) = said(having, others)
    assert "all with" not in line


def test_the_bound_that_lets_the_fewest_others_pass_is_chosen():
    having = [{"lr": 0.1, "bs": 16}, {"lr": 0.2, "bs": 16}, {"lr": 0.3, "bs": 16}]
    others = [{"lr": 0.01, "bs": 16}, {"lr": 0.02, "bs": 32}, {"lr": 0.03, "bs": 64}]
    assert said(having, others) == ["3 of 6 runs had dead-relu, all with lr > 0.07"]


def test_findings_are_in_the_order_of_their_gravity_over_runs_that_have_trained():
    many = [*runs(rates(1.0), [], "data-leak"), *runs(rates(1.0), [], "symmetric-neurons"), run(9, None, epoch=0)]
    for number, made in enumerate(many):
        made.number = number
    assert [(found.kind, found.count, found.total) for found in common_findings(many)] == [
        ("symmetric-neurons", 1, 2),
        ("data-leak", 1, 2),
    ]
