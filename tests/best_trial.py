"""Which trial each reader of a study calls the best: ours, Optuna, optuna-dashboard, TensorBoard. For tests."""

import io
import json
from collections.abc import Iterable

import optuna
import optuna_dashboard

from sweep.control.consistency import check_database
from sweep.store import Store
from sweep.view.runs import best_run
from tests.tensorboard_server import Server


def by_sweep(storage: str, study: str) -> int | None:
    """The number of the run that `sweep best` lists first; the database must be consistent as well."""
    store = Store(storage)
    try:
        wrong = check_database(store)
        assert not wrong, wrong
        record = store.study(study)
        best = best_run(record, store.runs(record.study_id))
        return best.number if best is not None else None
    finally:
        store.close()


def by_optuna(storage: str, study: str) -> int | None:
    """The number of `study.best_trial`."""
    loaded = optuna.load_study(study_name=study, storage=storage)
    try:
        return loaded.best_trial.number
    except ValueError:  # no trial is complete and feasible
        return None


def by_dashboard(storage: str, study: str) -> list[int]:
    """The numbers of what optuna-dashboard shows as the best trials."""
    app = optuna_dashboard.wsgi(storage)
    studies = _get(app, "/api/studies")["study_summaries"]
    (found,) = (item["study_id"] for item in studies if item["study_name"] == study)
    return [trial["number"] for trial in _get(app, f"/api/studies/{found}")["best_trials"]]


def by_tensorboard(server: Server, names: Iterable[str | None], direction: str, tag: str = "value") -> str | None:
    """The run that HParams lists first when it is sorted by the trials' value.

    Args:
        names: of the study's runs.
    """
    order = "ORDER_ASC" if direction == "minimize" else "ORDER_DESC"
    column = {"metric": {"group": "", "tag": tag}, "order": order, "missingValuesFirst": False}
    groups = server.session_groups(colParams=[column])
    valued = [name for name, group in groups.items() if tag in metrics(group)]
    return next((name for name in valued if name in set(names)), None)


def metrics(group: dict) -> set[str]:
    """The metrics that a session group of HParams has."""
    return {value["name"]["tag"] for value in group.get("metricValues", [])}


def _get(app, path: str):
    """What a WSGI application answers."""
    status = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    body = b"".join(app(environ, lambda code, headers, info=None: status.append(code)))
    assert status[0].startswith("200"), body
    return json.loads(body)
