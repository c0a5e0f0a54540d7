"""Links into TensorBoard."""

import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from sweep.view.tensorboard import graph_link, links, pins

BASE = "http://127.0.0.1:6006/"


def test_each_tab_has_the_filter_where_it_reads_it():
    found = links(BASE, "^dnn")
    assert found.time_series == "http://127.0.0.1:6006/?runFilter=%5Ednn#timeseries"
    assert found.scalars == "http://127.0.0.1:6006/?runFilter=%5Ednn#scalars&regexInput=%5Ednn"
    assert found.histograms == "http://127.0.0.1:6006/?runFilter=%5Ednn#histograms&regexInput=%5Ednn"
    assert found.distributions == "http://127.0.0.1:6006/?runFilter=%5Ednn#distributions&regexInput=%5Ednn"
    assert found.hparams == "http://127.0.0.1:6006/?runFilter=%5Ednn#hparams"


@pytest.mark.parametrize("pattern", [None, ""])
def test_without_a_pattern_there_is_no_filter(pattern):
    found = links(BASE, pattern)
    assert (found.time_series, found.scalars) == (f"{BASE}#timeseries", f"{BASE}#scalars")


@pytest.mark.parametrize("pattern", ["a+b", "lr=0\\.00", "a&b", "100%", "a b", "x#y", "^(dnn|mlp)-", "[+=]", "ä"])
def test_a_pattern_comes_out_of_its_link_as_it_went_in(pattern):
    found = urlsplit(links(BASE, pattern).scalars)
    assert parse_qs(found.query)["runFilter"] == [pattern]
    (in_hash,) = [part for part in found.fragment.split("&") if part.startswith("regexInput=")]
    assert unquote(in_hash.removeprefix("regexInput=")) == pattern
    assert "+" not in found.query + found.fragment


def test_tabs_that_do_not_ignore_case_may_have_a_pattern_of_their_own():
    found = links(BASE, "^DNN", sensitive="^[dD]")
    assert (found.time_series, found.histograms) == (
        f"{BASE}?runFilter=%5EDNN#timeseries",
        f"{BASE}?runFilter=%5EDNN#histograms&regexInput=%5E%5BdD%5D",
    )


def test_a_prefix_stays_in_front():
    assert links("http://host/tensorboard", "x").time_series == "http://host/tensorboard/?runFilter=x#timeseries"


def test_a_graph_is_linked_by_the_exact_name():
    assert graph_link(BASE, "dnn-lr=0.1-t0001") == f"{BASE}#graphs&run=dnn-lr%3D0.1-t0001"


def test_scalars_are_pinned_in_time_series_alone():
    found = links(BASE, "^dnn", pins=["val_loss", "loss"])
    (cards,) = parse_qs(urlsplit(found.time_series).query)["pinnedCards"]
    assert json.loads(cards) == [{"plugin": "scalars", "tag": "val_loss"}, {"plugin": "scalars", "tag": "loss"}]
    assert "pinnedCards" not in found.scalars
    assert urlsplit(links(BASE, pins=["loss"]).time_series).query.startswith("pinnedCards=")


def test_an_objective_of_validation_is_pinned_beside_that_of_training():
    assert pins(["val_loss"]) == ["val_loss", "loss"]
    assert pins(["accuracy"]) == ["accuracy"]
    assert pins(["val_mae", "mae"]) == ["val_mae", "mae"]
