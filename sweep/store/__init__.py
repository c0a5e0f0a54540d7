"""Our tables, their contract, and what is read from them. A study's coordinator writes: `sweep.control.storage`."""

from sweep.store.records import (
    ADDED,
    CONTINUES,
    DELETED,
    FINISHED,
    OUT_OF_MEMORY,
    REVIVES,
    RUN,
    SILENT_SECONDS,
    Owner,
    RepeatRecord,
    RunRecord,
    StudyRecord,
    Training,
    counts_of,
    epochs_spent,
)
from sweep.store.store import Command, Notes, Store

__all__ = [
    "ADDED",
    "CONTINUES",
    "DELETED",
    "FINISHED",
    "OUT_OF_MEMORY",
    "REVIVES",
    "RUN",
    "SILENT_SECONDS",
    "Command",
    "Notes",
    "Owner",
    "RepeatRecord",
    "RunRecord",
    "Store",
    "StudyRecord",
    "Training",
    "counts_of",
    "epochs_spent",
]
