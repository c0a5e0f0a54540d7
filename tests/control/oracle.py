"""What must hold after faults, whatever they were: `docs/reliability.md` calls it the oracle, A to F.

Workers of a journalled study append every event that was acknowledged to them to files of their own, synced: a trial
that began, an epoch that was reported, a trial that ended. Afterwards the database is held against them.
"""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import optuna

from sweep.store import FINISHED, RunRecord, Store
from tests.databases import optunas_own

JOURNAL = """
from sweep.worker.trial import WorkerTrial

def acknowledged(**event):
    os.makedirs("acknowledged", exist_ok=True)
    descriptor = os.open(f"acknowledged/{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (json.dumps(event) + "\\n").encode())
    os.fsync(descriptor)
    os.close(descriptor)

def noting(method, what):
    def noted(self, *arguments, **named):
        answer = method(self, *arguments, **named)
        said = {"start": {}, "report": {}, "end": {"state": (answer or [None])[0] if what == "end" else None}}[what]
        if what == "report":
            said = {"value": float(arguments[0]), "epoch": int(arguments[1])}
        acknowledged(what=what, number=self.number, attempt=self.attempt, **said)
        return answer
    return noted

for what in ("start", "report", "end"):
    setattr(WorkerTrial, what, noting(getattr(WorkerTrial, what), what))
"""
"""Stands in a study file, and journals what the coordinator acknowledges."""


class Oracle:
    """Holds a study's database against what its workers were told.

    Args:
        folder: where the study ran, with the journal in it.
        storage: its database.
        name: the study's name.
    """

    def __init__(self, folder: Path, storage: str, name: str = "tiny") -> None:
        self._events = [
            json.loads(line)
            for file in sorted((folder / "acknowledged").iterdir())
            for line in file.read_text().splitlines()
        ]
        store = Store(storage)
        try:
            self._study = store.study(name)
            self._runs = {run.number: run for run in store.runs(self._study.study_id)}
            self._epochs = store.metrics(self._study.study_id)
        finally:
            store.close()
        with optunas_own(storage) as optunas:
            study = optuna.load_study(study_name=name, storage=optunas)
            self._trials = {trial.number: trial for trial in study.trials}

    def check(self, trials: int) -> None:
        """Fail unless all of it holds, for a study of so many trials that has ended."""
        self._nothing_acknowledged_is_lost()
        self._each_trial_has_one_end()
        assert len(self._runs) == trials, "C: finished trials equal the budget exactly"
        assert sorted(self._runs) == sorted(self._trials) == list(range(trials)), "C: each number once"
        self._epochs_are_contiguous()
        assert self._study.owner is None, "E: no lock is left"
        reasons = [str(run.reason) for run in self._runs.values() if run.state == "FAIL"]
        assert all("killed by SIGKILL 3 times" in reason for reason in reasons), "a trial fails by its third kill alone"
        self._the_best_is_the_best()

    def _nothing_acknowledged_is_lost(self) -> None:
        reports: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        for event in self._events:
            number = event["number"]
            assert number in self._runs, f"A: trial {number} began and is there"
            if event["what"] == "report":
                reports[number, event["attempt"]][event["epoch"]] = event["value"]
            if event["what"] == "end" and event["state"] in FINISHED:
                assert self._runs[number].state == event["state"], f"A: the end of trial {number} is there"
        for (number, attempt), told in reports.items():
            if attempt == self._runs[number].attempt:
                for epoch, value in told.items():
                    assert self._value(number, epoch) == value, f"A: epoch {epoch} of trial {number} is there"

    def _value(self, number: int, epoch: int) -> float | None:
        objective: str = self._study.declaration.objective[0]
        return self._epochs.get(number, {}).get(epoch, {}).get(objective)

    def _each_trial_has_one_end(self) -> None:
        for number, run in self._runs.items():
            assert run.state in FINISHED, f"B: trial {number} has ended, and not in {run.state}"
            assert self._trials[number].state.name == run.state, f"B: trial {number} has one state"
        ends: dict[int, set[Any]] = defaultdict(set)
        for event in self._events:
            if event["what"] == "end" and event["state"] in FINISHED:
                ends[event["number"]].add(event["attempt"])
        for number, attempts in ends.items():
            assert len(attempts) == 1, f"B: trial {number} ended once"

    def _epochs_are_contiguous(self) -> None:
        for number, run in self._runs.items():
            epochs = sorted(self._epochs.get(number, {}))
            assert epochs == list(range(run.epoch)), f"D: the epochs of trial {number} are contiguous"
            assert sorted(self._trials[number].intermediate_values) == epochs, "D: in Optuna's tables too"

    def _the_best_is_the_best(self) -> None:
        for run in self._runs.values():
            values = [
                value for epoch in range(run.epoch) if math.isfinite(value := self._value(run.number, epoch) or 0)
            ]
            assert run.best == min(values, default=run.best), f"F: the best of trial {run.number}"
        complete = [run for run in self._runs.values() if run.state == "COMPLETE"]
        best = min((self._trials[run.number].value for run in complete), default=None)
        assert best == min((self._own(run) for run in complete), default=None), "F: the best trial is the best"

    def _own(self, run: RunRecord) -> float:
        assert run.best is not None
        return run.best
