"""Stores for tests: studies and runs written straight into the tables, as a coordinator would have left them."""

import dataclasses
import functools
import json
import math
import random
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sweep.core.pruners import Verdict
from sweep.names import KeyTable, encode
from sweep.store import Owner, RunRecord, Store, StudyRecord, tables
from sweep.store.lease import Clock
from sweep.view.selection import Selected, Selection

DECLARATION = {
    "name": "diabetes",
    "objective": ["val_loss"],
    "direction": ["minimize"],
    "trials": 30,
    "epochs": 60,
    "timeout": None,
    "sampler": "tpe",
    "pruner": "median",
    "seed": 7,
    "precision": "auto",
    "short": {},
    "value": "best",
    "file": "/somewhere/studies/diabetes.py",
    "hash": "0" * 64,
    "doc": "Disease progression.",
    "versions": {"python": "3.11.7"},
    "commit": None,
}


TRACEBACK = """Traceback (most recent call last):
  File "diabetes.py", line 31, in train
ValueError: no"""


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        Store(f"sqlite:///{path}", create=True).close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()


def build_store(folder: Path) -> Store:
    """An empty store in `folder`/sweep.db."""
    path = folder / "sweep.db"
    path.write_bytes(_empty_database())
    return Store(f"sqlite:///{path}")


def add_study(
    store: Store,
    name: str = "diabetes",
    runs: Iterable[RunRecord] = (),
    *,
    keys: Mapping[str, str] | None = None,
    space: Mapping[str, list[str]] | None = None,
    owner: Owner | None = None,
    silent: float = 0.0,
    directory: str | None = None,
    **declaration: Any,
) -> StudyRecord:
    """A study with its runs; `declaration` overrides what `DECLARATION` says.

    Args:
        silent: for how many seconds its owner, if it has one, has not beaten.
    """
    runs = list(runs)
    if keys is None:
        table = KeyTable()
        for parameter in dict.fromkeys(parameter for run in runs for parameter in run.params):
            table.assign(parameter)
        keys = table.as_dict()
    with store.engine.begin() as connection:
        study_id = 1 + (connection.execute(sa.select(sa.func.max(tables.studies.c.study_id))).scalar() or 0)
        connection.execute(
            sa.insert(tables.studies).values(
                study_id=study_id,
                name=name,
                declaration=json.dumps(DECLARATION | {"name": name} | declaration),
                keys=json.dumps(keys),
                space=json.dumps(space or {}),
                directory=directory or f"/somewhere/runs/{name}",
                created=1.7e9 + study_id,
                owner=json.dumps(dataclasses.asdict(owner)) if owner else None,
                beat=0,
                beaten=Clock() - silent if owner else None,
            )
        )
        if runs:
            connection.execute(sa.insert(tables.runs), [run.row(study_id) for run in runs])
    return store.study(name)


def add_epochs(store: Store, study: StudyRecord, number: int, epochs: Sequence[Mapping[str, float]]) -> None:
    """The metrics of a run, an epoch after the other."""
    add_all_epochs(store, study, {number: epochs})


def add_all_epochs(store: Store, study: StudyRecord, epochs: Mapping[int, Sequence[Mapping[str, float]]]) -> None:
    """The metrics of many runs, by number."""
    rows = []
    for number, of_run in epochs.items():
        for epoch, metrics in enumerate(of_run):
            for metric, value in metrics.items():
                number_, kind = tables.split_float(value)
                key = {"study_id": study.study_id, "number": number, "epoch": epoch, "metric": metric}
                rows.append({**key, "value": number_, "kind": kind})
    with store.engine.begin() as connection:
        connection.execute(sa.insert(tables.metrics), rows)


def select(store: Store, study: StudyRecord, **wanted: Any) -> Selected:
    """The runs of a study that a `Selection` means."""
    metrics = partial(store.last_metrics, study.study_id)
    return Selection(**wanted).of(study, store.runs(study.study_id), metrics)


