"""`sweep db`: migrate a database, check it, copy studies to another."""

from typing import Annotated

import typer

from sweep.cli import options

app = typer.Typer(help="Look after a database: upgrade, check, copy.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def upgrade(storage: options.Storage = options.DEFAULT_STORAGE) -> None:
    """Migrate a database to this version.

    Nothing is lost. Stop running studies first. Studies whose best run changes are listed, with those whose best run
    has lost its weights.

    \b
    Example: sweep db upgrade --storage sqlite:///sweep.db
    """
    from sweep.cli.databases import upgrade_database

    upgrade_database(storage)


@app.command()
def check(storage: options.Storage = options.DEFAULT_STORAGE, json: options.Json = False) -> None:
    """See that a database is whole.

    Checks that the file is sound, that Optuna's tables and sweep's agree about every trial (its state, its parameters,
    what it reported and what train returned), and that no epoch is missing. The exit status is 1 if something is wrong.

    \b
    Example: sweep db check --storage postgresql://user@host/sweep
    """
    from sweep.cli.databases import check_all

    if not check_all(storage, as_json=json):
        raise typer.Exit(1)


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The database with the studies.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="The database they are copied to; made if need be.", show_default=False)
    ],
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", metavar="STUDY", help="Copy this one. Repeatable. [default: all]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be copied.")] = False,
) -> None:
    """Copy studies from one database to another, exactly.

    Trials, values, attributes, runs and every epoch, as from SQLite to PostgreSQL. The log directory stays where it is,
    and both databases name it; so do the studies in FROM. To move a study, remove it there afterwards, with sweep rm
    STUDY --keep-files.

    \b
    Example: sweep db copy sqlite:///sweep.db postgresql://user@host/sweep
    """
    from sweep.cli.databases import copy_studies

    copy_studies(source, target, studies or [], dry_run=dry_run)
