"""`sweep confirm`: train a study's best runs again with fresh seeds, and say which of them is the best."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from sweep.cli import options
from sweep.cli.detach import outliving_the_terminal
from sweep.cli.grid import Column, Grid
from sweep.cli.output import print_whole, remark, say, show_grid, show_json
from sweep.cli.target import named_study
from sweep.commands import answer_of, command, python
from sweep.control.repeats import WHERE, Recorder, newest_snapshot, plan_of, recover, retry, train
from sweep.errors import SweepError
from sweep.names import format_number, short_number
from sweep.options import CLUSTER, OPTIONS, Settings, from_command_line, words
from sweep.race import MOST_REPEATS, MOST_TOP, REPEATS, TOP, Race
from sweep.store import RepeatRecord, RunRecord, Store, StudyRecord
from sweep.view.cells import duration, number_cells
from sweep.view.repeats import (
    PlannedRace,
    drop_text,
    further,
    planned_race,
    race_object,
    report,
    spread,
    test_lines,
)
from sweep.words import counted, listed

INTERRUPTED = 130  # the exit status

PLACES = [*(OPTIONS[name] for name in WHERE if name != "workers"), *CLUSTER.values()]
"""The options of `sweep start` that say where workers run, but for `--workers`, which cannot be 0 here."""


def confirm(
    context: typer.Context,
    study: options.StudyName = None,
    top: Annotated[int, typer.Option(min=1, max=MOST_TOP, metavar="N", help="How many of the best runs race.")] = TOP,
    repeats: Annotated[
        int, typer.Option(min=1, max=MOST_REPEATS, metavar="N", help="How often each of them trains at most.")
    ] = REPEATS,
    test: Annotated[
        bool,
        typer.Option("--test", help="Then call the study file's test(model) once for each repeat of the winner."),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train repeats that failed once more, as where a file was missing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be trained.")] = False,
    json: options.Json = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Processes that train, by default as many as the study file says, or one per core or GPU.",
            show_default=False,
        ),
    ] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    **places: Any,
) -> None:
    """Train the best runs again with fresh seeds.

    The run with the best value is partly the luckiest. So the best runs race: the k-th repeat of each has the same
    seed, and one that a paired t-test shows to be worse than another is trained no further. Their means leave out the
    values that they were chosen by. After Ctrl-C the same command continues, and with more --repeats or a larger --top
    it goes further. STUDY:confirmed names the winner in sweep.load, --from and sweep best.

    \b
    Examples: sweep confirm diabetes
              sweep confirm diabetes --top 10 --repeats 20 --test
              sweep confirm diabetes --on ray --address HOST:6379
    """
    where = replace(from_command_line(options.given(context, places, PLACES)), workers=workers)
    with options.opened(storage) as store:
        record = named_study(store, study)
        if dry_run:
            planned = planned_race(record, store.runs(record.study_id), top=top, repeats=repeats)
            newest_snapshot(store, planned.runs)  # which is missed here already
            _say_plan(planned, as_json=json)
            return
        race, stopped = confirm_study(store, record, top, repeats, where, retries=retry_failed)
        if stopped:
            line = command("confirm", record.name, *_words(top, repeats, where), storage=storage)
            say(f"stopped by {stopped}; what has ended is kept. Continue with: {line}")
            raise typer.Exit(INTERRUPTED)
        if test:
            test_winner(store, record, race)
        runs = store.runs(record.study_id)
        if json:
            show_json(race_object(record, runs, race))
            return
        show_grid(_grid(runs, race))
        for line in [*report(record, runs, race), *test_lines(runs, race)]:
            print_whole(line)
        text, needed = further(race, spread(record, runs)) if not race.settled else ("", None)
        if needed is not None:
            text += f": {command('confirm', record.name, *_words(top, max(needed, repeats), where), storage=storage)}"
        if text:
            print_whole(text)


def _signature() -> inspect.Signature:
    """The signature that typer reads: with the options of the table in place of `places`."""
    own = [each for each in inspect.signature(confirm).parameters.values() if each.name != "places"]
    return inspect.Signature(own + options.parameters(PLACES))


confirm.__signature__ = _signature()  # type: ignore[attr-defined]


def _words(top: int, repeats: int, where: Settings) -> list[str]:
    """The options of a command that races again."""
    places = [word for pair in words(where, WHERE) for word in pair if word is not None]
    return ["--top", str(top), "--repeats", str(repeats), *places]


def confirm_study(
    store: Store, study: StudyRecord, top: int, repeats: int, where: Settings, *, retries: bool = False
) -> tuple[Race, str | None]:
    """Have a study's best runs race; the race, and what stopped it, if something did.

    Args:
        where: says where they train; see `sweep.control.repeats.WHERE`.
        retries: train repeats that failed again.

    Raises:
        SweepError: it has several objectives or no complete run, or its runs cannot be trained again.
    """
    candidates = planned_race(study, store.runs(study.study_id), top=top, repeats=repeats).runs
    snapshot = newest_snapshot(store, candidates)
    store.check_writable()
    recover(store, study, snapshot)
    if retries:
        say(f"{counted(retry(store, study, snapshot), 'repeat')} that failed will be trained again")
    numbers = [run.number for run in candidates]
    planned = planned_race(study, store.runs(study.study_id), top=top, repeats=repeats, candidates=numbers)
    race = planned.race
    if race.over or race.next() is None:
        say("every repeat has been trained")
        return race, None
    plan = plan_of(store, study, planned.runs, snapshot, race)
    _say_files(candidates, snapshot)
    most = counted(planned.trainings, "training")
    say(f"training {_runs(race)} again, up to {counted(repeats, 'time')} each: {most} at most")
    watcher = Recorder(store, study, plan, snapshot, Progress(race, plan.first).ended, say)
    with outliving_the_terminal():
        outcome = train(store, study, plan, snapshot, watcher, where)
    again = planned_race(study, store.runs(study.study_id), top=top, repeats=repeats, candidates=numbers)
    return again.race, outcome.stopped


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


def _say_plan(planned: PlannedRace, *, as_json: bool) -> None:
    """What would be trained, and how long that took the first time."""
    if as_json:
        show_json(planned.as_object())
        return
    for run in planned.runs:
        value = short_number(run.value) if run.value is not None else ""
        print_whole(f"{run.name}, value {value}: {counted(planned.left.get(run.number, 0), 'training')}")
    remark(f"would train {planned}")


def _say_files(candidates: Sequence[RunRecord], snapshot: str) -> None:
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
    columns = [
        Column("run", [format_number(one.number) for one in ranked]),
        Column("mean", number_cells([one.mean for one in ranked])),
        Column("sd", number_cells([one.sd for one in ranked])),
        Column("n", [str(len(one.numbers)) for one in ranked], right=True),
        Column("value", number_cells([by_number[one.number].value for one in ranked])),
        Column("out", [drop_text(one) for one in ranked]),
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
