"""Starts studies: a coordinator process each, in a session of its own, which outlives the service.

The process is `sweep start`, so a study is the same thing whether the service or a command line has started it. What it
prints goes to `coordinator.log` in the study's folder; `start.json` there holds its options, for when it continues.
"""

import errno
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
LOG, KEPT_OPTIONS = "coordinator.log", "start.json"
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
    """

    identity: str
    file: str
    study: str
    log: Path
    began: float
    process: "subprocess.Popen[bytes]" = field(repr=False)
    token: str = ""
    known: bool = False

    @property
    def state(self) -> str:
        """`starting`, `running` (the study is in the store), `ended` or `failed`."""
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
            self._check(name)
            folder = self._folder(study, name)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / KEPT_OPTIONS).write_text(json.dumps(given(settings, "api")))
            line = arguments(settings)
            line += [f"--enqueue={run}" for run in settings.enqueue if isinstance(run, str)]
            if params := [dict(each) for each in settings.enqueue if not isinstance(each, str)]:
                queue = folder / "enqueue.json"
                queue.write_text(json.dumps(params))
                line.append(f"--enqueue=@{queue}")
            begun = self._spawn(file, name, line, folder / LOG)
            self._starts[begun.identity] = begun
            for old in [key for key, past in self._starts.items() if past.process.poll() is not None][:-KEPT]:
                del self._starts[old]
        return begun

    def _folder(self, study: StudyRecord | None, name: str) -> Path:
        """The folder of a study, which stays where it is; of a new one in this service's log directory."""
        own = Path(study.directory) if study is not None else None
        if own is not None and own.name == name and own.is_dir():
            return own
        return self._settings.logdir.absolute() / name

    def _check(self, name: str) -> None:
        running = [begun for begun in self._starts.values() if begun.process.poll() is None]
        if any(begun.study == name for begun in running):
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

    def _spawn(self, file: Path, name: str, arguments: list[str], log: Path) -> Start:
        # The database's URL may hold a password, and the process list shows arguments. A study that is started here
        # must not be started at another service, nor on the cluster that this one's operator uses.
        hidden = ("SWEEP_TOKEN", "SWEEP_SERVER")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        environment[OWNER] = token = new_token()
        environment["SWEEP_STORAGE"] = self._settings.storage
        environment["SWEEP_LOGDIR"] = str(self._settings.logdir.absolute())
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    python("sweep", "start", str(file), *arguments),
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
        return Start(secrets.token_hex(6), file.name, name, log, time.time(), process, token)

    def starts(self) -> list[Start]:
        """The starts of this service, the latest last."""
        with self._lock:
            found = list(self._starts.values())
        unknown = {begun.token: begun for begun in found if not begun.known}
        if unknown:
            for study in self._store.studies():
                if study.owner is not None and study.owner.token in unknown:
                    begun = unknown[study.owner.token]
                    begun.study, begun.known = study.name, True
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
