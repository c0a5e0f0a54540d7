"""What a person sees on the pages in Chromium: marks, colours and places that the HTML alone does not tell."""

import pytest

from sweep.serve.app import create_app
from sweep.serve.context import ServeSettings
from tests.serve.browsing import ready
from tests.serve.serving import served
from tests.store_builder import add_example, add_study, build_store, run


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a service with an example study and one, `small`, with a run that waits and one that failed."""
    folder = tmp_path_factory.mktemp("looks")
    store = build_store(folder)
    add_example(store)
    waiting = run(1, state="WAITING", epoch=3, reason="interrupted")
    add_study(store, "small", [run(0, 0.5), waiting, run(2, state="FAIL", epoch=0, epochs=9999)])
    (folder / "small.py").write_text("study = sweep.Study(train, trials=5)\n")
    with served(create_app(ServeSettings(str(store.url), folder / "runs", studies=folder), store)) as address:
        yield address


def test_a_run_that_waits_has_no_spinner_and_says_that_it_is_run_again(opened, address):
    page = ready(opened(f"{address}/studies/small"))
    row = page.locator("tr[data-number='1']")
    assert row.evaluate("row => getComputedStyle(row, '::before').content") == "none"
    assert row.locator(".c-reason").inner_text() == "to be run again: interrupted"
    assert "ended" not in page.inner_text("#heads")


def test_the_start_page_tells_of_a_study_of_that_name_and_its_error_goes_with_its_cause(opened, address):
    page = opened(f"{address}/start?file=small.py")
    page.wait_for_selector("#preview [data-refused]")  # it imports nothing
    assert page.is_disabled("#start-now")
    assert "small exists: 2 of 30 trials" in page.inner_text("#standing")
    assert page.get_attribute("[name=trials]", "min") == "2"
    page.fill("[name=name]", "other")
    page.wait_for_selector("#standing .reason", state="detached")
    assert page.get_attribute("[name=trials]", "min") == "1"
    page.evaluate("document.querySelector('#start-wrong').hidden = false")
    page.fill("[name=trials]", "3")
    assert page.is_hidden("#start-wrong")
