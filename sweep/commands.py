"""Command lines: those to copy, which look further at a run or train it again, and those of our own processes."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import SweepError, last_words
from sweep.names import format_number
from sweep.options import OPTIONS
from sweep.passwords import has_password, masked_url
from sweep.words import shown_path

if TYPE_CHECKING:
    from sweep.store import RunRecord, StudyRecord


def command(*words: str, storage: str, logdir: str | None = None) -> str:
    """A `sweep` command line; places are named only where they are not those that would be used anyway.

    The password in a database's URL is hidden, so a person has to put it back.

    Args:
        storage: the URL of a database, or the address of a service.
        logdir: the log directory, for commands that take it.
    """
    line = ["sweep", *words]
    if storage.startswith(("http://", "https://")):
        line += [] if storage == os.environ.get("SWEEP_SERVER") else ["--server", storage]
    elif masked_url(storage) != masked_url(OPTIONS["storage"].usual):
        line += ["--storage", masked_url(storage)]
    if logdir not in (None, OPTIONS["logdir"].usual):
        line += ["--logdir", logdir]
    return shlex.join(line)


def python(module: str, *words: str) -> list[str]:
    """The command of a process of ours. Files in the working directory shadow nothing (`-P`), whatever their names."""
    return [sys.executable, "-P", "-m", module, *words]


def environment(**values: str) -> dict[str, str]:
    """The environment of a process of ours: without the service's token, and without a database's password.

    Args:
        values: variables that it has besides, where the user has not set them.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "SWEEP_TOKEN"}
    if has_password(inherited.get("SWEEP_STORAGE", "")):
        del inherited["SWEEP_STORAGE"]
    return {**values, **inherited}


def answer_of(line: Sequence[str], storage: str) -> Any:
    """What a process of ours says of a database: the JSON of the last line that it prints.

    Args:
        line: see `python`.
        storage: the database's URL, with its password.

    Raises:
        SweepError: it has failed, with the last words that it printed.
    """
    there = {**environment(), "SWEEP_STORAGE": storage}
    done = subprocess.run(line, env=there, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SweepError(last_words(done.stderr))
    return json.loads(done.stdout.strip().rpartition("\n")[2])


def run_again(study: "StudyRecord", run: "RunRecord", finished: int, *, storage: str) -> str | None:
    """The command that trains a run's parameters again as a new trial; None if its study has no file, or it no name.

    Args:
        finished: how many trials of the study count towards its budget, which the new one must not exceed.
    """
    file = study.declaration.file
    if file is None or run.name is None:
        return None
    trials = study.declaration.trials
    budget = ["--trials", str(finished + 1)] if finished >= trials else []
    return start_command(study, "--enqueue", run.name, *budget, storage=storage)


def start_command(study: "StudyRecord", *words: str, storage: str) -> str:
    """The command that starts a study once more: it names the study where its file alone would mean another one."""
    file = study.declaration.file or "FILE"
    name = [] if Path(file).stem == study.name else ["--name", study.name]
    return command("start", shown_path(file), *name, *words, storage=storage)


def rerun_command(study: "StudyRecord", run: "RunRecord", *, storage: str) -> str | None:
    """The command that repeats a run exactly: its seed, its parameters, its study file as it was.

    None where that cannot be: it has not ended, it went on from another's checkpoint, nothing of its study file is
    kept, or its database is out of reach.
    """
    ended = run.state not in ("RUNNING", "WAITING", "PAUSED") and run.revives is None
    kept = ended and run.snapshot is not None and run.seed is not None
    if not kept or storage.startswith(("http://", "https://")):
        return None
    return command("rerun", study.name, format_number(run.number), storage=storage)
