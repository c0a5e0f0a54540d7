"""What a running study writes by itself, and takes from the database."""

import logging
import re
import threading

import optuna
import pytest
import sqlalchemy as sa

from sweep.control.journal import Journal
from sweep.core.events import Changes, Finish, Write, Written
from sweep.options import Settings
from sweep.store.database import DatabaseFault, parse_url
from sweep.waiting import read
from sweep.wire import messages as wire
from tests.control.memory import a_study, declare, optunas_trials
from tests.control.started import PATIENCE, wait_for
from tests.control.workers import a_house
from tests.databases import Commits, optunas_own


@pytest.fixture
def house(tmp_path, storage_url):
    with a_house(tmp_path, storage_url) as house:
        house.worker("0").begin()
        yield house


def writer(house):
    return house.writer


def test_epochs_are_written_behind(house, storage_url):
    house.say("0", wire.Epoch(0, 0, {"loss": 1.0}, None, None))
    wait_for(lambda: house.stored(0).epoch == 1)
    assert optunas_trials(storage_url)[0].intermediate_values == {0: 1.0}


def test_the_beat_counts_up(house):
    before = writer(house).store.study("study").beat
    wait_for(lambda: writer(house).store.study("study").beat > before)


def test_commands_are_obeyed(house):
    store, study_id = writer(house).store, writer(house).record.study_id
    store.command(study_id, "prune", numbers=[0], reason="by hand")
    wait_for(lambda: house.study.live[0].condemned == "by hand")
    store.command(study_id, "stop", reason="enough")
    wait_for(lambda: house.study.stopped == "enough")


def test_a_trial_that_somebody_else_ends_is_taken_from_its_worker(house, storage_url):
    with optunas_own(storage_url) as storage:
        optuna.load_study(study_name="study", storage=storage).tell(0, 0.125)
    wait_for(lambda: house.heard.ends == [(0, "COMPLETE")])
    assert house.run(0).reason == "ended by another process in Optuna's tables"
    assert optunas_trials(storage_url)[0].values == [0.125]


def test_a_database_that_refuses_is_said_once_and_tried_again(house):
    commits = Commits(writer(house).store.engine)
    with commits.refused():
        house.say("0", wire.Epoch(0, 0, {"loss": 1.0}, None, None))
        wait_for(lambda: commits.refusals >= 4)
        wait_for(lambda: read(house.loop.journal.folder) is not None)
        noted = str(read(house.loop.journal.folder))
    wait_for(lambda: house.stored(0).epoch == 1)
    wait_for(lambda: len(house.heard.messages) == 2)
    said, then = house.heard.messages
    assert re.fullmatch(r"waiting since \d\d:\d\d:\d\d for the database at \S+: disk full", said)
    assert noted == said
    assert re.fullmatch(r"the database answers again, after \d+ seconds?", then)
    wait_for(lambda: read(house.loop.journal.folder) is None)


def test_connections_that_the_server_ends_are_made_again(tmp_path, postgresql):
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    url = postgresql.create_with_schema()
    with a_house(tmp_path, url) as house:
        house.worker("0").begin()
        engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool)
        for epoch in range(3):
            house.say("0", wire.Epoch(0, epoch, {"loss": 1.0}, None, None))
            with engine.connect() as connection:
                connection.execute(sa.text(f"{others} AND pid <> pg_backend_pid()"))
        house.say("0", wire.End(0, "COMPLETE", [1.0], None, None, []))
        assert house.study.error is None
        assert (house.stored(0).state, house.stored(0).epoch) == ("COMPLETE", 3)
        assert len(optunas_trials(url)[0].intermediate_values) == 3


def test_a_study_that_is_deleted_is_refused(house, storage_url):
    with optunas_own(storage_url) as storage:
        optuna.delete_study(study_name="study", storage=storage)
    wait_for(lambda: house.study.error is not None)
    assert "deleted" in str(house.study.error)


def test_a_fault_of_ours_ends_the_study_with_its_traceback(house, monkeypatch, caplog):
    def fail(study, command):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("sweep.core.study.StudyMachine._obey", fail)
    with caplog.at_level(logging.CRITICAL):
        writer(house).store.command(writer(house).record.study_id, "stop", reason="enough")
        wait_for(lambda: house.study.crash is not None)
    with pytest.raises(ZeroDivisionError):
        house.loop.raise_error()


def test_before_a_run_is_kept_nothing_but_the_beat_is_written(tmp_path):
    with a_house(tmp_path) as house:
        house.worker("0").train()
    with a_house(tmp_path) as house:
        worker = house.worker("0")
        worker.ask()
        record = writer(house).record
        wait_for(lambda: writer(house).store.study("study").beat > record.beat)
        assert len(optunas_trials(f"sqlite:///{tmp_path}/sweep.db")) == 1


def test_a_command_is_obeyed_although_the_database_refuses_right_after_it_was_read(house, monkeypatch):
    def refuse(self):
        raise DatabaseFault("away", "a database", "away")

    monkeypatch.setattr("sweep.control.writer.StudyWriter.beat", refuse)
    writer(house).store.command(writer(house).record.study_id, "prune", numbers=[0], reason="by hand")
    wait_for(lambda: house.study.live[0].condemned == "by hand")


def test_what_is_given_up_is_not_acknowledged(tmp_path, storage_url):
    events, closed = [], threading.Event()
    with a_study(storage_url) as memory:
        memory.ask()
        journal = Journal(declare(), Settings(logdir=str(tmp_path)), memory.search, memory.writer)
        commits = Commits(memory.store.engine)
        with commits.refused():
            journal.start(events.append, closed.set)
            journal.put(Write(memory.ledger.changes))
            wait_for(lambda: commits.refusals)
            journal.abandon()
            journal.put(Finish(Changes(), [], refused=False))
            assert closed.wait(PATIENCE)
    assert journal.abandoned
    assert not [event for event in events if isinstance(event, Written)]
