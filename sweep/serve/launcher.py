"""Starts studies: a coordinator process each, in a session of its own, which outlives the service.

The process is `sweep start`, so a study is the same thing whether the service or a command line has started it. What it
prints goes to `coordinator.log` in the study's folder; `start.json` there holds its options, for when it continues.
In the same way `sweep confirm` trains repeats of a study's best runs; it prints into `confirm.log`.
"""

import errno
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sweep import racing
from sweep.commands import python
from sweep.control.open_study import check_total
from sweep.errors import last_words
from sweep.options import Settings, given, of_way, present, words
from sweep.serve.files import default_name
from sweep.serve.problems import Conflict, Full, Refusal
from sweep.serve.settings import ServeSettings
from sweep.specs import Kind, names_module
from sweep.store import Store, StudyRecord
from sweep.store.lease import OWNER, new_token
from sweep.view.runs import finished
from sweep.words import counted

MOST = 32
"""Coordinators that one service may have running."""

MOST_WORKERS = 512
"""Workers that one study may be given through a service."""

KEPT = 100  # starts that are remembered
KINDS: tuple[Kind, ...] = ("sampler", "pruner")
LOG, CONFIRM_LOG, KEPT_OPTIONS = "coordinator.log", "confirm.log", "start.json"
_TAIL = 4000  # characters of output that are shown


def arguments(settings: Settings) -> list[str]:
    """The options of a start as `sweep start` takes them; parameters that are tried first go through a file."""
    names = [name for name in of_way("api") if name != "enqueue"]
    return [flag if text is None else f"{flag}={text}" for flag, text in words(settings, names)]


