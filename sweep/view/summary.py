"""What has become of a study, to be read at once: what won, whether that is certain, what failed and why, what next.

The command line, the end of a start, `--notify`, the HTTP API and the page all show this. `paragraphs` puts it into
words, `as_object` into JSON.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.commands import command, start_command
from sweep.core.pruners import RULES
from sweep.core.pruners.asha import part_of
from sweep.failures import failure_kind, failure_place, short_traceback
from sweep.finding import KINDS
from sweep.names import format_number, format_value, short_number
from sweep.option_values import Time
from sweep.options import Option
from sweep.rundir import weights_files
from sweep.store import FINISHED, RunRecord, Store, StudyRecord, counts_of, epochs_spent
from sweep.view.budgets import mixed_budgets
from sweep.view.cells import duration, moment
from sweep.view.early_pruning import early_pruning
from sweep.view.edges import edges
from sweep.view.findings import common_findings
from sweep.view.repeats import BEST, CONFIRMED, confirmed, order_differs, report, shown_race
from sweep.view.runs import best_run, finite, key_table, objective, objectives, rank
from sweep.view.studies import StudyView, view_study
from sweep.words import counted, labelled, listed, one_line, shown_size

TRACEBACK_LINES = 12
"""So many lines of a traceback are shown, the last ones: `sweep show` has it whole."""

_SINCE = Option(Time(), "", "", flag="--since", name="since")

KINDS_SHOWN = 4
"""So many kinds of failures are shown with their tracebacks, the most frequent first."""


@dataclass(frozen=True)
class Group:
    """Runs that ended, wait or began again for one reason.

    Attributes:
        reason: in a few words.
        numbers: the runs'.
        traceback: of the last one, where it failed with one.
    """

    reason: str
    numbers: Sequence[int]
    traceback: str | None = None

    def __str__(self) -> str:
        return f"{len(self.numbers)}: {self.reason} ({listed([format_number(one) for one in self.numbers])})"


@dataclass(frozen=True)
class NextStep:
    """A command that works as it is printed, and what it does."""

    command: str
    what: str


@dataclass(frozen=True)
class Summary:
    """A study at one moment, in short.

    Attributes:
        view: the study.
        since: what ended before is left out, in Unix seconds; None for all.
        ended: how many runs have ended since, by state.
        before: the best run of those that had ended before; None where there was none, or nothing was left out.
        second: the best run after the best one.
        won: what the best run is, and by how much, in sentences.
        certain: whether fresh seeds have settled who the winner is; None where there is nothing to confirm.
        certainty: that in sentences.
        pruned, paused, failed, restarted: runs by reason.
        seconds: of training, all workers together; `epochs`: trained.
        disk: what the study's folder takes, in bytes; None where nobody looked.
        notes: what else to know, in sentences.
        steps: what to do next.
        finished: why the study has ended, or was stopped, in a sentence; None while it runs.
    """

    view: StudyView
    since: float | None
    ended: Mapping[str, int]
    before: RunRecord | None
    second: RunRecord | None
    won: Sequence[str]
    certain: bool | None
    certainty: Sequence[str]
    pruned: Sequence[Group]
    paused: Sequence[Group]
    failed: Sequence[Group]
    restarted: Sequence[Group]
    seconds: float
    epochs: int
    disk: int | None
    notes: Sequence[str] = ()
    steps: Sequence[NextStep] = field(default_factory=list)
    finished: str | None = None


def summarize(
    study: StudyRecord,
    runs: Sequence[RunRecord],
    *,
    running: bool,
    place: str,
    since: float | None = None,
    ends: Mapping[int, float | None] | None = None,
    disk: int | None = None,
    why: str | None = None,
    continues: str | None = None,
    more: str | None = None,
) -> Summary:
    """A study in short.

    Args:
        running: whether its coordinator lives.
        place: the database's URL or the service's address, which commands name.
        since: leave out what ended before, in Unix seconds.
        ends: when trials ended, by number, where that is known; else they are taken to have trained without a break.
        disk: what its folder takes, in bytes.
        why: why it has stopped, or ended before it had all its trials, as a sentence.
        continues, more: the commands that continue it and that train more, where the caller knows better ones.
    """
    view = view_study(study, runs, running=running)
    earlier = [run for run in runs if since is not None and run.state in FINISHED and _end(run, ends or {}) < since]
    left_out = {run.number for run in earlier}
    recent = [run for run in runs if run.number not in left_out]
    over = [run for run in recent if run.state in FINISHED]
    before = best_run(study, earlier)
    ranked = rank(study, runs) if len(objectives(study)) == 1 else []
    second = ranked[1] if len(ranked) > 1 else None
    certain, certainty = _certainty(study, runs)
    return Summary(
        view=view,
        since=since,
        ended=counts_of(over),
        before=before,
        second=second,
        won=_won(study, view, before, second, since),
        certain=certain,
        certainty=certainty,
        pruned=grouped([run for run in over if run.state == "PRUNED" and not run.added], stopped_by, stopped),
        paused=grouped([run for run in runs if run.state == "PAUSED"], stopped_by, stopped),
        failed=grouped([run for run in over if run.state == "FAIL" and not run.added], failure_kind, failed_with),
        restarted=_restarts(recent),
        seconds=sum(run.duration or 0.0 for run in recent if run.is_trained_here),
        epochs=epochs_spent(recent),
        disk=disk or None,
        notes=_notes(study, view, runs),
        steps=_steps(study, view, runs, certain, place, continues, more),
        finished=why,
    )


def moment_of(since: str) -> float:
    """The moment so long ago as `--since` says, in Unix seconds.

    Raises:
        SweepError: it is no time.
    """
    return time.time() - float(_SINCE.read(since))


def ends_of(store: Store, study: StudyRecord) -> dict[int, float | None]:
    """When the trials of a study ended, by number, as Optuna's tables know it."""
    return {number: notes.ended for number, notes in store.notes(study.study_id).items()}


