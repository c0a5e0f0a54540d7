"""Messages: scalars, histograms over every kind of array, texts."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, floating_dtypes, integer_dtypes
from tensorboard.util import tensor_util

from sweep.tensorboard import summaries
from sweep.tensorboard.summaries import BUCKETS, buckets

numbers = arrays(st.one_of(floating_dtypes(endianness="="), integer_dtypes()), array_shapes(min_side=0, max_side=20))


@pytest.mark.parametrize("size", [(32, 16), (300, 301)])
def test_a_histogram_counts_as_numpy_does(size):
    values = np.random.default_rng(0).normal(size=size)
    counts, edges = np.histogram(values, bins=BUCKETS)
    table = buckets(values)
    np.testing.assert_array_equal(table[:, 2], counts)
    np.testing.assert_allclose(table[:, 0], edges[:-1])
    np.testing.assert_allclose(table[:, 1], edges[1:])


@given(numbers)
def test_a_histogram_holds_every_finite_number_once_in_buckets_that_join(array):
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        table = buckets(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    assert table.shape[1] == 3
    assert np.isfinite(table).all()
    assert table[:, 2].sum() == finite.size
    assert (table[:, 2] >= 0).all()
    assert (table[:, 0] <= table[:, 1]).all()
    np.testing.assert_array_equal(table[1:, 0], table[:-1, 1])
    if finite.size:
        assert table[0, 0] <= finite.min() <= finite.max() <= table[-1, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_each_kind_of_float_has_the_same_buckets(dtype):
    values = np.arange(31)
    np.testing.assert_array_equal(buckets(values.astype(dtype)), buckets(values))
    np.testing.assert_array_equal(buckets(values)[:, 2], [1] * 29 + [2])


@pytest.mark.parametrize(("values", "number"), [([], 0), ([math.nan, math.inf], 0), ([2.0], 1), ([2.0, 2.0], 2)])
def test_there_is_no_bucket_for_nothing_and_one_around_equal_numbers(values, number):
    table = buckets(np.array(values, np.float32))
    np.testing.assert_array_equal(table, [[1.5, 2.5, number]] if number else np.zeros((0, 3)))


def test_nan_and_infinity_are_left_out():
    assert buckets(np.array([math.nan, 0, 3, 3, -math.inf]))[[0, -1], 2].tolist() == [1, 2]


@pytest.mark.parametrize(
    "ends",
    [
        np.array([-1.7e308, 1.7e308]),
        np.array([-3.4e38, 3.4e38], np.float32),
        np.array([0, 1e-300]),
        np.array([0, 1e-44], np.float32),
        np.array([-(2**63), 2**63 - 1]),
        np.array([False, True]),
    ],
)
def test_the_ends_of_a_huge_or_tiny_range_fall_into_the_outer_buckets(ends):
    table = buckets(ends)
    assert table.shape == (BUCKETS, 3)
    assert (table[0, 2], table[-1, 2]) == (1, 1)
    assert (table[0, 0], table[-1, 1]) == (ends[0], ends[1])


def test_numbers_too_near_to_each_other_share_a_bucket():
    near = np.array([1e16, 1e16 + 2])
    assert buckets(near).tolist() == [[1e16, 1e16 + 2, 2]]
    assert buckets(np.array([0, 5e-324])).tolist() == [[-0.5, 0.5, 2]]


def test_a_histogram_reads_back_as_its_table():
    array = np.random.default_rng(1).normal(size=100).astype(np.float32)
    value = summaries.histograms({"dense/kernel": array}).value[0]
    assert (value.tag, value.metadata.plugin_data.plugin_name) == ("dense/kernel", "histograms")
    np.testing.assert_array_equal(tensor_util.make_ndarray(value.tensor), buckets(array))


@pytest.mark.parametrize("value", [0.1, np.float16(0.5), np.float32(0.1), 3, np.int64(3), True, math.inf])
def test_a_scalar_is_a_float32_without_dimensions(value):
    written = summaries.scalars({"loss": value}).value[0]
    array = tensor_util.make_ndarray(written.tensor)
    assert (written.metadata.plugin_data.plugin_name, array.shape, array.dtype) == ("scalars", (), np.float32)
    assert array == np.float32(value)


def test_a_scalar_that_float32_cannot_hold_is_infinite():
    assert summaries.scalars({"loss": -1e300}).value[0].tensor.float_val[0] == -math.inf


def test_a_scalar_may_be_nan():
    assert math.isnan(summaries.scalars({"loss": math.nan}).value[0].tensor.float_val[0])


def test_a_text_holds_what_python_strings_may():
    value = summaries.text("run", "é \ud800").value[0]
    assert value.metadata.plugin_data.plugin_name == "text"
    assert value.tensor.string_val[0].decode() == "é \\ud800"
