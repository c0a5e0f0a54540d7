"""What tests do with a page of the service in Chromium; the windows are opened by the fixture `opened`."""

import time

import pytest

SOME_SECONDS = 120_000  # milliseconds within which what is waited for comes on a busy machine


def ready(page):
    page.wait_for_selector("html[data-ready]")
    return page


def until(page, expression):
    """Waits until an expression holds; the page's policy lets Playwright's own way of doing so not in."""
    deadline = time.monotonic() + SOME_SECONDS / 1000
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come about: {expression}")
        page.wait_for_timeout(50)


def shown(page):
    """The names in the table, as far as they are in sight."""
    return page.eval_on_selector_all("#rows tr[data-number] .name", "names => names.map(name => name.textContent)")


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")
