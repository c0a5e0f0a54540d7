"""The thread beside a coordinator that writes what changed, shows that it lives, and fetches commands."""

import logging
import threading
import time

from sweep.control.coordinator import Coordinator
from sweep.control.lease import LeaseLost
from sweep.control.obeying import obey
from sweep.control.recovery import Recovery
from sweep.control.writer import StudyWriter
from sweep.names import format_number
from sweep.store import RunRecord
from sweep.store.database import REFUSES
from sweep.words import counted, listed

FLUSH_SECONDS = 0.1
BEAT_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Runs until `close`. A database that refuses is tried again; a study that is lost ends its coordinator."""

    def __init__(self, coordinator: Coordinator, recovery: Recovery) -> None:
        super().__init__(name="keeper", daemon=True)
        self._coordinator = coordinator
        self._recovery = recovery
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
            self._recovery.end_silent()
            writer = self._coordinator.opened.writer if self._coordinator.is_open else None
            if writer is None:
                continue
            try:
                self._round(writer)
                self._troubled = False
            except LeaseLost as error:
                self._coordinator.refuse(error)
                return
            except REFUSES as error:
                if not self._troubled:
                    self._coordinator.watcher.message(
                        f"the database at {writer.store.url.render_as_string()} refuses, trying again: {error.orig}"
                    )
                self._troubled = True
            except Exception as error:
                _log.exception("the keeper failed")
                self._coordinator.crashed(error)
                return

    def _round(self, writer: StudyWriter) -> None:
        if self._coordinator.opened.kept:  # else nothing is to be written yet
            writer.flush()
        for command in writer.take_commands():
            obey(self._coordinator, command)
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = time.monotonic()
            writer.beat()
            writer.see_others()
            self._say_added(self._coordinator.opened.others.take_news())
            for trial in writer.ended_elsewhere(self._coordinator.running().keys()):
                self._recovery.ended_elsewhere(trial)

    def _say_added(self, runs: list[RunRecord]) -> None:
        if runs:
            named = listed([run.name or format_number(run.number) for run in runs])
            self._coordinator.watcher.message(f"{counted(len(runs), 'trial')} added through Optuna: {named}")
