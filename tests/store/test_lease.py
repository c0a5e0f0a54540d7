"""Whether an owner lives."""

import os
import subprocess
import sys

from sweep.store import Owner
from sweep.store.lease import alive, this_host


def test_this_process_lives():
    assert alive(Owner(this_host(), os.getpid(), "token")) is True


def test_a_process_that_has_ended_does_not_live_whether_or_not_it_was_waited_for():
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.stdout.read()  # it ends when its standard output does
    while alive(owner := Owner(this_host(), process.pid, "token")):
        pass
    assert process.returncode is None
    process.wait()
    process.stdout.close()
    assert alive(owner) is False


def test_nobody_does_not_live():
    assert alive(None) is False


def test_this_host_cannot_tell_of_another():
    assert alive(Owner("another.host", os.getpid(), "token")) is None
