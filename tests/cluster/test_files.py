"""Files that workers bring: what has changed is collected in pieces, and laid into the log directory."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sweep.cluster import files
from sweep.cluster.files import Piece, WorkerFolder, earlier, lay

EVENT_FILE = "tiny/run/events.out.tfevents.1.host.2.3"


@pytest.fixture
def there(tmp_path) -> Path:
    return tmp_path / "there"


@pytest.fixture
def hold(there) -> WorkerFolder:
    return WorkerFolder(there)


@pytest.fixture
def here(tmp_path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, data: bytes, mode: str = "wb") -> None:
    """Write a file as a worker does: one that is replaced is renamed into its place."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "ab":
        with path.open("ab") as file:
            file.write(data)
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)


def bring(hold: WorkerFolder, here: Path) -> int:
    """Bring all that has changed; in how many loads."""
    loads, more = 0, True
    while more:
        pieces, more = hold.collect()
        assert sum(len(piece.data) for piece in pieces) <= files.MOST
        for piece in pieces:
            lay(here, piece)
        loads += 1
    return loads


def seen(folder: Path) -> dict[str, bytes]:
    """Every file of a folder that is no hidden one."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_an_event_file_grows_by_what_is_new(hold, there, here):
    write(there, EVENT_FILE, b"one", "ab")
    bring(hold, here)
    write(there, EVENT_FILE, b"two", "ab")
    pieces, more = hold.collect()
    assert pieces == [Piece(EVENT_FILE, b"two", grows=True)]
    assert not more
    assert hold.collect() == ([], False)


def test_a_log_goes_on_behind_what_an_earlier_start_has_left(hold, there, here):
    write(here, "tiny/workers/worker-0.log", b"earlier\n")
    write(there, "tiny/workers/worker-0.log", b"later\n", "ab")
    bring(hold, here)
    assert seen(here) == {"tiny/workers/worker-0.log": b"earlier\nlater\n"}


def test_a_large_file_comes_in_pieces_and_is_there_whole_or_not_at_all(hold, there, here, monkeypatch):
    monkeypatch.setattr(files, "MOST", 10)
    write(there, "tiny/run/weights.npz", b"0123456789" * 3)
    pieces, more = hold.collect()
    assert more
    for piece in pieces:
        lay(here, piece)
    assert seen(here) == {}
    write(there, "tiny/run/weights.npz", b"another")
    versions = []
    while more:
        pieces, more = hold.collect()
        for piece in pieces:
            lay(here, piece)
            versions += [data for data in seen(here).values() if data not in versions]
    assert versions == [b"0123456789" * 3, b"another"]
    assert not list(here.rglob(".*"))


def test_what_is_removed_there_is_removed_here_and_what_the_hold_clears_is_not(hold, there, here):
    for number in (1, 2):
        write(there, f"tiny/run/checkpoints/0-{number:08}.npz", b"kept")
    write(there, EVENT_FILE, b"one", "ab")
    bring(hold, here)
    (there / "tiny/run/checkpoints/0-00000001.npz").unlink()
    bring(hold, here)
    stays = {EVENT_FILE: b"one", "tiny/run/checkpoints/0-00000002.npz": b"kept"}
    assert seen(here) == stays
    hold.receive([], anew=True)
    bring(hold, here)
    assert seen(there) == {}
    assert seen(here) == stays


def test_a_trial_that_goes_on_finds_its_checkpoints_and_the_names_of_its_event_files(hold, there, here, monkeypatch):
    monkeypatch.setattr(files, "MOST", 10)
    write(here, EVENT_FILE, b"records", "ab")
    for number, data in ((1, b""), (2, b"0123456789" * 2), (3, b"0123456789" * 2 + b"x")):
        write(here, f"tiny/run/checkpoints/0-{number:08}.npz", data)
    before = seen(here)
    hold.receive(list(earlier(here, here / "tiny/run")), anew=True)
    assert seen(there) == {**before, EVENT_FILE: b""}
    assert hold.collect() == ([], False), "what came from here does not go back"
    later = EVENT_FILE.replace(".1.", ".2.")
    write(there, later, b"more", "ab")
    bring(hold, here)
    assert seen(here) == {**before, later: b"more"}


def test_a_piece_that_comes_twice_is_laid_once(here):
    pieces = [Piece("a.npz", b"0123"), Piece("a.npz", b"4567", 4), Piece("a.npz", b"89", 8, ends=True)]
    for piece in (pieces[0], pieces[1], pieces[1], pieces[2]):
        lay(here, piece)
    assert seen(here) == {"a.npz": b"0123456789"}


def test_no_piece_leads_out_of_the_folder(here):
    with pytest.raises(ValueError, match="leads out"):
        lay(here, Piece("../outside", b"", ends=True))


class Bringing(RuleBasedStateMachine):
    """A worker that writes as it likes, whose files come whenever they come."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        base = self.folder / str(len(os.listdir(self.folder)))
        base.mkdir()
        self.there, self.here = base / "there", base / "here"
        self.here.mkdir()
        self.hold = WorkerFolder(self.there)

    def teardown(self) -> None:
        self.hold.close()

    names = st.sampled_from(["s/r/a.npz", "s/r/b.npz"])
    data = st.binary(min_size=1, max_size=25)

    @rule(data=data)
    def grow(self, data: bytes) -> None:
        write(self.there, EVENT_FILE, data, "ab")

    @rule(name=names, data=data)
    def replace(self, name: str, data: bytes) -> None:
        write(self.there, name, data)

    @rule(name=names)
    def remove(self, name: str) -> None:
        (self.there / name).unlink(missing_ok=True)

    @rule()
    def bring_some(self) -> None:
        for piece in self.hold.collect()[0]:
            lay(self.here, piece)

    @rule()
    def bring_all(self) -> None:
        bring(self.hold, self.here)
        assert seen(self.here) == seen(self.there)

    @invariant()
    def nothing_here_that_was_never_there(self) -> None:
        assert (seen(self.there).get(EVENT_FILE) or b"").startswith(seen(self.here).get(EVENT_FILE, b""))


def test_in_the_end_everything_is_here_as_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST", 10)
    Bringing.folder = tmp_path
    run_state_machine_as_test(Bringing, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


@given(st.binary(max_size=50), st.integers(1, 20))
@settings(deadline=None)
def test_pieces_of_any_size_make_the_file(tmp_path_factory, data, most):
    folder = tmp_path_factory.mktemp("pieces")
    for offset in range(0, max(1, len(data)), most):
        lay(folder, Piece("f", data[offset : offset + most], offset, ends=offset + most >= len(data)))
    assert seen(folder) == {"f": data}
