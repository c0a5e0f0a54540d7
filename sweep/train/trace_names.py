"""Names for traced functions that are the same in every process, so that XLA's cache on disk knows their programs.

TensorFlow numbers the functions of a process in the order in which they are traced, and the number is part of what the
cache is asked for: a worker that trains its networks in another order than its neighbour would find nothing. What is
found is compared with the program wanted, instruction by instruction, before it is used (TensorFlow 2.21).
"""

import contextlib
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator

_traced: Counter[str] = Counter()


class TraceNames:
    """The numbers of one program's functions.

    Args:
        place: of the program, the same in all processes that trace it; unique among programs.
    """

    def __init__(self, place: str) -> None:
        _traced[place] += 1  # TensorFlow may still hold the functions of the one that was traced before
        digest = hashlib.sha256(f"{place} {_traced[place]}".encode()).digest()
        self._numbers = itertools.count(int.from_bytes(digest[:5]) << 20)  # far from those that TensorFlow gives

    @contextlib.contextmanager
    def given(self) -> Iterator[None]:
        """What is traced meanwhile has these numbers."""
        try:
            from tensorflow.python.framework import ops

            uid = ops.uid
        except (ImportError, AttributeError):  # another TensorFlow: the cache finds less
            yield
            return
        ops.uid = lambda: next(self._numbers)
        try:
            yield
        finally:
            ops.uid = uid
