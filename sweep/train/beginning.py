"""Beginning a trial anew in a worker that has trained others, and keeping the worker small while it does."""

import contextlib
import gc
import itertools
import random
import sys
from collections.abc import Iterator

import numpy as np
import psutil

WARM_TRIALS = 20
"""So many trials have a worker load what it needs: TensorFlow's kernels, the graphs of its first networks."""

GROWTH_BYTES = 330 * 1024**2
"""A worker whose resident memory has grown by more since it was warm is to be relieved. The programs that are kept,
which XLA compiles as they recur, take 12 MB each and up to some 250 MB in all, and then no more."""

THAWED_TRIALS = 50
"""Every so many trials garbage is looked for among all objects, and programs that are no longer kept are given back."""

_seeds: set[int] = set()
_collections = itertools.count()


class Growth:
    """How a worker's resident memory grows from trial to trial."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._trials = 0
        self._warm = 0

    def outgrown(self) -> bool:
        """Whether it has grown by more than `GROWTH_BYTES`; to be asked once before each trial."""
        now: int = self._process.memory_info().rss
        self._trials += 1
        if self._trials <= WARM_TRIALS + 1:
            self._warm = now
        return now - self._warm > GROWTH_BYTES


def begin(seed: int, *, settled: bool = False) -> None:
    """Begin a trial: names of layers count from the start, and everything random from the trial's seed.

    Args:
        seed: of the trial, 0 to 2**32 - 1.
        settled: leave what is there out of the collections of later trials, once this one has collected the garbage
            that the last has left. Clearing a session asks for a collection, which would take 0.2 s for the some
            600,000 objects of TensorFlow and Keras, and 20 to 50 ms for the graphs of the programs that are kept.
    """
    if "keras" not in sys.modules:
        random.seed(seed)
        np.random.seed(seed)
        return
    import keras

    if settled and next(_collections) % THAWED_TRIALS == 0:
        gc.unfreeze()
    with contextlib.nullcontext() if seed in _seeds else _kernels_kept():
        keras.utils.clear_session()  # first: it replaces the seed generator that the next line sets
        keras.utils.set_random_seed(seed)  # Python's and NumPy's too
    if settled:
        gc.freeze()
    _seeds.add(seed)


@contextlib.contextmanager
def _kernels_kept() -> Iterator[None]:
    """While a session is cleared and a seed is set, keep what TensorFlow has made ready to run.

    Either makes it forget its kernels, so that random operations begin anew. Those of a seed that was not there before
    begin anew anyway, their kernels being found by their seed; while each program is made ready again at its next run,
    which takes 0.2 s and, under XLA, 1.2 MB that are never given back (TensorFlow 2.21).
    """
    try:
        from tensorflow.python.eager.context import pywrap_tfe

        forget = pywrap_tfe.TFE_ContextClearCaches
    except (ImportError, AttributeError):  # another TensorFlow: slower and larger, but right
        yield
        return
    pywrap_tfe.TFE_ContextClearCaches = lambda _context: None
    try:
        yield
    finally:
        pywrap_tfe.TFE_ContextClearCaches = forget
