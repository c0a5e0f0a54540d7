"""TensorBoard as a process: started beside others, loaded, ended."""

import os
import re
import socket

import httpx
import psutil
import pytest

from sweep.control.tensorboard import TensorBoard, free_ports, run_names
from sweep.errors import SweepError
from sweep.tensorboard.event_files import RunWriter


def write_run(directory):
    with RunWriter(directory) as writer:
        writer.scalars(0, {"val_loss": 0.5})


def test_it_has_loaded_every_run_and_ends_with_its_context(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEP_TOKEN", "a-secret-token")
    monkeypatch.setenv("SWEEP_STORAGE", "postgresql://u:hunter2@h/db")
    for name in ("dnn-t0000", "mlp-t0001"):
        write_run(tmp_path / name)
    with TensorBoard(tmp_path, 16006) as running:
        assert running.wait() == 2
        assert sorted(running.runs()) == ["dnn-t0000", "mlp-t0001"]
        assert re.fullmatch(rf"http://127\.0\.0\.1:{running.port}/[\w-]{{16}}/", running.url)
        process = psutil.Process(running._process.pid)
        for each in [process, *process.children(recursive=True)]:
            assert not {"SWEEP_TOKEN", "SWEEP_STORAGE"} & each.environ().keys()
        font = "font-roboto/oMMgfZMQthOryQo9n22dcuvvDin1pK8aKteLpeZ5c0A.woff2"
        assert httpx.get(f"http://127.0.0.1:{running.port}/{font}").status_code == 200
        for path in ("", "data/runs", "data/logdir", "font-roboto/../data/logdir"):
            assert httpx.get(f"http://127.0.0.1:{running.port}/{path}").status_code == 404
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


def test_an_empty_log_directory_gives_an_empty_tensorboard_on_the_next_free_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with TensorBoard(tmp_path / "not there yet", port) as running:
            assert running.wait() == 0
            assert running.port > port


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert next(free_ports(port)) > port


def test_a_file_is_no_log_directory(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(SweepError, match="as a log directory"):
        TensorBoard(tmp_path / "runs", 16006)


def test_a_run_is_named_by_its_path_in_the_log_directory(tmp_path):
    write_run(tmp_path / "wine" / "dnn-t0000")
    os.makedirs(tmp_path / "wine" / "workers")
    assert run_names(tmp_path) == {"wine/dnn-t0000"}
