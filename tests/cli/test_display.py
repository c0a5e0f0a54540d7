"""What `sweep start` shows while it runs, fed with events by hand."""

import dataclasses
import io

import pytest
from rich.console import Console

from sweep.cli.display import LiveDisplay, PlainDisplay, Scoreboard
from sweep.control.progress import Opening
from sweep.names import KeyTable
from sweep.objective import Objective
from sweep.store import RepeatRecord, RunRecord

KEYS = KeyTable(table={"learning_rate": "lr", "batch_size": "bs", "family": ""})


def opening(*, direction="minimize", ended=()):
    """A study of 10 trials."""
    return Opening("wine", [Objective("val_loss", direction)], 10, 60, 2, "/runs/wine", KEYS, ended)


def record(number, *, state="RUNNING", epoch=0, last=None, value=None, rate=0.01, reason=None, constraints=None):
    """A run with a varying learning rate and a constant batch size."""
    return RunRecord(
        number,
        name=f"dnn-32-lr={rate}-bs=32-t{number:04d}",
        state=state,
        params={"learning_rate": rate, "batch_size": 32, "family": "dnn"},
        epoch=epoch,
        epochs=60,
        last=last,
        reason=reason,
        values=[value] if value is not None else None,
        constraints=constraints or {},
    )


def shown(display_class, *, names=False):
    """A display on a console of 100 columns, and what it has printed."""
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=display_class is LiveDisplay, color_system=None)
    given = {"names": names} if display_class is LiveDisplay else {}
    return display_class(console, "studies/wine.py", **given), console, file


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
        display.epoch(record(1, epoch=epoch, last=value, rate=0.002), {"val_loss": value})


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


def test_a_trial_that_is_trained_with_its_second_seed_says_so_and_both_seeds_count():
    display, console, file = shown(LiveDisplay)
    two_running(display)
    again = dataclasses.replace(record(1, epoch=1, last=0.4), name=f"{record(1).name}r2", seed=5)
    display.started(again)
    display.epoch(again, {})
    assert "t0001r2" in rendered(display, console, file)
    assert display._board.runs[1].epoch == 3
    ended = [RepeatRecord(1, number, 5, epoch=3, of_value=True) for number in (1, 2, 3)]
    whole = dataclasses.replace(record(1, state="COMPLETE", epoch=3, value=0.5), seed=5, repeats=ended)
    display.ended(whole)
    assert display._board.epochs() == 9


def test_names_are_shown_where_asked_for():
    display, console, file = shown(LiveDisplay, names=True)
    two_running(display)
    assert "dnn-32-lr=0.002-bs=32-t0001" in rendered(display, console, file)


def test_ends_are_counted_and_the_best_complete_run_is_shown():
    display, console, file = shown(LiveDisplay)
    two_running(display)
    display.ended(record(0, state="PRUNED", last=0.1))
    display.ended(record(1, state="COMPLETE", value=0.4, last=0.1, rate=0.002))
    text = rendered(display, console, file)
    assert "2 of 10 trials  1 complete  1 pruned  0 failed" in text
    assert "best  value 0.4000  t0001  lr 0.002" in text


@pytest.mark.parametrize(("direction", "best"), [("minimize", 0), ("maximize", 1)])
def test_the_best_is_by_the_studys_direction(direction, best):
    board = Scoreboard()
    board.opened(opening(direction=direction))
    assert board.ended(record(0, state="COMPLETE", value=0.2))
    assert board.ended(record(1, state="COMPLETE", value=0.8)) is (best == 1)
    assert board.best.number == best


@pytest.mark.parametrize("display_class", [PlainDisplay, LiveDisplay])
def test_a_study_that_continues_is_counted_and_ranked_over_all_its_starts(display_class):
    display, console, file = shown(display_class)
    before = [record(0, state="COMPLETE", value=0.3), record(1, state="COMPLETE", value=0.2), record(2, state="PRUNED")]
    display.opened(opening(ended=before))
    if display_class is LiveDisplay:
        assert "value 0.2000  t0001" in rendered(display, console, file)
    else:
        assert "study wine: 2 complete, 1 pruned of 10 trials, runs in /runs/wine" in file.getvalue()
    display.ended(record(3, state="COMPLETE", value=0.25))
    display.ended(record(4, state="COMPLETE", value=0.15))
    if display_class is LiveDisplay:
        text = rendered(display, console, file)
        assert "value 0.1500  t0004" in text
        assert "5 of 10 trials  4 complete  1 pruned  0 failed" in text
    else:
        worse, better = file.getvalue().splitlines()[-2:]
        assert "value 0.25 [4/10]" in worse
        assert "value 0.15 (best so far) [5/10]" in better


