"""`sweep summary`: what has become of a study; what it prints to do next works as it is printed."""

import json
import shlex
import signal

from sweep.cli import run as sweep
from tests.control.started import MANY_EPOCHS, Folder
from tests.refusals import refusal_of
from tests.store_builder import add_example

BODY = """
    import numpy
    x = trial.suggest_float("x", -1, 1)
    if trial.number == 2:
        raise ValueError("no")
    epochs = sweep.epochs(trial, 2, architecture="1")
    for epoch in epochs:
        epochs.report({"loss": x * x + 1 / (epoch + 1)}, {"x": numpy.array([x])})
    return epochs.value
"""


def test_every_command_that_it_prints_works_as_it_is_printed(tmp_path):
    folder = Folder(tmp_path, BODY, "trials=3, workers=1")
    done = folder.start()
    assert done.returncode == 0
    found = json.loads(folder.command("summary", "tiny", "--json").stdout)
    steps = {step["what"]: step["command"] for step in found["next"]}
    for what, line in steps.items():
        assert f"{line} " in done.stdout, f"sweep start prints it too: {what}"
        program, *words = shlex.split(line)
        assert program == "sweep"
        if words[0] != "tensorboard":  # which serves until it is stopped
            ran = folder.command(*words)
            assert ran.returncode == 0, (line, ran.stderr)
    assert set(steps) == {
        "shows the last failure whole",
        "tells the best from the lucky",
        "saves the winner's model",
        "trains more",
        "lists all runs",
        "shows them in TensorBoard",
    }
    assert (tmp_path / "model.npz").exists()
    assert len(folder.runs()) == 6, "more were trained"


def test_a_stopped_study_is_continued_by_the_command_that_it_prints(tmp_path):
    folder = Folder(tmp_path, MANY_EPOCHS, "trials=2, workers=1")
    with folder.started() as started:
        started.reporting()
        started.send(signal.SIGINT)
        _, printed = started.end()
    assert "stopped by Ctrl-C" in printed
    found = json.loads(folder.command("summary", "tiny", "--json").stdout)
    assert found["state"] == "stopped"
    line = next(step["command"] for step in found["next"] if step["what"] == "continues")
    assert line in printed
    assert folder.command(*shlex.split(line)[1:]).returncode == 0
    assert folder.states() == ["COMPLETE"] * 2


def test_it_is_short_enough_to_be_read_at_once(store, capsys):
    add_example(store)
    assert sweep(["summary", "diabetes"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 20
    for label in ("best", "certain", "failed", "pruned", "spent", "next"):
        assert any(line.startswith(label) for line in shown.splitlines()), label


def test_since_that_is_no_time_is_refused(store, capsys):
    add_example(store)
    assert sweep(["summary", "diabetes", "--since", "yesterday"]) == 2
    assert refusal_of(capsys.readouterr().err).startswith("sweep: --since must be a time above 0")
