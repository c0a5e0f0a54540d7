"""How counts, sizes, lists, paths and texts of others are worded."""

import pytest

from sweep.words import counted, listed, plain, shown_path, shown_size


@pytest.mark.parametrize(("count", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs")])
def test_one_is_singular(count, text):
    assert counted(count, "epoch") == text


@pytest.mark.parametrize(("names", "text"), [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more")])
def test_a_long_list_says_how_many_are_left_out(names, text):
    assert listed(list(names)) == text


def test_a_study_and_several_studies():
    assert [counted(count, "study") for count in (1, 2)] == ["1 study", "2 studies"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        *[(0, "0 B"), (7, "7 B"), (999, "999 B"), (1000, "1.0 kB"), (9940, "9.9 kB"), (10_000, "10 kB")],
        *[(2_500_000, "2.5 MB"), (3e9, "3.0 GB"), (4e12, "4.0 TB"), (5e15, "5000 TB")],
    ],
)
def test_sizes_have_one_or_two_digits_and_a_unit(count, expected):
    assert shown_size(count) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1mException encountered\x1b[0m", "Exception encountered"),
        ("\x1b[38;5;196mred\x1b[m \x9b31malso", "red also"),
        ("\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
        ("\x1b(Bplain\x1b7", "plain"),
        ("\x1b", "\\x1b"),
        ("over\rwritten\x08\x07", "over\\x0dwritten\\x08\\x07"),
        ("a\r\nb\n\tc", "a\nb\n\tc"),
        ("größe 日本 \x00", "größe 日本 \x00"),
    ],
)
def test_a_text_of_others_changes_no_terminal(text, shown):
    assert plain(text) == shown


def test_a_path_elsewhere_stays_absolute():
    assert shown_path("/elsewhere/wine.py") == "/elsewhere/wine.py"


def test_a_path_below_the_working_directory_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(str(tmp_path / "studies" / "wine.py")) == "studies/wine.py"
