"""What tests of `sweep.control` share."""

import pytest


@pytest.fixture(autouse=True)
def _quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat ten times a second in this process: tests wait for the beat, at which rows of other programs are read."""
    monkeypatch.setattr("sweep.core.study.BEAT_SECONDS", 0.1)
