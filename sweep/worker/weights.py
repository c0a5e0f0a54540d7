"""What is kept of a trained model: the weights of the epoch that counts, and everything else that makes it a model.

`RUN/weights.npz` (`RUN/weights-1.npz` for a trial's second training, and so on) holds

- the arrays of `model.weights`, in their order, with their names, their epoch and the model's configuration;
- what a layer keeps beside its weights, as Keras' own saving has it (`save_own_variables`, `save_assets`): the
  vocabulary of a `StringLookup`, whatever a layer of the user's own writes;
- the inputs of the first validation batch, at most `ROWS` rows and `BYTES` bytes (`sweep.train.model_state`), with what
  the model predicted for them in the worker. `sweep.load` and `sweep best --save` compare the model that comes back
  with that;
- or, of an objective that `sweep.epochs` trains, the state that it reported.

Nothing of it is pickled.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.rundir import weights_file
from sweep.worker.checkpoints import Array, load_arrays, save_arrays


@dataclass(frozen=True)
class Weights:
    """A model's weights after an epoch, and what `complete` adds to them.

    Attributes:
        epoch: within the training, counted from 0.
        arrays: in the order of `model.weights`.
        names: of them, as the histograms have them.
        config: the model as `model.to_json` writes it; None where it cannot be.
        completed: whether `complete` has added the rest; it has not for runs of earlier versions.
        functions: the user's own functions in the model (losses, activations) by name; True for one that its name
            cannot find again, as it is a lambda or defined in another function.
        states: what layers keep beside their weights, by the layer's place in the model, kind and name:
            `3/assets/vocabulary.txt`, `3/variables/0`.
        inputs: the first rows of the first validation batch; None where they are unknown.
        predictions: the model's for `inputs`, with these weights.
        unchecked: why there are no predictions, where there are none.
        device: the kind of device that predicted, `CPU` or `GPU`.
        state: what `sweep.epochs` was given beside arrays; None of a model of Keras.
    """

    epoch: int
    arrays: Sequence[Array]
    names: Sequence[str]
    config: str | None
    completed: bool = False
    functions: Mapping[str, bool] = field(default_factory=dict)
    states: Mapping[str, Array] = field(default_factory=dict)
    inputs: Any = None
    predictions: Any = None
    unchecked: str | None = None
    device: str | None = None
    state: Mapping[str, Any] | None = None

    def about(self) -> dict[str, Any]:
        """The epoch, the names and the configuration, as plain data."""
        about = {"epoch": self.epoch, "names": list(self.names), "config": self.config}
        return about if self.state is None else {**about, "state": self.state}


def kept_arrays(weights: Weights) -> dict[str, Array]:
    """The arrays of a state that `sweep.epochs` was given, by the names that the user gave them."""
    return dict(zip(weights.names, weights.arrays, strict=True))


def save_weights(run: Path, weights: Weights, training: int = 0) -> None:
    """Keep the weights of one of a run's trainings in its directory.

    Raises:
        OSError: they cannot be written.
    """
    arrays = {f"{n:05}": array for n, array in enumerate(weights.arrays)}
    about = weights.about()
    if weights.completed:
        arrays |= {f"states/{name}": array for name, array in weights.states.items()}
        about |= {name: getattr(weights, name) for name in ("completed", "functions", "unchecked", "device")}
        about["inputs"] = pack(weights.inputs, "inputs", arrays)
        about["predictions"] = pack(weights.predictions, "predictions", arrays)
    # A trial a second must not wait for the disk.
    save_arrays(weights_file(run, training), arrays, about, sync=False)


def load_weights(run: Path, training: int = 0) -> Weights | None:
    """The weights that a run has kept of one of its trainings, or None."""
    found = load_arrays(weights_file(run, training))
    if found is None:
        return None
    arrays, about = found
    for name in ("inputs", "predictions"):
        about[name] = unpack(about.get(name), name, arrays)
    states = {name.removeprefix("states/"): array for name, array in arrays.items() if name.startswith("states/")}
    known = {one.name for one in dataclasses.fields(Weights)}
    given = {name: value for name, value in about.items() if name in known}
    return Weights(arrays=[arrays[name] for name in sorted(arrays) if name.isdigit()], states=states, **given)


def pack(structure: Any, prefix: str, arrays: dict[str, Array]) -> Any:
    """Put the arrays of nested dicts, lists and tuples into `arrays`; their structure as plain data."""
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return {"dict": {name: pack(part, f"{prefix}/{name}", arrays) for name, part in structure.items()}}
    if isinstance(structure, list | tuple):
        kind = "list" if isinstance(structure, list) else "tuple"
        return {kind: [pack(part, f"{prefix}/{n}", arrays) for n, part in enumerate(structure)]}
    arrays[prefix] = structure
    return "array"


def unpack(packed: Any, prefix: str, arrays: Mapping[str, Array]) -> Any:
    """The inverse of `pack`."""
    if packed is None:
        return None
    if packed == "array":
        return arrays[prefix]
    ((kind, parts),) = packed.items()
    if kind == "dict":
        return {name: unpack(part, f"{prefix}/{name}", arrays) for name, part in parts.items()}
    several = [unpack(part, f"{prefix}/{n}", arrays) for n, part in enumerate(parts)]
    return several if kind == "list" else tuple(several)
