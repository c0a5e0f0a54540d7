"""`sweep best --save`: a kept model written as a file that Keras reads, and read back before anybody relies on it."""

import contextlib
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from sweep.architecture import is_of_keras
from sweep.errors import StudyError
from sweep.train.model_state import layers, line
from sweep.train.restore import NotCompiled, compare, restore
from sweep.train.source import Source, active
from sweep.worker.weights import Weights


def save(weights: Weights, name: str, get_source: Callable[[], Source], file: Path) -> dict[str, Any]:
    """Write a run's model as a file, which is there with the model's predictions or not at all.

    Args:
        name: how the user calls the run.
        get_source: imports its study file, where that is needed.
        file: ends in `.keras` or `.h5`.

    Returns:
        `epoch`, from 0; `checked`, whether the file was read back and predicted what the worker did; `inputs` and
        `outputs` as `signature` gives them; `notes`, what a reader of the file should know.

    Raises:
        StudyError: the model cannot be built, or the file does not hold it.
        OSError: the file cannot be written.
    """
    used: list[Source] = []

    def get() -> Source:
        used.append(get_source())
        return used[-1]

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = restore(weights, name, get)
    notes = [str(one.message) for one in warned if issubclass(one.category, NotCompiled)]
    beside = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}")
    try:
        with active(used[0] if used else Source()) as objects:
            checked, settings = _write(model, weights, objects, file, beside)
            takes, gives = signature(model, weights)
        beside.replace(file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    if not checked:
        reason = weights.unchecked or "the run was trained by a version that recorded no predictions"
        notes.append(f"Its predictions could not be compared with those in the study: {reason}.")
    return {
        "epoch": weights.epoch,
        "checked": checked,
        "inputs": takes,
        "outputs": gives,
        "notes": [*notes, *_how_to_read(model, file, bool(used), settings)],
    }


def signature(model: keras.Model, weights: Weights) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]] | None]:
    """What a model takes and gives: the name, the shape and the dtype of each tensor; None where it is not known.

    The first number of a shape, None, stands for any number of rows. A subclassed model has no tensors of its own:
    those of the rows that were kept of its validation data are taken, with names only where these have some.
    """
    try:
        names = [each.name for each in model.inputs]
        return _tensors(names, model.inputs), _tensors(model.output_names, model.outputs)
    except (AttributeError, TypeError, ValueError):
        return _rows(weights.inputs), _rows(weights.predictions)


def _tensors(names: Sequence[str], tensors: Sequence[Any]) -> list[dict[str, Any]]:
    return [_tensor(name, each.shape, each.dtype) for name, each in zip(names, tensors, strict=True)]


def _rows(kept: Any) -> list[dict[str, Any]] | None:
    """The tensors of rows that were kept, whatever number of rows they are of."""
    if kept is None:
        return None
    named = kept if isinstance(kept, dict) else {None: kept} if hasattr(kept, "shape") else dict(enumerate(kept))
    return [_tensor(name, (None, *array.shape[1:]), array.dtype) for name, array in named.items()]


def _tensor(name: Any, shape: Any, dtype: Any) -> dict[str, Any]:
    return {"name": name if isinstance(name, str) else None, "shape": list(shape), "dtype": str(dtype)}


def _write(
    model: keras.Model, weights: Weights, objects: dict[str, Any], file: Path, beside: Path
) -> tuple[bool, dict[str, Any]]:
    """Write the file and read it back.

    Returns:
        Whether there was something to compare its predictions with, and with which arguments Keras reads it.
    """
    settings: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(beside)
            try:
                back = keras.models.load_model(beside, custom_objects=objects, safe_mode=False)
            except Exception:  # Keras' HDF5 files do not find a loss that was named "mse"
                settings["compile"] = False
                back = keras.models.load_model(beside, custom_objects=objects, safe_mode=False, compile=False)
            return compare(back, weights, str(file)), settings
    except OSError:
        raise
    except StudyError:
        why = "what it holds predicts something else than the model did in the study"
    except Exception as error:  # whatever Keras or a class of the user's raises
        why = line(error)
    other = ", or save it as .keras, which holds more" if file.suffix == ".h5" else ""
    raise StudyError(
        f"Keras cannot read the model back from {file}, which was not written: {why}.",
        hint=f"Use it in Python with sweep.load{other}.",
    )


def _how_to_read(model: keras.Model, file: Path, has_own: bool, settings: dict[str, Any]) -> list[str]:
    arguments = [repr(str(file)), *(f"{name}={value}" for name, value in settings.items())]
    own = sorted({type(one).__name__ for one in layers(model) if not is_of_keras(type(one))})
    if has_own:
        arguments.append("custom_objects={...}")
    if any(isinstance(layer, keras.layers.Lambda) for layer in layers(model)):
        arguments.append("safe_mode=False")
    if len(arguments) == 1:
        return []
    what = f" It has {', '.join(own)} of the study file." if own else ""
    return [f"Read it with keras.models.load_model({', '.join(arguments)}).{what}"]
