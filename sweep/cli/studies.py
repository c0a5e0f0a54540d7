"""`sweep studies`: the studies of a database, and how far each is."""

from collections.abc import Sequence
from pathlib import Path

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import remark, remarks, show_grid, show_json
from sweep.cli.tables import STATE_STYLES, no_room
from sweep.commands import command
from sweep.control.disk import size
from sweep.control.run_files import checkpoint_size
from sweep.names import format_number
from sweep.passwords import masked
from sweep.store import Store
from sweep.store.database import names_in, parse_url
from sweep.store.remote import RemoteStore
from sweep.view.cells import number_cells
from sweep.view.studies import StudyView, view_studies
from sweep.words import listed, shown_size


def studies(
    json: options.Json = False, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """List studies with their state.

    A study is running while its coordinator lives, finished when its trials are used up, and stopped otherwise.

    \b
    Example: sweep studies --storage sqlite:///sweep.db
    """
    with options.opened(options.place(storage, server)) as store:
        found = view_studies(store, store.studies())
        remote = isinstance(store, RemoteStore)
    if json:
        show_json([view.as_object() for view in found])
    elif found:
        taken = [size(Path(view.study.directory)) if server is None else 0 for view in found]
        sizes = [shown_size(count) if count else "" for count in taken]
        held = [_paused_size(store, view) if server is None and view.counts.get("PAUSED") else 0 for view in found]
        paused = [shown_size(count) if count else "" for count in held]
        remarks(no_room(show_grid(studies_grid(found, sizes, paused))))
        remarks([f"{view.name} is {view.waiting}" if view.waiting else None for view in found])
    else:
        optunas = sorted(names_in(parse_url(storage))) if not remote else []
        remark(_none_of_ours(optunas, storage))


def _none_of_ours(optunas: Sequence[str], storage: str) -> str:
    """What is said of a database without a study of sweep's.

    Args:
        optunas: the names of the studies of Optuna's own that it has.
    """
    if not optunas:
        return "no studies yet; start one with `sweep start FILE`"
    take = command("import", masked(storage), optunas[0], storage=storage)
    have = f"{'a study' if len(optunas) == 1 else f'{len(optunas)} studies'} of Optuna's, {listed(optunas)}"
    return f"no studies yet, but {have}: take over {optunas[0]} with `{take}`, or start one with `sweep start FILE`"


def _paused_size(store: Store | RemoteStore, view: StudyView) -> int:
    """The bytes of the checkpoints of a study's paused runs."""
    return sum(checkpoint_size(run.directory) for run in store.runs(view.study.study_id) if run.state == "PAUSED")


def studies_grid(views: Sequence[StudyView], sizes: Sequence[str] = (), paused: Sequence[str] = ()) -> Grid:
    """Studies as a table.

    Args:
        views: of the studies.
        sizes: what their folders take on the disk, where that is known; `paused`: the checkpoints of paused runs.
    """
    counts = {state: [_count(view.counts.get(state, 0)) for view in views] for state in STATE_STYLES}
    used = [f"{view.finished}/{view.study.declaration.trials}" for view in views]
    bests = [view.best for view in views]
    columns = [
        Column("study", [view.name for view in views], style="bold"),
        Column("state", [view.state for view in views], keep=99),
        Column("trials", used, right=True, keep=98),
        Column("running", counts["RUNNING"], right=True, keep=70),
        Column("paused", counts["PAUSED"], right=True, keep=65),
        Column("complete", counts["COMPLETE"], right=True, keep=60),
        Column("pruned", counts["PRUNED"], right=True, keep=60),
        Column("failed", counts["FAIL"], right=True, keep=65),
        Column(
            "best",
            [number_cells([best.value if best else None])[0] for best in bests],
            keep=90,
        ),
        Column("run", [format_number(best.number) if best else "" for best in bests], keep=80),
        Column("objective", [view.goal for view in views], keep=75),
        Column("size", list(sizes), right=True, keep=45),
        Column("of paused runs", list(paused), right=True, keep=42),
        Column("directory", [view.study.directory for view in views], keep=40),
    ]
    states = {("state", place): STATE_STYLES[view.state] for place, view in enumerate(views)}
    return Grid([column for column in columns if any(column.cells)], [], states)


def _count(count: int) -> str:
    return str(count) if count else ""
