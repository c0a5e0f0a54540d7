"""Beginning a trial anew in a worker that has trained others, and keeping the worker small while it does."""

import contextlib
import gc
import random
import sys
from collections.abc import Iterator

import numpy as np
import psutil

WARM_TRIALS = 20
"""So many trials fill what a worker keeps for good: the programs of its first networks, TensorFlow's kernels."""

GROWTH_BYTES = 80 * 1024**2
"""A worker whose resident memory has grown by more since it was warm is to be relieved."""

_seeds: set[int] = set()


def settle() -> None:
    """Leave what a worker has loaded so far out of garbage collection, which a session cleared for each trial asks for.

    Without it each trial spends 0.2 s on the some 600,000 objects of TensorFlow and Keras.
    """
    gc.collect()
    gc.freeze()


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


def begin(seed: int) -> None:
    """Begin a trial: names of layers count from the start, and everything random from the trial's seed.

    Args:
        seed: of the trial, 0 to 2**32 - 1.
    """
    if "keras" not in sys.modules:
        random.seed(seed)
        np.random.seed(seed)
        return
    import keras

    with contextlib.nullcontext() if seed in _seeds else _kernels_kept():
        keras.utils.clear_session()  # first: it replaces the seed generator that the next line sets
        keras.utils.set_random_seed(seed)  # Python's and NumPy's too
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
    pywrap_tfe.TFE_ContextClearCaches = lambda context: None
    try:
        yield
    finally:
        pywrap_tfe.TFE_ContextClearCaches = forget
