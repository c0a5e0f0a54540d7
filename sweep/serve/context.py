"""What every route needs: the store, its runs in memory, templates, and who is asked to do things."""

import math
import time
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.templating import Jinja2Templates

from sweep.control.disk import size
from sweep.quantities import Metrics
from sweep.serve.board import Boards
from sweep.serve.files import Previews
from sweep.serve.launcher import Launcher
from sweep.serve.logins import Sessions, Tries
from sweep.serve.matcher import Matcher
from sweep.serve.problems import NotFound
from sweep.serve.pulse import Pulse
from sweep.serve.settings import ServeSettings
from sweep.serve.stream import Streams
from sweep.store import RunRecord, Store, StudyRecord
from sweep.view.changes import Look
from sweep.view.runs import find_runs
from sweep.view.selection import Selected, Selection
from sweep.view.snapshots import RunsSnapshot, Snapshots
from sweep.view.studies import StudyView
from sweep.view.summary import Summary, ends_of, moment_of, summarize

HERE = Path(__file__).parent

SIZE_SECONDS = 60.0  # how old what is known of a folder's size may be


class Sizes:
    """What folders take on the disk, looked at once in a while; any thread may ask."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, int]] = {}

    def of(self, folder: str) -> int:
        """The bytes of a folder, which may be those of a minute ago."""
        looked, found = self._known.get(folder, (-math.inf, 0))
        if time.monotonic() - looked > SIZE_SECONDS:
            found = size(Path(folder))
            self._known[folder] = time.monotonic(), found
        return found


class Service:
    """What the routes share.

    Attributes:
        settings: how the service runs.
        store: the database.
        read_only: why it can only be read, as a sentence; None if it can be changed.
        snapshots: runs kept in memory, so that a reading asks the database only for what can have changed.
        templates: Jinja2's, which escape everything.
        previews: what study files would train.
        launcher: starts studies.
        boards: TensorBoards; used in the event loop.
        streams: server-sent events; used in the event loop.
        pulse: whether the database answers; used in the event loop.
        sessions, tries: who is logged in, and wrong tokens; None where the service has no token.
    """

    def __init__(self, settings: ServeSettings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.read_only = store.read_only
        self.snapshots = Snapshots(store)
        self.templates = Jinja2Templates(HERE / "templates")
        self.previews = Previews()
        self.launcher = Launcher(settings, store)
        self.boards = Boards()
        self.streams = Streams(self.study, self.look)
        self.matcher = Matcher()
        self._sizes = Sizes()
        self.pulse = Pulse(store)
        self.sessions = Sessions(settings.token, settings.logdir) if settings.token is not None else None
        self.tries = Tries(settings.token) if settings.token is not None else None

    def study(self, name: str) -> StudyRecord:
        """The study called `name`.

        Raises:
            NotFound: there is no such study.
        """
        found = self.store.find_study(name) if name.isprintable() and len(name) <= 255 else None
        if found is None:
            raise NotFound(f"No such study: {name}.", "GET /api/studies lists them.")
        return found

    def run(self, study: StudyRecord, text: str) -> RunRecord:
        """The run of a study called `17`, `t0017` or by its full name.

        Raises:
            NotFound: there is no such run.
        """
        found = find_runs(self.store, [study], text)
        if not found:
            raise NotFound(f"No run {text} in study {study.name}.")
        return found[0][1]

    def view(self, study: StudyRecord) -> StudyView:
        """A study as it is now."""
        return self.snapshots.of(study).view(running=study.is_running)

    def look(self, study: StudyRecord) -> tuple[Look, Metrics]:
        """A study and its runs as they are now, with the last metrics of each run by number."""
        snapshot = self.snapshots.of(study)
        return Look(snapshot.view(running=study.is_running), snapshot.runs), snapshot.last_metrics()

    def views(self) -> list[StudyView]:
        """All studies as they are now, the oldest first."""
        return [self.view(study) for study in self.store.studies()]

    def summary(self, study: StudyRecord, since: str | None = None) -> Summary:
        """What has become of a study; `since`: leaving out what ended earlier than this long ago.

        Raises:
            SweepError: `since` is no time.
        """
        begun = moment_of(since) if since is not None else None
        ends = ends_of(self.store, study) if since is not None else None
        return summarize(
            study,
            self.snapshots.of(study).runs,
            running=study.is_running,
            place=self.store.place,
            since=begun,
            ends=ends,
            disk=self._sizes.of(study.directory),
        )

    def select(self, snapshot: RunsSnapshot, selection: Selection, client: str) -> Selected:
        """The runs of a study that a selection means; `client` is the address of whoever asks.

        Raises:
            FilterError: the pattern or the condition is malformed, or takes too long.
            SweepError: there is nothing to sort by under that name.
            TooManyPatterns: other patterns of this client, or of all, are being matched.
        """
        match = partial(self.matcher.match, client=client)
        return selection.of(snapshot.study, snapshot.runs, snapshot.last_metrics, match)

    async def close(self) -> None:
        """End what the service started, except studies, and close the store."""
        await self.streams.close()
        await self.boards.close()
        self.matcher.close()
        self.pulse.close()
        self.store.close()


async def service_of(request: Request) -> Service:
    """The service that answers a request; needs no thread."""
    service: Service = request.app.state.service
    return service


async def client_of(request: Request) -> str:
    """The address of whoever asks; empty where there is none."""
    return request.client.host if request.client is not None else ""


ServiceDependency = Annotated[Service, Depends(service_of)]
ClientDependency = Annotated[str, Depends(client_of)]
