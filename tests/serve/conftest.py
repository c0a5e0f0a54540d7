"""What tests of the service share: a store with an example study, and clients that ask about it."""

import contextlib
import re

import pytest

from sweep.serve.app import create_app
from tests.serve.asking import TOKEN, Client
from tests.serve.browsing import SOME_SECONDS
from tests.serve.serving import served
from tests.store_builder import add_example, build_store

HARMLESS = re.compile(r"status of 422")  # a filter that is being typed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    studies = folder / "studies"
    studies.mkdir()
    (studies / "wine.py").write_text('"""Wine by its chemistry.\n\nMore."""\nstudy = None\n')
    (studies / "broken.py").write_text("def (:\n")
    (folder / "secret.py").write_text("study = None\n")
    return folder


@pytest.fixture(scope="module")
def store(folder):
    store = build_store(folder)
    add_example(store)
    return store


@pytest.fixture(scope="module")
def client(store, folder):
    client = Client(store, folder, studies=folder / "studies")
    yield client
    client.close()


@pytest.fixture(scope="module")
def guarded(folder):
    """A client of a service that has a token, with a store of its own."""
    apart = folder / "guarded"
    apart.mkdir()
    store = build_store(apart)
    add_example(store)
    client = Client(store, apart, token=TOKEN, studies=folder / "studies")
    client.service.tries.is_token(TOKEN, "127.0.0.1")  # its owner's address, where a right token never waits
    yield client
    client.close()


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def serving():
    """Serves an application until the windows that show it are closed."""
    with contextlib.ExitStack() as stack:
        yield lambda settings, store: stack.enter_context(served(create_app(settings, store)))


@pytest.fixture
def opened(browser, serving):
    """Opens an address in a window of its own; what goes wrong in it fails the test."""
    contexts, wrong = [], []

    def opening(address, *, width=1400, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(SOME_SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.goto(address)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert [text for text in wrong if not HARMLESS.search(text)] == []
