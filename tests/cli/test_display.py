"""What `sweep start` shows while it runs, fed with events by hand."""

import dataclasses
import io

import pytest
from rich.console import Console

from sweep.cli.display import LiveDisplay, PlainDisplay, Scoreboard, varying
from sweep.control.progress import Opening
from sweep.names import KeyTable
from sweep.store import RunRecord

KEYS = KeyTable(table={"learning_rate": "lr", "batch_size": "bs", "family": ""})


def opening(*, finished=0, direction="minimize"):
    """A study of 10 trials."""
    return Opening("wine", "val_loss", direction, 10, finished, 60, 2, "/runs/wine", KEYS)


def record(number, *, state="RUNNING", epoch=0, last=None, best=None, rate=0.01, reason=None):
    """A run with a varying learning rate and a constant batch size."""
    return RunRecord(
        number,
        name=f"dnn-32-lr={rate}-bs=32-t{number:04d}",
        state=state,
        params={"learning_rate": rate, "batch_size": 32, "family": "dnn"},
        epoch=epoch,
        epochs=60,
        last=last,
        best=best,
        reason=reason,
    )


def shown(display_class, *, names=False):
    """A display on a console of 100 columns, and what it has printed."""
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=display_class is LiveDisplay, color_system=None)
    return display_class(console, "studies/wine.py", names=names), console, file


def rendered(display, console, file):
    """The live display as text."""
    file.truncate(0)
    file.seek(0)
    console.print(display._render())
    return file.getvalue()


def two_running(display):
    """Two runs, one of which has three epochs."""
    display.opened(opening())
    for number, rate in ((0, 0.01), (1, 0.002)):
        display.started(record(number, rate=rate))
    for epoch, value in enumerate([0.9, 0.7, 0.5], start=1):
        display.epoch(record(1, epoch=epoch, last=value, best=value, rate=0.002), {"val_loss": value})


def test_before_the_study_is_known_the_file_is_said_to_load():
    display, console, file = shown(LiveDisplay)
    assert "loading studies/wine.py" in rendered(display, console, file)


def test_a_line_for_each_running_trial_shows_parameters_that_vary_its_epoch_value_and_curve():
    display, console, file = shown(LiveDisplay)
    two_running(display)
    text = rendered(display, console, file)
    (line,) = [line for line in text.splitlines() if line.startswith("t0001")]
    assert line.split() == ["t0001", "0.002", "3/60", "0.5000", "█▄▁"]
    assert "bs" not in text  # the same in all


def test_names_are_shown_where_asked_for():
    display, console, file = shown(LiveDisplay, names=True)
    two_running(display)
    assert "dnn-32-lr=0.002-bs=32-t0001" in rendered(display, console, file)


def test_ends_are_counted_and_the_best_complete_run_is_shown():
    display, console, file = shown(LiveDisplay)
    two_running(display)
    display.ended(record(0, state="PRUNED", best=0.1))
    display.ended(record(1, state="COMPLETE", best=0.4, rate=0.002))
    text = rendered(display, console, file)
    assert "2 of 10 trials  1 complete  1 pruned  0 failed" in text
    assert "val_loss 0.4000  t0001  lr 0.002" in text


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0), ("maximize", 1)])
def test_the_best_is_by_the_studys_direction(direction, best):
    board = Scoreboard()
    board.opened(opening(direction=direction))
    assert board.ended(record(0, state="COMPLETE", best=0.2))
    assert board.ended(record(1, state="COMPLETE", best=0.8)) is (best == 1)
    assert board.best.number == best


@pytest.mark.parametrize("display_class", [PlainDisplay, LiveDisplay])
def test_the_best_of_a_study_that_goes_on_is_that_of_all_its_starts(display_class):
    display, console, file = shown(display_class)
    before = [record(0, state="COMPLETE", best=0.3), record(1, state="COMPLETE", best=0.2)]
    display.opened(dataclasses.replace(opening(finished=2), complete=before))
    if display_class is LiveDisplay:
        assert "val_loss 0.2000  t0001" in rendered(display, console, file)
    display.ended(record(2, state="COMPLETE", best=0.25))
    display.ended(record(3, state="COMPLETE", best=0.15))
    if display_class is LiveDisplay:
        assert "val_loss 0.1500  t0003" in rendered(display, console, file)
    else:
        worse, better = file.getvalue().splitlines()[-2:]
        assert "val_loss 0.25 [3/10]" in worse
        assert "val_loss 0.15 (best so far) [4/10]" in better


def test_the_last_value_decides_where_the_study_says_so_and_nothing_where_it_has_several_objectives():
    board = Scoreboard()
    board.opened(dataclasses.replace(opening(), value="last"))
    assert board.ended(record(0, state="COMPLETE", best=0.1, last=0.5))
    assert board.ended(record(1, state="COMPLETE", best=0.2, last=0.4))
    assert not board.ended(record(2, state="COMPLETE", best=0.0, last=float("nan")))
    board.opened(dataclasses.replace(opening(), value=None))
    assert not board.ended(record(3, state="COMPLETE", best=0.0, last=0.0))


def test_a_run_that_is_queued_again_has_not_ended():
    board = Scoreboard()
    board.opened(opening(finished=3))
    board.started(record(5))
    assert board.ended(record(5, state="WAITING")) is False
    assert (board.done(), dict(board.running), board.seconds_left()) == (3, {}, None)


def test_parameters_that_vary_are_those_with_several_values_or_that_some_lack():
    seen = [{"learning_rate": 0.1, "batch_size": 32}, {"learning_rate": 0.1, "batch_size": 32, "family": "dnn"}]
    assert varying(KEYS, seen) == ["family"]
    assert varying(KEYS, seen[:1]) == ["learning_rate", "batch_size"]


def test_without_a_terminal_each_event_is_one_plain_line():
    display, _, file = shown(PlainDisplay)
    with display:
        two_running(display)
        display.ended(record(1, state="COMPLETE", epoch=60, best=0.4, rate=0.002))
        display.ended(record(0, state="PRUNED", epoch=2, best=0.9, reason="median: too high"))
        display.ended(record(2, state="WAITING", epoch=1, reason="Ctrl-C"))
        display.ended(dataclasses.replace(record(3, state="WAITING", reason="its worker was killed"), name=None))
        display.message("stopping")
    assert file.getvalue().splitlines() == [
        "loading studies/wine.py",
        "study wine: 0 of 10 trials done, runs in /runs/wine",
        "started dnn-32-lr=0.01-bs=32-t0000",
        "started dnn-32-lr=0.002-bs=32-t0001",
        "complete dnn-32-lr=0.002-bs=32-t0001 after 60 epochs val_loss 0.4 (best so far) [1/10]",
        "pruned dnn-32-lr=0.01-bs=32-t0000 after 2 epochs val_loss 0.9: median: too high [2/10]",
        "queued again dnn-32-lr=0.01-bs=32-t0002 after 1 epoch: Ctrl-C",
        "queued again t0003 after 0 epochs: its worker was killed",
        "stopping",
    ]
