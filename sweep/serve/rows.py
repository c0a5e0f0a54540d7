"""Rows of the table of runs as HTML, kept for runs that have ended, since these never change."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from sweep.serve.snapshots import Snapshot
from sweep.serve.views import course, rows
from sweep.store import FINISHED, RunRecord, Store

KEPT = 20_000  # rows, some 3 KB each

_Key = tuple[int, float, int, bool]


class Rows:
    """The rows of a store's runs; any thread may ask."""

    def __init__(self, store: Store, templates: Jinja2Templates) -> None:
        self._store = store
        self._templates = templates
        self._kept: OrderedDict[_Key, Markup] = OrderedDict()
        self._lock = threading.Lock()

    def html(self, snapshot: Snapshot, runs: Sequence[RunRecord]) -> list[Markup]:
        """A row for each of a study's runs."""
        best = snapshot.best.number if snapshot.best else None
        study = snapshot.study
        keys = [(study.study_id, study.created, run.number, run.number == best) for run in runs]
        with self._lock:
            known = {key[2]: self._kept[key] for key in keys if key in self._kept}
        made = self._make(snapshot, [run for run in runs if run.number not in known])
        with self._lock:
            for key, run in zip(keys, runs, strict=True):
                if run.number in made and run.state in FINISHED:
                    self._kept[key] = made[run.number]
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [known[run.number] if run.number in known else made[run.number] for run in runs]

    def _make(self, snapshot: Snapshot, runs: Sequence[RunRecord]) -> dict[int, Markup]:
        if not runs:
            return {}
        objective = snapshot.study.declaration.objective[0]
        epochs = self._store.metrics(snapshot.study.study_id, [run.number for run in runs])
        courses = {run.number: course(run, epochs.get(run.number, {}), objective) for run in runs}
        template = self._templates.get_template("_row.html")
        return {row.run.number: Markup(template.render(row=row)) for row in rows(snapshot, runs, courses)}
