"""Commands that act: tensorboard, prune, keep, revive, rerun, stop."""

from typing import Annotated

import typer

from sweep.cli import options

DEFAULT_PORT = 6006
"""Where TensorBoard usually listens."""


def tensorboard(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="The port, or the next free one.")
    ] = DEFAULT_PORT,
    logdir: Annotated[
        str | None,
        typer.Option(
            "--logdir",
            metavar="DIR",
            show_default=False,
            help="The log directory, if it is not where the database says; without a study DIR itself is shown.",
        ),
    ] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Start TensorBoard, its filter set.

    It shows the study's log directory on localhost. The links lead to the runs that match, and are printed once the
    runs are loaded. Ctrl-C ends it. With --server the links lead to the TensorBoard of the service.

    \b
    Example: sweep tensorboard diabetes '^dnn'
    """
    from sweep.cli.tensorboard import find_board, run_board, show_served

    if server is not None:
        with options.opened(server) as store:
            show_served(store, server, study, pattern, filter)
        return
    run_board(find_board(study, pattern, filter, logdir, storage), port)


def prune(
    study: options.StudyName = None,
    pattern: options.PatternArgument = None,
    filter: options.PatternOption = None,
    where: options.Where = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which running trials match.")] = False,
    names: options.Names = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    server: options.Server = None,
) -> None:
    """Prune the running trials that match.

    Each is pruned after its present epoch, with the reason "by hand"; its best value is kept.

    \b
    Example: sweep prune diabetes '^mlp-.*-lr=0\\.00'
             sweep prune diabetes --where "epoch >= 10 and val_loss > 60"
    """
    from sweep.cli.acting import prune_runs
    from sweep.cli.target import find_target

    with options.opened(options.place(storage, server)) as store:
        target = find_target(store, study, pattern, filter)
        prune_runs(store, target, where, yes=yes, dry_run=dry_run, names=names)


RunWords = Annotated[
    list[str],
    typer.Argument(metavar="[STUDY] RUN", help="The run: 17, t0017 or its full name.", show_default=False),
]


def keep(words: RunWords, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None) -> None:
    """Shield a running trial from its pruner.

    It trains to its end unless its loss is no number, or somebody prunes it by hand.

    \b
    Example: sweep keep diabetes t0017
    """
    from sweep.cli.acting import keep_run

    with options.opened(options.place(storage, server)) as store:
        keep_run(store, words)


def revive(words: RunWords, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None) -> None:
    """Go on with a run that was pruned by mistake.

    A new trial with its parameters goes on from its checkpoint, with its epochs, and is not pruned again. The study has
    one trial more for it; where it has ended, the command that starts it is printed.

    \b
    Example: sweep revive diabetes t0017
    """
    from sweep.cli.acting import revive_run

    with options.opened(options.place(storage, server)) as store:
        revive_run(store, words, options.place(storage, server))


def rerun(words: RunWords, storage: options.Storage = options.DEFAULT_STORAGE) -> None:
    """Train a run once more and compare.

    With its seed, its parameters and the study file as it was, which the database keeps with the modules beside it that
    it imports; any that it does not keep are named. The exit status is 1 where the two differ by more than rounding.

    \b
    Example: sweep rerun diabetes t0017
    """
    from sweep.cli.rerunning import rerun as rerun_this

    with options.opened(storage) as store:
        if not rerun_this(store, words):
            raise typer.Exit(1)


def stop(
    study: options.StudyName = None, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """Stop a running study.

    It ends after the running epochs; `sweep start` goes on with it.

    \b
    Example: sweep stop diabetes
    """
    from sweep.cli.acting import stop_study

    with options.opened(options.place(storage, server)) as store:
        stop_study(store, study, options.place(storage, server))
