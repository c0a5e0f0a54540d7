"""Threads take short turns while studies run."""

import sys

from sweep.control.hands import TURN_SECONDS, short_turns


def test_turns_are_short_until_the_last_study_has_ended():
    before = sys.getswitchinterval()
    with short_turns():
        with short_turns():
            assert abs(sys.getswitchinterval() - TURN_SECONDS) < 1e-5
        assert abs(sys.getswitchinterval() - TURN_SECONDS) < 1e-5
    assert sys.getswitchinterval() == before


def test_turns_that_are_shorter_already_stay():
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(TURN_SECONDS / 10)
        shorter = sys.getswitchinterval()
        with short_turns():
            assert sys.getswitchinterval() == shorter
    finally:
        sys.setswitchinterval(before)
