"""The desk where workers bring their messages: each message is one method, called in its worker's connection thread."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.distributions import json_to_distribution

from sweep.control.coordinator import Coordinator
from sweep.control.domains import check_text
from sweep.control.ending import same_parameters
from sweep.control.live import Live
from sweep.control.relief import Relief
from sweep.control.search import UnfitValue
from sweep.core.pruners import Verdict, sentence
from sweep.declaration import Declaration
from sweep.errors import StudyError
from sweep.finding import Finding
from sweep.rundir import CHECKPOINTS, run_directory
from sweep.snapshot import Snapshot
from sweep.store import RunRecord
from sweep.store.records import Training

STEPS = 2**31  # what an integer column holds


class Desk:
    """Answers workers over a coordinator. Every answer is a dict that JSON can hold.

    Each method may raise `Fenced`, where the worker has the trial no longer, and `SweepError`, which ends the study.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._relief = Relief(coordinator)

    def hello(self, worker: str, declaration: dict[str, Any], snapshot: str | None = None) -> dict[str, Any]:
        """A worker has loaded the study file and declares the study, with a snapshot of its files."""
        kept = Snapshot.from_text(snapshot) if snapshot is not None else None
        self._coordinator.open(Declaration.from_dict(declaration), kept)
        return {"log": self._coordinator.opened.worker_log(worker), "preview": self._coordinator.preview}

    def ask(self, worker: str, outgrown: bool = False) -> dict[str, Any]:
        """A trial to train, as soon as there is one; or the end, also for a worker that was relieved."""
        if self._relief.may_leave(worker, outgrown=outgrown):
            return {"end": True}
        self._relief.wait(worker)
        live = self._coordinator.next_trial(worker)
        if live is None:
            return {"end": True}
        opened, number = self._coordinator.opened, live.trial.number
        run, declaration = opened.ledger.run(number), opened.declaration
        return {
            "number": number,
            "seed": run.seed,
            "attempt": run.attempt,
            "directory": self._earlier(live, run),
            "keep": self._coordinator.settings.keep != "none",
            "broken": declaration.broken,
            "epochs": declaration.epochs,
            "force_epochs": declaration.force_epochs,
            "objective": declaration.objective,
            "direction": declaration.direction,
            "value": declaration.value,
            "judged": opened.marked,
        }

    def _earlier(self, live: Live, run: RunRecord) -> str | None:
        """Where a checkpoint may be that the trial goes on from: an earlier attempt's, or that of a pruned run."""
        opened = self._coordinator.opened
        revives = opened.search.revives(live.trial)
        if revives is None:
            return run.directory
        live.shielded = True  # it would be pruned at once, as the other was
        has_own = run.directory is not None and (Path(run.directory) / CHECKPOINTS).is_dir()
        return run.directory if has_own else opened.ledger.run(revives).directory

    def suggest(self, worker: str, number: int, name: str, distribution: str) -> dict[str, Any]:
        """The value of a parameter; or why there is none, which is a fault of this trial alone."""
        live = self._coordinator.mine(worker, number)
        if live.named:
            raise StudyError(
                f"Parameter {name!r} was suggested after sweep.fit began, too late to be part of the run's name.",
                "Suggest every parameter before sweep.fit.",
            )
        search = self._coordinator.opened.search
        try:
            return {"value": search.suggest(live.trial, name, json_to_distribution(distribution))}
        except UnfitValue as error:
            return {"unfit": str(error)}

    def start(
        self,
        worker: str,
        number: int,
        family: str | None,
        architecture: str | None,
        epochs: int | None,
        failed: bool = False,
    ) -> dict[str, Any]:
        """The run is named and has its directory; the study is written for the first time with its first run.

        What an earlier attempt reported is forgotten: `resume` tells of the epochs that stand.

        Args:
            failed: its objective has raised, perhaps before it suggested all its parameters.
        """
        live, opened = self._coordinator.mine(worker, number), self._coordinator.opened
        if opened.ledger.run(number).attempt:
            opened.search.storage.forget(live.trial._trial_id)
            opened.ledger.forget(number)
        frozen = opened.search.frozen(live.trial)
        if not failed:
            opened.search.check_complete(frozen.params)
        with self._coordinator.lock:
            family = family or opened.declaration.name
            name = opened.ledger.run(number).name or opened.search.name(frozen, family, architecture)
            directory = run_directory(opened.logdir, opened.declaration.name, name)
            run = opened.ledger.update(
                number,
                name=name,
                directory=str(directory),
                family=family,
                architecture=architecture,
                params=dict(frozen.params),
                epochs=epochs,
            )
            live.named = True
        opened.keep()
        self._coordinator.watcher.started(run)
        hopeless = opened.search.hopeless(frozen)
        stop = same_parameters(opened.ledger.run(hopeless)) if hopeless is not None else None
        return {
            "name": name,
            "directory": str(directory),
            "started": run.started,
            "text": opened.text(run),
            "stop": stop,
        }

    def training(self, worker: str, number: int, training: dict[str, Any]) -> dict[str, Any]:
        """A training of a trial begins, or continues with more epochs.

        Pruners see one training of a trial: where an earlier one was seen until now, its values are forgotten.
        """
        live, opened = self._coordinator.mine(worker, number), self._coordinator.opened
        begun = Training.from_dict(training)
        if begun.marked:
            opened.marked = max(opened.marked, begun.number)
        with self._coordinator.lock:
            run = opened.ledger.run(number)
            known = {other.number: other for other in run.trainings}
            if begun.judged and any(other.judged and other.number != begun.number for other in known.values()):
                known = {number: replace(other, judged=False) for number, other in known.items()}
                opened.search.storage.forget(live.trial._trial_id)
                opened.ledger.update(number, last=None, best=None, best_epoch=None)
            known[begun.number] = begun
            epochs = None if begun.planned is None else begun.first + begun.planned
            opened.ledger.update(number, trainings=[known[place] for place in sorted(known)], epochs=epochs)
        return {}

    def resume(self, worker: str, number: int, epoch: int, log: list[dict[str, float]]) -> dict[str, Any]:
        """A run continues from a checkpoint: these are its epochs from `epoch` on, judged when they were trained."""
        live, opened = self._coordinator.mine(worker, number), self._coordinator.opened
        for place, metrics in enumerate(log, start=epoch):
            training = self._record(number, place, metrics)
            value = metrics.get(training.monitor or "")
            if training.judged and value is not None and len(opened.declaration.objective) == 1:
                opened.search.report(live.trial, place - training.first, value)
                opened.search.note_rung(live.trial, place - training.first, value)
        return {}

    def epoch(
        self,
        worker: str,
        number: int,
        epoch: int,
        metrics: dict[str, float],
        findings: list[dict[str, Any]] | None,
        broken: str | None,
    ) -> dict[str, Any]:
        """A run has finished an epoch (of all its trainings, counted from 0); the answer says whether it continues.

        Args:
            findings: those of the run by now; None where they are what they were.
            broken: why the run cannot come to anything, if a severe finding is to prune it.
        """
        live, opened = self._coordinator.mine(worker, number), self._coordinator.opened
        training = self._record(number, epoch, metrics, findings)
        several = len(opened.declaration.objective) > 1
        losses = ["loss", "val_loss"] if opened.declaration.broken == "prune" else []
        watched = [*losses, *(opened.declaration.objective if several else [training.monitor or ""])]
        finite = all(math.isfinite(metrics[name]) for name in watched if name in metrics)
        value = metrics.get(training.monitor or "")
        if several or not training.judged or value is None:
            reason = f"a loss or metric is NaN or infinite at epoch {epoch + 1}"
            return self._answer(live, broken if finite else reason, broken=not finite)
        step = epoch - training.first
        opened.search.report(live.trial, step, value)
        if broken is not None and finite:
            return self._answer(live, broken)
        why = opened.search.pruning.verdict(opened.search.frozen(live.trial), step, value, finite)
        return self._answer(live, why, broken=not finite)

    def report(self, worker: str, number: int, step: int, value: float) -> dict[str, Any]:
        """An objective of plain Optuna reports a value; it may ask for the verdict afterwards.

        As in Optuna, a step that was reported before stays as it is.
        """
        live, opened = self._coordinator.mine(worker, number), self._coordinator.opened
        if not 0 <= step < STEPS:
            raise StudyError(f"A step must be a whole number from 0 to {STEPS - 1}, not {step!r}.")
        if step in opened.search.frozen(live.trial).intermediate_values:
            return {}
        with self._coordinator.lock:
            run, metrics = opened.ledger.run(number), {opened.declaration.objective[0]: value}
            if not run.trainings:  # beside sweep.fit, whose epochs have the metrics, it is a value for pruners alone
                opened.ledger.epoch(number, step, metrics)
                run.epoch = max(run.epoch, step + 1)
            run = opened.ledger.update(number, epoch=run.epoch, **self._seen(run, step, value))
        self._coordinator.watcher.epoch(run, metrics)
        opened.search.report(live.trial, step, value)
        return {}

    def should_prune(self, worker: str, number: int) -> dict[str, Any]:
        """The verdict on the last value that an objective of plain Optuna reported."""
        live, search = self._coordinator.mine(worker, number), self._coordinator.opened.search
        frozen = search.frozen(live.trial)
        step = frozen.last_step
        if step is None:
            return self._answer(live, None)
        value = frozen.intermediate_values[step]
        return self._answer(live, search.pruning.verdict(frozen, step, value), broken=not math.isfinite(value))

    def attribute(self, worker: str, number: int, kind: str, key: str, value: Any) -> dict[str, Any]:
        """A trial's user attribute, system attribute or constraint."""
        trial = self._coordinator.mine(worker, number).trial
        check_text("An attribute's key", key)
        storage = self._coordinator.opened.search.storage
        if kind == "constraint":
            trial.set_constraint(key, value)
        elif kind == "user":
            storage.set_trial_user_attr(trial._trial_id, key, value)
        else:
            storage.set_trial_system_attr(trial._trial_id, key, value)
        if kind != "user":
            ledger, constraints = self._coordinator.opened.ledger, storage.get_trial(trial._trial_id).constraints
            ledger.update(number, constraints=dict(constraints))
        return {}

    def imported(self, worker: str, number: int, files: dict[str, str]) -> dict[str, Any]:
        """A trial has imported modules from beside its study file that are not in the snapshot yet."""
        with self._coordinator.lock:
            self._coordinator.mine(worker, number)
            warning = self._coordinator.opened.imported(number, files)
        if warning is not None:
            self._coordinator.watcher.message(warning)
        return {}

    def end(
        self,
        worker: str,
        number: int,
        state: str,
        values: list[float] | None,
        reason: str | None,
        traceback: str | None,
        trainings: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """A trial has ended in its worker; answered when its end is on the disk."""
        live = self._coordinator.mine(worker, number)
        self._coordinator.opened.ledger.update(number, trainings=[Training.from_dict(item) for item in trainings])
        if state == "WAITING":
            run = self._coordinator.requeue(live, reason)
        elif state == "FAIL":
            run = self._coordinator.fail(live, reason or "it failed", traceback)
        else:
            verdict = live.verdict if state == "PRUNED" else None
            run = self._coordinator.end(live, state, values, reason, traceback, verdict)
        return {"state": run.state, "reason": run.why, "duration": run.duration}

    def _record(
        self, number: int, epoch: int, metrics: dict[str, float], findings: list[dict[str, Any]] | None = None
    ) -> Training:
        """Enter an epoch into the ledger; None leaves the findings as they are. Returns the training it belongs to."""
        opened = self._coordinator.opened
        with self._coordinator.lock:
            opened.ledger.epoch(number, epoch, metrics)
            run = opened.ledger.run(number)
            training = replace(run.trainings[-1], epochs=epoch + 1 - run.trainings[-1].first)
            value = metrics.get(training.monitor or "") if training.judged else None
            run = opened.ledger.update(
                number,
                epoch=max(run.epoch, epoch + 1),
                trainings=[*run.trainings[:-1], training],
                findings=run.findings if findings is None else [Finding.from_dict(found) for found in findings],
                **(self._seen(run, epoch, value) if value is not None else {}),
            )
        self._coordinator.watcher.epoch(run, metrics)
        return training

    def _seen(self, run: RunRecord, epoch: int, value: float) -> dict[str, Any]:
        """What changes in a run with a value that pruners see."""
        objective = self._coordinator.opened.declaration.objectives[0]
        if not (math.isfinite(value) and objective.better(value, run.best)):
            return {"last": value}
        return {"last": value, "best": value, "best_epoch": epoch}

    def _answer(self, live: Live, why: Verdict | str | None, *, broken: bool = False) -> dict[str, Any]:
        """Whether a trial continues; `why` says why it should not."""
        coordinator = self._coordinator
        with coordinator.lock:
            live.verdict = None
            if live.condemned is not None:
                return {"verdict": "prune", "reason": live.condemned}
            if why is not None and (broken or not live.shielded):
                live.verdict = why if isinstance(why, Verdict) else None
                return {"verdict": "prune", "reason": sentence(why) if isinstance(why, Verdict) else why}
            if coordinator.requeues:
                return {"verdict": "requeue", "reason": coordinator.stopped or ""}
            return {"verdict": "go"}
