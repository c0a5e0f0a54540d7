"""Checkpoints on the disk: whole or not there, the last two, and the one before where the newest is damaged."""

import json
import zipfile

import numpy as np
import pytest

from sweep.worker.checkpoints import Checkpoint, load_arrays, newest, remove, save, save_arrays


def checkpoint(epoch, call=0, **changes):
    """A checkpoint after so many epochs, whose weights say which."""
    log = [{"loss": 1 / (n + 1), "accuracy": float("nan")} for n in range(epoch)]
    given = {
        "call": call,
        "over": False,
        "log": log,
        "arrays": {"model": [np.full((2, 3), epoch, "float32"), np.zeros(0)], "best": []},
        "state": {"random": [1, 2, 2**40], "name": "ä"},
    }
    return Checkpoint(**{**given, **changes})


def files(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_what_is_saved_comes_back_exactly(tmp_path):
    kept = checkpoint(3)
    save(tmp_path, kept)
    back = newest(tmp_path, 0)
    assert (back.call, back.over, back.state, back.epochs) == (0, False, kept.state, 3)
    np.testing.assert_equal(back.log, kept.log)
    np.testing.assert_equal(back.arrays, kept.arrays)
    assert back.arrays["model"][0].dtype == np.float32


def test_the_last_two_of_each_call_stay(tmp_path):
    for epoch in (1, 2, 10, 11):
        save(tmp_path, checkpoint(epoch))
        save(tmp_path, checkpoint(epoch + 20, call=1))
    assert files(tmp_path) == ["0-00000010.npz", "0-00000011.npz", "1-00000030.npz", "1-00000031.npz"]
    assert newest(tmp_path, 0).epochs == 11
    assert newest(tmp_path, 1).epochs == 31
    assert newest(tmp_path, 2) is None


def test_one_cut_short_anywhere_is_passed_over_for_the_one_before(tmp_path):
    save(tmp_path, checkpoint(1))
    whole = save(tmp_path, checkpoint(2))
    data = whole.read_bytes()
    for size in range(len(data)):
        whole.write_bytes(data[:size])
        assert newest(tmp_path, 0).epochs == 1
    whole.write_bytes(data)
    assert newest(tmp_path, 0).epochs == 2


def test_a_byte_that_the_disk_has_turned_is_noticed(tmp_path):
    save(tmp_path, checkpoint(1))
    whole = save(tmp_path, checkpoint(2))
    data = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        place = data.index(archive.read("model/00000.npy"))
    data[place + 130] ^= 1
    whole.write_bytes(data)
    assert newest(tmp_path, 0).epochs == 1


def test_nothing_stands_where_writing_failed(tmp_path):
    with pytest.raises(TypeError):
        save_arrays(tmp_path / "it.npz", {}, {"no": object()})
    assert list(tmp_path.iterdir()) == []
    assert load_arrays(tmp_path / "it.npz") is None


def test_nothing_in_it_is_pickled(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        save_arrays(tmp_path / "it.npz", {"one": np.array([object()])}, {})
    np.savez(tmp_path / "other.npz", state=np.frombuffer(json.dumps({}).encode(), np.uint8), one=np.array([None]))
    assert load_arrays(tmp_path / "other.npz") is None


def test_they_can_be_removed_where_there_are_none(tmp_path):
    remove(tmp_path)
    save(tmp_path, checkpoint(1))
    remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
