"""`sweep tensorboard`: which directory and pattern it means, and one real start to Ctrl-C."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.cli.tensorboard import Board, find_board
from sweep.errors import FilterError, SweepError
from sweep.tensorboard.event_files import RunWriter
from tests.store_builder import add_study, build_store

ROOT = Path(__file__).parent.parent.parent


def test_the_log_directory_is_the_one_the_study_was_started_with(tmp_path):
    store = build_store(tmp_path)
    add_study(store, directory="/elsewhere/diabetes")
    storage = str(store.url)
    store.close()
    board = Board(Path("/elsewhere/diabetes"), "^dnn", ["val_loss"])
    assert find_board("diabetes", "^dnn", None, None, storage) == board
    assert find_board("^dnn", None, None, None, storage) == board
    assert find_board(None, None, "^dnn", None, storage) == board
    with pytest.raises(FilterError):
        find_board("diabetes", "^(dnn", None, None, storage)


def test_a_log_directory_that_is_given_needs_no_database(tmp_path):
    (tmp_path / "wine").mkdir()
    logdir, storage = str(tmp_path), "sqlite:///not-there.db"
    assert find_board(None, None, None, logdir, storage) == Board(tmp_path, None)
    assert find_board("wine", None, None, logdir, storage) == Board(tmp_path / "wine", None)
    assert find_board("wine", "^dnn", None, logdir, storage) == Board(tmp_path / "wine", "^dnn")
    assert find_board("^dnn", None, None, logdir, storage) == Board(tmp_path, "^dnn")
    with pytest.raises(SweepError, match="Two patterns given"):
        find_board("wine", "^dnn", "^mlp", logdir, storage)


def test_it_prints_links_with_the_filter_set_and_ends_with_ctrl_c(tmp_path):
    for name in ("dnn-lr=0.1-t0000", "dnn-lr=0.2-t0001", "mlp-lr=0.1-t0002"):
        with RunWriter(tmp_path / name) as writer:
            writer.scalars(0, {"val_loss": 0.5})
    command = [sys.executable, "-m", "sweep", "tensorboard", "^DNN", "--logdir", str(tmp_path), "--port", "16106"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(4)]
    while "2 of 3 runs match '^DNN'" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert [line.split("  ")[0] for line in lines] == ["Time Series", "Scalars", "Histograms", "HParams"]
    assert lines[0].endswith("/?runFilter=%5EDNN#timeseries\n")
    assert lines[1].endswith("/?runFilter=%5EDNN#scalars&regexInput=%5E%5BDd%5D%5BNn%5D%5BNn%5D\n")
    assert out == ""
    assert err == "TensorBoard ended\n"
