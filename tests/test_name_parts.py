"""Run names in parts, as those who show names colour them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.errors import RunNameError
from sweep.names import KeyTable, encode
from sweep.names.parts import Part, parts
from tests.strategies import trials


def test_a_name_falls_into_family_architecture_parameters_and_number():
    assert parts("dnn-4x32_16-lr=0.00118-opt=adam-w-t0017") == [
        Part("family", "dnn"),
        Part("architecture", "4x32_16"),
        Part("parameter", "lr=0.00118"),
        Part("parameter", "opt=adam-w"),
        Part("number", "t0017"),
    ]


def test_a_shortened_name_has_its_digest():
    name = encode({f"p{i}": "x" * 30 for i in range(9)}, number=3, family="dnn", keys=KeyTable())
    assert [part.kind for part in parts(name)][-2:] == ["digest", "number"]


@given(trials(), st.text(max_size=8))
def test_the_parts_of_any_name_are_the_name(several, family):
    keys = KeyTable()
    for number, params in enumerate(several):
        name = encode(params, number=number, family=family, keys=keys)
        assert "-".join(part.text for part in parts(name)) == name


@pytest.mark.parametrize("text", ["", "dnn", "dnn-lr=0.10-t0001", "dnn-lr=1e5-t0001"])
def test_what_is_no_run_name_has_no_parts(text):
    with pytest.raises(RunNameError):
        parts(text)
