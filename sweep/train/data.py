"""Training data in memory: what `keras.Model.fit` accepts as arrays, as dense tensors and a count of rows.

The conversions are those `fit` documents: floating point becomes `keras.config.floatx()`, everything else
keeps its type, a pandas Series becomes one column, lists become tuples, `class_weight` becomes sample weights
by row, one `sample_weight` holds for every output. What cannot be had so raises `Unsuitable`, and `fit` is
left to Keras, which also words the errors of a user.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

MAX_BYTES = 2 * 1024**3
"""Data larger than this, in bytes, are not held as tensors: Keras' `fit` streams them."""


def is_array(leaf: Any) -> bool:
    """Whether something holds rows in memory that can be sliced: a NumPy array, a dense tensor, a variable or pandas.

    Nothing else is ever sliced: a `PyDataset` would load a batch for it, and a generator be one batch short.
    """
    is_pandas = type(leaf).__module__.partition(".")[0] == "pandas" and hasattr(leaf, "iloc")
    is_tensor = isinstance(leaf, (np.ndarray, tf.Tensor, tf.Variable, keras.Variable))
    return (is_tensor or is_pandas) and len(leaf.shape) > 0


def are_arrays(data: Any) -> bool:
    """Whether a structure holds rows that NumPy can have, of whatever library, and nothing else."""
    leaves = keras.tree.flatten(data)
    return bool(leaves) and all(hasattr(leaf, "__array__") and len(getattr(leaf, "shape", ())) > 0 for leaf in leaves)


def count_rows(data: Any) -> int:
    """How many rows the first array of a structure has; 0 where it holds anything but arrays and None."""
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    return int(leaves[0].shape[0] or 0) if leaves and all(map(is_array, leaves)) else 0


def slice_rows(data: Any, rows: slice) -> Any:
    """Rows of a structure of arrays, as NumPy arrays and tensors; None where it holds anything but arrays and None."""
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    if not leaves or not all(map(is_array, leaves)):
        return None
    return keras.tree.map_structure(lambda leaf: None if leaf is None else _slice(leaf, rows), data)


def _slice(leaf: Any, rows: slice) -> Any:
    if hasattr(leaf, "iloc"):
        return leaf.iloc[rows].to_numpy()
    return leaf[rows] if isinstance(leaf, (np.ndarray, tf.Tensor)) else tf.convert_to_tensor(leaf)[rows]


class Unsuitable(Exception):
    """Why a training cannot run as compiled epochs; its text continues "because ..."."""


@dataclass(frozen=True)
class Layout:
    """What a program has to know of rows: everything but their values.

    Attributes:
        structure: what a batch looks like to `train_step`, with numbers 0, 1, ... in place of the tensors.
        specs: shape without the first dimension, and type, of the tensors by those numbers.
        count: number of rows.
        batch: rows of a full batch; the last batch holds what is left.
    """

    structure: Any
    specs: tuple[tuple[tuple[int, ...], str], ...]
    count: int
    batch: int

    @property
    def steps(self) -> int:
        """Number of batches in one pass over the rows."""
        return math.ceil(self.count / self.batch)

    def pack(self, tensors: Any) -> Any:
        """Tensors by their numbers in the structure that a step takes."""
        return keras.tree.map_structure(lambda number: tensors[number], self.structure)

    def signature(self, count: int | None) -> list[tf.TensorSpec]:
        """What tensors of so many rows look like; None leaves the number open."""
        return [tf.TensorSpec([count, *shape], kind) for shape, kind in self.specs]


@dataclass(frozen=True)
class Rows:
    """Rows of data: their layout, and the tensors, of `layout.count` rows each."""

    layout: Layout
    tensors: tuple[tf.Tensor, ...]


def rows(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: Mapping[int, float] | None = None,
    batch_size: int | None = None,
) -> Rows:
    """Data as `Rows`, in batches of `batch_size`, 32 if it is None.

    Raises:
        Unsuitable: the data are no arrays, do not fit together, or are too large.
    """
    if class_weight is not None:
        if sample_weight is not None or y is None or keras.tree.is_nested(y):
            raise Unsuitable("class_weight needs one array of targets and no sample_weight")
        sample_weight = _weights_of_classes(_dense(y), class_weight)
    elif sample_weight is not None:
        sample_weight = _weights_of_outputs(y, sample_weight)
    packed = keras.tree.lists_to_tuples(keras.utils.pack_x_y_sample_weight(x, y, sample_weight))
    leaves = keras.tree.flatten(packed)
    if sum(getattr(leaf, "nbytes", 0) for leaf in leaves) > MAX_BYTES:
        raise Unsuitable(f"the data are larger than {MAX_BYTES // 1024**2} MiB")
    tensors = tuple(_tensor(leaf) for leaf in leaves)
    counts = {tensor.shape[0] for tensor in tensors}
    if len(counts) != 1 or counts == {0}:
        raise Unsuitable(f"the arrays hold {sorted(counts)} rows")
    structure = keras.tree.pack_sequence_as(packed, list(range(len(tensors))))
    specs = tuple((tuple(tensor.shape[1:]), tensor.dtype.name) for tensor in tensors)
    return Rows(Layout(structure, specs, counts.pop(), batch_size or 32), tensors)


