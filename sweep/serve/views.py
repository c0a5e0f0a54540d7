"""What the page shows of studies and runs, as plain data for templates: no HTTP here, no HTML but pictures."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from sweep.finding import mark
from sweep.serve import cells
from sweep.serve.context import Choice
from sweep.serve.snapshots import Snapshot
from sweep.store import RunRecord, StudyRecord
from sweep.view.edges import Edge, edges
from sweep.view.findings import Common
from sweep.view.report import finite
from sweep.view.runs import finished, objectives
from sweep.view.sorting import value_name
from sweep.view.studies import counts_now, study_state
from sweep.view.tensorboard import links
from sweep.view.trainings import epoch_share, epochs_text, trained_text

STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
NUMBERS_IN_LINK = 150  # runs that a link to TensorBoard can name one by one


def address(*parts: str, **query: object) -> str:
    """A path of this site, each part escaped, with those of the query that say something."""
    said = {name: text for name, text in query.items() if text not in ("", None)}
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{urlencode(said)}" if said else path


def study_address(study: StudyRecord, choice: Choice | None = None, **query: object) -> str:
    """A study's page, showing the chosen runs."""
    return address("studies", study.name, **(choice_query(choice) if choice else {}), **query)


def choice_query(choice: Choice) -> dict[str, str]:
    """A choice of runs as the page's address has it."""
    states = ",".join(state.lower() for state in STATES if state in choice.states)
    return {"filter": choice.filter, "where": choice.where, "state": states, "sort": choice.sort}


