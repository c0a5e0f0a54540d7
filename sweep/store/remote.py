"""A store behind a service: read and given commands as `Store` is, over HTTP, so that the same commands serve both.

It has no `engine` and no `url`: whoever works on the database itself cannot do so from afar.
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from sweep.declaration import Declaration
from sweep.errors import StoreError, SweepError
from sweep.store.records import Owner, RepeatRecord, RunRecord, StudyRecord
from sweep.store.store import Epochs, Notes, Store
from sweep.store.tables import join_float

TOKEN_VARIABLE = "SWEEP_TOKEN"
SECONDS = 120.0
_AT_ONCE = 500  # numbers in one address
_OWNER_FIELDS = ("host", "pid", "token")


def is_server(place: str) -> bool:
    """Whether a text is the address of a service rather than a database's URL."""
    return place.startswith(("http://", "https://"))


class RemoteStore(Store):
    """The store of the service at `server`, which is shown the token of the environment variable `SWEEP_TOKEN`.

    Args:
        server: such as `http://host:8080`.

    Raises:
        StoreError: it is no address of the web. Every method: the service does not answer, or refuses.
    """

    def __init__(self, server: str) -> None:
        if not _is_address(server):
            raise StoreError(
                "The address of a service cannot hold a user name."
                if "@" in server
                else f"Not the address of a service: {server!r}.",
                "For example: http://127.0.0.1:8080",
            )
        self.server = server.rstrip("/")
        self._names: dict[int, str] = {}

    @property
    def place(self) -> str:
        """The address of the service."""
        return self.server

    @property
    def read_only(self) -> str | None:
        """None: a service that cannot write says so itself."""
        return None

    def close(self) -> None:
        """Nothing is kept open."""

    def studies(self) -> list[StudyRecord]:
        """All studies, the oldest first."""
        return [self._study(item) for item in self.ask("/api/records/studies")]

    def find_study(self, name: str) -> StudyRecord | None:
        """The study called `name`, or None."""
        return next((study for study in self.studies() if study.name == name), None)

    def runs(self, study_id: int, numbers: Sequence[int] | None = None) -> list[RunRecord]:
        """A study's runs by number; `numbers` chooses some."""
        rows = self._of_runs(study_id, "runs", numbers)
        return [_run(dict(row)) for row in rows]

    def counts(self, study_id: int, *, added: bool = False) -> dict[str, int]:
        """How many runs a study has in each state.

        Args:
            added: count also trials that other programs added; for these every run is asked for.
        """
        if added:
            return dict(Counter(run.state for run in self.runs(study_id)))
        counts: dict[str, int] = self.ask(f"/api/studies/{self._name(study_id)}")["counts"]
        return counts

    def metrics(self, study_id: int, numbers: Sequence[int] | None = None) -> dict[int, Epochs]:
        """Every metric of every epoch, by run number; `numbers` chooses some runs."""
        found: dict[int, Epochs] = {}
        for number, epoch, metric, value, kind in self._of_runs(study_id, "metrics", numbers):
            found.setdefault(number, {}).setdefault(epoch, {})[metric] = _float(value, kind)
        return found

    def last_metrics(self, study_id: int) -> dict[int, dict[str, float]]:
        """The metrics of each run's last finished epoch, by run number."""
        found: dict[int, dict[str, float]] = {}
        for number, metric, value, kind in self.ask(f"{self._path(study_id)}/last-metrics"):
            found.setdefault(number, {})[metric] = _float(value, kind)
        return found

    def notes(self, study_id: int, numbers: Sequence[int] | None = None) -> dict[int, Notes]:
        """What only Optuna's tables have of a study's trials, by number; `numbers` chooses some."""
        rows = self._of_runs(study_id, "notes", numbers)
        return {number: Notes(ended, json.loads(attributes)) for number, ended, attributes in rows}

    def command(self, study_id: int, verb: str, *, numbers: Iterable[int | None] = (None,), reason: str) -> None:
        """Ask a study's coordinator to `prune` the runs `numbers`, or to `stop`; it obeys at the next epoch."""
        asked = {"verb": verb, "numbers": list(numbers), "reason": reason}
        if asked["numbers"]:
            self.ask(f"{self._path(study_id)}/commands", asked)

    def remove_study(self, name: str) -> str | None:
        """Have the service remove a study with its runs; the folder that went with it, if one did."""
        path = f"/api/studies/{quote(name, safe='')}?{urlencode({'confirm': name})}"
        removed: dict[str, Any] = self.ask(path, method="DELETE")
        folder: str | None = removed["directory"]
        return folder

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """What the service answers at a path, read from JSON; `body` is sent as JSON, if there is one.

        Raises:
            SweepError: the service refuses, with its message and hint.
            StoreError: there is no service, or it is none of ours.
        """
        headers = {"Accept": "application/json"}
        if token := os.environ.get(TOKEN_VARIABLE):
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(f"{self.server}{path}", data, headers, method=method)
        try:
            with urllib.request.build_opener(_Straight).open(request, timeout=SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(self.server, error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = str(getattr(error, "reason", error)) or type(error).__name__
            raise StoreError(
                f"The service at {self.server} does not answer: {said}", "Check that sweep serve is running."
            ) from None

    def _of_runs(self, study_id: int, what: str, numbers: Sequence[int] | None) -> list[Any]:
        path = f"{self._path(study_id)}/{what}"
        if numbers is None:
            return list(self.ask(path))
        chunks = [numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE)]
        return [row for chunk in chunks for row in self.ask(f"{path}?{urlencode([('number', n) for n in chunk])}")]

    def _path(self, study_id: int) -> str:
        return f"/api/records/studies/{self._name(study_id)}"

    def _name(self, study_id: int) -> str:
        if study_id not in self._names:
            self.studies()
        return quote(self._names[study_id], safe="")

    def _study(self, item: dict[str, Any]) -> StudyRecord:
        owner = item["owner"]
        known = Owner(**{name: owner[name] for name in _OWNER_FIELDS}) if owner else None
        self._names[item["study_id"]] = item["name"]
        return StudyRecord(**{**item, "owner": known, "declaration": Declaration.stored(item["declaration"])})


def _run(row: dict[str, Any]) -> RunRecord:
    """A run from its row, which has the rows of its repeats where the service is of a version that knows them."""
    repeats = [RepeatRecord.from_row(one) for one in row.pop("repeats", ())]
    run = RunRecord.from_row(SimpleNamespace(_mapping=row))
    run.repeats = repeats
    return run


def _is_address(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in server and parts.port != 0
    except ValueError:
        return False


class _Straight(urllib.request.HTTPRedirectHandler):
    """Follows nobody to another place, which would be shown the token."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None


def _refusal(server: str, error: urllib.error.HTTPError) -> SweepError:
    """What a service's problem document says."""
    if error.code == 401:
        return StoreError(
            f"The service at {server} needs a token.", f"Set {TOKEN_VARIABLE} to the token that sweep serve printed."
        )
    try:
        problem = json.load(error)
        return SweepError(problem.get("error", problem["detail"]), problem.get("hint"))
    except (ValueError, KeyError, TypeError):
        return StoreError(
            f"What answers at {server} is not sweep's service: status {error.code}.", "Check the address."
        )


def _float(value: float | None, kind: str | None) -> float:
    joined = join_float(value, kind)
    return float("nan") if joined is None else joined
