"""TensorBoard's own page behind the service, in Chromium: it shows the runs that the service's page does."""

from pathlib import Path

import pytest

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.tensorboard.event_files import RunWriter
from tests import chromium as browsing
from tests.serve.serving import served
from tests.store_builder import add_example, build_store


@pytest.mark.slow
def test_tensorboards_own_page_shows_the_runs_of_the_filter(chromium, tmp_path):
    store = build_store(tmp_path)
    study = add_example(store, count=6, directory=str(tmp_path / "runs" / "diabetes"))
    names = sorted(run.name for run in store.runs(study.study_id))
    for name in names:
        with RunWriter(Path(study.directory) / name) as writer:
            writer.scalars(0, {"val_loss": 0.5})
    app = create_app(ServeSettings(str(store.url), tmp_path / "runs"), store)
    with served(app) as address, browsing.page(chromium) as page:
        page.goto(f"{address}/studies/diabetes?filter=%5Ednn")
        browsing.open_link(page, f"{address}{page.get_attribute('#tensorboard', 'href')}")
        dnn = [name for name in names if name.startswith("dnn")]
        assert 0 < len(dnn) < len(names)
        assert browsing.settled(lambda: browsing.time_series_runs(page), dnn) == dnn
        assert "could not be loaded" not in page.inner_text("body")
        browsing.filter_time_series(page, "")
        assert browsing.settled(lambda: browsing.time_series_runs(page), names) == names
