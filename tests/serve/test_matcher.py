"""Patterns matched in child processes, and ended there when they would never end."""

import threading
from collections import Counter

import psutil
import pytest

from sweep.errors import FilterError
from sweep.serve import matcher as module
from sweep.serve.matcher import Matcher, TooManyPatterns
from sweep.view.filters import compile_filter
from tests.control.started import wait_for

NAMES = ["dnn-4x32_16-lr=0.00118-bs=32-t0017", "mlp-64-lr=0.1-bs=3-t0018", "x" * 60 + "-t0019"]
CATASTROPHIC = ["(x+x+)+y", "(x*)*y", "(x|x)*y", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*(.*)*(.*)*(.*)*[^x]{30}$"]


@pytest.fixture(scope="module")
def matcher():
    matcher = Matcher()
    yield matcher
    matcher.close()


@pytest.mark.parametrize("pattern", ["^dnn", "BS=3-", "lr=0\\.00", ".", "", "t001[78]$", "nothing"])
def test_a_child_finds_what_this_process_finds(matcher, pattern):
    compiled = compile_filter(pattern)
    found = matcher.match(pattern, NAMES)
    assert [name in found for name in NAMES] == [compiled.matches(name) for name in NAMES]


def test_a_wrong_pattern_is_refused_with_its_place(matcher):
    with pytest.raises(FilterError, match="without its partner") as refused:
        matcher.match("dnn(", NAMES)
    assert refused.value.position == 3


def test_a_pattern_that_never_ends_is_ended_and_the_next_is_answered(matcher):
    with pytest.raises(FilterError, match="takes longer than 1 s"):
        matcher.match("(x+x+)+y", NAMES)
    assert matcher.match("^dnn", NAMES) == {NAMES[0]}


@pytest.mark.parametrize(
    "pattern", ["((((.{0,1000}){0,1000}){0,1000}){0,1000}){0,1000}", "(a{65535}){65535}", "(" * 1000]
)
def test_a_pattern_that_wants_much_is_answered_or_refused(matcher, pattern):
    try:
        matcher.match(pattern, NAMES)
    except FilterError as error:
        assert error.message  # noqa: PT017  either is right
    assert matcher.match("^dnn", NAMES) == {NAMES[0]}


def test_a_child_has_neither_the_services_token_nor_the_databases_password(monkeypatch):
    monkeypatch.setenv("SWEEP_TOKEN", "a-secret-token")
    monkeypatch.setenv("SWEEP_STORAGE", "postgresql://u:hunt@r2@h/db")
    own = Matcher()
    try:
        own.match("^dnn", NAMES)
        environment = psutil.Process(own._idle[0]._process.pid).environ()
    finally:
        own.close()
    assert not {"SWEEP_TOKEN", "SWEEP_STORAGE"} & environment.keys()


def test_several_threads_are_answered_each_with_its_own(matcher):
    answers = {}

    def ask(pattern):
        answers[pattern] = matcher.match(pattern, NAMES)

    threads = [threading.Thread(target=ask, args=[f"t00{number}"]) for number in range(10, 22)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {
        pattern: {name for name in NAMES if name.endswith(pattern)} for pattern in (f"t00{n}" for n in range(10, 22))
    }


def test_one_client_has_one_child_so_that_its_patterns_keep_no_other_waiting(matcher, monkeypatch):
    """Sixty patterns that never end are asked for at once by one client; another one's comes in between."""
    monkeypatch.setattr(module, "FROM_ONE", 2)
    monkeypatch.setattr(module, "_WAIT_SECONDS", 100.0)
    outcomes = Counter()

    def ask(number):
        try:
            matcher.match(f"(x+x+)+y{number}", NAMES, "10.0.0.1")
        except TooManyPatterns:
            outcomes["refused"] += 1
        except FilterError:
            outcomes["ended"] += 1

    threads = [threading.Thread(target=ask, args=[number]) for number in range(60)]
    for thread in threads:
        thread.start()
    wait_for(lambda: matcher._waiting["10.0.0.1"] == 2)
    assert matcher.match("^dnn", NAMES, "10.0.0.2") == {NAMES[0]}
    assert matcher._working["10.0.0.1"] == 1  # its first, or one that waited, is still being matched
    for thread in threads:
        thread.join()
    assert outcomes.total() == 60
    assert outcomes["ended"] >= 3
    assert outcomes["refused"] >= 40
    assert not matcher._working
    assert not matcher._waiting
