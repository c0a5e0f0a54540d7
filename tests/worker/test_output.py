"""What a worker prints takes a bounded place, whoever prints it."""

import os
import subprocess

import pytest

from sweep.worker import output
from sweep.worker.output import MOST_BYTES, rotate
from tests.control.started import Folder


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A descriptor of a log, which has a second file."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    monkeypatch.setattr(output, "_logs", {descriptor: path})
    yield descriptor
    os.close(descriptor)


def test_of_a_file_that_is_too_long_the_newest_lines_go_to_the_second_one(tmp_path, log):
    for number in range(1000):
        os.write(log, f"line {number}\n".encode())
    assert rotate(log, 1000)
    os.write(log, b"the end\n")
    assert (tmp_path / "log").read_text() == "the end\n"
    older = (tmp_path / "log.1").read_text().splitlines()
    assert older == [f"line {number}" for number in range(1000 - len(older), 1000)]
    assert 900 < (tmp_path / "log.1").stat().st_size <= 1000
    assert not rotate(log, 1000)
    os.write(log, b"x" * 1000)
    assert rotate(log, 1000)
    assert (tmp_path / "log.1").stat().st_size <= 1000, "what was older is dropped"


def test_of_what_is_no_file_nothing_is_dropped():
    ours, theirs = os.pipe()
    assert not rotate(theirs, 0)
    with open(os.devnull, "rb") as nothing:
        assert not rotate(nothing.fileno(), 0)
    os.close(ours)
    os.close(theirs)


def test_another_process_that_prints_all_the_time_goes_on_printing_into_it(tmp_path, log):
    child = subprocess.Popen(["yes", "a line of a child"], stdout=log)
    rotated = 0
    while rotated < 5:
        rotated += rotate(log, 100_000)
    child.kill()
    child.wait()
    assert (tmp_path / "log.1").stat().st_size <= 100_000


FLOODS = {
    "python": "print('of python', flush=True)",
    "c": "libc.puts(b'of C' * 200)",
    "child": "subprocess.run(['sh', '-c', 'yes of a child | head -c 1000000'], check=True)",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("c", marks=pytest.mark.sample), "python", "child"])
def test_a_trial_that_prints_without_end_leaves_a_log_of_bounded_size(tmp_path, kind):
    body = f"""
    x = trial.suggest_float("x", -1, 1)
    libc = ctypes.CDLL(None)
    trial.report(x, 0)
    before = os.fstat(1).st_size
    while os.fstat(1).st_size >= before:
        before = os.fstat(1).st_size
        for _ in range(200 if {kind!r} != "child" else 1):
            {FLOODS[kind]}
    return x
"""
    folder = Folder(tmp_path, body, "trials=1, workers=1, seed=7")
    done = folder.start()
    assert done.returncode == 0, done.stderr
    (older,) = tmp_path.glob("runs/tiny/workers/worker-0.log.1")
    assert 0 < older.stat().st_size <= MOST_BYTES
