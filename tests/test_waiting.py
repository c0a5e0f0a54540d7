"""That a study waits for its database is read from its folder."""

import os
import time

from sweep.waiting import FILE, STALE_SECONDS, Waiting, is_there, note, read, touch


def test_what_is_noted_is_read_until_it_is_over(tmp_path):
    waiting = Waiting(1_700_000_000.5, "sqlite:///sweep.db", "database is locked")
    assert read(tmp_path) is None
    note(tmp_path, waiting)
    assert read(tmp_path) == waiting
    note(tmp_path, None)
    note(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_reason_says_that_it_waits(tmp_path):
    (tmp_path / FILE).touch()
    assert read(tmp_path) == Waiting(None, "", "")
    assert str(read(tmp_path)) == "waiting for the database"
    (tmp_path / FILE).write_text("[]")
    assert read(tmp_path).why == ""


def test_where_nothing_can_be_written_nothing_is_noted(tmp_path):
    note(tmp_path / "gone", Waiting(0.0, "", ""))
    assert read(tmp_path / "gone") is None


def test_it_says_since_when_by_the_clock_and_after_a_day_by_the_date_too():
    now = time.time()
    today = Waiting(now, "sqlite:///sweep.db", "it does not answer")
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    assert str(today) == f"waiting since {clock} for the database at sqlite:///sweep.db: it does not answer"
    assert str(Waiting(0.0, "", "")).startswith("waiting since 19")


def test_a_coordinator_that_waits_is_there_as_long_as_it_touches_the_file(tmp_path):
    assert not is_there(tmp_path, "token")
    note(tmp_path, Waiting(1000.0, "", "database is locked"), "token")
    assert is_there(tmp_path, "token")
    assert not is_there(tmp_path, "another's")
    before = time.time() - STALE_SECONDS - 1
    os.utime(tmp_path / FILE, (before, before))
    assert not is_there(tmp_path, "token")
    touch(tmp_path)
    assert is_there(tmp_path, "token")
    assert read(tmp_path).since == 1000.0
    (tmp_path / FILE).write_text("")  # a disk without room for more
    assert is_there(tmp_path, "token")
    touch(tmp_path / "gone")
