"""`model.json` beside a saved model: which run it is of, with what it was trained, and what it takes and gives.

A model that is served somewhere is traced back by it: the file has the run's name, and the model file's SHA-256.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.declaration import versions
from sweep.errors import StudyError
from sweep.store import RunRecord, StudyRecord

FORMAT = 1
_MARK = "sweep_model"
"""The name in the file that says its format, by which a file of ours is known."""


def record_file(model: Path) -> Path:
    """The file beside a saved model: `model.json` of `model.keras`."""
    return model.with_suffix(".json")


def check_free(model: Path) -> None:
    """Refuse to write over a file that is none of ours.

    Raises:
        StudyError: there is one where the model's record goes.
    """
    path = record_file(model)
    if not path.exists():
        return
    try:
        known = _MARK in json.loads(path.read_text())
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise StudyError(
            f"{path} is there already, and sweep has not written it. The record of the model would replace it.",
            "Give the model another name, or move that file.",
        )


def record(
    study: StudyRecord | None,
    run: RunRecord | None,
    name: str,
    saved: Mapping[str, Any],
    *,
    place: str,
) -> dict[str, Any]:
    """What is written of a saved model.

    Args:
        study, run: as the database has them; None for a repeat of a run, or where no database is known.
        name: the run's.
        saved: what was saved: `epoch` from 0, `training`, `checked`, and the `inputs` and `outputs`, or the `arrays`.
        place: the database's URL, without its password.
    """
    declaration = study.declaration if study is not None else None
    found: dict[str, Any] = {_MARK: FORMAT, "run": name}
    if declaration is not None and study is not None:
        found |= {"study": study.name, "database": place}
    if run is not None and declaration is not None:
        found |= {
            "number": run.number,
            "directory": run.directory,
            "state": run.state,
            "objective": list(declaration.objective),
            "direction": list(declaration.direction),
            "value": run.value,
            "values": run.values,
            "mean": run.mean,
            "sd": run.sd,
            "n": run.n,
            "params": dict(run.params),
            "seed": run.seed,
            "epochs": run.epoch,
            "trained": run.started,
        }
    found |= {name: saved[name] for name in ("training", "epoch", "checked") if name in saved}
    if declaration is not None:
        found["code"] = {
            "file": declaration.file,
            "snapshot": run.snapshot if run is not None else None,
            "commit": declaration.commit,
        }
        found["versions"] = dict(declaration.versions)
    found["saved_with"] = versions()
    found |= {name: saved[name] for name in ("inputs", "outputs", "arrays") if saved.get(name) is not None}
    return found


def write(model: Path, about: Mapping[str, Any]) -> Path:
    """Write the record of a saved model beside it; returns its file.

    Raises:
        OSError: it cannot be written.
    """
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    whole = {**about, "model": {"file": model.name, "bytes": model.stat().st_size, "sha256": digest}}
    path = record_file(model)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(_plain(whole), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinity are texts, as parameters may be either."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
