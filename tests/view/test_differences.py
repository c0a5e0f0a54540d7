"""Two trainings held against each other."""

import math

import pytest

from sweep.view.differences import compare

NAN = math.nan


@pytest.mark.parametrize(
    ("then", "now", "same", "apart"),
    [
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0}}, True, []),
        ({0: {"loss": NAN}}, {0: {"loss": NAN}}, True, []),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0 + 1e-6}}, True, ["loss"]),
        ({0: {"loss": 1.0, "mae": 1.0}}, {0: {"loss": 1.1, "mae": 2.0}}, False, ["mae", "loss"]),
        ({0: {"loss": 1.0}}, {0: {"loss": NAN}}, False, ["loss"]),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0}, 1: {"loss": 0.5}}, True, []),
        ({0: {"loss": 1.0}, 1: {"loss": 0.5}}, {0: {"loss": 1.0}}, False, []),
        ({0: {"loss": 1.0}}, {0: {"loss": 1.0, "mae": 1.0}}, False, []),
        ({}, {}, True, []),
    ],
)
def test_metrics_are_the_same_up_to_rounding_or_said(then, now, same, apart):
    found = compare(then, now)
    assert found.same == same
    assert [difference.metric for difference in found.differences] == apart


def test_the_epoch_where_a_metric_is_furthest_apart_is_named():
    then = {epoch: {"loss": 1.0} for epoch in range(4)}
    now = {epoch: {"loss": 1.0 + 0.1 * (epoch == 2)} for epoch in range(4)}
    (difference,) = compare(then, now).differences
    assert (difference.epoch, difference.then, difference.now) == (2, 1.0, 1.1)
    assert compare(then, {0: {"loss": 1.0}}).missing == ["epoch 2"]