def run(number: int, best: float | None = None, **values: Any) -> RunRecord:
    """A complete run with a name of its parameters; its value and last epoch are its best; `values` overrides."""
    params = values.pop("params", {"learning_rate": round(0.001 * (number + 1), 3), "batch_size": 32})
    family = values.pop("family", "dnn")
    name = values.pop("name", encode(params, number=number, family=family, keys=KeyTable()))
    defaults: dict[str, Any] = {
        "state": "COMPLETE",
        "directory": f"/somewhere/runs/diabetes/{name}",
        "epoch": 60,
        "epochs": 60,
        "last": best,
        "best": best if best is not None and math.isfinite(best) else None,
        "best_epoch": 59,
        "seed": 1000 + number,
        "started": 1.7e9 + number,
        "duration": 10.0 + number,
        "values": [best] if best is not None and values.get("state", "COMPLETE") == "COMPLETE" else None,
    }
    return RunRecord(number=number, name=name, family=family, params=params, **{**defaults, **values})


def add_example(store: Store, name: str = "diabetes", count: int = 30, **declaration: Any) -> StudyRecord:
    """A study as a real sweep leaves it: two families, conditional parameters, pruned, failed and running trials."""
    chance = random.Random(5)
    keys = KeyTable()
    runs: list[RunRecord] = []
    epochs: dict[int, list[dict[str, float]]] = {}
    for number in range(count):
        made, losses = _example_run(chance, number, name, keys, running=count - number <= 2)
        runs.append(made)
        epochs[number] = losses
    study = add_study(store, name, runs, keys=keys.as_dict(), **{"trials": count, **declaration})
    add_all_epochs(store, study, epochs)
    return study


def _example_run(
    chance: random.Random, number: int, study: str, keys: KeyTable, *, running: bool
) -> tuple[RunRecord, list[dict[str, float]]]:
    family = chance.choice(["mlp", "dnn"])
    width, layers = chance.choice([8, 16, 32, 64]), 3 if family == "dnn" else 1
    rate = float(f"{10 ** chance.uniform(-4, -1):.3g}")
    params: dict[str, Any] = {"family": family, "width": width, "learning_rate": rate, "batch_size": 32}
    params["activation"] = "relu"
    if family == "dnn":
        params["dropout"] = float(f"{chance.uniform(0, 0.5):.3g}")
    fails, pruned = number % 13 == 6, number % 2 == 1
    length = 0 if fails else chance.randint(8, 55) if running or pruned else 60
    floor = 41 + 30 * abs(math.log10(rate) + 2.3)
    losses = [
        {"loss": floor - 3 + 90 * fall, "val_loss": floor + 100 * fall + chance.random()}
        for fall in (math.exp(-epoch / 9) for epoch in range(length))
    ]
    values = [epoch["val_loss"] for epoch in losses]
    architecture = "_".join([str(width)] if layers == 1 else [f"{layers}x{width}"])
    name = encode(params, number=number, family=family, keys=keys, architecture=architecture)
    best = min(values, default=None)
    made = RunRecord(
        number=number,
        name=name,
        state="RUNNING" if running else "FAIL" if fails else "PRUNED" if pruned else "COMPLETE",
        directory=f"/somewhere/runs/{study}/{name}",
        family=family,
        architecture=architecture,
        params=params,
        seed=chance.getrandbits(31),
        epoch=length,
        epochs=60,
        last=values[-1] if values else None,
        best=best,
        best_epoch=values.index(best) if best is not None else None,
        reason="ValueError: no" if fails else None,
        verdict=_verdict(values) if pruned and not fails and not running else None,
        traceback=TRACEBACK if fails else None,
        worker="1",
        started=1.7e9 + number,
        duration=0.1 + length * 0.07,
    )
    made.values = [best] if made.state == "COMPLETE" and best is not None else None
    return made, losses


def _verdict(values: Sequence[float]) -> Verdict:
    best = min(values)
    details = {"percentile": 50.0, "best_epoch_index": values.index(best)}
    return Verdict("median", "val_loss", best, len(values) - 1, round(best - 1.5, 2), 11, details)
