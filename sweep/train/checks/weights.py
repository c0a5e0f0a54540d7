"""What weights show at the end of an epoch: NaN, neurons that are all alike, and how far they have moved."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from sweep.finding import Finding, Picture

Array = np.ndarray[Any, Any]

ROUNDING = 1e-3
"""Of a kernel's largest weight: what equal units may differ by, since rounding drives them apart as they train."""

COPIES = 0.25
"""The share of units that are copies of others from which on it is said."""

COPIED = 1e-4
"""What the projections of copies may differ by, of the largest one's size; of 512 units some 1.5 % are so by chance."""

SAMPLE = 4096  # numbers of a large kernel that are followed from epoch to epoch
_RANDOMLY = "initialise kernels at random, e.g. glorot_uniform"
_ROWS = 64  # of a kernel, that copies of units are looked for in

_directions = np.random.default_rng(0).normal(size=_ROWS).astype(np.float32)


def not_finite(weights: Mapping[str, Array]) -> list[Finding]:
    """The first weight that holds NaN or infinity."""
    for tag, array in weights.items():
        if holds_missing(array):
            return [not_a_number(f"{tag} holds NaN or infinity", layer_of(tag))]
    return []


def not_a_number(evidence: str, layer: str | None = None) -> Finding:
    """The finding of NaN or infinity somewhere."""
    remedy = "lower the learning rate, clip gradients, and look for NaN in the data"
    return Finding("not-a-number", evidence, remedy, layer, severe=True)


def holds_missing(array: Array) -> bool:
    """Whether NaN or infinity is among an array's numbers; their sum tells it in a tenth of the time."""
    if array.dtype.kind != "f":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum(dtype=np.float32 if array.itemsize < 4 else None)
    return not np.isfinite(total) and not np.isfinite(array).all()  # the sum alone may be beyond the largest float


def symmetric(weights: Mapping[str, Array], frozen: Set[str]) -> list[Finding]:
    """Layers whose units are all the same.

    Equal units get equal gradients and stay equal: I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, 8.4
    ("the initial parameters need to break symmetry between different units").

    Args:
        frozen: tags of weights that are not trained, and may be what they like.
    """
    alike = [tag for tag, kernel in _kernels(weights, frozen).items() if _is_one_unit(tag, kernel, weights)]
    if not alike:
        return []
    first = weights[alike[0]]
    more = f", and so in {len(alike) - 1} more layer{'s' * (len(alike) > 2)}" if len(alike) > 1 else ""
    evidence = f"all {first.shape[-1]} units of {alike[0]} have the same weights{more}"
    return [Finding("symmetric-neurons", evidence, _RANDOMLY, layer_of(alike[0]), severe=True, picture=_kernel(first))]


def copied(weights: Mapping[str, Array], frozen: Set[str]) -> list[Finding]:
    """The first layer of which many units are copies of others, which differ among themselves."""
    for tag, kernel in _kernels(weights, frozen).items():
        copies = _copies(tag, kernel, weights)
        if copies >= COPIES * kernel.shape[-1] and not _is_one_unit(tag, kernel, weights):
            evidence = f"{copies} of {kernel.shape[-1]} units of {tag} are copies of others"
            return [Finding("symmetric-neurons", evidence, _RANDOMLY, layer_of(tag), picture=_kernel(kernel))]
    return []


def _kernels(weights: Mapping[str, Array], frozen: Set[str]) -> dict[str, Array]:
    return {tag: array for tag, array in weights.items() if tag not in frozen and _is_kernel(tag, array)}


def _is_kernel(tag: str, array: Array) -> bool:
    """Whether units can be told apart in it: one row or one column is too small to tell."""
    name = tag.rpartition("/")[2]
    return name.startswith("kernel") and array.ndim >= 2 and array.shape[-1] >= 2 and array.size > array.shape[-1]


def _is_one_unit(tag: str, kernel: Array, weights: Mapping[str, Array]) -> bool:
    """Whether a kernel's columns are copies of one, with biases and recurrent weights that do not tell them apart."""
    columns, gates = kernel.reshape(-1, kernel.shape[-1]), _gates(tag, kernel, weights)
    if not _are_alike(columns[:1], gates) or not _are_alike(columns, gates):  # the first row settles it for most
        return False
    return all(_are_alike(other, gates) for other in _beside(tag, kernel, weights))


