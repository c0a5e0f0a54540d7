"""The filter of the tabs that do not ignore case."""

import pytest
import regress
from hypothesis import given
from hypothesis import strategies as st

from sweep.view.tensorboard import for_case_sensitive_tabs, ignoring_case

NAMES = ["dnn-4x32-lr=0.001-t0000", "DNN-32-lr=0.1-t0001", "mlp-8-lr=0.002-t0002", "dnn_broke-lr=0.5-t0003"]


def matching(pattern, names, flags=""):
    return [name for name in names if regress.Regex(pattern, flags).find(name) is not None]


@pytest.mark.parametrize("pattern", ["^mlp", r"lr=0\.00", "t000[02]$", "", "(?=mlp)^"])
def test_a_pattern_that_finds_the_same_runs_anyway_stays_as_it_is(pattern):
    assert for_case_sensitive_tabs(pattern, NAMES) == pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^dnn", "^[dD][nN][nN]"),
        ("[a-d]nn", "[a-dA-D][nN][nN]"),
        (r"[^\d]x", r"[^\d][xX]"),
        (r"\bdnn\b", r"\b[dD][nN][nN]\b"),
        ("(?<fam>dnn)", "(?<fam>[dD][nN][nN])"),
        (r"(?<!d)n\k<fam>", r"(?<![dD])[nN]\k<fam>"),
        (r"\x64\u0064\cA", r"\x64\u0064\cA"),
        ("a{2,3}", "[aA]{2,3}"),
        ("[x-]", "[xX-]"),
        (r"[\]a]", r"[\]aA]"),
    ],
)
def test_letters_are_written_in_both_cases_where_they_stand_for_themselves(pattern, expected):
    assert ignoring_case(pattern) == expected


@pytest.mark.parametrize("pattern", ["^dnn", "^DNN", "DNN|MLP", "^(?=dnn)(?!dnn_)", r"[\x64]nn-", r"^d.*T0001$"])
def test_such_a_tab_shows_the_runs_that_time_series_shows(pattern):
    made = for_case_sensitive_tabs(pattern, NAMES)
    assert matching(made, NAMES) == matching(pattern, NAMES, "i")


def test_a_pattern_that_cannot_be_rewritten_becomes_the_numbers_of_its_runs():
    made = for_case_sensitive_tabs(r"^\x44", NAMES)
    assert made == "-(t0000|t0001|t0003)$"


@given(
    st.text(alphabet="abYZ019-=_.", min_size=1, max_size=6), st.lists(st.text(alphabet="aAbByYzZ019-=_.", max_size=8))
)
def test_plain_text_is_found_in_either_case(text, names):
    pattern = text.replace(".", r"\.")
    assert matching(ignoring_case(pattern), names) == matching(pattern, names, "i")
