"""Who has a study: one coordinator, found living or gone by its process, or by its beat where it is on another host."""

import dataclasses
import threading

import pytest
import sqlalchemy as sa

from sweep.control import lease
from sweep.control.lease import LeaseLost, claim, create_study, delete_study, find_study
from sweep.errors import StudyError
from sweep.store import Owner, Store
from sweep.store.lease import new_owner
from sweep.store.tables import studies
from tests.control.memory import Memory, declare

GONE = Owner("another.host", 1, "token")


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


def create(store, owner):
    return create_study(store, "study", ["minimize"], "/runs/study", declare().as_dict(), owner)


def test_a_study_is_created_once_and_the_second_names_the_first(store):
    owner = new_owner()
    assert create(store, owner).owner == owner
    with pytest.raises(StudyError, match=f"Study study has just been created by {owner}"):
        create(store, new_owner())


def test_a_study_that_nobody_has_is_claimed_and_its_old_commands_are_gone(store):
    record = create(store, new_owner())
    store.command(record.study_id, "stop", reason="of yesterday")
    dead = dataclasses.replace(new_owner(), born=0.0)
    set_owner(store, dead)
    mine = new_owner()
    taken = claim(store, store.study("study"), mine)
    assert (taken.owner, taken.beat) == (mine, record.beat + 1)


def set_owner(store, owner):
    with store.engine.begin() as connection:
        connection.execute(sa.update(studies).values(owner=lease.owner_text(owner)))


def test_a_study_of_a_living_coordinator_is_refused(store):
    record = create(store, new_owner())
    with pytest.raises(StudyError, match="stop it with: sweep stop study"):
        claim(store, record, new_owner())


def test_of_two_that_claim_at_once_one_gets_it(store):
    record = create(store, new_owner())
    set_owner(store, None)
    record = store.study("study")
    first = new_owner()
    claim(store, record, first)
    with pytest.raises(StudyError, match=f"already running, in {first}"):
        claim(store, record, new_owner())


def test_a_coordinator_of_another_host_whose_beat_stands_still_is_gone(store, monkeypatch):
    monkeypatch.setattr(lease, "TAKEOVER_SECONDS", 0.6)
    assert claim(store, create(store, GONE), new_owner()).owner != GONE


def test_a_coordinator_of_another_host_whose_beat_counts_up_is_alive(store):
    memory = Memory(store)
    set_owner(store, GONE)
    memory.writer.record = record = store.study("study")
    stop = threading.Event()

    def beat():
        while not stop.wait(0.05):
            memory.writer.beat()

    beating = threading.Thread(target=beat)
    beating.start()
    with pytest.raises(StudyError, match=r"already running, in process 1 on another\.host"):
        claim(store, record, new_owner())
    stop.set()
    beating.join()


def test_a_deleted_study_is_found_no_more(store):
    record = create(store, new_owner())
    assert find_study(store, "study") == record
    delete_study(store, record)
    assert find_study(store, "study") is None
    assert store.studies() == []


def test_a_study_of_another_owner_is_not_deleted(store):
    record = create(store, new_owner())
    with pytest.raises(LeaseLost):
        delete_study(store, dataclasses.replace(record, owner=new_owner()))
    assert find_study(store, "study") == record