def _end(run: RunRecord, ends: Mapping[int, float | None]) -> float:
    """When a run ended, as nearly as is known; in Unix seconds."""
    known = ends.get(run.number)
    return known if known is not None else run.ended


def grouped(
    runs: Sequence[RunRecord], key: Callable[[RunRecord], str], said: Callable[[Sequence[RunRecord]], str]
) -> list[Group]:
    """Runs by what they have in common, the largest group first.

    Args:
        key: what that is.
        said: puts it into words for the runs of a group.
    """
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    found = []
    for members in sorted(groups.values(), key=lambda of: (-len(of), of[0].number)):
        last = members[-1]
        trace = short_traceback(last.traceback) if last.traceback else None
        found.append(Group(said(members), [run.number for run in members], trace))
    return found


def stopped_by(run: RunRecord) -> str:
    """Who pruned or paused a run, and where: what runs that were stopped alike have in common."""
    verdict, reason = run.verdict, one_line(run.reason or "")
    if verdict is not None:
        at = f"at epoch {verdict.epoch_index + 1}"
        if verdict.rule == "asha":
            best = part_of(verdict.details.get("reduction_factor", 3))
            return f"asha, {at}: not among the best {best} of those that came so far"
        rule = RULES.get(verdict.rule)
        return f"{verdict.rule}: {rule.help.partition(';')[0]}" if rule is not None else verdict.rule
    kind = reason.partition(":")[0]
    if kind in KINDS:
        return f"the finding {kind}: {KINDS[kind]}"
    return reason.split(" at epoch ")[0] or "no reason is known"


def stopped(runs: Sequence[RunRecord]) -> str:
    """Who pruned or paused some runs, and after which epochs."""
    epochs = sorted({run.epoch for run in runs})
    if runs[0].verdict is not None and runs[0].verdict.rule == "asha":
        return stopped_by(runs[0])
    at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
    return f"{stopped_by(runs[0])}, at {at}"


