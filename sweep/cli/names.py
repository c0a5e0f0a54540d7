"""`sweep names`: the run names that a study gives, before anything trains."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from optuna.distributions import json_to_distribution

from sweep.cli import options
from sweep.cli.grid import Column, Grid
from sweep.cli.output import print_whole, remark, show_grid, show_json
from sweep.control.domains import describe
from sweep.control.preview import preview
from sweep.store import Store
from sweep.store.remote import RemoteStore, is_server
from sweep.view.runs import key_table

EXAMPLES = 8


def names(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY", help="A study file, or the name of a study in the database.", show_default=False
        ),
    ],
    json: options.Json = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Show the run names a study gives.

    For a file: examples, the key of each parameter, the search space and every warning, before anything trains. For a
    study in the database: its first names and its key table.

    \b
    Example: sweep names studies/diabetes.py
    """
    show_names(study, options.place(storage, server), as_json=json)


def show_names(study: str, storage: str, *, as_json: bool) -> None:
    """Print example names, key table, search space and warnings of a study file or of a stored study.

    Raises:
        SweepError: there is neither such a file nor such a study, or the study is refused.
    """
    if study.endswith(".py") or "/" in study or Path(study).is_file():
        seen = ask_preview(storage, study) if is_server(storage) else preview_file(study)
    else:
        with options.opened(storage) as store:
            seen = preview_stored(store, study)
    if as_json:
        show_json(seen)
    else:
        _print_preview(seen)


def preview_file(path: str) -> dict[str, Any]:
    """What a worker finds that runs `train` up to `sweep.fit` with parameters drawn at random.

    Raises:
        SweepError: the file or its study is refused.
    """
    seen = preview(path, examples=EXAMPLES)
    return {
        "study": seen.study,
        "examples": [
            {"name": run.name, "params": run.params} for run in {run.number: run for run in seen.runs}.values()
        ],
        "keys": seen.keys,
        "space": {parameter: seen.domain(parameter) for parameter in seen.space},
        "warnings": seen.warnings(),
    }


def ask_preview(server: str, path: str) -> dict[str, Any]:
    """What a service says of a study file of that name in its folder.

    Raises:
        SweepError: it has none, or refuses it.
    """
    seen: dict[str, Any] = RemoteStore(server).ask(f"/api/files/{quote(Path(path).name, safe='')}/names", method="POST")
    del seen["doc"]
    return seen


def preview_stored(store: Store, name: str) -> dict[str, Any]:
    """The key table, the search space and the first names of a study that is in the store.

    Raises:
        StoreError: there is no such study.
    """
    study = store.study(name)
    named = [run for run in store.runs(study.study_id, range(EXAMPLES)) if run.name is not None]
    domains = {
        parameter: " or ".join(describe(json_to_distribution(text)) for text in texts)
        for parameter, texts in study.space.items()
    }
    return {
        "study": study.name,
        "examples": [{"name": run.name, "params": run.params} for run in named],
        "keys": {parameter: study.keys[parameter] for parameter in key_table(study).order(study.keys)},
        "space": domains,
        "warnings": [],
    }


def _print_preview(preview: dict[str, Any]) -> None:
    for example in preview["examples"]:
        print_whole(example["name"])
    keys, space = preview["keys"], preview["space"]
    if keys:
        remark("")
        show_grid(
            Grid(
                [
                    Column("key", [key or "(family)" for key in keys.values()], style="cyan"),
                    Column("parameter", list(keys)),
                    Column("search space", [space.get(name, "") for name in keys], shrink=20),
                ]
            )
        )
    for warning in preview["warnings"]:
        remark(f"warning: {warning}", style="yellow")
