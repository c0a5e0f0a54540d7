"""Texts in cells: numbers that line up, durations, sparklines; and tables that fit."""

import math

import pytest

from sweep.cli.cells import number_cells, sparkline, value_cells
from sweep.cli.grid import Column, Grid
from sweep.view.durations import duration


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([42.1312, 51.9, 143.2], [" 42.13", " 51.90", "143.20"]),
        ([0.31264, None, 0.4], ["0.3126", "", "0.4000"]),
        ([0.5, math.nan, math.inf], ["0.5000", "nan", "inf"]),
        ([0.5, 1e12, 1e-7], ["0.5000", "1.000e+12", "1e-7"]),
        ([0.0, 0.0], ["0.000", "0.000"]),
        ([12345.6, 23456.7], ["12346", "23457"]),
        ([], []),
    ],
)
def test_numbers_have_four_to_five_digits_and_line_up(values, expected):
    assert [cell.strip() for cell in number_cells(values)] == [cell.strip() for cell in expected]
    points = {cell.index(".") for cell in number_cells(values) if "." in cell and "e" not in cell}
    assert len(points) <= 1


def test_parameters_stand_exactly_as_in_a_run_name():
    values = [0.1 + 0.2, 1e-7, 32, True, None, "a b"]
    assert value_cells(values, [False] * 6) == ["0.30000000000000004", "1e-7", "32", "true", "none", "a~20b"]
    assert value_cells([0.5, None, 12.25], [False, True, False]) == [" 0.5", "", "12.25"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *[(None, ""), (0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00s"), (187, "3m07s")],
        *[(3599.9, "1h00m"), (7500, "2h05m"), (273600, "3d04h")],
    ],
)
def test_durations_are_short(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0], "▅"),
        ([1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"),
        ([2.0, math.nan, 1.0], "█x▁"),
        ([math.inf, math.nan], "xx"),
    ],
)
def test_a_sparkline_has_a_bar_a_value(values, expected):
    assert sparkline(values) == expected


def test_a_long_series_becomes_as_many_bars_as_there_is_room_for():
    assert sparkline([1 / (1 + epoch) for epoch in range(1000)], 12)[0] == "█"
    assert len(sparkline(list(range(1000)), 12)) == 12


def test_a_grid_that_fits_stays_whole():
    grid = Grid([Column("a", ["1"]), Column("b", ["22"], right=True)])
    assert grid.fit(5) == (grid, [])
    assert grid.plain() == "a   b\n1  22\n"


def test_the_least_important_columns_go_first():
    grid = Grid([Column("run", ["t0001"]), Column("time", ["3s"], keep=10), Column("lr", ["0.001"], keep=50)])
    assert grid.fit(12)[1] == ["time"]
    assert grid.fit(11)[1] == ["time", "lr"]
    assert grid.fit(1)[1] == ["time", "lr"]


def test_a_column_that_may_shrink_is_cut_before_others_go():
    grid = Grid([Column("run", ["t0001"]), Column("reason", ["worse than the median"], keep=10, shrink=8)])
    fitted, left_out = grid.fit(20)
    assert (fitted.columns[1].cells, left_out) == (["worse than t…"], [])
    assert grid.fit(14)[1] == ["reason"]
