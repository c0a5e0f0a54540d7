"""`sweep names`: what run names a study gives, before anything trains."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import print_whole, remark, show_grid, show_json
from sweep.errors import StudyError, SweepError
from sweep.read.runs import key_table
from sweep.store import Store

EXAMPLES = 8


def show_names(study: str, storage: str, *, as_json: bool) -> None:
    """Print example names, key table, search space and warnings of a study file or of a stored study.

    Raises:
        SweepError: there is neither such a file nor such a study, or the study is refused.
    """
    if study.endswith(".py") or "/" in study or Path(study).is_file():
        preview = preview_file(study)
    else:
        with options.opened(storage) as store:
            preview = preview_stored(store, study)
    if as_json:
        show_json(preview)
    else:
        _print_preview(preview)


def preview_file(path: str) -> dict[str, Any]:
    """What a child process finds that imports a study file and runs `train` up to `sweep.fit`.

    Raises:
        SweepError: the study is refused, for the reason the child gives.
        StudyError: the file is not there, or the child ended without an answer.
    """
    from sweep.study import check_file

    check_file(path)
    command = [sys.executable, "-m", "sweep.train.preview", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = _answer(done.stdout)
    if answer is None:
        said = done.stderr.strip().splitlines()
        got = said[-1] if said else f"exit status {done.returncode}"
        raise StudyError(f"the study file {path} must run up to sweep.fit", got)
    if "error" in answer:
        error = answer["error"]
        raise SweepError(error["rule"], error.get("got"), error.get("remedy"))
    return answer


def _answer(output: str) -> dict[str, Any] | None:
    """The last line that is a JSON object; study code may have printed before it."""
    for line in reversed(output.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def preview_stored(store: Store, name: str) -> dict[str, Any]:
    """The key table, the search space and the first names of a study that is in the store.

    Raises:
        StoreError: there is no such study.
    """
    study = store.study(name)
    keys = key_table(study)
    named = [run for run in store.runs(study.study_id, range(EXAMPLES)) if run.name is not None]
    return {
        "study": study.name,
        "examples": [{"name": run.name, "params": run.params} for run in named],
        "keys": {parameter: keys.key(parameter) for parameter in keys.order(study.keys)},
        "space": {parameter: " or ".join(map(_distribution, texts)) for parameter, texts in study.space.items()},
        "warnings": [],
    }


def _distribution(text: str) -> str:
    """Optuna's JSON of a distribution, as a person writes it."""
    found = json.loads(text)
    values = found["attributes"]
    if "choices" in values:
        return f"one of {', '.join(map(str, values['choices']))}"
    step = f" in steps of {values['step']}" if values.get("step") not in (None, 1) else ""
    return f"{values['low']} to {values['high']}{', log' if values.get('log') else ''}{step}"


def _print_preview(preview: dict[str, Any]) -> None:
    for example in preview["examples"]:
        print_whole(example["name"])
    keys, space = preview["keys"], preview["space"]
    if keys:
        remark("")
        show_grid(
            Grid(
                [
                    Column("key", [key or "(family)" for key in keys.values()], style="cyan"),
                    Column("parameter", list(keys)),
                    Column("search space", [space.get(name, "") for name in keys], shrink=20),
                ]
            )
        )
    for warning in preview["warnings"]:
        remark(f"warning: {warning}", style="yellow")