def failed_with(runs: Sequence[RunRecord]) -> str:
    """What the last of some runs failed with, and where in the user's code."""
    run = runs[-1]
    place = failure_place(run)
    at = f", in {Path(place[0]).name} line {place[1]}" if place is not None else ""
    return f"{one_line(run.why or 'no reason is known')}{at}"


def _restarts(runs: Sequence[RunRecord]) -> list[Group]:
    """Runs that were interrupted, by why."""
    groups: dict[str, list[int]] = {}
    for run in runs:
        for text in run.interruptions:
            groups.setdefault(one_line(text).partition(": ")[2] or text, []).append(run.number)
    return [Group(reason, numbers) for reason, numbers in sorted(groups.items(), key=lambda item: -len(item[1]))]


def _won(
    study: StudyRecord, view: StudyView, before: RunRecord | None, second: RunRecord | None, since: float | None
) -> list[str]:
    """What the best run is, and by how much."""
    best = view.best
    if len(objectives(study)) > 1:
        return [f"With several objectives, {view.goal}, no run is the best of all."]
    if best is None or best.value is None:
        return [f"There is {view.no_best}."]
    keys = key_table(study)
    params = " ".join(f"{keys.key(name) or name}={format_value(value)}" for name, value in best.params.items())
    at = f" at epoch {best.best_epoch + 1} of {best.epochs}" if best.best_epoch is not None and best.epochs else ""
    lines = [f"{best.name or format_number(best.number)}: {objective(study).name} {short_number(best.value)}{at}."]
    if params and best.name is None:
        lines.append(params)
    if since is not None:
        lines.append(_gain(study, best, before))
    elif second is not None and second.value is not None:
        apart = abs(best.value - second.value)
        how = "as good as" if not apart else f"{short_number(apart)} better than"
        lines.append(f"It is {how} the next one, {format_number(second.number)}, {short_number(second.value)}.")
    return lines


def _gain(study: StudyRecord, best: RunRecord, before: RunRecord | None) -> str:
    """By how much the best run is better than the best one was before."""
    if before is None or before.value is None or best.value is None:
        return "Before, no run was complete."
    if best.number == before.number:
        return "It was the best before, too."
    gain = abs(best.value - before.value)
    if not objective(study).better(best.value, before.value):
        return f"Before, {format_number(before.number)} was the best, with {short_number(before.value)}."
    share = f" ({gain / abs(before.value):.1%})" if before.value else ""
    old = f"{format_number(before.number)}, {short_number(before.value)}"
    return f"It is new: {short_number(gain)}{share} better than the best before, {old}."


def _certainty(study: StudyRecord, runs: Sequence[RunRecord]) -> tuple[bool | None, list[str]]:
    """Whether the winner is confirmed, and what is known of it."""
    if len(objectives(study)) > 1:
        return None, []
    ranked = rank(study, runs)
    if not ranked:
        return None, []
    if not any(run.fresh for run in runs):
        several = study.declaration.seeds
        seeds = "one seed" if several == 1 else counted(several, "seed")
        if len(ranked) == 1:
            return False, [f"No: it is the only complete run, trained with {seeds}."]
        chosen = counted(len(ranked), "complete run")
        return False, [f"No: it is the best of {chosen} with {seeds} each, so its value is partly luck."]
    race = shown_race(study, runs)
    lines = report(study, runs, race)
    other = order_differs(study, runs)
    return race.settled, [("Yes." if race.settled else "Not yet."), *lines, *([other] if other else [])]


