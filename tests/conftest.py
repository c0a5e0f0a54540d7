"""What tests share."""

import os
import shutil

import pytest

pytest_plugins = ["tests.databases"]


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