def _gates(tag: str, kernel: Array, weights: Mapping[str, Array]) -> int:
    """How many columns a unit has: a recurrent layer has the columns of each of its gates side by side."""
    layer, _, name = tag.rpartition("/")
    recurrent = weights.get(f"{layer}/recurrent_{name}")
    return 1 if recurrent is None else max(1, kernel.shape[-1] // recurrent.shape[0])


def _copies(tag: str, kernel: Array, weights: Mapping[str, Array]) -> int:
    """How many units are copies of another; units of zeros, which are pruned ones, do not count.

    They are compared by their projections on one random direction, their biases being one row more. Recurrent layers
    are passed over: their units have columns elsewhere, too.
    """
    layer, _, name = tag.rpartition("/")
    if f"{layer}/recurrent_{name}" in weights:
        return 0
    rows = [kernel.reshape(-1, kernel.shape[-1])[: _ROWS - 1], *_beside(tag, kernel, weights)]
    columns = np.concatenate([part / max(np.abs(part).max(initial=0), 1e-30) for part in rows], dtype=np.float32)
    places = np.sort(_directions[: len(columns)] @ columns)
    equal = (np.diff(places) <= COPIED * np.abs(places).max(initial=0)) & (places[1:] != 0)
    return int(equal.sum())


def _beside(tag: str, kernel: Array, weights: Mapping[str, Array]) -> list[Array]:
    """The layer's other weights that tell units apart: bias and recurrent kernel, with one column a unit."""
    layer, _, name = tag.rpartition("/")
    bias = weights.get(f"{layer}/{name.replace('kernel', 'bias', 1)}")
    recurrent = weights.get(f"{layer}/recurrent_{name}")
    found = [] if bias is None or bias.shape[-1:] != kernel.shape[-1:] else [bias.reshape(-1, bias.shape[-1])]
    return [*found, *([] if recurrent is None else [recurrent])]


def _are_alike(columns: Array, gates: int = 1) -> bool:
    """Whether columns, or those of each gate, are equal but for rounding."""
    numbers = columns.astype(np.float32).reshape(len(columns) * gates, -1)
    return bool(np.ptp(numbers, axis=1).max() <= ROUNDING * np.abs(numbers).max())


def _kernel(kernel: Array) -> Picture:
    """A corner of a kernel, and one of Glorot's initialisation of that shape (Glorot and Bengio, 2010, equation 16)."""
    columns = kernel.reshape(-1, kernel.shape[-1])
    corner = columns[:8, :16].astype(np.float64)
    limit = np.sqrt(6 / sum(columns.shape))
    healthy = np.random.default_rng(0).uniform(-limit, limit, corner.shape)
    return Picture(
        "weights, a column for each unit: as they are, and as glorot_uniform begins", rounded(corner), rounded(healthy)
    )


def rounded(numbers: Array) -> list[list[float]]:
    """Rows of numbers with three digits."""
    return [[float(f"{number:.3g}") for number in row] for row in numbers]


def layer_of(tag: str) -> str:
    """The layer of a weight's tag."""
    return tag.rpartition("/")[0] or tag


class Moves:
    """How far each kernel moves in an epoch, against its size: |change| / |kernel|.

    Attributes:
        before: a sample of each kernel as it was at the last call, by tag.
    """

    def __init__(self) -> None:
        self.before: dict[str, Array] = {}

    def follow(self, weights: Mapping[str, Array], frozen: Set[str]) -> dict[str, float]:
        """The moves since the last call by tag; none where a kernel was not there before."""
        now = {tag: _sample(array) for tag, array in weights.items() if tag not in frozen and "kernel" in tag}
        moves = {
            tag: _norm(array - self.before[tag]) / max(_norm(self.before[tag]), 1e-30)
            for tag, array in now.items()
            if tag in self.before and self.before[tag].shape == array.shape
        }
        self.before = now
        return moves


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))


def _sample(array: Array) -> Array:
    flat = array.ravel()
    return flat[:: max(1, flat.size // SAMPLE)].astype(np.float32)  # a copy: the weights go on
