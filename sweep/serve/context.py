"""What every route needs: the store, its runs in memory, templates, and who is asked to do things."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.templating import Jinja2Templates

from sweep.read.runs import Selection, run_number, select_runs
from sweep.read.studies import Standing, counts_now, study_state
from sweep.serve.board import Boards
from sweep.serve.liveness import Liveness
from sweep.serve.matching import Matcher
from sweep.serve.previews import Previews
from sweep.serve.problems import NotFound
from sweep.serve.settings import Choice, ServeSettings
from sweep.serve.snapshots import Snapshot, Snapshots
from sweep.serve.starter import Starter
from sweep.serve.stream import Streams
from sweep.store import RunRecord, Store, StudyRecord

__all__ = ["HERE", "Choice", "ServeSettings", "Service", "ServiceDependency", "service_of"]

HERE = Path(__file__).parent


class Service:
    """What the routes share.

    Attributes:
        settings: how the service runs.
        store: the database.
        snapshots: runs kept in memory, so that a reading asks the database only for what can have changed.
        templates: Jinja2's, which escape everything.
        liveness: whether a study's coordinator lives.
        previews: what study files would train.
        starter: starts studies.
        boards: TensorBoards; used in the event loop.
        streams: server-sent events; used in the event loop.
    """

    def __init__(self, settings: ServeSettings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.snapshots = Snapshots(store)
        self.templates = Jinja2Templates(HERE / "templates")
        self.liveness = Liveness()
        self.previews = Previews()
        self.starter = Starter(settings, store)
        self.boards = Boards()
        self.streams = Streams(self)
        self.matcher = Matcher()

    def study(self, name: str) -> StudyRecord:
        """The study called `name`.

        Raises:
            NotFound: there is none.
        """
        found = self.store.find_study(name) if name.isprintable() and len(name) <= 255 else None
        if found is None:
            raise NotFound(f"No such study: {name}.", "GET /api/studies lists them.")
        return found

    def run(self, study: StudyRecord, text: str) -> RunRecord:
        """The run of a study called `17`, `t0017` or by its full name.

        Raises:
            NotFound: there is none.
        """
        number = run_number(text)
        found = self.store.runs(study.study_id, [number]) if number is not None and number < 2**31 else []
        if not found or (not text.removeprefix("t").isdecimal() and found[0].name != text):
            raise NotFound(f"No run {text} in study {study.name}.")
        return found[0]

    def standing(self, study: StudyRecord) -> Standing:
        """How a study stands."""
        snapshot = self.snapshots.of(study)
        running = self.liveness.of(study)
        counts = counts_now(snapshot.counted, running=running)
        return Standing(study, study_state(study, counts, running=running), counts, snapshot.best)

    def standings(self) -> list[Standing]:
        """How all studies stand, the oldest first."""
        return [self.standing(study) for study in self.store.studies()]

    def select(self, study: StudyRecord, choice: Choice) -> Selection:
        """The runs asked for.

        Raises:
            FilterError: the pattern or the condition is malformed, or takes too long.
            SweepError: there is nothing to sort by under that name.
            Busy: other patterns keep the processes that match them at work.
        """
        reading = _Reading(self.snapshots, self.snapshots.of(study))
        pattern = None
        if choice.filter:
            names = [run.name for run in reading.snapshot.runs if run.name is not None]
            pattern = self.matcher.match(choice.filter, names)
        return select_runs(
            reading,
            study,
            pattern=pattern,
            states=choice.states,
            sort=choice.sort or None,
            where=choice.where or None,
        )

    async def close(self) -> None:
        """End what the service started, except studies, and close the store."""
        await self.streams.close()
        await self.boards.close()
        self.matcher.close()
        self.store.close()


@dataclass(frozen=True)
class _Reading:
    """One snapshot of a study's runs, read as a store is."""

    snapshots: Snapshots
    snapshot: Snapshot

    def runs(self, study_id: int) -> list[RunRecord]:  # noqa: ARG002  # a Store's
        return self.snapshot.runs

    def last_metrics(self, study_id: int) -> Mapping[int, Mapping[str, float]]:  # noqa: ARG002  # a Store's
        return self.snapshots.last_metrics(self.snapshot)


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(service_of)]
