"""What tests of the command line share."""

import pytest

from tests.store_builder import build_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty database, which commands find in the working directory."""
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = build_store(tmp_path)
    yield store
    store.close()
