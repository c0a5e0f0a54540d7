"""`sweep protect`: keep a running trial from being pruned."""

from sweep.cli import options
from sweep.cli.output import say
from sweep.cli.target import BY_HAND, check_running, named_run
from sweep.errors import SweepError


def protect(
    words: options.RunWords, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """Protect a running trial from its pruner.

    It trains to its end unless its loss is NaN or infinite, or somebody prunes it by hand.

    \b
    Example: sweep protect diabetes t0017
    """
    with options.opened(options.place(storage, server)) as store:
        study, run = named_run(store, words)
        check_running(store, study, "protect")
        if run.state != "RUNNING":
            raise SweepError(f"Cannot protect {run.name}: it is {run.state}, not RUNNING.")
        store.command(study.study_id, "protect", numbers=[run.number], reason=BY_HAND)
        say(f"{run.name} will not be pruned, except by hand or because its loss is NaN or infinite")
