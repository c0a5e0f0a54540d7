"""HParams records: built and parsed, one type a column, and shown by both of TensorBoard's loaders."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.names import session_group
from sweep.tensorboard import hparams
from sweep.tensorboard.event_files import RunWriter
from tests.tensorboard_server import LOADERS, tensorboard

MIXED = CategoricalDistribution([None, "none", "1", 1, 2.5])
HUGE = IntDistribution(0, 10**400)


def test_a_start_record_is_parsed_as_it_was_built():
    params = {"lr": 0.00118, "bs": 32, "aug": True, "opt": "adam"}
    parsed = hparams.parse_start(hparams.build_start(params, {}, "dnn-t0017", 5.0))
    assert parsed == ("dnn-t0017", params)
    assert type(parsed[1]["aug"]) is bool


@pytest.mark.parametrize(("state", "status"), [("COMPLETE", "SUCCESS"), ("PRUNED", "FAILURE"), ("FAIL", "FAILURE")])
def test_a_state_ends_with_its_status(state, status):
    assert hparams.parse_end(hparams.build_end(state, 5.0)) == status


def test_a_record_is_only_parsed_as_what_it_is():
    start, end = hparams.build_start({}, {}, "group", 0.0), hparams.build_end("COMPLETE", 0.0)
    assert (hparams.parse_end(start), hparams.parse_start(end)) == (None, None)


@pytest.mark.parametrize(
    ("value", "distribution", "expected"),
    [
        (1, IntDistribution(1, 9), 1.0),
        (0.5, FloatDistribution(0, 1), 0.5),
        (True, CategoricalDistribution([True, False]), True),
        ("1", CategoricalDistribution(["1", "2"]), "1"),
        (8, CategoricalDistribution([8, 16.5]), 8.0),
        (None, MIXED, "none"),
        ("none", MIXED, "~6eone"),
        ("1", MIXED, "~31"),
        (1, MIXED, "1"),
        (2.5, MIXED, "2.5"),
        (True, CategoricalDistribution([True, "auto"]), "true"),
        (math.nan, CategoricalDistribution([math.nan, 1.0]), "nan"),
        (1.0, CategoricalDistribution([math.inf, 1.0]), "1.0"),
        (3, HUGE, "3"),
        (3, None, 3.0),
        (None, None, "none"),
    ],
)
def test_a_value_has_the_type_of_its_parameters_whole_domain(value, distribution, expected):
    given = hparams.typed(value, distribution)
    assert (given, type(given)) == (expected, type(expected))


choices = st.lists(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    min_size=1,
    max_size=5,
)


@given(choices)
def test_all_values_of_a_parameter_have_one_type_and_differ_where_their_text_does(choices):
    distribution = CategoricalDistribution(choices)
    typed = [hparams.typed(choice, distribution) for choice in choices]
    assert len({type(value) for value in typed}) == 1
    if isinstance(typed[0], str):
        kinds = {(type(choice), repr(choice)) for choice in choices if choice == choice}
        assert len({value for value in typed if value != "nan"}) == len(kinds)
    for choice in choices:
        hparams.build_start({"x": choice}, {"x": distribution}, "group", 0.0).SerializeToString()


@pytest.mark.parametrize("loader", LOADERS)
def test_tensorboard_shows_sorts_and_filters_every_parameter(tmp_path, loader):
    runs = {
        "a-t0000": ({"lr": 0.1, "bs": 8, "aug": True, "mix": None, "inf": math.inf, "big": 10**400, "half": "\ud800"}),
        "b-t0001": ({"lr": 0.01, "bs": 16, "aug": False, "mix": 1, "inf": 1.0, "big": 3}),
        "c-t0002": ({"lr": 0.01, "bs": 16}),
    }
    distributions = {"mix": MIXED, "inf": CategoricalDistribution([math.inf, 1.0]), "big": HUGE}
    for name, params in runs.items():
        with RunWriter(tmp_path / name) as writer:
            writer.add(hparams.build_start(params, distributions, name, 0.0), 0)
            writer.scalars(0, {"val_loss": 1.0})
    with tensorboard(tmp_path, loader) as server:
        groups = server.wait_for(server.session_groups, lambda groups: len(groups) == 3)
        types = {column["name"]: column["type"] for column in server.experiment()["hparamInfos"]}
        assert types == {
            "lr": "DATA_TYPE_FLOAT64",
            "bs": "DATA_TYPE_FLOAT64",
            "aug": "DATA_TYPE_BOOL",
            "mix": "DATA_TYPE_STRING",
            "inf": "DATA_TYPE_STRING",
            "big": "DATA_TYPE_STRING",
            "half": "DATA_TYPE_STRING",
        }
        assert groups["a-t0000"]["hparams"] == {
            "lr": 0.1,
            "bs": 8,
            "aug": True,
            "mix": "none",
            "inf": "inf",
            "big": str(10**400),
            "half": "\\ud800",
        }
        assert groups["c-t0002"]["hparams"] == {"lr": 0.01, "bs": 16}
        for column in types:
            params = [{"hparam": column, "order": "ORDER_ASC"}]
            assert len(server.session_groups(colParams=params)) == 3, column


def test_tensorboard_shows_the_repeats_of_a_run_as_one_group_with_their_mean(tmp_path):
    for name, value in {"a-t0000": 9.0, "repeats/a-t0000r1": 1.0, "repeats/a-t0000r2": 2.0}.items():
        with RunWriter(tmp_path / name) as writer:
            group = session_group((tmp_path / name).name)
            writer.add(hparams.build_start({"lr": 0.1}, {}, group, 0.0), 0)
            writer.scalars(0, {"val_loss": value})
    with tensorboard(tmp_path) as server:
        groups = server.wait_for(server.session_groups, lambda groups: len(groups) == 2)
        assert sorted(groups) == ["a-t0000", "a-t0000r"]
        assert len(groups["a-t0000r"]["sessions"]) == 2
        means = [one["value"] for one in groups["a-t0000r"]["metricValues"] if one["name"]["tag"] == "val_loss"]
        assert means == [1.5]
