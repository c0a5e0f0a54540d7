"""`sweep start --detach`: the same command in a session of its own, which survives the terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.cli.output import print_whole
from sweep.commands import command, python
from sweep.errors import SweepError, last_words
from sweep.passwords import has_password
from sweep.store import Store
from sweep.store.database import has_schema, parse_url
from sweep.store.lease import OWNER, new_token
from sweep.words import shown_path

POLL_SECONDS = 0.2
LOG = "coordinator.log"


def detach(name: str, storage: str, logdir: str) -> None:
    """Run the command line of this process again without --detach, and wait until its study has started.

    Args:
        name: the study's name, as far as it is known; its folder in the log directory has this name.
        storage, logdir: the database and the log directory.

    Raises:
        SweepError: the process ended before; the message is what it printed last.
    """
    words = [word for word in sys.argv[1:] if word != "--detach"]
    surroundings = {name: value for name, value in os.environ.items() if name != "SWEEP_TOKEN"}
    if has_password(storage):
        words = _without_storage(words)
        surroundings["SWEEP_STORAGE"] = storage  # which the process list does not show
    folder = Path(logdir) / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    with log.open("ab") as output:
        before = output.tell()
        token = new_token()
        process = subprocess.Popen(
            python("sweep", *words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**surroundings, OWNER: token},
        )
    study = None
    while study is None:
        if process.poll() is not None:
            last = last_words(log.read_bytes()[before:].decode(errors="replace"))
            if process.returncode == 0:  # there was nothing left to train
                print_whole(last)
                return
            raise SweepError(f"The study did not start: {last}", hint=f"See {shown_path(str(log))}.")
        time.sleep(POLL_SECONDS)
        study = _study_of(token, storage)
    print_whole(f"{study} trains in process {process.pid} and prints to {shown_path(str(log))}")
    for verb, what in (("watch", "shows it"), ("stop", "stops it after the running epochs")):
        print_whole(f"  {command(verb, study, storage=storage)}   {what}")


def _without_storage(words: list[str]) -> list[str]:
    """A command line without the database's URL."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if "--storage" not in (before, word) and not word.startswith("--storage=")]


def _study_of(token: str, storage: str) -> str | None:
    """The study that a coordinator runs, once it is in the database."""
    if not has_schema(parse_url(storage)):
        return None
    store = Store(storage)
    try:
        owned = [study for study in store.studies() if study.owner is not None and study.owner.token == token]
    finally:
        store.close()
    return owned[-1].name if owned else None


@contextmanager
def outliving_the_terminal() -> Iterator[None]:
    """When the terminal closes (SIGHUP), keep the study running and print nothing more."""
    before = signal.signal(signal.SIGHUP, _fall_silent)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _fall_silent(_number: int, _frame: object) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
