"""Ctrl-C twice ends a command, whatever it waits for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control.started import PATIENCE, ROOT

PROGRAM = """
import signal, sqlite3
from sweep.cli.interrupts import ended_by_the_second

seen = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: seen.append(1))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
first, second = (sqlite3.connect("x.db", timeout=3600) for _ in range(2))
first.execute("BEGIN EXCLUSIVE")
with ended_by_the_second():
    print("waits", flush=True)
    {wait}
print("ended by itself", flush=True)
"""


def run(folder: Path, wait: str, *signals: signal.Signals) -> tuple[int, str]:
    """The exit status of a process that waits, and is sent signals, and the last line that it has printed."""
    program = [sys.executable, "-c", PROGRAM.format(wait=wait)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(program, cwd=folder, env=environment, stdout=-1, stderr=-2, text=True) as child:
        child.stdout.readline()
        for number in signals:
            child.send_signal(number)
        return child.wait(timeout=PATIENCE), child.stdout.read().splitlines()[-1]


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_process_whose_main_thread_runs_no_handler_ends_after_the_second_signal(tmp_path, second):
    first = signal.SIGTERM if second == signal.SIGINT else signal.SIGINT  # two of one kind may arrive as one
    status, last = run(tmp_path, 'second.execute("BEGIN EXCLUSIVE")', first, second)
    assert status in (130, 143)
    assert "Stopped at once" in last


def test_one_signal_ends_nothing(tmp_path):
    assert run(tmp_path, "signal.sigwait([signal.SIGUSR1])", signal.SIGINT, signal.SIGUSR1) == (0, "ended by itself")


def test_who_ends_after_the_second_ends_by_itself(tmp_path):
    wait = "while len(seen) < 2: signal.sigtimedwait([signal.SIGUSR1], 0.1)"
    assert run(tmp_path, wait, signal.SIGINT, signal.SIGTERM) == (0, "ended by itself")
