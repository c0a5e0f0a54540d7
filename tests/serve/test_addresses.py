"""Addresses of pages and of TensorBoard, and sparklines."""

import math

from sweep.declaration import Declaration
from sweep.serve.pages.addresses import address, numbers_pattern, tensorboard_link
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
