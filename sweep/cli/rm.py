"""`sweep rm`: remove a study, or some of its runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sweep.cli import options
from sweep.cli.output import confirm, print_whole, remark, say, show_json
from sweep.cli.target import Target, named_study
from sweep.commands import start_command
from sweep.control.disk import size
from sweep.control.ours import left_to_others
from sweep.control.removal import finish_removals, folder_to_remove, remove_runs, remove_study, runs_to_remove
from sweep.errors import SweepError
from sweep.names import format_number
from sweep.rundir import repeat_directories
from sweep.store import RunRecord, Store, StudyRecord
from sweep.store.remote import RemoteStore
from sweep.view.runs import find_run, finished
from sweep.words import counted, shown_size


def rm(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Only these of its runs: 17, t0017 or their full names.", show_default=False
        ),
    ] = None,
    filter: Annotated[
        str | None,
        typer.Option("--filter", metavar="PATTERN", help="Only runs whose names match.", show_default=False),
    ] = None,
    where: options.Where = None,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Remove from the database alone; the files stay.")
    ] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    fail_if_none: options.FailIfNone = False,
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    logdir: options.Logdir = options.DEFAULT_LOGDIR,
    server: options.Server = None,
) -> None:
    """Remove a study, or some of its runs.

    Trials go from the database, and files from the log directory. The study must not be running. Where another database
    has the study too, as after sweep db copy, its folder is that one's as well, and --keep-files leaves it.

    Of a removed run its number alone stays, which no other run is given. The sampler forgets it, and it no longer
    counts towards the study's trials: the next start trains as many more.

    \b
    Example: sweep rm diabetes --dry-run
             sweep rm diabetes t0017 t0018
             sweep rm diabetes --where "state = 'fail'"
    """
    with options.opened(options.place(storage, server)) as store:
        asked = Removal(keep_files=keep_files, yes=yes, dry_run=dry_run, as_json=json)
        if not (dry_run or isinstance(store, RemoteStore)):
            finish_removals(store, Path(logdir))
        if runs or filter is not None or where is not None:
            any_matched = remove_some(store, study, runs or [], filter, where, asked, storage)
            if fail_if_none and not any_matched:
                raise typer.Exit(options.NONE_MATCHED)
        else:
            remove_one(store, study, logdir, asked)


@dataclass(frozen=True)
class Removal:
    """How something is to be removed."""

    keep_files: bool = False
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False


def remove_one(store: Store, name: str, logdir: str, asked: Removal) -> None:
    """Remove a study with all its runs.

    Raises:
        SweepError: it runs, another database has its folder too, or nobody can be asked.
    """
    study = named_study(store, name)
    if isinstance(store, RemoteStore):
        _remove_there(store, study, asked)
        return
    count = sum(store.counts(study.study_id, added=True).values())
    runs, taken = counted(count, "run"), size(Path(study.directory))
    folder = None if asked.keep_files else folder_to_remove(store, study, Path(logdir))
    found = {"study": study.name, "runs": count, "directory": str(folder) if folder is not None else None}
    if not asked.as_json:
        print_whole(f"{study.name}: {runs}, {shown_size(taken)} in {study.directory}")
    where = "the database and the disk" if folder is not None else "the database alone"
    if asked.dry_run:
        _end(asked, found, f"would be removed, from {where}")
        return
    confirm(f"Remove {study.name} with its {runs}, from {where}, for good?", yes=asked.yes)
    remove_study(store, study, Path(logdir), keep_files=asked.keep_files, notice=say)
    said = f"{study.name} is removed"
    if folder is None:
        why = "" if asked.keep_files else f": it is not in {logdir}, or others wrote it"
        said += f"; {study.directory} was left{why}"
    _end(asked, found, said)


def remove_some(
    store: Store, name: str, words: Sequence[str], pattern: str | None, where: str | None, asked: Removal, storage: str
) -> bool:
    """Remove runs of a study: those that are named, or those that match; returns whether there were any.

    Raises:
        SweepError: there is no such run, the study runs, another database has its folder too, or nobody can be asked.
    """
    if isinstance(store, RemoteStore):
        raise SweepError(
            f"Single runs cannot be removed through a service, {store.server}.",
            "Remove them on the machine that has the study's database, with --storage.",
        )
    if words and (pattern is not None or where is not None):
        raise SweepError("Runs are named, and so is a pattern or a condition.", "Give only one of them.")
    study = named_study(store, name)
    if words:
        chosen = list({run.number: run for text in words for _, run in [find_run(store, text, study.name)]}.values())
    else:
        chosen = Target(study, pattern).select(store, where=where).runs
    if not chosen:
        _end(asked, {"study": study.name, "runs": [], "bytes": 0}, f"no run of {study.name} matches")
        return False
    removed = runs_to_remove(store, study, chosen, keep_files=asked.keep_files)
    sizes = {number: sum(map(size, (path, *repeat_directories(path)))) for number, path in removed.folders.items()}
    found = {
        "study": study.name,
        "runs": [{"number": run.number, "run": run.name, "bytes": sizes.get(run.number, 0)} for run in chosen],
        "bytes": sum(sizes.values()),
    }
    if not asked.as_json:
        for run in chosen:
            print_whole(f"{shown_size(sizes.get(run.number, 0)):>9}  {_called(run)}")
    runs, files = counted(len(chosen), "run"), f"{shown_size(sum(sizes.values()))} of files"
    left = left_to_others(removed.left)
    if asked.dry_run:
        _end(asked, found, f"{runs} would be removed, with {files}{left}")
        return True
    confirm(f"Remove {runs} of {study.name}, with {files}, for good?", yes=asked.yes)
    remove_runs(store, study, removed, say)
    done, total = finished(store.counts(study.study_id)), study.declaration.trials
    said = f"{runs} of {study.name} {'is' if len(chosen) == 1 else 'are'} removed{left}"
    if done < total and study.declaration.file is not None:
        # The file may say fewer trials than the study was started with.
        again = start_command(study, "--trials", str(total), storage=storage)
        said += f"; to train {counted(total - done, 'trial')} more: {again}"
    _end(asked, found, said)
    return True


def _called(run: RunRecord) -> str:
    return run.name or format_number(run.number)


def _end(asked: Removal, found: dict[str, Any], said: str) -> None:
    """Say what has been done, or would be; in JSON it is an object."""
    if asked.as_json:
        show_json({**found, "removed": not asked.dry_run})
    elif asked.dry_run:
        remark(said)
    else:
        say(said)


def _remove_there(store: RemoteStore, study: StudyRecord, asked: Removal) -> None:
    """Have a service remove a study, with its folder if that is in the service's log directory."""
    if asked.keep_files:
        raise SweepError(f"--keep-files does not work at a service, {store.server}.", "Use it with --storage.")
    count = sum(store.counts(study.study_id, added=True).values())
    runs, found = counted(count, "run"), {"study": study.name, "runs": count, "directory": study.directory}
    if not asked.as_json:
        print_whole(f"{study.name}: {runs}, at {store.server} in {study.directory}")
    if asked.dry_run:
        _end(asked, found, "would be removed, from the database and the disk there")
        return
    confirm(f"Remove {study.name} with its {runs}, for good?", yes=asked.yes)
    folder = store.remove_study(study.name)
    left = "" if folder else f"; {study.directory} is not in its log directory, and was left"
    _end(asked, {**found, "directory": folder}, f"{study.name} is removed{left}")
