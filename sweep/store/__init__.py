"""Our tables, their contract, and every transaction that reads them. The study's coordinator writes: `sweep.control.storage`."""

from sweep.store.records import FINISHED, Owner, RunRecord, StudyRecord
from sweep.store.store import Command, Store

__all__ = ["FINISHED", "Command", "Owner", "RunRecord", "Store", "StudyRecord"]
