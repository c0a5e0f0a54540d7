"""TensorBoard's own page behind the service, in Chromium: it shows the runs that the service's page does."""

from pathlib import Path

import pytest

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.tensorboard.event_files import RunWriter
from tests import chromium as browsing
from tests.serve.serving import served
from tests.store_builder import add_example, add_study, build_store, run


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


TABS = ("timeseries", "scalars", "histograms", "distributions", "graphs", "text", "hparams", "images", "custom_scalars")


@pytest.mark.slow
def test_nothing_that_a_tab_of_its_page_asks_for_is_refused(chromium, tmp_path):
    """The allow-list is that of the page which is installed: a newer TensorBoard that asks for more fails here."""
    store = build_store(tmp_path)
    study = add_study(store, runs=[run(0)], directory=str(tmp_path / "runs" / "diabetes"))
    with RunWriter(Path(study.directory) / "dnn-lr=0.001-bs=32-t0000") as writer:
        writer.scalars(0, {"val_loss": 0.5})
        writer.text("parameters", "lr 0.001", 0)
    app = create_app(ServeSettings(str(store.url), tmp_path / "runs"), store)
    with served(app) as address, browsing.page(chromium) as page:
        asked, refused = set(), []
        page.on("response", lambda answer: asked.add(answer.url))
        page.on("response", lambda answer: answer.status >= 400 and refused.append(answer.url))
        for tab in TABS:
            page.goto(f"{address}/tensorboard/diabetes/#{tab}")
            page.reload()
            page.wait_for_load_state("networkidle")
        # It asks for its fonts at the root of the site, whatever the path of its page is.
        assert [url for url in refused if not url.startswith(f"{address}/font-roboto/")] == []
        for part in ("hparams/experiment", "scalars/scalars", "timeseries/tags", "text/text"):
            assert any(part in url for url in asked), (part, sorted(asked))
