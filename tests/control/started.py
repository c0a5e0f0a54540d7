"""`sweep start` as a process of its own, on a study file that imports no Keras, so that its workers start quickly."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import optuna
import psutil
import pytest

from sweep.store import RunRecord, Store
from tests.databases import optunas_own

Result = TypeVar("Result")

PATIENCE = 90.0  # seconds, for whatever must happen; nothing is timed
ROOT = Path(__file__).parent.parent.parent

TINY = """
import ctypes, os, signal, subprocess, sys, threading, time
import optuna
import sweep

def train(trial):
{body}

study = sweep.Study(train, objective="loss", direction="minimize", pruner="nop", {settings})
"""
ONE_EPOCH = """
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    return x * x
"""
MANY_EPOCHS = """
    x = trial.suggest_float("x", -1, 1)
    for epoch in range(20):
        time.sleep(0.05)
        trial.report(x * x + 1 / (epoch + 1), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x * x
"""


RESUMED = """
    x = trial.suggest_float("x", -1, 1)
    epochs = sweep.epochs(trial, EPOCHS)
    done = epochs.resumed["done"] if epochs.resumed else 0
    for epoch in epochs:
        time.sleep(SECONDS)
        assert done == epoch, "it continues where it paused"
        done += 1
        epochs.report({"loss": x * x + 1 / done}, {"done": done})
    return epochs.value
"""


def wait_for(condition: Callable[[], Result]) -> Result:
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not come true in {PATIENCE} s")
        time.sleep(0.02)
    return found


class Folder:
    """A working directory with a study file, tiny.py, in it.

    Args:
        path: the directory.
        body: the study's `train`, indented; None leaves the file that is there.
        settings: more arguments of its `Study`.
        storage: the database; by default what `sweep start` makes in the folder.
    """

    def __init__(
        self,
        path: Path,
        body: str | None = ONE_EPOCH,
        settings: str = "trials=6, workers=2, seed=7",
        *,
        storage: str | None = None,
    ) -> None:
        self.path = path
        self._storage = storage
        if body is not None:
            (path / "tiny.py").write_text(TINY.format(body=body, settings=settings))

    def command(self, *words: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a `sweep` command to its end, by the command `before`, if any."""
        return subprocess.run(
            [*before, sys.executable, "-m", "sweep", *words],
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *options: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run `sweep start` to its end."""
        return self.command("start", "tiny.py", *options, before=before)

    @contextmanager
    def started(
        self, *options: str, before: Sequence[str] = (), program: Sequence[str] = ("-m", "sweep")
    ) -> Iterator["Started"]:
        """`sweep start` while it runs; what is left of it is killed at the end.

        Args:
            before: a command that runs it.
            program: what Python runs.
        """
        with tempfile.TemporaryFile("a+") as output:  # no pipe, which would have to be read for it to go on
            process = subprocess.Popen(
                [*before, sys.executable, *program, "start", "tiny.py", *options],
                cwd=self.path,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            started = Started(self, process, output)
            try:
                yield started
            except BaseException:
                print(started.said())  # which pytest shows with the failure
                raise
            finally:
                for left in [*started.workers(), process]:
                    left.kill()
                process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """That of its commands."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SWEEP_")}
        given = {"SWEEP_STORAGE": self._storage} if self._storage is not None else {}
        return {**kept, **given, "PYTHONPATH": str(ROOT)}

    @property
    def url(self) -> str:
        """The storage that `sweep start` takes here."""
        return self._storage or f"sqlite:///{self.path}/sweep.db"

    def runs(self, name: str = "tiny") -> list[RunRecord]:
        """The runs as the store has them; none where there is no study yet."""
        if self._storage is None and not (self.path / "sweep.db").exists():
            return []
        store = Store(self.url, create=True)  # waits for whoever is making it
        try:
            study = store.find_study(name)
            return store.runs(study.study_id) if study else []
        finally:
            store.close()

    def trials(self, name: str = "tiny") -> list[optuna.trial.FrozenTrial]:
        """The trials as Optuna reads them."""
        with optunas_own(self.url) as storage:
            return optuna.load_study(study_name=name, storage=storage).trials

    def states(self) -> list[str]:
        """The states of all trials; the store's and Optuna's are the same."""
        ours = [run.state for run in self.runs()]
        assert [trial.state.name for trial in self.trials()] == ours
        return ours


def copied_here(trained: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A copy of a folder with its study, in `path`, which becomes the working directory."""
    shutil.copytree(trained, path, dirs_exist_ok=True)
    monkeypatch.chdir(path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    return Folder(path, None)


class Started:
    """`sweep start` while it runs."""

    def __init__(self, folder: Folder, process: "subprocess.Popen[bytes]", output: IO[str]) -> None:
        self.folder = folder
        self.process = process
        self._output = output
        self._seen: dict[int, psutil.Process] = {}

    def workers(self) -> list[psutil.Process]:
        """The workers that live."""
        try:
            for child in psutil.Process(self.process.pid).children():
                self._seen.setdefault(child.pid, child)
        except psutil.NoSuchProcess:
            pass
        return [worker for worker in self._seen.values() if lives(worker)]

    def reporting(self) -> list[RunRecord]:
        """Runs that have reported an epoch and are running, as soon as there is one."""

        def reporting() -> list[RunRecord]:
            assert self.process.poll() is None, f"it has ended, with exit status {self.process.returncode}"
            return [run for run in self.folder.runs() if run.state == "RUNNING" and run.epoch]

        return wait_for(reporting)

    def training(self) -> list[psutil.Process]:
        """The workers that have a trial."""
        busy = {run.worker for run in self.folder.runs() if run.state == "RUNNING"}
        found = []
        for worker in self.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                if worker.cmdline()[-1:] and worker.cmdline()[-1] in busy:
                    found.append(worker)
        return found

    def worker_of(self, run: RunRecord) -> psutil.Process:
        """The process that trains a run."""
        return next(worker for worker in self.workers() if worker.cmdline()[-1] == run.worker)

    def send(self, number: signal.Signals) -> None:
        """Send the coordinator a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the coordinator, and wait until its workers have noticed."""
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        wait_for(lambda: not any(map(lives, workers)))

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit status, and all that it printed."""
        self.process.wait(timeout=PATIENCE)
        return self.process.returncode, self.said()

    def said(self) -> str:
        """All that it has printed so far."""
        self._output.seek(0)
        return self._output.read()


def lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
