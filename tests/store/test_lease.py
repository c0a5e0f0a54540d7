"""A study's owner and its heartbeat."""

import pytest

from sweep.store import SILENT_SECONDS, Owner, Store
from sweep.store.lease import new_owner
from tests.store_builder import add_study


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


def test_an_owner_is_a_token_that_no_other_has():
    owners = [new_owner() for _ in range(100)]
    assert len({owner.token for owner in owners}) == 100


def test_a_study_is_shown_as_running_by_its_heartbeat_alone(store):
    owner = Owner("another.host", 1, "token")
    assert add_study(store, "beating", owner=owner).is_running
    assert not add_study(store, "silent", owner=owner, silent=SILENT_SECONDS + 1).is_running
    assert not add_study(store, "free").is_running


def test_a_clock_that_was_set_back_since_the_last_beat_makes_nobody_live(store):
    assert not add_study(store, owner=new_owner(), silent=-3600.0).is_running
