"""Optuna's figures of a study, as the JSON that Plotly draws: made of Optuna's own tables, and kept until runs end.

Colours and fonts are the page's. A figure of a study with many runs takes seconds, so that it is made again no more
often than every ten seconds while runs go on ending, and over the best and the newest runs where there are very many.
"""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.store import Store, StudyRecord
from sweep.view.runs import finished
from sweep.view.snapshots import RunsSnapshot

if TYPE_CHECKING:
    import optuna

KINDS = {"history": "History", "importances": "Importances", "parallel": "Parallel coordinates", "slices": "Slices"}
MOST_TRIALS = 2000  # complete ones, of which a figure is made
KEPT = 64
SECONDS = 10.0


@dataclass(frozen=True)
class _Made:
    text: str
    finished: int
    at: float


class Figures:
    """The figures of a store's studies; any thread may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[int, float, str], _Made] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, snapshot: RunsSnapshot, kind: str, *, running: bool) -> str:
        """A figure as JSON with `data` and `layout`, or with a `message` that says why there is none.

        Args:
            running: whether the study is, so that the next figure will have what this one lacks.
        """
        study = snapshot.study
        key, ended = (study.study_id, study.created, kind), finished(snapshot.counts)
        with self._lock:
            made = self._kept.get(key)
            late = made is not None and time.monotonic() - made.at > SECONDS
            old = made is not None and made.finished != ended and (late or not running)
            if made is None or old:
                made = _Made(self._make(snapshot, kind), ended, time.monotonic())
                self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return made.text

    def _make(self, snapshot: RunsSnapshot, kind: str) -> str:
        declared = snapshot.study.declaration
        if len(declared.objective) > 1:
            return _message("These figures are of studies with one objective.")
        complete = snapshot.counts.get("COMPLETE", 0)
        least = 2 if kind == "importances" else 1
        if complete < least:
            runs = "a run is" if least == 1 else f"{least} runs are"
            return _message(f"There will be something to see as soon as {runs} complete.")
        study = _load(self._store, snapshot.study)
        if study is None:
            return _message("Optuna's tables do not have this study.")
        return _figure(_reduced(study), kind, declared.objective[0])


def _figure(study: "optuna.Study", kind: str, objective: str) -> str:
    try:
        figure = _plots()[kind](study, target_name=objective)
    except (ValueError, RuntimeError) as error:  # what Optuna raises for runs that are too few or too similar
        return _message(f"Optuna cannot draw this yet: {error}")
    figure.update_layout(template=None, title=None)
    parts = json.loads(figure.to_json())
    return json.dumps({"data": parts["data"], "layout": parts["layout"]})


def _plots() -> dict[str, Callable[..., Any]]:
    from optuna import visualization

    return {
        "history": visualization.plot_optimization_history,
        "importances": visualization.plot_param_importances,
        "parallel": visualization.plot_parallel_coordinate,
        "slices": visualization.plot_slice,
    }


def _load(store: Store, study: StudyRecord) -> "optuna.Study | None":
    """A study with its trials, also where the database can only be read; None if Optuna's tables have no trial."""
    from sweep.store.trials import read_trials

    with store.engine.connect() as connection:
        trials = [trial for _, trial in read_trials(connection, study.study_id).values()]
    return _in_memory(study.declaration.direction, trials) if trials else None


def _in_memory(directions: Any, trials: Any) -> "optuna.Study":
    """A study that has these trials, under their numbers, and reads nothing."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, logging.WARNING))
    try:
        study = optuna.create_study(directions=directions)
    finally:
        optuna.logging.set_verbosity(level)
    study.add_trials(trials)
    return study


def _reduced(study: "optuna.Study") -> "optuna.Study":
    """A study of which a figure can be made in a moment: the better half of what is allowed, and the newest."""
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) <= MOST_TRIALS:
        return study
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    best = sorted(complete, key=lambda trial: trial.value or 0.0, reverse=maximize)[: MOST_TRIALS // 2]
    kept = {trial.number for trial in best} | {trial.number for trial in complete[-MOST_TRIALS // 2 :]}
    return _in_memory(study.directions, [trial for trial in complete if trial.number in kept])


def _message(text: str) -> str:
    return json.dumps({"message": text})
