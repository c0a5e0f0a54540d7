"""A plain `tensorboard --logdir` with more runs than a shell lets it open files: the plugin raises the limit."""

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
import tomllib
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest

from sweep.tensorboard import many_runs
from sweep.tensorboard.event_files import RunWriter
from tests.control.started import wait_for

ROOT = Path(__file__).parent.parent.parent
RUNS, SOFT, HARD = 300, 128, 4096
AT_ONCE = ("--reload_interval", "1")
GROUP = "tensorboard_plugins"
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]


def test_tensorboard_finds_the_plugin_that_is_declared():
    ((name, place),) = DECLARED.items()
    module, _, attribute = place.partition(":")
    assert name == "sweep"
    assert getattr(import_module(module), attribute) is many_runs.ManyRuns


@pytest.mark.parametrize(("limit", "warned"), [(1024, True), (300, True), (365, False), (2**20, False)])
def test_a_limit_that_cannot_be_raised_far_enough_is_told(limit, warned, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(many_runs, "raise_limit", lambda _wanted: limit)
    write_runs(tmp_path, 1000 if limit == 1024 else RUNS)
    many_runs.ManyRuns().fix_flags(argparse.Namespace(logdir=str(tmp_path)))
    said = capsys.readouterr().err
    assert bool(said) is warned
    if warned:
        assert f"this shell allows {limit}" in said
        assert "ulimit -Hn" in said


@pytest.mark.parametrize(
    "flags", [argparse.Namespace(), argparse.Namespace(logdir=""), argparse.Namespace(logdir="none")]
)
def test_a_log_directory_that_is_not_there_is_tensorboards_to_tell(flags, monkeypatch, capsys):
    monkeypatch.setattr(many_runs, "raise_limit", lambda _wanted: 100)
    many_runs.ManyRuns().fix_flags(flags)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("is_installed", [True, False])
def test_all_runs_are_shown_and_stay(is_installed, tmp_path):
    """Without the plugin TensorBoard cannot open them all: if that is mended there, the plugin can go."""
    write_runs(tmp_path / "runs", RUNS)
    packages = tmp_path / "packages"
    if is_installed:  # as pip would do it
        info = packages / "of_this_test-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: of-this-test\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "".join(f"{a} = {b}\n" for a, b in DECLARED.items()))
        prepare = f"import sys; sys.path.append({str(packages)!r})"
    else:
        prepare = "import tensorboard.default as default; default.get_dynamic_plugins = list"
    with started(tmp_path, f"{prepare}; import tensorboard.main as main; main.run_main()") as (url, log):
        if is_installed:
            wait_for(lambda: len(runs(url)) == RUNS)
            assert "Too many open files" not in log.read_text()
        else:
            wait_for(lambda: "Too many open files" in log.read_text())


def write_runs(folder, count):
    for number in range(count):
        with RunWriter(folder / f"dnn-t{number:04d}") as writer:
            writer.scalars(0, {"val_loss": 0.5})


@contextlib.contextmanager
def started(folder, program):
    """`tensorboard` as a person starts it, with a shell's limits; its address and its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--logdir", str(folder / "runs"), "--port", str(port), *AT_ONCE],
            stdout=output,
            stderr=output,
            cwd=ROOT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD)),
        )
    try:
        yield f"http://127.0.0.1:{port}/data/runs", log
    finally:
        process.terminate()
        process.wait()


def runs(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return json.load(answer)
    except OSError:
        return []
