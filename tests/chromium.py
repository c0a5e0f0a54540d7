"""TensorBoard's page in a headless Chromium, read out of its DOM. For tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

_ROWS = "runs-data-table tb-data-table-content-row"
_FILTER = "runs-data-table tb-filter-input input"
_CHECKBOXES = "tf-multi-checkbox"


@contextmanager
def page(chromium: str) -> Iterator[Page]:
    """A page, 1400 pixels wide, of the Chromium at this path."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": 1400, "height": 900})
        finally:
            browser.close()


def open_link(page: Page, link: str) -> None:
    """Open a link of TensorBoard and wait until it has asked for all that it shows at first."""
    page.goto("about:blank")  # a link that differs after the # alone is not loaded anew
    page.goto(link)
    page.wait_for_load_state("networkidle")


def time_series_runs(page: Page) -> list[str]:
    """The runs that the Time Series tab lists."""
    page.wait_for_selector("runs-data-table")
    return _names(page, _ROWS)


def time_series_filter(page: Page) -> str:
    """What stands in the run filter of the Time Series tab."""
    return page.input_value(_FILTER)


def filter_time_series(page: Page, pattern: str) -> None:
    """Type a pattern into the run filter of the Time Series tab."""
    page.fill(_FILTER, pattern)


def checkbox_runs(page: Page) -> list[str]:
    """The runs that the tab in front lists, Scalars, Histograms or Distributions."""
    boxes = page.locator(_CHECKBOXES).locator("visible=true")
    boxes.first.wait_for()
    return sorted({name.strip() for name in boxes.first.locator(".name-row").all_inner_texts()})


def settled(read: Callable[[], list[str]], expected: list[str], seconds: float = 20) -> list[str]:
    """What a list shows once it is as expected; what it shows in the end if it never is."""
    deadline = time.monotonic() + seconds
    found = read()
    while found != expected and time.monotonic() < deadline:
        time.sleep(0.1)
        found = read()
    return found


def _names(page: Page, selector: str) -> list[str]:
    return sorted(text.strip() for text in page.locator(selector).all_inner_texts())
