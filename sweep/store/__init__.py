"""Our tables, their contract, and what is read from them. A study's coordinator writes: `sweep.control.storage`."""

from sweep.store.records import FINISHED, OUT_OF_MEMORY, REVIVES, Owner, RunRecord, StudyRecord, Training
from sweep.store.store import Command, Store

__all__ = ["FINISHED", "OUT_OF_MEMORY", "REVIVES", "Command", "Owner", "RunRecord", "Store", "StudyRecord", "Training"]
