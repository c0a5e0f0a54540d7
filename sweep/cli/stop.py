"""`sweep stop`: stop a running study."""

from sweep.cli import options
from sweep.cli.output import say
from sweep.cli.target import BY_HAND, check_running, named_study
from sweep.commands import start_command


def stop(
    study: options.StudyName = None, storage: options.Storage = options.DEFAULT_STORAGE, server: options.Server = None
) -> None:
    """Stop a running study.

    It stops after the running epochs; `sweep start` continues it.

    \b
    Example: sweep stop diabetes
    """
    place = options.place(storage, server)
    with options.opened(place) as store:
        record = named_study(store, study)
        check_running(store, record, "stop")
        store.command(record.study_id, "stop", reason=BY_HAND)
        again = start_command(record, storage=place)
        say(f"{record.name} will stop after the running epochs; continue it with: {again}")
