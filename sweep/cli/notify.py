"""`sweep start --notify COMMAND`: a command at the end of a study, and when trials fail one after another.

It is run by the shell with these variables: SWEEP_EVENT (`finished`, `stopped`, `failed`, or `failing` after five
failures in a row), SWEEP_STUDY, SWEEP_MESSAGE (a line for a person), and at the end SWEEP_SUMMARY (what
`sweep summary` prints).
"""

import subprocess
import threading

from sweep.cli.output import say
from sweep.commands import environment
from sweep.control.progress import Opening, Watcher
from sweep.store import FINISHED, RunRecord

FAILURES = 5
SECONDS = 60.0  # that a command may take
LONGEST = 100_000  # bytes of a summary: Linux takes 128 KiB as one variable


class Notifier:
    """Passes on to another watcher what it is told, and notifies.

    Args:
        command: for the shell.
        watcher: the display.

    Attributes:
        study: the name of the study, once it is known.
    """

    def __init__(self, command: str, watcher: Watcher) -> None:
        self._command = command
        self._watcher = watcher
        self.study = ""
        self._failures = 0

    def opened(self, study: Opening) -> None:
        self.study = study.name
        self._watcher.opened(study)

    def started(self, run: RunRecord) -> None:
        self._watcher.started(run)

    def epoch(self, run: RunRecord, metrics: dict[str, float]) -> None:
        self._watcher.epoch(run, metrics)

    def message(self, text: str) -> None:
        self._watcher.message(text)

    def ended(self, run: RunRecord) -> None:
        self._watcher.ended(run)
        if run.state in FINISHED:
            self._failures = self._failures + 1 if run.state == "FAIL" else 0
            if self._failures == FAILURES:
                said = f"{FAILURES} trials of {self.study} in a row have failed, the last with: {run.why}"
                threading.Thread(target=self.notify, args=("failing", said), daemon=True).start()

    def notify(self, event: str, message: str, summary: str = "") -> None:
        """Run the command; that it fails is said, and costs nothing else."""
        surroundings = {
            **environment(),
            "SWEEP_EVENT": event,
            "SWEEP_STUDY": self.study,
            "SWEEP_MESSAGE": message,
            "SWEEP_SUMMARY": summary.encode()[:LONGEST].decode(errors="ignore"),
        }
        try:
            done = subprocess.run(
                self._command, shell=True, env=surroundings, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            say(f"sweep: --notify took more than {SECONDS:g} s and was ended")
            return
        if done.returncode != 0:
            say(f"sweep: --notify left with exit status {done.returncode}")
