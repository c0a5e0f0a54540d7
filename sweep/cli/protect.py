"""`sweep protect`: keep a trial from being pruned or paused."""

from sweep.cli import options
from sweep.cli.output import say
from sweep.cli.target import BY_HAND, check_running, named_run
from sweep.errors import SweepError


def protect(
    words: options.RunWords, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """Protect a trial from its pruner.

    It trains to its end unless its loss is NaN or infinite, or somebody prunes it by hand. A paused one continues.

    \b
    Example: sweep protect diabetes t0017
    """
    with options.opened(options.place(storage, server)) as store:
        study, run = named_run(store, words)
        check_running(store, study, "protect")
        if run.state not in ("RUNNING", "PAUSED"):
            raise SweepError(f"Cannot protect {run.name}: it is {run.state}, neither RUNNING nor PAUSED.")
        store.command(study.study_id, "protect", numbers=[run.number], reason=BY_HAND)
        if run.state == "PAUSED":
            say(f"{run.name} will continue to its last epoch")
            return
        say(f"{run.name} will not be pruned or paused, except by hand or because its loss is NaN or infinite")
