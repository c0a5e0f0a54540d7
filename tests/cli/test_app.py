"""The command line as a whole: help, refusals, exit statuses, what is loaded."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.cli import app
from sweep.cli import run as sweep
from sweep.distribution import __version__
from tests.refusals import refusal_of
from tests.store_builder import add_example, add_study, run

ROOT = Path(__file__).parent.parent.parent
COMMANDS = [
    "try",
    "runs",
    "show",
    "summary",
    "best",
    "watch",
    "studies",
    "names",
    "export",
    "simulate",
    "tensorboard",
    "prune",
    "protect",
    "revive",
    "rerun",
    "stop",
    "import",
    "rm",
    "clean",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(capsys, command):
    assert sweep([command, "--help"]) == 0
    assert f"Example: sweep {command}" in capsys.readouterr().out


def test_a_former_name_of_a_command_still_works_and_is_not_in_the_help(capsys):
    assert sweep(["keep", "--help"]) == 0
    assert "Example: sweep protect" in capsys.readouterr().out
    assert sweep([]) == 0
    assert "  keep" not in capsys.readouterr().out


def test_the_version_is_said(capsys):
    assert sweep(["--version"]) == 0
    assert capsys.readouterr().out == f"sweep {__version__}\n"


def test_help_begins_with_the_three_commands_that_a_newcomer_needs(capsys):
    assert sweep([]) == 0
    first = capsys.readouterr().out.partition("Options:")[0]
    shown = re.findall(r"^    sweep (\S+)", first, re.MULTILINE)
    assert shown == ["start", "runs", "serve"]


def test_the_list_of_commands_says_what_the_help_of_each_says_first():
    assert list(app.COMMANDS.items()) == [(name, app.command(name).get_short_help_str(200)) for name in app.COMMANDS]


def test_help_names_every_command_whole(capsys):
    assert sweep([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {command} " in shown for command in COMMANDS)
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runs", "--filtr", "x"], "No such option: --filtr"),
        (["run"], "No such command 'run'"),
        (["show"], "Missing argument"),
        (["runs", "--limit", "0"], "Invalid value for '--limit'"),
        (["runs", "--limit", "many"], "Invalid value for '--limit'"),
        (["best", "-n", "-1"], "Invalid value for '-n' / '--count'"),
        (["runs", "diabetes", "^dnn", "extra"], "unexpected extra argument"),
        (["runs", "--storage", "mysql://x"], "Studies are kept in SQLite or PostgreSQL, not in 'mysql'."),
        (["runs"], "No database at sweep.db."),
        (["runs", "--storage", "sqlite:///text.db"], "text.db is not an SQLite database"),
        (["export", "--format", "cvs"], "No database at"),
        (["names", "nowhere.py"], "No such study file: nowhere.py."),
    ],
)
def test_a_refusal_is_a_line_or_two_and_status_2_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("this is no database at all")
    assert sweep(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert expected in refusal_of(said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]


def test_a_command_that_is_misspelt_is_answered_with_the_nearest_and_where_to_look_on_a_line_of_its_own(capsys):
    assert sweep(["run"]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("sweep: No such command 'run'. Did you mean 'runs', ")
    assert rest == ["       See: sweep --help"]


@pytest.mark.parametrize(
    "command",
    [["runs"], ["runs", "--json"], ["prune", "--dry-run"], ["clean", "--dry-run"], ["rm", "--dry-run"]],
    ids=" ".join,
)
def test_that_nothing_matches_can_be_an_exit_status(store, command):
    name, *options = command
    add_study(store, runs=[run(0, 0.5)])
    assert sweep([name, "diabetes", "--filter", "^none", *options]) == 0
    assert sweep([name, "diabetes", "--filter", "^none", *options, "--fail-if-none"]) == 1
    assert sweep(["runs", "diabetes", "--filter", "t0000", "--fail-if-none"]) == 0


def test_without_colour_nothing_is_coloured(store):
    add_example(store)
    command = [sys.executable, "-m", "sweep", "runs", "--storage", str(store.url)]
    colour = re.compile(r"\x1b\[[0-9;]*[34][0-7]m")
    assert any(map(colour.search, on_terminal(command, 100, plain=False)))
    assert not any(map(colour.search, on_terminal(command, 100, plain=False, NO_COLOR="1")))


def test_a_fault_of_ours_keeps_its_traceback(store, monkeypatch):
    monkeypatch.setattr("sweep.cli.studies.view_studies", lambda *_: 1 / 0)
    add_study(store)
    with pytest.raises(ZeroDivisionError):
        sweep(["studies"])


def test_the_storage_may_come_from_the_environment(store, tmp_path, monkeypatch, capsys):
    add_study(store)
    monkeypatch.chdir("/")
    monkeypatch.setenv("SWEEP_STORAGE", f"sqlite:///{tmp_path}/sweep.db")
    assert sweep(["studies", "--json"]) == 0
    assert [study["study"] for study in json.loads(capsys.readouterr().out)] == ["diabetes"]


def test_studies_are_listed_with_how_they_stand(store, capsys):
    add_study(store, "diabetes", [run(0, 0.5), run(1, None, state="FAIL")], trials=2)
    add_study(store, "wine", [run(0, 0.5)])
    assert sweep(["studies"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:3] for line in lines[1:]] == [["diabetes", "finished", "2/2"], ["wine", "stopped", "1/30"]]


def test_a_database_without_studies_is_no_error(store, capsys):
    assert sweep(["studies"]) == 0
    assert "no studies yet" in capsys.readouterr().err


def test_an_export_goes_to_a_file_or_to_standard_output(store, capsys):
    add_example(store, count=4)
    assert sweep(["export", "--format", "CSV"]) == 0
    printed = capsys.readouterr().out
    assert sweep(["export", "diabetes", "-o", "out.csv"]) == 0
    with open("out.csv", newline="") as file:
        assert file.read() == printed
    assert {row["number"] for row in csv.DictReader(printed.splitlines())} == {"0", "1", "2", "3"}
    assert [name for name in os.listdir() if name.startswith("out")] == ["out.csv"]


def test_a_file_that_cannot_be_written_is_refused(store, capsys):
    add_study(store)
    assert sweep(["export", "diabetes", "-o", "nowhere/out.csv"]) == 2
    assert "sweep: Cannot write nowhere/out.csv: No such file or directory." in capsys.readouterr().err


def test_an_unknown_format_is_refused_with_the_nearest(store, capsys):
    add_study(store)
    assert sweep(["export", "--format", "cvs"]) == 2
    assert "No such format: cvs. Did you mean csv?" in refusal_of(capsys.readouterr().err)


def test_runs_of_a_big_study_are_listed_without_tensorflow_keras_or_optuna(store):
    add_study(store, runs=[run(number, 1.0 + number) for number in range(2000)])
    program = (
        "import sys; from sweep.cli import run; status = run(['runs', 'diabetes', '^dnn', '--sort', 'val_loss']); "
        "print(status, sorted({'tensorflow', 'keras', 'optuna', 'tensorboard'} & set(sys.modules)), file=sys.stderr)"
    )
    done = python("-c", program, SWEEP_STORAGE=str(store.url))
    assert done.stderr.splitlines()[-1] == "0 []"


def test_help_loads_neither_the_database_nor_tables():
    program = (
        "import sys; from sweep.cli import run; run([]); print('sqlalchemy' in sys.modules, 'rich' in sys.modules)"
    )
    done = python("-c", program)
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize(
    ("width", "command"), [(60, ["runs"]), (80, ["runs"]), (140, ["runs"]), (80, ["best"]), (60, ["studies"])]
)
def test_a_table_fits_the_terminal(store, width, command):
    add_example(store)
    lines = on_terminal([sys.executable, "-m", "sweep", *command, "--storage", str(store.url)], width)
    assert len(lines) > 2
    table = [line for line in lines if not line.startswith(("no room for", "the same in all", "diabetes, minimize"))]
    assert max(map(len, table)) <= width


def python(*arguments, **environment):
    """A Python of its own, which has loaded nothing yet."""
    environment = {**os.environ, **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)


def on_terminal(command, width, *, plain=True, **environment):
    """The lines a command prints on a terminal of that width; without colours, if they are to be plain."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm", **environment}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment, cwd=ROOT)
    os.close(theirs)
    found = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how a pseudo-terminal says that the other end was closed
            break
        if not part:
            break
        found += part
    os.close(ours)
    assert process.wait() == 0, found.decode()
    text = found.decode()
    return (re.sub(r"\x1b\[[0-9;]*m", "", text) if plain else text).splitlines()
