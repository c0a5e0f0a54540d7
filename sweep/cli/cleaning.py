"""`sweep rm` and `sweep clean`: what cannot be undone is shown before, and asked for."""

from collections.abc import Sequence
from pathlib import Path

from sweep.cli.cells import shown_size
from sweep.cli.output import confirm, print_whole, remark, say
from sweep.cli.target import Target, named_study
from sweep.control.disk import KINDS, bytes_of, files, remove, size
from sweep.control.removal import remove_study
from sweep.errors import SweepError
from sweep.read.runs import select_runs
from sweep.store import FINISHED, Store
from sweep.store.remote import RemoteStore


def remove_one(store: Store, name: str, logdir: str, *, yes: bool, dry_run: bool) -> None:
    """Remove a study with all its runs.

    Raises:
        SweepError: it runs, or nobody can be asked.
    """
    study = named_study(store, name)
    count = sum(store.counts(study.study_id).values())
    taken = f"at {store.server}" if isinstance(store, RemoteStore) else shown_size(size(Path(study.directory)))
    print_whole(f"{study.name}: {count} runs, {taken} in {study.directory}")
    if dry_run:
        remark("would be removed, from the database and the disk")
        return
    confirm(f"Remove {study.name} with its {count} runs, for good?", yes=yes)
    if isinstance(store, RemoteStore):
        folder: object = store.remove_study(study.name)
        logdir = f"the log directory of {store.server}"
    else:
        folder = remove_study(store, study, Path(logdir))
    say(f"{study.name} is removed{'' if folder else f'; {study.directory} is not in {logdir}, and was left'}")


def clean_runs(
    store: Store, target: Target, where: str | None, kinds: Sequence[str], *, yes: bool, dry_run: bool
) -> None:
    """Remove files of the runs that match and have ended.

    Raises:
        SweepError: there is neither pattern nor condition, a kind is none, or nobody can be asked.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise SweepError(f"what is cleaned is {', '.join(KINDS)}", ", ".join(unknown))
    pattern, study = target.compiled(), target.study
    if pattern is None and where is None:
        raise SweepError(
            "clean takes a pattern or --where", "neither", f"e.g. sweep clean {study.name} --where \"state = 'pruned'\""
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
        remark(f"{what} of {len(found)} runs would be removed, {shown_size(total)}")
        return
    confirm(f"Remove {what} of {len(found)} runs, {shown_size(total)}?", yes=yes)
    for paths in found.values():
        remove(paths)
    say(f"{shown_size(total)} are free again; the runs stay in the database")