def _notes(study: StudyRecord, view: StudyView, runs: Sequence[RunRecord]) -> list[str]:
    """What else to know of a study."""
    notes = [str(found) for found in common_findings(runs)]
    pruned = [run for run in runs if run.state == "PRUNED" and run.epochs]
    planned = sum(run.epochs or 0 for run in runs if run.epochs)
    spared = sum(max(0, (run.epochs or 0) - run.epoch) for run in pruned)
    if spared:
        notes.append(f"pruning spared {spared} of {counted(planned, 'epoch')}, {spared / planned:.0%} of the training")
    early = early_pruning(runs)
    if early is not None:
        notes.append(f"{early}: the best one may be among them; --pruner asha pauses runs instead of stopping them")
    mixed = mixed_budgets(runs, runs)
    if mixed is not None:
        notes.append(mixed)
    for edge in edges(study, view.best, view.every.get("COMPLETE", 0)):
        notes.append(f"{edge.said}: something better may lie beyond it. Widen it: {edge.change}")
    waiting, paused = view.counts.get("WAITING", 0), view.counts.get("PAUSED", 0)
    if view.state != "running" and waiting:
        were = "was" if waiting == 1 else "were"
        notes.append(f"{waiting} that {were} running will be run again when the study continues")
    if view.state != "running" and paused:
        are = "run is paused and continues if it is" if paused == 1 else "runs are paused and continue if they are"
        notes.append(f"{paused} {are} among the best when the study continues")
    return notes


def _steps(
    study: StudyRecord,
    view: StudyView,
    runs: Sequence[RunRecord],
    certain: bool | None,
    place: str,
    continues: str | None,
    more: str | None,
) -> list[NextStep]:
    """What to do next: the most useful first."""
    name, total = study.name, study.declaration.trials
    steps = []
    failed = [run for run in runs if run.state == "FAIL" and run.traceback]
    if failed:
        line = command("show", name, format_number(failed[-1].number), storage=place)
        steps.append(NextStep(line, "shows the last failure whole"))
    if view.state == "stopped":
        again = continues if continues is not None else _start(study, place)
        steps += [NextStep(again, "continues")] if again else []
    if certain is False and view.state == "finished" and sum(run.state == "COMPLETE" for run in runs) > 1:
        steps.append(NextStep(command("confirm", name, storage=place), "tells the best from the lucky"))
    if (saving := _saving(study, view.best, runs, certain, place)) is not None:
        steps.append(saving)
    if view.state == "finished":
        further = more if more is not None else _start(study, place, "--trials", str(2 * total))
        steps += [NextStep(further, "trains more")] if further else []
    steps.append(NextStep(command("runs", name, storage=place), "lists all runs"))
    steps.append(NextStep(command("tensorboard", name, storage=place), "shows them in TensorBoard"))
    return steps


def _start(study: StudyRecord, place: str, *words: str) -> str | None:
    """The command that starts a study again; None where that cannot be done from here."""
    file = study.declaration.file
    if file is None or not Path(file).is_file() or place.startswith(("http://", "https://")):
        return None
    return start_command(study, *words, storage=place)


def _saving(
    study: StudyRecord, best: RunRecord | None, runs: Sequence[RunRecord], certain: bool | None, place: str
) -> NextStep | None:
    """The command that saves the winner's model; None where this machine has none."""
    which = BEST
    if certain:
        best, which = confirmed(study, runs)[0], CONFIRMED
    if best is None or best.directory is None or not weights_files(Path(best.directory)):
        return None
    kind = "keras" if any(training.how is not None for training in best.trainings) else "npz"
    name = study.name if which == BEST else f"{study.name}:{CONFIRMED}"
    line = command("best", name, "--save", f"model.{kind}", storage=place)
    return NextStep(line, "saves the winner's model")


