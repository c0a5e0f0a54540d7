"""Keras in a worker that trains one trial after another: each begins as in a new process."""

import contextlib
import copy
import dataclasses
import gc
import itertools
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from sweep.worker.trial import Previewed

THAWED_TRIALS = 50
"""Every so many trials garbage is looked for among all objects, and programs that are no longer kept are given back."""

_PROCESS = {
    "set_floatx": "floatx",
    "set_epsilon": "epsilon",
    "set_image_data_format": "image_data_format",
    "set_max_epochs": "max_epochs",
    "set_max_steps_per_epoch": "max_steps_per_epoch",
}

_STATE = re.compile(r"uids|seed|scope|_dict$|shared_objects|uninitialized|call_ctx|tracking_on")
"""What Keras keeps for each thread and is no setting: counts of names, generators, where it is in a trace."""

_seeds: set[int] = set()
_collections = itertools.count()
_remembered = threading.local()


def begin(seed: int, *, settled: bool = False) -> None:
    """Begin a trial: names of layers count from the start, everything random from the trial's seed, and the settings of
    Keras are those of the study file (`remember_settings`), or else stay.

    Nothing changes in other threads, where another study may train, but for the generators that all threads share.

    Args:
        seed: of the trial, 0 to 2**32 - 1.
        settled: leave what is there out of the collections of later trials, once this one has collected the garbage
            that the last has left. A collection would take 0.2 s for the some 600,000 objects of TensorFlow and Keras,
            and 20 to 50 ms for the graphs of the programs that are kept.
    """
    import keras

    if settled and next(_collections) % THAWED_TRIALS == 0:
        gc.unfreeze()
    settings = getattr(_remembered, "settings", None)
    if settings is None:
        settings = _settings()
    with contextlib.nullcontext() if seed in _seeds else _kernels_kept():
        _clear_session()  # first: it replaces the seed generator that the next lines set
        settings.restore()
        keras.utils.set_random_seed(seed)  # Python's and NumPy's too
    gc.collect()
    if settled:
        gc.freeze()
    _seeds.add(seed)


def remember_settings(*, own: bool = False) -> None:
    """Have the present settings of Keras hold at the beginning of every trial of this thread.

    Args:
        own: Keras' own settings instead, for it is in the middle of a trial that it was loaded.
    """
    _remembered.settings = _Settings({}, {}) if own else _settings()


def forget_settings() -> None:
    """Put the settings that were remembered back, and remember none."""
    settings = vars(_remembered).pop("settings", None)
    if settings is not None:
        settings.restore()


@contextlib.contextmanager
def training_nothing() -> Iterator[None]:
    """In a preview an objective that trains without `sweep.fit` comes no further than to Keras' own `fit`."""
    import keras

    def fit(*_arguments: Any, **_settings: Any) -> None:
        raise Previewed

    before, keras.Model.fit = keras.Model.fit, fit
    try:
        yield
    finally:
        keras.Model.fit = before


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What a user sets of Keras.

    Attributes:
        thread: what Keras keeps for each thread, such as the dtype policy; `clear_session` forgets it.
        process: what Keras keeps for the process, such as `floatx`, by the function of `keras.config` that sets it.
    """

    thread: Mapping[str, Any]
    process: Mapping[str, Any]

    def restore(self) -> None:
        """Make them the present ones, in this thread."""
        import keras

        _of_thread().update((name, _own(value)) for name, value in self.thread.items())
        for name, value in self.process.items():
            getattr(keras.config, name)(value)


def _settings() -> _Settings:
    import keras

    process = {setter: getattr(keras.config, getter)() for setter, getter in _PROCESS.items()}
    thread = {name: _own(value) for name, value in _of_thread().items() if not _STATE.search(name)}
    return _Settings(thread, process)


def _own(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, dict | list) else value


def _of_thread() -> dict[str, Any]:
    """What Keras keeps for this thread, by name; the dict itself, or an empty one where this Keras has none."""
    try:
        from keras.src.backend.common import global_state

        state: dict[str, Any] = vars(global_state.GLOBAL_STATE_TRACKER)
        return state
    except (ImportError, AttributeError):  # another Keras
        return {}


def _clear_session() -> None:
    """Do what `keras.utils.clear_session` does, but in this thread alone: others may be in the middle of a trace."""
    import keras

    try:
        from keras.src.backend.common import global_state

        trackers = [vars(global_state.GLOBAL_STATE_TRACKER), vars(global_state.GLOBAL_SETTINGS_TRACKER)]
    except (ImportError, AttributeError):  # another Keras
        keras.utils.clear_session(free_memory=False)
        return
    for tracker in trackers:
        tracker.clear()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.eager import context

        tf.compat.v1.reset_default_graph()
        if tf.executing_eagerly():
            context.context().clear_kernel_cache()


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
