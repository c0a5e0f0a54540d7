"""How counts and lists are worded."""

import pytest

from sweep.words import counted, listed


@pytest.mark.parametrize(("count", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs")])
def test_one_is_singular(count, text):
    assert counted(count, "epoch") == text


@pytest.mark.parametrize(("names", "text"), [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")])
def test_a_long_list_says_how_many_are_left_out(names, text):
    assert listed(list(names)) == text


def test_a_study_and_several_studies():
    assert [counted(count, "study") for count in (1, 2)] == ["1 study", "2 studies"]