def test_neither_an_infeasible_run_nor_one_of_several_objectives_is_the_best():
    board = Scoreboard()
    board.opened(opening())
    assert not board.ended(record(0, state="COMPLETE", value=0.1, constraints={"size": 1.0}))
    assert board.ended(record(1, state="COMPLETE", value=0.2, constraints={"size": 0.0}))
    several = [Objective("val_loss"), Objective("size")]
    board.opened(dataclasses.replace(opening(), objectives=several))
    assert not board.ended(dataclasses.replace(record(2, state="COMPLETE"), values=[0.0, 1.0]))


def test_the_values_of_several_objectives_are_named_and_an_infeasible_run_is_called_so():
    display, _, file = shown(PlainDisplay)
    display.opened(dataclasses.replace(opening(), objectives=[Objective("val_loss"), Objective("size")]))
    display.ended(dataclasses.replace(record(2, state="COMPLETE"), values=[0.5, 33.0], constraints={"size": 1.0}))
    assert file.getvalue().splitlines()[-1].endswith("after 0 epochs val_loss 0.5, size 33 (infeasible) [1/10]")


def test_a_run_that_is_queued_again_has_not_ended():
    board = Scoreboard()
    board.opened(opening(ended=[record(number, state="FAIL") for number in range(3)]))
    board.started(record(5))
    assert board.ended(record(5, state="WAITING")) is False
    assert (board.done(), dict(board.running), board.seconds_left()) == (3, {}, None)


def test_without_a_terminal_each_event_is_one_plain_line():
    display, _, file = shown(PlainDisplay)
    with display:
        two_running(display)
        display.ended(record(1, state="COMPLETE", epoch=60, value=0.4, last=0.6, rate=0.002))
        display.ended(record(0, state="PRUNED", epoch=2, last=0.9, reason="median: too high"))
        display.ended(record(2, state="WAITING", epoch=1, reason="Ctrl-C"))
        display.ended(dataclasses.replace(record(3, state="WAITING", reason="its worker was killed"), name=None))
        display.message("stopping")
    assert file.getvalue().splitlines() == [
        "loading studies/wine.py",
        "study wine: 0 of 10 trials done, runs in /runs/wine",
        "started dnn-32-lr=0.01-bs=32-t0000",
        "started dnn-32-lr=0.002-bs=32-t0001",
        "complete dnn-32-lr=0.002-bs=32-t0001 after 60 epochs value 0.4 (best so far) [1/10]",
        "pruned dnn-32-lr=0.01-bs=32-t0000 after 2 epochs val_loss 0.9: median: too high [2/10]",
        "queued again dnn-32-lr=0.01-bs=32-t0002 after 1 epoch: Ctrl-C",
        "queued again t0003 after 0 epochs: its worker was killed",
        "stopping",
    ]


def limited(**more):
    """A study that may spend 40 epochs, of which ten were in an earlier start."""
    earlier = dataclasses.replace(record(0, state="COMPLETE", epoch=10, value=0.5), worker="0")
    return dataclasses.replace(opening(ended=[earlier]), budget_epochs=40, runs=[earlier], **more)


def test_the_epochs_that_are_spent_are_shown_with_their_budget():
    display, console, file = shown(LiveDisplay)
    display.opened(limited())
    assert "10 of 40 epochs" in rendered(display, console, file)
    display.started(record(1))
    for epoch in (1, 2, 3):
        display.epoch(dataclasses.replace(record(1, epoch=epoch), worker="0"), {})
    assert "13 of 40 epochs" in rendered(display, console, file)
    revived = dataclasses.replace(record(2, epoch=4), worker="0", revives=1)  # three epochs are the other's
    display.started(revived)
    display.epoch(revived, {})
    assert "14 of 40 epochs" in rendered(display, console, file)
    display.opened(dataclasses.replace(limited(), budget_epochs=None))
    assert "  10 epochs" in rendered(display, console, file)


def test_the_end_is_estimated_from_the_limit_that_is_reached_first():
    board = Scoreboard()
    board.opened(limited(trials=1000))
    assert board.share() == 10 / 40
    board.epoch(dataclasses.replace(record(1, epoch=20), worker="0"))
    assert board.seconds_left() is None
    board.ended(dataclasses.replace(record(1, state="COMPLETE", epoch=20, value=0.4), worker="0"))
    board.began -= 20.0  # a second for each epoch
    assert board.seconds_left() == pytest.approx(10.0, abs=1.0)
    assert board.share() == 30 / 40
    board.opened(dataclasses.replace(limited(), budget_epochs=10**6, trials=2))
    assert board.share() == 1 / 2


def test_a_line_for_each_end_has_the_epochs_where_these_have_a_budget():
    display, _, file = shown(PlainDisplay)
    display.opened(limited())
    display.ended(dataclasses.replace(record(1, state="COMPLETE", epoch=20, value=0.4), worker="0"))
    assert file.getvalue().splitlines()[-1].endswith("(best so far) [2/10, 30 of 40 epochs]")
