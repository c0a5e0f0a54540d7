"""Studies run whole, in this process: a test gives the `train` function, and gets what the store holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sweep
from sweep.control.start import start_here
from sweep.options import Settings
from sweep.store import RunRecord, Store, StudyRecord
from sweep.tensorboard import event_files


@dataclass
class Kept:
    """What a study left in its store."""

    study: StudyRecord
    runs: list[RunRecord]
    metrics: dict[int, dict[int, dict[str, float]]]
    storage: str
    folder: Path

    @property
    def run(self) -> RunRecord:
        """The only run."""
        (run,) = self.runs
        return run


def run_study(train: Callable[..., Any], folder: Path, *, settings: dict[str, Any] | None = None, **study: Any) -> Kept:
    """Run a study of one trial, unless `study` says otherwise, and read its store."""
    declared = {"objective": "val_loss", "direction": "minimize", "trials": 1, "name": "test", "seed": 1, **study}
    storage = f"sqlite:///{folder / 'sweep.db'}"
    start_here(
        sweep.Study(train, **declared), Settings(storage=storage, logdir=str(folder / "runs"), **(settings or {}))
    )
    return read(storage, declared["name"], folder)


def read(storage: str, name: str, folder: Path) -> Kept:
    """What a store holds of a study."""
    store = Store(storage)
    try:
        record = store.study(name)
        return Kept(record, store.runs(record.study_id), store.metrics(record.study_id), storage, folder)
    finally:
        store.close()


def nothing_written(folder: Path) -> bool:
    """Whether a refused study left neither a database nor a run."""
    return not list(folder.iterdir())


def scalars(directory: str | Path, tag: str) -> dict[int, float]:
    """A tag's scalars by step, as a run's event files have them."""
    return {
        event.step: value.tensor.float_val[0]
        for event in event_files.read(Path(directory))
        for value in event.summary.value
        if value.tag == tag
    }
