"""A pattern shows the same runs in a browser, at the link that `sweep tensorboard` prints, as on the command line."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sweep.cli import run as sweep
from sweep.tensorboard.event_files import RunWriter
from sweep.view.tensorboard import links
from tests.chromium import (
    checkbox_runs,
    filter_time_series,
    open_link,
    page,
    settled,
    time_series_filter,
    time_series_runs,
)
from tests.store_builder import add_study, build_store, run
from tests.tensorboard_server import tensorboard

pytestmark = pytest.mark.slow

FAMILIES = ["dnn", "mlp", "dnn_broke", "CNN"]
OPTIMIZERS = ["adam", "SGD", "rms+", "a&b#%"]

PATTERNS = [
    "^dnn",
    "^DNN-",
    "cnn|^MLP",
    "-t000[0-4]$",
    "-bs=8-",
    r"lr=0\.00",
    "^(?!dnn)",
    "^dnn(?=_)",
    r"(?<!-)-bs=(8|16).*t\d{4}$",
    r"^(dnn|mlp)-[^=]*=0\.0\d+-",
    r"opt=\w+\+-|a~26b",
    "no such run",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a study of twelve runs, in the store and in the log directory."""
    folder = tmp_path_factory.mktemp("filtered")
    runs = [
        run(
            number,
            family=FAMILIES[number % 4],
            params={
                "learning_rate": round(0.0007 * 3**number % 0.2, 5),
                "batch_size": [8, 16, 32, 80][number // 3],
                "optimizer": OPTIMIZERS[number * 5 % 4],
            },
        )
        for number in range(12)
    ]
    for each in runs:
        each.directory = str(folder / "runs" / "diabetes" / each.name)
        with RunWriter(folder / "runs" / "diabetes" / each.name) as writer:
            writer.scalars(0, {"val_loss": 0.5})
            writer.histograms(0, {"dense/bias": [0.0, 1.0]})
    store = build_store(folder)
    add_study(store, runs=runs, directory=str(folder / "runs" / "diabetes"))
    store.close()
    return folder


@pytest.fixture
def every(folder):
    return sorted(path.name for path in (folder / "runs" / "diabetes").iterdir())


def listed(folder, pattern, capsys):
    """The names of the runs that `sweep runs --filter` lists."""
    assert sweep(["runs", "diabetes", "--filter", pattern, "--json", "--storage", f"sqlite:///{folder}/sweep.db"]) == 0
    return sorted(run["name"] for run in json.loads(capsys.readouterr().out))


@pytest.fixture(scope="module")
def shown(chromium):
    """A page of a browser."""
    with page(chromium) as shown:
        yield shown


@pytest.fixture(scope="module")
def server(folder):
    """A TensorBoard on the study's runs, for patterns that `sweep tensorboard` refuses."""
    with tensorboard(folder / "runs" / "diabetes") as server:
        server.wait_for_runs(12)
        yield server


@contextmanager
def printed_links(folder, pattern) -> Iterator[dict[str, str]]:
    """The links that `sweep tensorboard --filter` prints, by tab, while its TensorBoard runs."""
    port = 20000 + os.getpid() % 10000
    command = [sys.executable, "-m", "sweep", "tensorboard", "diabetes", "--filter", pattern, "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        found = {}
        for line in process.stdout:
            label, link = re.fullmatch(r"(.+?) +(http\S+)\n", line).groups()
            found[label] = link
            if label == "HParams":
                break
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_printed_link_shows_the_runs_that_are_listed(folder, every, pattern, shown, capsys):
    expected = listed(folder, pattern, capsys)
    assert expected != every or pattern == ""
    with printed_links(folder, pattern) as link:
        open_link(shown, link["Time Series"])
        assert settled(lambda: time_series_runs(shown), expected) == expected
        assert time_series_filter(shown) == pattern
        filter_time_series(shown, "")  # an empty list must be the filter's doing
        assert settled(lambda: time_series_runs(shown), every) == every


@pytest.mark.parametrize("pattern", ["^DNN-", "cnn|^MLP", r"opt=\w+\+-|a~26b"])
def test_the_tabs_that_do_not_ignore_case_show_the_same_runs(folder, pattern, shown, capsys):
    expected = listed(folder, pattern, capsys)
    with printed_links(folder, pattern) as link:
        for tab in ("Scalars", "Histograms"):
            open_link(shown, link[tab])
            assert settled(lambda: checkbox_runs(shown), expected) == expected, tab


@pytest.mark.parametrize("pattern", ["^(dnn", "[z-a]", "*", "a{2,1}", "(?i)dnn"])
def test_a_pattern_that_shows_nothing_in_the_browser_for_being_invalid_is_refused(
    folder, every, pattern, shown, server, capsys
):
    for command in ("runs", "tensorboard"):
        arguments = [command, "diabetes", "--filter", pattern, "--storage", f"sqlite:///{folder}/sweep.db"]
        assert sweep(arguments) == 2
        assert capsys.readouterr().err.startswith("sweep: Invalid filter: ")
    open_link(shown, links(server.url, pattern).time_series)
    assert settled(lambda: time_series_runs(shown), []) == []
    filter_time_series(shown, "")
    assert settled(lambda: time_series_runs(shown), every) == every
