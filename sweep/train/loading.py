"""`sweep.load`: the trained model of a run."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.errors import StudyError
from sweep.store import Store
from sweep.train.weights import Weights, assign, finalize, load_weights, shapes

if TYPE_CHECKING:
    import keras


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
    finalize(model)
    return model


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
    """`python -m sweep.train.loading RUN FILE`: save a run's model for those who load no Keras themselves."""
    try:
        load(Path(sys.argv[1])).save(sys.argv[2])
    except (StudyError, ValueError, OSError) as error:
        sys.exit(f"sweep: {error}")


if __name__ == "__main__":
    main()
