"""What the page shows, as plain data: cells, progress, links, comparisons."""

import math

import pytest

from sweep.declaration import Declaration
from sweep.serve import cells
from sweep.serve.comparing import comparison, differences
from sweep.serve.context import Choice
from sweep.serve.views import address, numbers_pattern, progress, tensorboard_link
from sweep.store import StudyRecord
from tests.store_builder import DECLARATION, run

STUDY = StudyRecord(1, "diabetes", Declaration.stored(DECLARATION), {}, {}, "/somewhere", 0.0, None, 0)


def test_an_address_escapes_what_it_is_made_of():
    assert address("studies", "a/b c", filter="^dnn&x", where="") == "/studies/a%2Fb%20c?filter=%5Ednn%26x"


def test_progress_counts_what_has_ended_and_shows_what_runs():
    shown = progress(STUDY, {"COMPLETE": 12, "PRUNED": 3, "RUNNING": 2})
    assert (shown.used, shown.total, shown.percent) == (15, 30, 50)
    assert shown.segments == [("complete", 0.0, 40.0), ("pruned", 40.0, 10.0), ("running", 50.0, pytest.approx(20 / 3))]


def test_a_part_of_a_name_filters_by_itself_alone():
    made = run(17, 0.5, name="dnn-4x32-lr=0.01-bs=3-t0017")
    patterns = [pattern for _, pattern in cells.name_parts(made)]
    assert patterns == ["^dnn-", "-4x32-", "-lr=0\\.01-", "-bs=3-", "-t0017$"]


def test_a_run_without_a_name_is_called_by_its_number():
    made = run(3, name=None)
    made.name = None
    assert [part.text for part, _ in cells.name_parts(made)] == ["t0003"]


def test_a_sparkline_has_a_gap_where_a_value_is_not_finite():
    assert cells.sparkline([1.0, math.nan, 3.0]).count("M") == 2
    assert cells.sparkline([math.nan]) == ""


def test_what_is_said_of_a_sparkline_is_escaped():
    assert "<script>" not in cells.sparkline([1.0, 2.0], label='"><script>')


def test_a_link_to_tensorboard_has_the_filter_or_the_numbers_of_the_runs():
    runs = [run(1, 0.5), run(2, 0.4)]
    by_name = tensorboard_link(STUDY, Choice(filter="^dnn"), runs)
    assert by_name == "/tensorboard/diabetes/?runFilter=%5Ednn#timeseries"
    by_number = tensorboard_link(STUDY, Choice(filter="^dnn", where="lr < 1"), runs)
    assert by_number == "/tensorboard/diabetes/?runFilter=-%28t0001%7Ct0002%29%24#timeseries"
    assert numbers_pattern(runs) == "-(t0001|t0002)$"


def test_a_run_is_compared_with_the_best_one():
    mine = run(1, 0.6, params={"learning_rate": 0.1, "batch_size": 32, "dropout": 0.5})
    best = run(2, 0.5, params={"learning_rate": 0.01, "batch_size": 32, "layers": 3})
    found = {item.name: (item.value, item.best, item.differs, item.change) for item in differences(STUDY, mine, best)}
    assert found == {
        "learning_rate": ("0.1", "0.01", True, "\N{MULTIPLICATION SIGN}10"),
        "batch_size": ("32", "32", False, ""),
        "dropout": ("0.5", "", True, ""),
        "layers": ("", "3", True, ""),
    }


def test_several_runs_are_compared_by_what_differs():
    runs = [run(1, 0.6, params={"lr": 0.1, "bs": 32}), run(2, 0.5, params={"lr": 0.01, "bs": 32})]
    found = comparison(STUDY, runs, {1: {"loss": 1.0}, 2: {"loss": 2.0}})
    assert [(line.label, line.texts, line.lowest, line.highest) for line in found.differing] == [
        ("lr", ["0.1", "0.01"], 1, 0)
    ]
    assert found.same == [("bs", "32")]
    value = next(line for line in found.outcomes if line.label == "value")
    assert (value.texts, value.winner) == (["0.6", "0.5"], 1)


def test_an_infeasible_run_wins_no_comparison():
    runs = [run(1, 0.6, constraints={"size": 0.0}), run(2, 0.5, constraints={"size": 1.0}), run(3, 0.7)]
    found = {line.label: line for line in comparison(STUDY, runs, {}).outcomes}
    assert (found["value"].winner, found["constraint size"].texts) == (0, ["0", "1", ""])
