"""`sweep rm` and `sweep clean`: what cannot be undone is shown before, and asked for."""

from collections.abc import Sequence
from pathlib import Path

from sweep.cli.cells import shown_size
from sweep.cli.output import confirm, print_whole, remark, say
from sweep.cli.target import Target, named_study
from sweep.control.disk import KINDS, bytes_of, files, remove, size
from sweep.control.removal import folder_to_remove, remove_study
from sweep.errors import SweepError
from sweep.read.runs import select_runs
from sweep.store import FINISHED, Store, StudyRecord
from sweep.store.remote import RemoteStore
from sweep.words import counted


def remove_one(store: Store, name: str, logdir: str, *, keep_files: bool, yes: bool, dry_run: bool) -> None:
    """Remove a study with all its runs; `keep_files`: from the database alone.

    Raises:
        SweepError: it runs, another database has its folder too, or nobody can be asked.
    """
    study = named_study(store, name)
    if isinstance(store, RemoteStore):
        _remove_there(store, study, keep_files=keep_files, yes=yes, dry_run=dry_run)
        return
    runs = counted(sum(store.counts(study.study_id, added=True).values()), "run")
    print_whole(f"{study.name}: {runs}, {shown_size(size(Path(study.directory)))} in {study.directory}")
    folder = None if keep_files else folder_to_remove(store, study, Path(logdir))
    where = "the database and the disk" if folder is not None else "the database alone"
    if dry_run:
        remark(f"would be removed, from {where}")
        return
    confirm(f"Remove {study.name} with its {runs}, from {where}, for good?", yes=yes)
    if remove_study(store, study, Path(logdir), keep_files=keep_files) is not None:
        say(f"{study.name} is removed")
    elif keep_files:
        say(f"{study.name} is removed; {study.directory} was left")
    else:
        say(f"{study.name} is removed; {study.directory} is not in {logdir}, and was left")


def _remove_there(store: RemoteStore, study: StudyRecord, *, keep_files: bool, yes: bool, dry_run: bool) -> None:
    """Have a service remove a study, with its folder where that stands in the service's log directory."""
    if keep_files:
        raise SweepError(f"--keep-files does not work at a service, {store.server}.", "Use it with --storage.")
    runs = counted(sum(store.counts(study.study_id, added=True).values()), "run")
    print_whole(f"{study.name}: {runs}, at {store.server} in {study.directory}")
    if dry_run:
        remark("would be removed, from the database and the disk there")
        return
    confirm(f"Remove {study.name} with its {runs}, for good?", yes=yes)
    left = "" if store.remove_study(study.name) else f"; {study.directory} is not in its log directory, and was left"
    say(f"{study.name} is removed{left}")


def clean_runs(
    store: Store, target: Target, where: str | None, kinds: Sequence[str], *, yes: bool, dry_run: bool
) -> None:
    """Remove files of the runs that match and have ended.

    Raises:
        SweepError: there is neither pattern nor condition, a kind is none, or nobody can be asked.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise SweepError(f"No such kind of file to clean: {', '.join(unknown)}.", f"Choose from {', '.join(KINDS)}.")
    pattern, study = target.compiled(), target.study
    if pattern is None and where is None:
        raise SweepError(
            "Nothing to clean: give a pattern or --where.",
            f"For example: sweep clean {study.name} --where \"state = 'pruned'\"",
        )
    runs = select_runs(store, study, pattern=pattern, states=FINISHED, where=where).runs
    found = {run.name: files(Path(run.directory), kinds) for run in runs if run.directory is not None}
    found = {name: paths for name, paths in found.items() if paths}
    total = sum(bytes_of(paths) for paths in found.values())
    what = " and ".join(kinds)
    if not found:
        say(f"no ended run of {study.name} that matches has {what}")
        return
    for name, paths in found.items():
        print_whole(f"{shown_size(bytes_of(paths)):>9}  {name}")
    if dry_run:
        remark(f"{what} of {counted(len(found), 'run')} would be removed, {shown_size(total)}")
        return
    confirm(f"Remove {what} of {counted(len(found), 'run')}, {shown_size(total)}?", yes=yes)
    for paths in found.values():
        remove(paths)
    say(f"{shown_size(total)} are free again; the runs stay in the database")