@dataclass(frozen=True)
class Progress:
    """How far a study is: shares of its trials by state, in percent, for a bar; `used` of `total` trials count."""

    used: int
    total: int
    segments: list[tuple[str, float, float]]

    @property
    def percent(self) -> int:
        """The share of trials that have ended."""
        return min(100, 100 * self.used // self.total)


def progress(study: StudyRecord, counts: Mapping[str, int]) -> Progress:
    """How far a study is."""
    used, total = finished(counts), study.declaration.trials
    whole, start, segments = max(total, used + counts.get("RUNNING", 0)), 0.0, []
    for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING"):
        width = 100.0 * counts.get(state, 0) / whole
        if width:
            segments.append((state.lower(), start, width))
        start += width
    return Progress(used, total, segments)


@dataclass(frozen=True)
class Summary:
    """A study at a glance; `goal` is its objective in words, `counts` says how many runs are in each state."""

    study: StudyRecord
    state: str
    counts: dict[str, int]
    progress: Progress
    best: RunRecord | None
    best_value: float | None
    goal: str
    pruned_share: int
    spark: Markup
    edges: list[Edge]
    findings: list[Common]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def no_best(self) -> str:
        """Why no run is the best."""
        if len(objectives(self.study)) > 1:
            return "none of several objectives"
        return "no feasible run yet" if self.counts.get("COMPLETE") else "no complete run yet"

    @property
    def best_number(self) -> float | None:
        """The value of the best run where it is finite, for the page's script."""
        return finite(self.best_value)

    @property
    def doc(self) -> str:
        """The first line of the study file's docstring."""
        return self.study.declaration.doc.strip().partition("\n")[0]


def summary(snapshot: Snapshot, *, running: bool) -> Summary:
    """A study at a glance."""
    study, best = snapshot.study, snapshot.best
    counts, counted = (counts_now(each, running=running) for each in (snapshot.counts, snapshot.counted))
    used = finished(counted)
    return Summary(
        study=study,
        state=study_state(study, counted, running=running),
        counts=counts,
        progress=progress(study, counted),
        best=best,
        best_value=best.value if best else None,
        goal=", ".join(map(str, objectives(study))),
        pruned_share=round(100 * counted.get("PRUNED", 0) / used) if used else 0,
        spark=_best_so_far(snapshot),
        edges=edges(study, best, counts.get("COMPLETE", 0)),
        findings=snapshot.findings,
    )


def _best_so_far(snapshot: Snapshot) -> Markup:
    values = snapshot.best_so_far
    return cells.sparkline(values, steps=True, label=f"the best value after each of {len(values)} complete runs")


@dataclass(frozen=True)
class Column:
    """A column of the table of runs; `sort` is what its head sorts by, `turned` whether that is in force, and how."""

    key: str
    label: str
    sort: str
    href: str
    turned: str


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


def outcome_values(study: StudyRecord, run: RunRecord) -> list[tuple[str, float]]:
    """What `train` returned: each value with its name, which is `value` unless the study has several objectives."""
    goals = objectives(study)
    names = [goal.name for goal in goals] if len(goals) > 1 else ["value"]
    return list(zip(names, run.values or [], strict=False))


def columns(study: StudyRecord, choice: Choice) -> list[Column]:
    """The heads of the table: one that is sorted by turns round when it is clicked again."""
    shown = []
    for key, label, sort in COLUMNS:
        now = choice.sort or "number"
        turned = ("descending" if now.startswith("-") else "ascending") if sort and now.lstrip("-") == sort else ""
        other = f"-{sort}" if now == sort else sort
        href = study_address(study, replace(choice, sort=other if other != "number" else "")) if sort else ""
        label = value_name(study) if key == "value" else label
        shown.append(Column(key, label, other, href, turned))
    return shown


@dataclass(frozen=True)
class Row:
    """A run as the table shows it."""

    run: RunRecord
    values: list[tuple[str, float]]
    parts: list[Any]
    is_best: bool
    epoch_share: float
    spark: Markup
    href: str

    @property
    def number(self) -> str:
        """The trial number as names end with it."""
        return cells.number_of(self.run)

    @property
    def epochs(self) -> str:
        """The epochs of the present training, such as `fold 2 of 3, 3/10`."""
        return epochs_text(self.run)

    @property
    def trained(self) -> str:
        """How much was trained, such as `30 epochs in 3 trainings`."""
        return trained_text(self.run)

    @property
    def reason(self) -> str:
        """Why the run ended, in a line; of one that waits, that it is run again, and why."""
        said = " ".join((self.run.reason or "").split())
        if self.run.state != "WAITING":
            return said
        return f"to be run again: {said}" if said else "to be run again"

    @property
    def broken(self) -> str:
        """The constraints that the run breaks."""
        constraints = self.run.constraints.items()
        return ", ".join(f"{name} {cells.number(value)}" for name, value in constraints if value > 0)

    @property
    def about_value(self) -> str:
        """What stands behind the value: the constraints that the run breaks, and each of several objectives."""
        returned = [f"{name} {cells.number(value)}" for name, value in self.values] if len(self.values) > 1 else []
        return "; ".join([*returned, *([f"infeasible: {self.broken}"] if self.broken else [])])

    @property
    def mark(self) -> str:
        """What was found, by its kind; nothing where the reason says it already."""
        found = mark(self.run.findings)
        return "" if self.reason.startswith(found.partition(" ")[0] + ":") else found


def rows(snapshot: Snapshot, runs: Sequence[RunRecord], courses: Mapping[int, Sequence[float]]) -> list[Row]:
    """Runs for the table; `courses` has the objective by epoch."""
    best = snapshot.best.number if snapshot.best else None
    return [
        Row(
            run=run,
            values=outcome_values(snapshot.study, run),
            parts=cells.name_parts(run),
            is_best=run.number == best,
            epoch_share=epoch_share(run),
            spark=cells.sparkline(
                courses.get(run.number, ()), run.state.lower(), label=f"{cells.number_of(run)} by epoch"
            ),
            href=address("studies", snapshot.study.name, "runs", str(run.number)),
        )
        for run in runs
    ]


def course(run: RunRecord, epochs: Mapping[int, Mapping[str, float]], metric: str) -> list[float]:
    """A metric by epoch; NaN where an epoch lacks it. Of several trainings the one that pruners see is shown."""
    judged = run.judged_training
    if judged is not None:
        epochs = {epoch: epochs.get(judged.first + epoch, {}) for epoch in range(judged.epochs)}
    if not epochs:
        return []
    return [epochs.get(epoch, {}).get(metric, math.nan) for epoch in range(max(epochs) + 1)]


def tensorboard_base(study: StudyRecord) -> str:
    """Where the service serves a study's TensorBoard."""
    return address("tensorboard", study.name) + "/"


def tensorboard_link(study: StudyRecord, choice: Choice, runs: Sequence[RunRecord]) -> str:
    """TensorBoard's Time Series with the chosen runs: by the filter, or by number where more than a name decides."""
    pattern = choice.filter or None
    if (choice.where or choice.states) and 0 < len(runs) <= NUMBERS_IN_LINK:
        pattern = numbers_pattern(runs)
    return links(tensorboard_base(study), pattern).time_series


def numbers_pattern(runs: Sequence[RunRecord]) -> str:
    """A pattern that finds exactly these runs."""
    return f"-({'|'.join(cells.number_of(run) for run in runs)})$"


_THRESHOLD = re.compile(
    r"(?:is (?:above|below)(?: the (?:upper|lower) bound)?|needs at (?:most|least)) (-?[0-9.]+(?:e[+-]?[0-9]+)?)"
)


def threshold(run: RunRecord) -> float | None:
    """The value that a pruned run was measured by at its last epoch, as its reason says; None if it says none."""
    found = _THRESHOLD.search(run.reason or "") if run.state == "PRUNED" else None
    return float(found[1]) if found else None
