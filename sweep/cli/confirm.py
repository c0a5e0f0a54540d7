"""`sweep confirm`: train a study's best runs again with fresh seeds, and say which of them is the best."""

import statistics
from dataclasses import replace
from typing import Annotated

import typer

from sweep.cli import options
from sweep.cli.detach import outliving_the_terminal
from sweep.cli.grid import Column, Grid
from sweep.cli.output import print_whole, remark, say, show_grid, show_json
from sweep.cli.target import named_study
from sweep.commands import answer_of, command, python
from sweep.control.repeats import Recorder, newest_snapshot, plan_of, recover, retry, train
from sweep.errors import SweepError
from sweep.names import format_number, short_number
from sweep.race import Race
from sweep.store import RepeatRecord, RunRecord, Store, StudyRecord
from sweep.view.cells import duration, number_cells
from sweep.view.repeats import NEAR, further, race_object, race_of, report, said, spread, tests
from sweep.view.runs import rank
from sweep.words import counted, listed

INTERRUPTED = 130  # the exit status


def confirm(
    study: options.StudyName = None,
    top: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How many of the best runs race.")] = 5,
    repeats: Annotated[
        int, typer.Option(min=1, max=9999, metavar="N", help="How often each of them trains at most.")
    ] = 5,
    test: Annotated[
        bool,
        typer.Option("--test", help="Then call the study file's test(model) once for each repeat of the winner."),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train repeats that failed once more, as where a file was missing.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that train.  [default: the study's]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be trained.")] = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
) -> None:
    """Train the best runs again with fresh seeds.

    The run with the best value is partly the luckiest. So the best runs race: the k-th repeat of each has the same
    seed, and one that a paired t-test shows to be worse than another is trained no further. Their means leave out the
    values that they were chosen by. After Ctrl-C the same command continues, and with more --repeats or a larger --top
    it goes further. STUDY:confirmed names the winner in sweep.load, --from and sweep best.

    \b
    Examples: sweep confirm diabetes
              sweep confirm diabetes --top 10 --repeats 20 --test
    """
    with options.opened(storage) as store:
        record = named_study(store, study)
        again = retry_failed and not dry_run
        done = confirm_study(store, record, top, repeats, retries=again, workers=workers, dry_run=dry_run, as_json=json)
        if done is None:
            return
        race, stopped = done
        if stopped:
            line = command("confirm", record.name, *_words(top, repeats), storage=storage)
            say(f"stopped by {stopped}; what has ended is kept. Continue with: {line}")
            raise typer.Exit(INTERRUPTED)
        if test:
            test_winner(store, record, race)
        runs = store.runs(record.study_id)
        if json:
            show_json({**race_object(record, runs, race), "tests": _tests_of(runs, race)})
            return
        show_grid(_grid(runs, race))
        for line in report(record, runs, race):
            print_whole(line)
        for line in _test_lines(runs, race):
            print_whole(line)
        text, needed = further(race, spread(record, runs)) if not (race.confirmed or race.is_close) else ("", None)
        if needed is not None:
            text += f": {command('confirm', record.name, *_words(top, max(needed, repeats)), storage=storage)}"
        if text:
            print_whole(text)


def _words(top: int, repeats: int) -> list[str]:
    return ["--top", str(top), "--repeats", str(repeats)]


def confirm_study(
    store: Store,
    study: StudyRecord,
    top: int,
    repeats: int,
    *,
    retries: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    as_json: bool = False,
) -> tuple[Race, str | None] | None:
    """Have a study's best runs race; the race, and what stopped it, if something did. None after a dry run.

    Args:
        retries: train repeats that failed again.

    Raises:
        SweepError: it has several objectives or no complete run, or its runs cannot be trained again.
    """
    candidates = rank(study, store.runs(study.study_id))[:top]
    if not candidates:
        raise SweepError(f"Study {study.name} has no complete run yet, so there is nothing to confirm.")
    snapshot = newest_snapshot(store, candidates)
    if not dry_run:
        store.check_writable()
        recover(store, study, snapshot)
        if retries:
            say(f"{counted(retry(store, study, snapshot), 'repeat')} that failed will be trained again")
    runs = store.runs(study.study_id)
    sd = spread(study, runs)
    close = NEAR * sd if sd is not None else None
    numbers = [run.number for run in candidates]
    raced = [run for run in runs if run.number in numbers]
    race = race_of(study, raced, numbers, repeats=repeats, close=close)
    if dry_run:
        _say_plan(study, raced, race, as_json=as_json)
        return None
    if race.over or race.next() is None:
        say("every repeat has been trained")
        return race, None
    plan = plan_of(store, study, raced, snapshot, race)
    _say_files(candidates, snapshot)
    say(f"training {_runs(race)} again, up to {counted(repeats, 'time')} each: {_left(race)} at most")
    watcher = Recorder(store, study, plan, snapshot, Progress(race, plan.first).ended, say)
    with outliving_the_terminal():
        outcome = train(store, study, plan, snapshot, watcher, workers=workers)
    again = [run for run in store.runs(study.study_id) if run.number in numbers]
    return race_of(study, again, numbers, repeats=repeats, close=close), outcome.stopped


class Progress:
    """Says of each repeat how it ended, and of each candidate that it is out."""

    def __init__(self, race: Race, first: int) -> None:
        self._before = first - 1  # repeats that are part of a run's value
        self._race = Race(list(race.standings), maximize=race.maximize, repeats=race.repeats)
        for one in race.standings.values():
            for repeat, value in one.values.items():
                self._race.record(one.number, repeat, value)
        self._out = {number for number, one in self._race.standings.items() if one not in self._race.left}

    def ended(self, done: RepeatRecord) -> None:
        """A repeat has ended."""
        repeat = done.repeat - self._before
        self._race.record(done.repeat_of, repeat, done.value)
        value = short_number(done.value) if done.value is not None else f"{done.state} {done.reason or ''}".strip()
        took = f", {duration(done.duration)}" if done.duration is not None else ""
        say(f"{format_number(done.repeat_of)} repeat {repeat} of {self._race.repeats}: {value}{took}")
        for number, one in self._race.standings.items():
            if number not in self._out and one not in self._race.left:
                self._out.add(number)
                by = f"{format_number(one.drop.by)} is better, p = {one.drop.p:.2g}" if one.drop else "it failed"
                say(f"{format_number(number)} is out: {by}")


def _say_plan(study: StudyRecord, runs: list[RunRecord], race: Race, *, as_json: bool) -> None:
    """What would be trained, and how long that took the first time."""
    left = {one.number: 0 if race.over else race.repeats - len(one.numbers) for one in race.left}
    seconds = sum((run.duration or 0.0) * left.get(run.number, 0) for run in runs)
    epochs = sum(run.epoch * left.get(run.number, 0) for run in runs)
    if as_json:
        numbers = [{"number": number, "trainings": count} for number, count in left.items()]
        show_json({"study": study.name, "candidates": numbers, "epochs": epochs, "seconds": seconds})
        return
    for run in rank(study, runs):
        value = short_number(run.value) if run.value is not None else ""
        print_whole(f"{run.name}, value {value}: {counted(left.get(run.number, 0), 'training')}")
    remark(
        f"would train {_left(race)} at most: {counted(epochs, 'epoch')}, {duration(seconds)} of one worker by the time "
        "that they took at first"
    )


def _left(race: Race) -> str:
    """How much a race may still train."""
    return counted(0 if race.over else sum(race.repeats - len(one.numbers) for one in race.left), "training")


def _say_files(candidates: list[RunRecord], snapshot: str) -> None:
    """Say which candidates began with other files than those that all are trained with."""
    others = [format_number(run.number) for run in candidates if run.snapshot != snapshot]
    if others:
        newest = max(candidates, key=lambda run: run.started or 0.0)
        say(f"{listed(others)} trained with other files; all are trained with those of {format_number(newest.number)}")


def _runs(race: Race) -> str:
    return listed([format_number(one.number) for one in race.left])


def _grid(runs: list[RunRecord], race: Race) -> Grid:
    """The candidates, the best mean first."""
    by_number, ranked = {run.number: run for run in runs}, race.ranked
    out = [
        f"worse than {format_number(one.drop.by)}, p = {one.drop.p:.2g}"
        if one.drop
        else f"repeat {one.failed} failed"
        if one.failed
        else ""
        for one in ranked
    ]
    columns = [
        Column("run", [format_number(one.number) for one in ranked]),
        Column("mean", number_cells([one.mean for one in ranked])),
        Column("sd", number_cells([one.sd for one in ranked])),
        Column("n", [str(len(one.numbers)) for one in ranked], right=True),
        Column("value", number_cells([by_number[one.number].value for one in ranked])),
        Column("out", out),
    ]
    return Grid([column for column in columns if any(column.cells)])


def test_winner(store: Store, study: StudyRecord, race: Race) -> None:
    """Have the study file's `test` called for each repeat of the winner for which it was not.

    Raises:
        SweepError: no repeat of it is COMPLETE, the file has no `test`, or that fails.
    """
    if race.leader is None:
        raise SweepError(f"No run of {study.name} has a repeat whose model could be tested.")
    (winner,) = store.runs(study.study_id, [race.leader.number])
    wanted = [one for one in winner.fresh if one.value is not None and one.test is None]
    if not wanted:
        return
    say(f"testing {counted(len(wanted), 'repeat')} of {format_number(winner.number)}")
    line = python("sweep.held_out", study.name, str(winner.number), *(str(one.repeat) for one in wanted))
    found = answer_of(line, store.url.render_as_string(hide_password=False))
    for note in found["notes"]:
        say(note)
    store.record_repeats(study.study_id, [replace(one, test=found["tests"][str(one.repeat)]) for one in wanted])


def _tests_of(runs: list[RunRecord], race: Race) -> dict[str, dict[str, float | int | None]]:
    """What the tests of the winner's repeats gave, by name."""
    leader = race.leader
    winner = next((run for run in runs if leader is not None and run.number == leader.number), None)
    return {
        name: {
            "mean": statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "n": len(values),
        }
        for name, values in tests(winner.fresh if winner is not None else ()).items()
    }


def _winner(race: Race) -> str:
    return format_number(race.leader.number) if race.leader is not None else ""


def _test_lines(runs: list[RunRecord], race: Race) -> list[str]:
    lines = []
    for name, found in _tests_of(runs, race).items():
        measured = said(found["mean"] or 0.0, found["sd"], int(found["n"] or 0))
        lines.append(f"{name} of {_winner(race)}: {measured}, on data that no choice has seen")
    return lines
