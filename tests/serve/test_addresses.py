"""Addresses of pages and of TensorBoard, sparklines, and the threshold that pruned a run."""

import math

import optuna
import pytest

from sweep.control.pruning import Pruning
from sweep.declaration import Declaration
from sweep.serve.pages.addresses import address, numbers_pattern, tensorboard_link
from sweep.serve.pages.run import threshold
from sweep.serve.pictures import sparkline
from sweep.store import StudyRecord
from sweep.view.selection import Selection
from tests.store_builder import DECLARATION, run

STUDY = StudyRecord(1, "diabetes", Declaration.stored(DECLARATION), {}, {}, "/somewhere", 0.0, None, 0)


def test_an_address_escapes_what_it_is_made_of():
    assert address("studies", "a/b c", filter="^dnn&x", where="") == "/studies/a%2Fb%20c?filter=%5Ednn%26x"


def test_a_sparkline_has_a_gap_where_a_value_is_not_finite():
    assert sparkline([1.0, math.nan, 3.0]).count("M") == 2
    assert sparkline([math.nan]) == ""


def test_what_is_said_of_a_sparkline_is_escaped():
    assert "<script>" not in sparkline([1.0, 2.0], label='"><script>')


def test_a_link_to_tensorboard_has_the_filter_or_the_numbers_of_the_runs():
    runs = [run(1, 0.5), run(2, 0.4)]
    by_name = tensorboard_link(STUDY, Selection(filter="^dnn"), runs)
    assert by_name == "/tensorboard/diabetes/?runFilter=%5Ednn#timeseries"
    by_number = tensorboard_link(STUDY, Selection(filter="^dnn", where="lr < 1"), runs)
    assert by_number == "/tensorboard/diabetes/?runFilter=-%28t0001%7Ct0002%29%24#timeseries"
    assert numbers_pattern(runs) == "-(t0001|t0002)$"


@pytest.mark.parametrize(
    ("spec", "value"),
    [("median(n_startup_trials=1)", 2.0), ("threshold(upper=1.5)", 1.7), ("halving(min_resource=1)", 5.0)],
)
def test_the_threshold_is_read_off_the_reasons_that_pruners_give(spec, value):
    study = optuna.create_study()
    pruning = Pruning(study, spec)
    for reported in (1.0, 0.5, 0.75, 0.6, value):
        trial = study.ask()
        trial.report(reported, 1)
        verdict = pruning.verdict(study.trials[-1], 1, reported)
        study.tell(trial, reported)
        pruning.ended(study.trials[-1])
    assert verdict.prune
    assert threshold(run(4, value, state="PRUNED", reason=verdict.reason)) == pytest.approx(verdict.threshold)


@pytest.mark.parametrize("reason", [None, "by hand", "NaN at epoch 3"])
def test_a_reason_without_a_threshold_gives_none(reason):
    assert threshold(run(4, 1.0, state="PRUNED", reason=reason)) is None
