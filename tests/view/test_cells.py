"""Texts in cells: numbers that line up, durations, sparklines, names in parts."""

import math

import pytest

from sweep.view.cells import duration, name_parts, number_cells, sparkline, value_cells
from tests.store_builder import run


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


def test_a_part_of_a_name_filters_by_itself_alone():
    made = run(17, 0.5, name="dnn-4x32-lr=0.01-bs=3-t0017")
    patterns = [pattern for _, pattern in name_parts(made)]
    assert patterns == ["^dnn-", "-4x32-", "-lr=0\\.01-", "-bs=3-", "-t0017$"]


def test_a_run_without_a_name_is_called_by_its_number():
    made = run(3, name=None)
    made.name = None
    assert [part.text for part, _ in name_parts(made)] == ["t0003"]
