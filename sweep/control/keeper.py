"""The thread beside a coordinator that writes what changed, shows that it lives, and fetches commands."""

import threading
import time

import sqlalchemy as sa

from sweep.control.coordinator import Coordinator
from sweep.control.writer import LeaseLost, StudyWriter

FLUSH_SECONDS = 0.1
BEAT_SECONDS = 1.0


class Keeper(threading.Thread):
    """Runs until `close`. A database that refuses is tried again; a study that is lost ends its coordinator."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__(name="keeper", daemon=True)
        self._coordinator = coordinator
        self._closed = threading.Event()
        self._beaten = time.monotonic()
        self._troubled = False

    def close(self) -> None:
        """Stop after the present round."""
        self._closed.set()
        self.join()

    def run(self) -> None:
        """Write, beat and obey until closed."""
        while not self._closed.wait(FLUSH_SECONDS):
            writer = self._coordinator.writer
            if writer is None:
                continue
            try:
                self._round(writer)
                self._troubled = False
            except LeaseLost as error:
                self._coordinator.refuse(error)
                return
            except sa.exc.OperationalError as error:
                if not self._troubled:
                    self._coordinator.watcher.message(f"the database refuses, trying again: {error.orig}")
                self._troubled = True

    def _round(self, writer: StudyWriter) -> None:
        writer.flush()
        for command in writer.take_commands():
            self._coordinator.obey(command)
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = time.monotonic()
            writer.beat()
            for number, state, values in writer.ended_elsewhere(self._coordinator.running()):
                self._coordinator.drop(number, state, values)
