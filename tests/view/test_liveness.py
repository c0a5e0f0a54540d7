"""Whether a coordinator lives: by its process here, elsewhere by its beat, and without waiting for that."""

import dataclasses
import os

import pytest

from sweep.store import Owner, StudyRecord
from sweep.store.lease import this_host
from sweep.view import studies
from sweep.view.studies import SILENT_SECONDS, Liveness

STUDY = StudyRecord(1, "diabetes", {}, {}, {}, "/somewhere", 0.0, None, 0)


def owned(host, pid=0, beat=0, token="a"):
    return dataclasses.replace(STUDY, owner=Owner(host, pid or os.getpid(), token), beat=beat)


def test_nobody_and_a_process_that_is_gone_do_not_live():
    assert not Liveness().of(STUDY)
    assert not Liveness().of(owned(this_host(), 2**22 - 1))
    assert Liveness().of(owned(this_host()))


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(studies.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_it_lives_until_its_beat_has_stood_still(clock):
    known = Liveness()
    assert known.of(owned("elsewhere", beat=1))
    clock[0] += 4
    assert known.of(owned("elsewhere", beat=1))
    clock[0] += SILENT_SECONDS - 4
    assert not known.of(owned("elsewhere", beat=1))
    assert known.of(owned("elsewhere", beat=2))
    clock[0] += 9
    assert known.of(owned("elsewhere", beat=2, token="b"))
