"""Hyperparameter sweeps for Keras, whose runs are named after what ran.

`import sweep` loads no TensorFlow: each public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.distribution import __version__
    from sweep.errors import SweepError
    from sweep.keras_tuner import from_keras_tuner
    from sweep.models import load, retrain
    from sweep.options import Cluster
    from sweep.study import Study
    from sweep.train.callbacks import callbacks
    from sweep.train.checks.before import check
    from sweep.train.fit import fit
    from sweep.worker.epochs import epochs

__all__ = [
    "Cluster",
    "Study",
    "SweepError",
    "__version__",
    "callbacks",
    "check",
    "epochs",
    "fit",
    "from_keras_tuner",
    "load",
    "retrain",
]

_HOMES = {
    "Cluster": "sweep.options",
    "Study": "sweep.study",
    "SweepError": "sweep.errors",
    "__version__": "sweep.distribution",
    "callbacks": "sweep.train.callbacks",
    "check": "sweep.train.checks.before",
    "epochs": "sweep.worker.epochs",
    "fit": "sweep.train.fit",
    "from_keras_tuner": "sweep.keras_tuner",
    "load": "sweep.models",
    "retrain": "sweep.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sweep' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
