"""Data in memory as `fit` takes them."""

import numpy as np
import pytest
import tensorflow as tf

from sweep.train.data import Unsuitable, rows, split
from tests.train.same_as_fit import ROWS, X, Y, assert_same_as_fit, dense


@pytest.mark.parametrize("kind", ["float32", "tensor", "variable", "pandas", "integers"])
def test_data_may_be_any_dense_array_in_memory(kind):
    convert = {
        "float32": lambda a: a.astype("float32"),
        "tensor": tf.constant,
        "variable": tf.Variable,
        "pandas": pytest.importorskip("pandas").DataFrame,
        "integers": lambda a: (a * 10).astype("int64"),
    }[kind]
    assert_same_as_fit(dense, convert(X), convert(Y), epochs=1)
    if kind == "pandas":
        assert_same_as_fit(dense, convert(X), convert(Y)[0], epochs=1, validation_split=0.3)


def test_batches_have_the_structure_that_a_step_takes():
    data = rows({"a": X, "b": [X, Y]}, Y, batch_size=8)
    assert data.layout.steps == 5
    x, y = data.layout.pack(data.tensors)
    assert isinstance(x["b"], tuple)
    np.testing.assert_allclose(y, Y, rtol=1e-6)
    assert y.dtype == tf.float32


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ((X, Y[:5]), r"the arrays hold \[5, 37\] rows"),
        ((X[:0], Y[:0]), "hold \\[0\\] rows"),
        ((X, None, None, {0: 1.0}), "class_weight needs one array of targets"),
        ((X, [Y, Y], [Y[:, 0]]), "another structure than the targets"),
        ((X, [Y, Y], X), "one number a row"),
        ((np.array(["a"] * ROWS), Y), "an array of <U1"),
        ((np.array([[1, "a"]] * ROWS, object), Y), "an array of object"),
        (([1.0] * ROWS, Y), "a float, which is neither"),
        (([X, None], Y), "a NoneType, which is neither"),
        ((np.float32(1.0), Y), "neither"),
    ],
)
def test_what_is_no_array_is_refused_with_the_reason(arrays, why):
    x, y, *weights = arrays
    with pytest.raises(Unsuitable, match=why):
        rows(x, y, weights[0] if weights else None, class_weight=weights[1] if len(weights) > 1 else None)


def test_large_data_are_left_to_keras(monkeypatch):
    monkeypatch.setattr("sweep.train.data.MAX_BYTES", 1024)
    with pytest.raises(Unsuitable, match="the data are larger than"):
        rows(X, Y)


def test_a_split_takes_the_last_rows_and_leaves_no_part_empty():
    (x, _, weights), (held_x, held_y, _) = split(X, Y, None, 0.3)
    assert weights is None
    np.testing.assert_allclose(np.concatenate([x, held_x]), X, rtol=1e-6)
    assert len(held_x) == len(held_y) == ROWS - int(ROWS * 0.7)
    with pytest.raises(Unsuitable, match="leaves one part empty"):
        split(X, Y, None, 0.999)
