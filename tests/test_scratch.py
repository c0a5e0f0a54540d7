"""Temporary folders: those of processes that were killed go, those of living ones stay."""

import subprocess
import sys
import tempfile
import threading

import pytest

from sweep import scratch
from sweep.scratch import PREFIX, Scratch, remove_left

KEEPER = """
import sys
from sweep.scratch import Scratch
made = Scratch(*sys.argv[1:])
print(made.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """The directory of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def keeper(*arguments, before=()):
    """A process that has a folder until it is killed, and the folder's name."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", KEEPER, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, process.stdout.readline().strip().rpartition("/")[2]


def kill(process):
    process.kill()
    process.communicate()


def names(base):
    return {path.name for path in base.iterdir()}


def test_a_folder_goes_with_its_owner_and_that_of_a_killed_one_with_the_next(base):
    mine = Scratch()
    (mine.path / "file").write_text("")
    other, left = keeper()
    assert names(base) == {mine.path.name, left}, "those of the living stay"
    kill(other)
    assert names(base) == {mine.path.name, left}
    next_one = Scratch()
    assert names(base) == {mine.path.name, next_one.path.name}
    mine.close()
    mine.close()
    next_one.close()
    assert names(base) == set()


def test_a_folder_of_another_container_stays_as_long_as_it_lives(base):
    container = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*container, "true"], capture_output=True).returncode != 0:
        pytest.skip("namespaces cannot be made here")
    other, theirs = keeper(before=container)
    remove_left(base)
    assert names(base) == {theirs}
    kill(other)
    while names(base):  # its process ends soon after
        remove_left(base)


def test_a_shared_folder_stays_until_the_last_has_gone(base):
    mine, other = Scratch("study"), Scratch("study")
    assert mine.path == other.path == base / f"{PREFIX}study"
    mine.close()
    third, _ = keeper("study")
    other.close()
    assert names(base) == {f"{PREFIX}study"}
    kill(third)
    remove_left(base)
    assert names(base) == set()


def test_what_looks_alike_but_is_none_of_ours_stays(base):
    (base / "sweep-results").mkdir()
    (base / f"{PREFIX}file").write_text("")
    (base / f"{PREFIX}link").symlink_to(base / "sweep-results")
    before = names(base)
    remove_left(base)
    assert names(base) == before


def test_one_that_is_removed_before_it_is_locked_is_made_again(base, monkeypatch):
    made, locked = [], scratch._locked

    def late(path, how, **more):
        if how == scratch.fcntl.LOCK_SH and not made:
            made.append(path)
            remove_left(base)
        return locked(path, how, **more)

    monkeypatch.setattr(scratch, "_locked", late)
    mine = Scratch()
    assert mine.path != made[0]
    assert names(base) == {mine.path.name}
    mine.close()


def test_many_that_are_made_at_once_do_not_remove_each_other(base):
    made, begin = [], threading.Barrier(8)

    def make():
        begin.wait()
        for _ in range(10):
            made.append(Scratch())

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(base) == {one.path.name for one in made}
    assert len(made) == 80
    for one in made:
        one.close()
    assert names(base) == set()
