"""What tests of the service share: a store with an example study, and clients that ask about it."""

import pytest

from tests.serve.asking import TOKEN, Client
from tests.store_builder import add_example, build_store


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
    yield client
    client.close()
