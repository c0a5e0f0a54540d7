"""The weights of a run's best epoch, and `sweep.load`, which gives the trained model back.

`RUN/weights.npz` holds the arrays in the order of `model.weights`, with their names, the epoch and the model's
configuration as Keras writes it (`model.to_json`).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import StudyError
from sweep.rundir import WEIGHTS
from sweep.store import Store
from sweep.train.checkpoints import Array, load_arrays, save_arrays

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Weights:
    """A model's weights after an epoch.

    Attributes:
        epoch: counted from 0.
        arrays: in the order of `model.weights`.
        names: of them, as the histograms have them.
        config: the model as `model.to_json` writes it; None where it cannot be.
    """

    epoch: int
    arrays: Sequence[Array]
    names: Sequence[str]
    config: str | None

    def about(self) -> dict[str, Any]:
        """All but the arrays, as plain data."""
        return {"epoch": self.epoch, "names": list(self.names), "config": self.config}


def save_weights(run: Path, weights: Weights) -> None:
    """Keep weights in a run's directory.

    Raises:
        OSError: they cannot be written.
    """
    arrays = {f"{n:05}": array for n, array in enumerate(weights.arrays)}
    save_arrays(run / WEIGHTS, arrays, weights.about(), sync=False)  # a trial a second must not wait for the disk


def load_weights(run: Path) -> Weights | None:
    """The weights that a run has kept, or None."""
    found = load_arrays(run / WEIGHTS)
    if found is None:
        return None
    arrays, about = found
    return Weights(arrays=[arrays[name] for name in sorted(arrays)], **about)


def load(run: str | Path, *, model: "keras.Model | None" = None, storage: str | None = None) -> "keras.Model":
    """The trained model of a run, with the weights of its best epoch (`Study(value="last")`: of its last).

        model = sweep.load("dnn-4x32_16-lr=0.00118-bs=32-t0017")

    Args:
        run: the run's name, or its directory.
        model: takes the weights; needed where Keras cannot build the model from its configuration, as with a subclass
            of your own that has none.
        storage: the database that a name is looked up in; by default SWEEP_STORAGE, or `sqlite:///sweep.db`.

    Returns:
        The model, compiled if it was when it trained.

    Raises:
        StudyError: there is no such run, it has kept no weights, or the model is not theirs.
    """
    directory = _directory(run, storage)
    weights = load_weights(directory)
    if weights is None:
        raise StudyError(
            "sweep.load gives back the weights that a run has kept", f"none in {directory}", "see sweep start --keep"
        )
    if model is None:
        model = _built(weights, directory)
    wanted, there = shapes(model.weights), shapes(weights.arrays)
    if wanted != there:
        raise StudyError("the model must have the run's weights", f"shapes {wanted}, and the run has {there}")
    assign(model.weights, weights.arrays)
    return model


def shapes(several: Iterable[Any]) -> list[tuple[int, ...]]:
    """The shapes of variables or arrays."""
    return [tuple(one.shape) for one in several]


def assign(variables: Iterable[Any], arrays: Iterable[Array]) -> None:
    """Give variables the values of arrays of their shapes; NumPy's files know nothing of bfloat16."""
    import keras

    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array.view(keras.ops.convert_to_numpy(variable).dtype) if array.dtype.kind == "V" else array)


def _built(weights: Weights, directory: Path) -> "keras.Model":
    import keras

    got, remedy = "one that it cannot write", f"build it and give it: sweep.load({directory.name!r}, model=model)"
    if weights.config is not None:
        try:
            return keras.models.model_from_json(weights.config)
        except Exception as error:  # whatever a class of the user's raises, or one that is not there
            got = f"{type(error).__name__}: {error}".partition("\n")[0]
    raise StudyError("Keras builds a model from its configuration", got, remedy)


def _directory(run: str | Path, storage: str | None) -> Path:
    if Path(run).is_dir():
        return Path(run)
    store = Store(storage or os.environ.get("SWEEP_STORAGE", "sqlite:///sweep.db"))
    try:
        runs = [found for study in store.studies() for found in store.runs(study.study_id) if found.name == str(run)]
    finally:
        store.close()
    directories = [found.directory for found in runs if found.directory is not None]
    if len(directories) != 1:
        got = f"{run!r}" if not directories else f"{run!r}, which {len(directories)} studies have"
        raise StudyError("sweep.load is given the name of one run, or its directory", got, "sweep runs lists them")
    return Path(directories[0])


def main() -> None:
    """`python -m sweep.train.weights RUN FILE`: save a run's model for those who load no Keras themselves."""
    try:
        load(Path(sys.argv[1])).save(sys.argv[2])
    except (StudyError, ValueError, OSError) as error:
        sys.exit(f"sweep: {error}")


if __name__ == "__main__":
    main()
