"""What this machine has measured of XLA, in a file that may be missing, damaged, locked away or somebody else's."""

import json
import math
import os

import pytest

from sweep.train import xla_times
from sweep.train.xla_times import SECONDS_PER_OPERATION, Times, XlaTimes

SEEN = Times(graph=0.01, xla=0.002, compiling=1.5, operations=500)
REFUSED = Times(graph=0.01, xla=math.inf, compiling=0.0, operations=500)


def test_times_are_found_by_the_next_process_and_by_those_that_run(tmp_path):
    file = tmp_path / "a" / "xla.json"
    one, other = XlaTimes(file), XlaTimes(file)
    assert one.find("p") is None
    one.note("p", SEEN)
    assert other.find("p") == SEEN
    other.note("q", REFUSED)
    assert one.find("q") == REFUSED
    assert not one.find("q").faster
    assert XlaTimes(file).find("p") == SEEN
    assert os.listdir(file.parent) == ["xla.json"]


def test_times_of_another_machine_are_not_of_this_one(tmp_path, monkeypatch):
    XlaTimes(tmp_path / "xla.json").note("p", SEEN)
    monkeypatch.setattr(xla_times, "_machine", lambda: "another")
    assert XlaTimes(tmp_path / "xla.json").find("p") is None


ENTRY = {"graph": 1.0, "xla": 1.0, "compiling": 1.0, "operations": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"format": 1}',
        b'{"format": 2, "programs": {}}',
        b'{"format": 1, "programs": []}',
        b"[" * 100_000,
        *(
            json.dumps({"format": 1, "programs": {"": entry}}).encode()
            for entry in (None, {}, ENTRY | {"graph": "fast"}, ENTRY | {"graph": -1.0}, ENTRY | {"xla": math.nan})
        ),
    ],
)
def test_a_damaged_file_is_ignored_and_written_anew(tmp_path, content):
    file = tmp_path / "xla.json"
    file.write_bytes(content)
    times = XlaTimes(file)
    assert times.find("p") is None
    times.note("p", SEEN)
    assert XlaTimes(file).find("p") == SEEN


def test_a_file_that_cannot_be_written_is_remembered_in_this_process_alone(tmp_path):
    (tmp_path / "file").write_text("no folder")
    times = XlaTimes(tmp_path / "file" / "xla.json")
    times.note("p", SEEN)
    assert times.find("p") == SEEN


def test_a_folder_in_the_file_s_place_is_ignored(tmp_path):
    (tmp_path / "xla.json").mkdir()
    times = XlaTimes(tmp_path / "xla.json")
    times.note("p", SEEN)
    assert times.find("p") == SEEN
    assert os.listdir(tmp_path) == ["xla.json"]


def test_so_many_programs_are_kept_and_those_noted_longest_ago_go(tmp_path, monkeypatch):
    monkeypatch.setattr(xla_times, "MAX_PROGRAMS", 2)
    times = XlaTimes(tmp_path / "xla.json")
    for program in ("p", "q", "p", "r"):
        times.note(program, SEEN)
    left = XlaTimes(tmp_path / "xla.json")
    assert [left.find(program) for program in "pqr"] == [SEEN, None, SEEN]


def test_what_compiling_costs_is_learned(tmp_path):
    times = XlaTimes(tmp_path / "xla.json")
    times.note("refused", REFUSED)
    assert times.seconds_per_operation() == SECONDS_PER_OPERATION
    times.note("p", SEEN)
    assert times.seconds_per_operation() == SEEN.compiling / SEEN.operations


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SWEEP_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/keras-sweep"),
        ({"LOCALAPPDATA": "/c"}, "/c/keras-sweep"),
        ({"HOME": "/d"}, "/d/.cache/keras-sweep"),
    ],
)
def test_the_file_is_in_the_user_s_cache_folder(monkeypatch, variables, expected):
    for name in ("SWEEP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(xla_times.sys, "platform", "linux")
    assert str(xla_times._folder()) == expected
