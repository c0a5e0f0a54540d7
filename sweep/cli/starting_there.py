"""`sweep start --server`: a study file of a service's folder is started there."""

import time
from pathlib import Path

from sweep.cli.output import print_whole, say
from sweep.commands import command
from sweep.errors import SweepError
from sweep.options import Settings, given
from sweep.store.remote import RemoteStore

POLL_SECONDS = 0.5


def start_there(file: str, settings: Settings) -> None:
    """Start a study file at a service and wait until its first run has begun.

    Raises:
        SweepError: the service refuses, or the study does not start.
    """
    store = RemoteStore(str(settings.server))
    begun = store.ask("/api/starts", {"file": Path(file).name, **given(settings, "api")})
    say(f"{begun['file']} is being started at {store.server}")
    while begun["state"] == "starting":
        time.sleep(POLL_SECONDS)
        begun = store.ask(f"/api/starts/{begun['start']}")
    if begun["state"] == "failed":
        raise SweepError(f"{begun['file']} did not start: {begun['problem']}")
    look = command("runs", begun["study"], storage=store.server)
    print_whole(f"{begun['study']} is {begun['state']}; look at it with: {look}")
