"""What every route needs: the store, the folder of study files, templates, and who is asked to do things."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.templating import Jinja2Templates

from sweep.read.filters import compile_pattern
from sweep.read.runs import Selection, run_number, select_runs
from sweep.read.studies import Standing, standings
from sweep.serve.problems import NotFound
from sweep.store import RunRecord, Store, StudyRecord

HERE = Path(__file__).parent
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class ServeSettings:
    """How the service runs.

    Attributes:
        storage: the database's URL.
        logdir: the log directory of studies that are started here.
        studies: the folder of study files that may be started; None where none may be.
        token: what a client must show; None where the service is bound to loopback alone.
        hosts: the names and addresses (without a port) under which the service may be asked.
    """

    storage: str
    logdir: Path = Path("runs")
    studies: Path | None = None
    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = LOOPBACK


@dataclass(frozen=True)
class Choice:
    """Which of a study's runs are asked for, and in which order.

    Attributes:
        filter: a regular expression for run names, as TensorBoard's Time Series tab takes it; all if empty.
        where: a condition on parameters, metrics and properties (`sweep.read.where`); all if empty.
        states: trial states; all if empty.
        sort: a metric, a parameter or a property, `-` in front to turn it round; by number if empty.
    """

    filter: str = ""
    where: str = ""
    states: frozenset[str] = frozenset()
    sort: str = ""


class Service:
    """What the routes share.

    Attributes:
        settings: how the service runs.
        store: reads the database; runs that have ended are read once.
        templates: Jinja2's, which escape everything.
    """

    def __init__(self, settings: ServeSettings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.templates = Jinja2Templates(HERE / "templates")

    def study(self, name: str) -> StudyRecord:
        """The study called `name`.

        Raises:
            NotFound: there is none.
        """
        found = self.store.find_study(name) if name.isprintable() and len(name) <= 255 else None
        if found is None:
            raise NotFound("a study must be one of the store's", repr(name), "GET /api/studies lists them")
        return found

    def run(self, study: StudyRecord, text: str) -> RunRecord:
        """The run of a study called `17`, `t0017` or by its full name.

        Raises:
            NotFound: there is none.
        """
        number = run_number(text)
        found = self.store.runs(study.study_id, [number]) if number is not None and number < 2**31 else []
        if not found or (not text.lstrip("t").isdigit() and found[0].name != text):
            raise NotFound("a run is a trial number or a run name of the study", repr(text))
        return found[0]

    def standing(self, study: StudyRecord) -> Standing:
        """How a study stands."""
        return standings(self.store, [study])[0]

    def select(self, study: StudyRecord, choice: Choice) -> Selection:
        """The runs asked for.

        Raises:
            FilterError: the pattern or the condition is malformed, or takes too long.
            SweepError: there is nothing to sort by under that name.
        """
        pattern = compile_pattern(choice.filter) if choice.filter else None
        return select_runs(
            self.store, study, pattern=pattern, states=choice.states, sort=choice.sort or None
        )

    def close(self) -> None:
        """End what the service started and close the store."""
        self.store.close()


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(service_of)]