@dataclass
class Start:
    """One start.

    Attributes:
        identity: its name in the API.
        file: the study file's name.
        study: the study's name; as the file's name says until the study is in the store.
        log: what the coordinator prints.
        token: the coordinator's, as the owner of the study.
        command: which command of `sweep` runs, `start` or `confirm`.
    """

    identity: str
    file: str
    study: str
    log: Path
    began: float
    process: "subprocess.Popen[bytes]" = field(repr=False)
    token: str = ""
    known: bool = False
    command: Literal["start", "confirm"] = "start"

    @property
    def state(self) -> str:
        """`starting`, `running` (the study is in the store, or its repeats train), `ended` or `failed`."""
        status = self.process.poll()
        if status is None:
            return "running" if self.known else "starting"
        return "ended" if status in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM) else "failed"

    def output(self) -> str:
        """The end of what the coordinator has printed."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _TAIL))
            return file.read().decode(errors="replace")

    def problem(self) -> str | None:
        """Why it failed, in a line; None if it did not."""
        if self.state != "failed":
            return None
        return last_words(self.output()) or "It printed nothing."


def _check_imports_nothing(settings: Settings) -> None:
    """Refuse a sampler or pruner that names a module: whoever may start studies here may not have any code imported.

    Raises:
        Refusal: there is one.
    """
    for kind in KINDS:
        if names_module(kind, getattr(settings, kind) or ""):
            raise Refusal(
                f"A service imports no {kind} that it is told to import, as {getattr(settings, kind)}.",
                f"Name it in the study file: Study({kind}=...)",
            )


class Launcher:
    """The starts of one service; any thread may ask."""

    def __init__(self, settings: ServeSettings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._starts: dict[str, Start] = {}
        self._lock = threading.Lock()

    def start(self, file: Path, settings: Settings) -> Start:
        """Start a study file, or continue its study.

        Args:
            file: from `sweep.serve.files.find_file`.
            settings: of which the options count that a service can be given.

        Raises:
            Conflict: the study is being started already.
            Full: too many studies run.
            SweepError: the sampler or pruner cannot be made, there are more workers than a service starts, or the
                study has more trials than it is to have in all.
        """
        _check_imports_nothing(settings)
        settings.check_specs()
        if (settings.workers or 0) > MOST_WORKERS:
            raise Refusal(f"workers must be at most {MOST_WORKERS} at a service, not {settings.workers}.")
        name = settings.name or default_name(file)
        if (study := self._store.find_study(name)) is not None:
            check_total(name, settings.trials, finished(self._store.counts(study.study_id)))
        with self._lock:
            self._check(name, "start")
            folder = self._folder(study, name)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / KEPT_OPTIONS).write_text(json.dumps(given(settings, "api")))
            line = arguments(settings)
            line += [f"--enqueue={run}" for run in settings.enqueue if isinstance(run, str)]
            if params := [dict(each) for each in settings.enqueue if not isinstance(each, str)]:
                queue = folder / "enqueue.json"
                queue.write_text(json.dumps(params))
                line.append(f"--enqueue=@{queue}")
            return self._begin("start", file.name, name, [str(file), *line], folder / LOG)

    def confirm(self, study: StudyRecord, words: Sequence[str]) -> Start:
        """Have a study's best runs trained again.

        Args:
            words: the options of `sweep confirm`.

        Raises:
            Conflict: this service does that already, or the study's folder is gone.
            Full: too many studies run.
        """
        folder = Path(study.directory)
        if not folder.is_dir():
            raise Conflict(f"The folder of study {study.name} is gone: {folder}.", "Say where it is: sweep db relocate")
        file = Path(study.declaration.file or "").name
        with self._lock:
            self._check(study.name, "confirm")
            return self._begin("confirm", file, study.name, [*words, "--", study.name], folder / CONFIRM_LOG)

    def _begin(self, command: Literal["start", "confirm"], file: str, study: str, words: list[str], log: Path) -> Start:
        token, began = new_token(), time.time()
        process = self._spawn([command, *words], log, token)
        begun = Start(secrets.token_hex(6), file, study, log, began, process, token, command=command)
        self._starts[begun.identity] = begun
        for old in [key for key, past in self._starts.items() if past.process.poll() is not None][:-KEPT]:
            del self._starts[old]
        return begun

    def confirming(self, study: str) -> Start | None:
        """The last time that this service had a study's best runs trained again."""
        with self._lock:
            every = [begun for begun in self._starts.values() if (begun.command, begun.study) == ("confirm", study)]
        return every[-1] if every else None

    def _folder(self, study: StudyRecord | None, name: str) -> Path:
        """The folder of a study, which stays where it is; of a new one in this service's log directory."""
        own = Path(study.directory) if study is not None else None
        if own is not None and own.name == name and own.is_dir():
            return own
        return self._settings.logdir.absolute() / name

    def _check(self, name: str, command: str) -> None:
        running = [begun for begun in self._starts.values() if begun.process.poll() is None]
        if any((begun.study, begun.command) == (name, command) for begun in running):
            if command == "confirm":
                raise Conflict(f"The best runs of {name} are being trained again already.", hint="Stop that first.")
            raise Conflict(f"{name} has been started already.", hint="Stop it first, or give another name.")
        if len(running) >= MOST:
            raise Full(
                f"This service runs {counted(MOST, 'study')} already, which is the most it can.",
                hint="Stop one first.",
            )

    def check_none(self, name: str) -> None:
        """Refuse to remove a study while a process starts or continues it.

        Raises:
            Conflict: there is such a process; the study may not be in the store, or have an owner, yet.
        """
        if any(begun.study == name and begun.process.poll() is None for begun in self.starts()):
            raise Conflict(f"{name} is being started, so it cannot be removed.", hint="Stop it first.")

    def stop_confirming(self, study: str) -> bool:
        """Have the process stop that trains a study's best runs again for this service; whether there is one."""
        begun = self.confirming(study)
        if begun is None or begun.process.poll() is not None:
            return False
        begun.process.send_signal(signal.SIGINT)
        return True

    def _spawn(self, words: list[str], log: Path, token: str) -> "subprocess.Popen[bytes]":
        """A process that runs a command of `sweep`; `token` is its own as the owner of a study."""
        # The database's URL may hold a password, and the process list shows arguments. A study that is started here
        # must not be started at another service, nor on the cluster that this one's operator uses.
        hidden = ("SWEEP_TOKEN", "SWEEP_SERVER")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        environment[OWNER] = token
        environment["SWEEP_STORAGE"] = self._settings.storage
        environment["SWEEP_LOGDIR"] = str(self._settings.logdir.absolute())
        try:
            with log.open("ab") as output:
                return subprocess.Popen(
                    python("sweep", *words),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            raise Refusal("The options are too long for a command line.") from None

    def starts(self) -> list[Start]:
        """The starts of this service, the latest last."""
        with self._lock:
            found = list(self._starts.values())
        unknown = {begun.token: begun for begun in found if not begun.known and begun.command == "start"}
        if unknown:
            for study in self._store.studies():
                if study.owner is not None and study.owner.token in unknown:
                    begun = unknown[study.owner.token]
                    begun.study, begun.known = study.name, True
        for begun in found:
            if not begun.known and begun.command == "confirm":
                raced = self._store.find_study(begun.study)
                begun.known = raced is not None and racing.of(raced) is not None
        return found

    def find(self, identity: str) -> Start | None:
        """The start of that identity."""
        return next((begun for begun in self.starts() if begun.identity == identity), None)

    def go_on(self, file: Path, study: StudyRecord, trials: int | None) -> Start:
        """Start a study again with the options of its last start here, and with what the store says of it.

        Args:
            trials: the new total; by default the one it has.

        Raises:
            SweepError: see `start`.
        """
        kept: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            kept = present(json.loads((self._folder(study, study.name) / KEPT_OPTIONS).read_text()))
        options = {
            name: kept.get(name) if option.again == "start" else getattr(study.declaration, name, None)
            for name, option in of_way("api").items()
            if option.again != "never"
        }
        options["best_of"] = Settings(best_of=kept.get("best_of") or ()).taught_by
        for kind in KINDS:  # what has to be imported, only the study file can name
            options[kind] = None if names_module(kind, options[kind] or "") else options[kind]
        return self.start(file, Settings(**options | {"name": study.name, "trials": trials or options["trials"]}))
