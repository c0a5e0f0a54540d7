"""The table of a study's runs: its heads, and rows as HTML, kept of runs that have ended: only repeats change these."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from sweep.finding import mark
from sweep.quantities import value_name
from sweep.serve.pages.addresses import address, study_address
from sweep.serve.pictures import sparkline
from sweep.store import FINISHED, RunRecord, Store, StudyRecord
from sweep.view import cells
from sweep.view.budgets import unusual
from sweep.view.repeats import said
from sweep.view.runs import course, epoch_share, named_values, objectives, reason_text
from sweep.view.selection import Selection
from sweep.view.snapshots import RunsSnapshot

KEPT = 20_000  # rows, some 3 KB each

_Key = tuple[int, float, int, bool, int, int | None]

COLUMNS = (
    ("name", "run", "number"),
    ("state", "state", "state"),
    ("epoch", "epochs", "epoch"),
    ("spark", "course", ""),
    ("value", "value", "run.value"),
    ("best", "best", "best"),
    ("last", "last", "last"),
    ("time", "time", "duration"),
    ("reason", "why", ""),
)


@dataclass(frozen=True)
class TableHead:
    """A column of the table of runs; `sort` is what its head sorts by, `turned` whether that is in force, and how."""

    key: str
    label: str
    sort: str
    href: str
    turned: str


def heads(study: StudyRecord, selection: Selection) -> list[TableHead]:
    """The heads of the table: one that is sorted by turns round when it is clicked again."""
    shown = []
    for key, label, sort in COLUMNS:
        now = selection.sort or "number"
        turned = ("descending" if now.startswith("-") else "ascending") if sort and now.lstrip("-") == sort else ""
        other = f"-{sort}" if now == sort else sort
        href = study_address(study, replace(selection, sort=other if other != "number" else "")) if sort else ""
        label = value_name(study) if key == "value" else label
        shown.append(TableHead(key, label, other, href, turned))
    return shown


@dataclass(frozen=True)
class TableRow:
    """A run as the table shows it."""

    run: RunRecord
    values: dict[str, float]
    parts: list[Any]
    is_best: bool
    epoch_share: float
    usual: int | None
    spark: Markup
    href: str

    @property
    def reason(self) -> str:
        """Why the run ended, in a line; of one that waits, that it is run again, and why."""
        return reason_text(self.run)

    @property
    def broken(self) -> str:
        """The constraints that the run breaks."""
        constraints = self.run.constraints.items()
        return ", ".join(f"{name} {cells.number(value)}" for name, value in constraints if value > 0)

    @property
    def about_value(self) -> str:
        """What stands behind the value: the constraints that the run breaks, and each of several objectives."""
        returned = [f"{name} {cells.number(value)}" for name, value in self.values.items()]
        infeasible = [f"infeasible: {self.broken}"] if self.broken else []
        fresh = [f"with {'fresh' if self.run.fresh else 'several'} seeds: {self.fresh}"] if self.fresh else []
        return "; ".join([*(returned if len(returned) > 1 else []), *infeasible, *fresh])

    @property
    def fresh(self) -> str:
        """What other seeds have given: their mean, standard deviation and number; empty without any."""
        return said(self.run.mean, self.run.sd, self.run.n or 0) if self.run.mean is not None else ""

    @property
    def unusual(self) -> bool:
        """Whether it was to train for another number of epochs than most runs, so that its value does not compare."""
        return unusual(self.run, self.usual)

    @property
    def mark(self) -> str:
        """What was found, by its kind; nothing where the reason says it already."""
        found = mark(self.run.findings)
        return "" if self.reason.startswith(found.partition(" ")[0] + ":") else found


def rows(snapshot: RunsSnapshot, runs: Sequence[RunRecord], courses: Mapping[int, Sequence[float]]) -> list[TableRow]:
    """Runs for the table; `courses` has the objective by epoch."""
    best = snapshot.best.number if snapshot.best else None
    return [
        TableRow(
            run=run,
            values=named_values(objectives(snapshot.study), run),
            parts=cells.name_parts(run),
            is_best=run.number == best,
            epoch_share=epoch_share(run),
            usual=snapshot.usual_budget,
            spark=sparkline(courses.get(run.number, ()), run.state.lower(), label=f"{cells.number_of(run)} by epoch"),
            href=address("studies", snapshot.study.name, "runs", str(run.number)),
        )
        for run in runs
    ]


class RowCache:
    """The rows of a store's runs; any thread may ask."""

    def __init__(self, store: Store, templates: Jinja2Templates) -> None:
        self._store = store
        self._templates = templates
        self._kept: OrderedDict[_Key, Markup] = OrderedDict()
        self._lock = threading.Lock()

    def html(self, snapshot: RunsSnapshot, runs: Sequence[RunRecord]) -> list[Markup]:
        """A row for each of a study's runs."""
        best = snapshot.best.number if snapshot.best else None
        study, usual = snapshot.study, snapshot.usual_budget
        keys = [
            (study.study_id, study.created, run.number, run.number == best, len(run.repeats), usual) for run in runs
        ]
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

    def _make(self, snapshot: RunsSnapshot, runs: Sequence[RunRecord]) -> dict[int, Markup]:
        if not runs:
            return {}
        objective = snapshot.study.declaration.objective[0]
        epochs = self._store.metrics(snapshot.study.study_id, [run.number for run in runs])
        courses = {run.number: course(run, epochs.get(run.number, {}), objective) for run in runs}
        template = self._templates.get_template("_row.html")
        return {row.run.number: Markup(template.render(row=row)) for row in rows(snapshot, runs, courses)}