def paragraphs(summary: Summary) -> list[tuple[str, list[str]]]:
    """A summary in words: labels, each with lines. Commands and tracebacks are not among them."""
    view = summary.view
    found = [(view.name, _state(summary))]
    if summary.since is not None:
        ended = summary.ended
        parts = [f"{ended[state]} {word}" for state, word in _WORDS.items() if ended.get(state)]
        count = counted(sum(ended.values()), "run")
        found.append(("since", [f"{moment(summary.since)}: {count} ended{f', {listed(parts)}' if parts else ''}"]))
    found += [("best", list(summary.won)), ("certain", list(summary.certainty))]
    found += [("failed", [str(group) for group in summary.failed[:KINDS_SHOWN]])]
    if len(summary.failed) > KINDS_SHOWN:
        found[-1][1].append(f"and {counted(len(summary.failed) - KINDS_SHOWN, 'other kind')} of failure")
    found += [(label, list(map(str, groups))) for label, groups in _groups(summary)]
    if view.waiting is not None:
        found.append(("waiting", [f"the study is {view.waiting}"]))
    found += [("noted", list(summary.notes)), ("spent", [_spent(summary)])]
    return [(label, lines) for label, lines in found if lines]


_WORDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def _groups(summary: Summary) -> list[tuple[str, Sequence[Group]]]:
    return [("pruned", summary.pruned), ("paused", summary.paused), ("restarted", summary.restarted)]


def _state(summary: Summary) -> list[str]:
    view = summary.view
    counts, total = view.counts, counted(view.study.declaration.trials, "trial")
    parts = [f"{counts.get(state, 0)} {word}" for state, word in _WORDS.items()]
    others = [f"{counts[state]} {state.lower()}" for state in ("PAUSED", "RUNNING", "WAITING") if counts.get(state)]
    lines = [f"{view.state}, {view.finished} of {total}: {', '.join([*parts, *others])}"]
    return [*lines, *([summary.finished] if summary.finished else [])]


def _spent(summary: Summary) -> str:
    parts = [f"{duration(summary.seconds)} of training, all workers together", counted(summary.epochs, "epoch")]
    parts += [f"{shown_size(summary.disk)} on the disk"] if summary.disk else []
    return ", ".join(parts)


def text(summary: Summary, *, width: int = 10) -> str:
    """A summary as plain text, with tracebacks and commands."""
    lines = []
    for label, said in paragraphs(summary):
        lines += [f"{name:<{width}} {one}" for name, one in labelled(label, said)]
        if label == "failed":
            lines += [f"{'':<{width}} {line}" for line in tracebacks(summary)]
    steps = [f"{step.command}   ({step.what})" for step in summary.steps]
    lines += [f"{name:<{width}} {step}" for name, step in labelled("next", steps)]
    return "\n".join(lines)


def tracebacks(summary: Summary) -> list[str]:
    """The lines of one traceback of each kind of failure that is shown."""
    found = []
    for group in summary.failed[:KINDS_SHOWN]:
        lines = (group.traceback or "").splitlines()
        cut = ["..."] if len(lines) > TRACEBACK_LINES else []
        found += [f"  {line}" for line in [*cut, *lines[-TRACEBACK_LINES:]]]
    return found


def as_object(summary: Summary) -> dict[str, Any]:
    """A summary as JSON: times in seconds, `since` in Unix seconds, sizes in bytes. NaN and infinity are None."""
    view = summary.view
    return {
        **view.as_object(),
        "since": summary.since,
        "ended": dict(summary.ended),
        "winner": _run(view.best),
        "best_before": _run(summary.before),
        "second": _run(summary.second),
        "confirmed": summary.certain,
        "certainty": list(summary.certainty),
        "pruned": [vars(group) for group in summary.pruned],
        "paused": [vars(group) for group in summary.paused],
        "failed": [vars(group) for group in summary.failed],
        "restarted": [vars(group) for group in summary.restarted],
        "seconds": summary.seconds,
        "epochs": summary.epochs,
        "disk_bytes": summary.disk,
        "notes": list(summary.notes),
        "reason": summary.finished,
        "next": [vars(step) for step in summary.steps],
        "text": text(summary),
    }


def _run(run: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {"number": run.number, "name": run.name, "value": finite(run.value)}
