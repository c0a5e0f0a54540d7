"""What tests share."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import psutil
import pytest

pytest_plugins = ["tests.databases"]

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # bytes; a run of every test takes about one of them


def pytest_configure(config: pytest.Config) -> None:
    """Have a cache folder of the tests' own, and temporary files in memory.

    They are there where Linux has room: disks spend half of a run on committing small databases.

    They are removed at the end, and those of a run that was killed at the next one. Set TMPDIR to keep them elsewhere.
    """
    _write_temporary_files_to_memory(config)
    if "SWEEP_CACHE" not in os.environ:  # what this machine has measured decides nothing here, and the reverse
        os.environ["SWEEP_CACHE"] = tempfile.mkdtemp(prefix="sweep-cache-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ["SWEEP_CACHE"], ignore_errors=True))


def _write_temporary_files_to_memory(config: pytest.Config) -> None:
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return
    for left in MEMORY.glob("tests-[0-9]*"):
        if not psutil.pid_exists(int(left.name.partition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    system = os.statvfs(MEMORY)
    if system.f_bavail * system.f_frsize < ROOM or system.f_flag & os.ST_NOEXEC:  # some tests write programs
        return
    folder = MEMORY / f"tests-{os.getpid()}"  # short, for the sockets of Ray lie below it
    folder.mkdir(exist_ok=True)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # pytest has asked already; now it asks again


@pytest.fixture(scope="module", autouse=True)
def _collect_little() -> None:
    """Leave what is loaded by now out of garbage collections: every trial begins with one, and TensorFlow is large."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty database, which commands find in the working directory."""
    from tests.store_builder import build_store  # loads SQLAlchemy, which many tests do not need

    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    store = build_store(tmp_path)
    yield store
    store.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is. A test without it is skipped, or fails where SWEEP_REQUIRE_ALL is set, as `.ci/run` does."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium in PATH; on Debian: apt-get install chromium"
        if os.environ.get("SWEEP_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
