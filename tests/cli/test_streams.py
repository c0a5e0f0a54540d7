"""What is printed: texts of others move no cursor, and where nothing can be printed a study trains on."""

import io
import os
import subprocess
import sys

import pytest

from sweep.cli import run
from sweep.cli.output import json_text
from sweep.cli.screen import Screen
from sweep.cli.streams import Stream, Unshown, print_if_possible, safe_streams
from tests.control.started import ONE_EPOCH, PATIENCE, Folder
from tests.refusals import refusal_of

NASTY = "a\x1b[2Jb\x1b]0;title\x07c\x9b2Jd\re\x08f\x00"
SHOWN = "abcd\\x0de\\x08f\x00"


def test_a_stream_shows_what_others_wrote_and_writes_what_is_exact():
    file = io.StringIO()
    stream = Stream(file)
    stream.writelines([NASTY, "\tg\n"])
    assert file.getvalue() == f"{SHOWN}\tg\n"
    stream.exact.write("\x1b[1m")
    assert file.getvalue().endswith("\x1b[1m")


def test_a_terminal_has_no_escapes_but_those_of_its_styles():
    file = io.StringIO()
    screen = Screen(file=file, force_terminal=True, color_system="standard", highlight=False, markup=False, width=80)
    screen.print("a\x1b[2Jb\x9b2Jc\x85d", style="red")
    assert file.getvalue() == "\x1b[31mabc\\x85d\x1b[0m\n"


def test_json_has_no_character_that_controls_a_terminal():
    assert json_text({"a": "\x1b\x9b\x7fü"}) == '{"a": "\\u001b\\u009b\\u007fü"}'


def test_a_stream_that_cannot_be_written_says_so_and_then_takes_everything():
    with open("/dev/full", "w") as file:
        stream = Stream(file)
        stream.write("x")
        with pytest.raises(Unshown):
            stream.flush()
        stream.write("y")
        stream.flush()


def test_where_printing_is_optional_it_says_nothing():
    with safe_streams(), open("/dev/full", "w") as file:
        print_if_possible()
        stream = Stream(file)
        stream.write("x")
        stream.flush()
    with safe_streams(), open("/dev/full", "w") as file, pytest.raises(Unshown):
        print("x", file=Stream(file), flush=True)


NO_MORE = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    ImportError("x.so: failed to map segment from shared object"),
    OSError(24, "Too many open files"),
    OSError(36, "File name too long", "n" * 300),
]


@pytest.mark.parametrize("error", NO_MORE)
def test_a_machine_that_has_no_more_for_a_command_is_told_in_a_line(monkeypatch, capsys, error):
    def fail(*_arguments, **_settings):
        raise error

    monkeypatch.setattr("sweep.cli._run", fail)
    assert run(["runs"]) == 2
    assert refusal_of(capsys.readouterr().err)


def sweep(folder: Folder, words: str) -> int:
    """The exit status of `sweep` by the shell, with what redirects its output."""
    command = f"{sys.executable} -m sweep {words}"
    shell = ["bash", "-c", f"set -o pipefail; {command}"]
    done = subprocess.run(shell, cwd=folder.path, env=folder.environment, timeout=PATIENCE, check=False)
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        pytest.param(">/dev/full 2>&1", marks=pytest.mark.sample),
        "--log-format json 2>/dev/full",
        "| head -1",
        ">&- 2>&-",
    ],
)
def test_a_study_ends_as_it_does_although_nothing_can_be_printed(tmp_path, where):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=6, workers=2, seed=7")
    assert sweep(folder, f"start tiny.py {where}") == 0
    assert folder.states() == ["COMPLETE"] * 6
    (tmp_path / "tiny.py").write_text("raise ValueError('no')\n")
    assert sweep(folder, f"start tiny.py {where}") == 2


def test_a_table_that_cannot_be_printed_is_an_error_and_one_whose_reader_has_gone_is_none(tmp_path):
    folder = Folder(tmp_path, ONE_EPOCH, "trials=1, workers=0, seed=7")
    assert folder.start().returncode == 0
    assert sweep(folder, "runs tiny >/dev/full 2>said") == 2
    assert (tmp_path / "said").read_text().startswith("sweep: Standard output cannot be written: No space left")
    assert sweep(folder, "runs tiny 2>said | true") in (0, 1)
    assert (tmp_path / "said").read_text() == ""


def test_what_a_trial_says_reaches_no_terminal_as_an_escape(tmp_path):
    body = """
    x = trial.suggest_categorical("x\\x1b[2J", ["a\\x1b[2Jb\\x9b2J"])
    trial.set_user_attr("note\\x1b[2J", "y\\x1b[2J")
    raise ValueError("\\x1b[2Joops\\x9b2J")
"""
    folder = Folder(tmp_path, body, "trials=1, workers=0, seed=7")
    for words in ("start tiny.py", "show tiny 0", "runs tiny --names", "runs tiny '\x1b[2J(?'", "runs tiny --json"):
        ours, theirs = os.openpty()
        shell = [sys.executable, "-m", "sweep", *words.split()]
        child = subprocess.Popen(
            shell, cwd=folder.path, env=folder.environment, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        said = b""
        try:
            while got := os.read(ours, 65536):
                said += got
        except OSError:  # the terminal's end
            pass
        child.wait()
        os.close(ours)
        assert said
        assert b"\x1b[2J" not in said, words
        assert "\x9b".encode() not in said, words
