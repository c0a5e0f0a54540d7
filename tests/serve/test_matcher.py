"""Patterns matched in child processes, and ended there when they would never end."""

import threading

import pytest

from sweep.errors import FilterError
from sweep.serve.matcher import Matcher
from sweep.view.filters import compile_filter

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
