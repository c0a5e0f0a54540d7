"""Who has a study: one coordinator, which lives as long as its heartbeat changes, wherever it runs."""

import dataclasses
import os
import threading
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from sweep.control import lease
from sweep.control.copy import copy_study
from sweep.control.folder import Hold
from sweep.control.lease import Awake, LeaseLost, check_free, claim, create_study, delete_study, find_study
from sweep.control.removal import remove_study
from sweep.errors import StudyError
from sweep.store import Owner, Store
from sweep.store.lease import BEATS, new_owner
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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A heart that beats every 50 ms, and a lease of 2 s."""
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.6)
    monkeypatch.setattr(lease, "FRESH_SECONDS", 1.0)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)


@contextmanager
def beating(store):
    """All studies' hearts beat, as those of living coordinators."""
    stop = threading.Event()

    def beat():
        while not stop.wait(0.05):
            with store.engine.execution_options(sweep_writes=True).begin() as connection:
                connection.execute(sa.update(studies).values(BEATS))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_study_that_nobody_has_is_claimed_and_its_old_commands_are_gone(store):
    record = create(store, new_owner())
    store.command(record.study_id, "stop", reason="of yesterday")
    set_owner(store, None)
    mine = new_owner()
    taken = claim(store, store.study("study"), mine)
    assert (taken.owner, taken.beat) == (mine, record.beat + 1)
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(lease.commands.c.verb)).all() == []


def set_owner(store, owner):
    text = lease.owner_text(owner) if owner else None
    with store.engine.begin() as connection:
        connection.execute(sa.update(studies).values(owner=text))


SAME = Owner(os.uname().nodename, os.getpid(), "token")
"""A coordinator of a cloned machine, or of a container with this one's host name and process number."""


@pytest.mark.parametrize("owner", [GONE, SAME])
def test_a_coordinator_whose_heart_beats_is_refused_wherever_it_runs(store, tmp_path, owner):
    record = create(store, owner)
    target = Store(f"sqlite:///{tmp_path}/target.db", create=True)
    with beating(store):
        with pytest.raises(StudyError, match=f"already running, in {owner}"):
            claim(store, record, new_owner())
        for verb, action in (
            ("remove", lambda study: remove_study(store, study, tmp_path)),
            ("copy", lambda study: copy_study(store, study, target)),
            ("clean", lambda study: check_free(store, study, "clean")),
        ):
            with pytest.raises(StudyError, match=f"Cannot {verb} study study while it is running, in {owner}"):
                action(store.study("study"))
    assert target.studies() == []
    target.close()
    there = store.study("study")
    assert there.owner == owner
    assert there.beat > record.beat


@pytest.mark.parametrize("owner", [GONE, SAME])
def test_a_coordinator_whose_heart_has_stopped_is_gone_and_what_is_waited_for_is_said(store, owner):
    said = []
    taken = claim(store, create(store, owner), new_owner(), said.append)
    assert taken.owner not in (owner, None)
    assert said == [f"Watching the heartbeat of study study, which was running in {owner}."]


@pytest.mark.parametrize(
    ("silent", "here", "patience"), [(60.0, False, "WATCH"), (0.0, False, "FRESH"), (0.0, True, "WATCH")]
)
def test_one_that_may_only_be_slow_is_watched_for_longer(store, tmp_path, monkeypatch, silent, here, patience):
    owner = new_owner() if here else GONE
    create(store, owner)
    with store.engine.begin() as connection:
        changed = {"directory": str(tmp_path), "beaten": studies.c.beaten - silent}
        connection.execute(sa.update(studies).values(changed))
    monkeypatch.setattr(lease, f"{patience}_SECONDS", 0.1)
    monkeypatch.setattr(lease, f"{'FRESH' if patience == 'WATCH' else 'WATCH'}_SECONDS", 1000.0)
    assert claim(store, store.study("study"), new_owner()).owner != owner


def test_a_study_that_nobody_has_is_not_waited_for(store):
    create(store, new_owner())
    set_owner(store, None)
    said = []
    claim(store, store.study("study"), new_owner(), said.append)
    assert said == []


def test_a_coordinator_whose_process_is_still_there_is_watched_for_as_long_as_its_lease(store, tmp_path):
    create(store, GONE)
    with store.engine.begin() as connection:
        connection.execute(sa.update(studies).values(directory=str(tmp_path)))
    hold = Hold(tmp_path, store.url)
    said = []

    def beat_late(text):
        said.append(text)
        if len(said) == 2:
            with store.engine.begin() as connection:
                connection.execute(sa.update(studies).values(BEATS))

    with pytest.raises(StudyError, match="already running"):
        claim(store, store.study("study"), new_owner(), beat_late)
    assert said[1] == "It does not change, but its process is still there: watching for 2 s in all."
    assert claim(store, store.study("study"), new_owner()).owner != GONE, "one that is suspended loses its lease"
    hold.release()


def test_of_many_that_take_over_at_once_one_does(store):
    record = create(store, SAME)
    results = []

    def take():
        try:
            results.append(claim(store, record, new_owner()).owner)
        except StudyError as error:
            results.append(error)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [result for result in results if isinstance(result, Owner)]
    assert store.study("study").owner == winner


def test_a_study_that_is_taken_while_it_is_watched_is_not_removed(store, tmp_path, monkeypatch):
    record = create(store, GONE)
    monkeypatch.setattr("sweep.control.removal.check_free", lambda *_: claim(store, record, new_owner()))
    with pytest.raises(StudyError, match="Cannot remove study study while it is running"):
        remove_study(store, record, tmp_path)
    assert store.study("study").owner != GONE


def test_a_coordinator_that_was_suspended_for_longer_than_its_lease_lets_go_without_writing(store, monkeypatch):
    memory = Memory(store)
    now = [100.0]
    memory.writer._awake = Awake(lambda: now[0], lambda: 0.0)
    memory.ask()
    memory.writer.tick()
    memory.flush()
    before = dump(store)
    now[0] += lease.LEASE_SECONDS + 0.1
    memory.ask()
    for _ in range(2):
        with pytest.raises(LeaseLost, match="was suspended for 2 s"):
            memory.flush()
        memory.writer.tick()  # which comes too late
    with pytest.raises(LeaseLost):
        memory.writer.beat()
    store.command(memory.record.study_id, "stop", reason="for its successor")
    with pytest.raises(LeaseLost):
        memory.writer.take_commands()
    assert dump(store) == {**before, "sweep_commands": dump(store)["sweep_commands"]}
    assert len(dump(store)["sweep_commands"]) == 1


def dump(store):
    """All rows of all tables."""
    metadata = sa.MetaData()
    metadata.reflect(store.engine)
    with store.engine.connect() as connection:
        return {
            table.name: [str(tuple(row)) for row in connection.execute(sa.select(table))]
            for table in metadata.sorted_tables
        }


def test_one_that_ticks_is_awake():
    now = [100.0]
    awake = Awake(lambda: now[0], lambda: 0.0)
    for _ in range(10):
        now[0] += lease.LEASE_SECONDS - 0.1
        awake.tick()
        awake.check("study")


def test_one_that_computes_without_a_tick_is_not_suspended():
    now = [100.0]
    awake = Awake(lambda: now[0], lambda: 0.9 * now[0])
    now[0] += 100.0
    awake.check("study")
    awake.tick()
    awake.check("study")


def test_of_two_that_claim_at_once_one_gets_it(store):
    record = create(store, new_owner())
    set_owner(store, None)
    record = store.study("study")
    first = new_owner()
    claim(store, record, first)
    with pytest.raises(StudyError, match=f"already running, in {first}"):
        claim(store, record, new_owner())


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