def split(x: Any, y: Any, sample_weight: Any, validation_split: float) -> tuple[Any, Any]:
    """`(x, y, sample_weight)` to train on, and to validate on: the last rows, a share `validation_split` of
    all.

    Raises:
        Unsuitable: the data are no arrays, or one part would be empty.
    """
    data = keras.tree.map_structure(lambda leaf: None if leaf is None else _dense(leaf), (x, y, sample_weight))
    count = next(int(leaf.shape[0]) for leaf in keras.tree.flatten(data) if leaf is not None)
    at = math.floor(count * (1.0 - validation_split))
    if not 0 < at < count:
        raise Unsuitable(f"validation_split={validation_split} leaves one part empty")

    def part(start: int, end: int) -> Any:
        return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[start:end], data)

    return part(0, at), part(at, count)


def _dense(leaf: Any) -> Any:
    """A NumPy array or dense tensor of at least one dimension, in the type that `fit` trains with."""
    if isinstance(leaf, (tf.Variable, keras.Variable)):
        leaf = tf.convert_to_tensor(leaf)
    elif type(leaf).__module__.partition(".")[0] == "pandas":
        leaf = _pandas(leaf)
    if not isinstance(leaf, (np.ndarray, tf.Tensor)):
        raise Unsuitable(f"the data hold a {type(leaf).__name__}, which is neither a NumPy array nor a dense tensor")
    kind = keras.backend.standardize_dtype(leaf.dtype) if leaf.dtype not in (object, tf.string) else "object"
    if leaf.shape is None or len(leaf.shape) == 0 or kind in ("object", "string"):
        raise Unsuitable(f"the data hold an array of {leaf.dtype} with shape {leaf.shape}")
    floatx = keras.config.floatx()
    if not keras.backend.is_float_dtype(kind) or kind == floatx:
        return leaf
    return leaf.astype(floatx) if isinstance(leaf, np.ndarray) else tf.cast(leaf, floatx)


def _pandas(frame: Any) -> np.ndarray[Any, Any]:
    kinds = list(getattr(frame, "dtypes", [])) if frame.ndim == 2 else [frame.dtype]
    if not all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in kinds):
        raise Unsuitable("a pandas column is no plain number")
    if any(kind.kind == "f" for kind in kinds):
        frame = frame.astype(keras.config.floatx())
    array: np.ndarray[Any, Any] = frame.to_numpy()
    return array if array.ndim == 2 else array[:, None]


def _tensor(leaf: Any) -> tf.Tensor:
    array = _dense(leaf)
    try:
        return tf.convert_to_tensor(array)
    except (TypeError, ValueError) as refusal:
        raise Unsuitable(f"the data hold an array of {array.dtype}") from refusal


def _weights_of_classes(y: Any, class_weight: Mapping[int, float]) -> np.ndarray[Any, Any]:
    classes = np.asarray(y)
    if classes.ndim > 1:
        classes = classes.argmax(-1) if classes.shape[-1] != 1 else classes[..., 0]
    if classes.ndim != 1:
        raise Unsuitable("class_weight needs one class a row")
    present, places = np.unique(np.round(classes).astype("int32"), return_inverse=True)
    weights = np.array([class_weight.get(int(name), 1.0) for name in present], keras.config.floatx())
    return weights[places]


def _weights_of_outputs(y: Any, sample_weight: Any) -> Any:
    if not keras.tree.is_nested(y):
        return sample_weight
    if isinstance(sample_weight, (list, tuple, dict)):
        try:
            keras.tree.assert_same_structure(y, sample_weight)
        except ValueError as refusal:
            raise Unsuitable("sample_weight has another structure than the targets") from refusal
        return sample_weight
    weights = _dense(sample_weight)
    if not (len(weights.shape) == 1 or (len(weights.shape) == 2 and weights.shape[1] == 1)):
        raise Unsuitable("one sample_weight for several outputs must hold one number a row")
    return keras.tree.map_structure(lambda _: weights, y)
