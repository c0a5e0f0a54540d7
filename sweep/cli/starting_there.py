"""`sweep start --server`: a study file of a service's folder is started there."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweep.cli.output import print_whole, say
from sweep.control.opening import Settings
from sweep.errors import SweepError
from sweep.names import is_run_name, parse_value
from sweep.read.commands import command
from sweep.store.remote import RemoteStore

POLL_SECONDS = 0.5
OPTIONS = ("name", "trials", "epochs", "timeout", "workers", "sampler", "pruner", "broken", "seed")


def start_there(
    server: str, file: str, settings: Settings, fixed: Sequence[str], enqueue: Sequence[str], best_of: Sequence[str]
) -> None:
    """Start a study file at a service and wait until its first run has begun.

    Raises:
        SweepError: an option makes no sense there, or the service refuses.
    """
    if best_of:
        raise SweepError("--from is for a study that is started here", "--server", "give the run names with --enqueue")
    if settings.gpus is not None or settings.per_gpu != Settings.per_gpu:
        raise SweepError("GPUs are chosen where the study is started", "--server")
    if settings.cluster is not None:
        raise SweepError("a study on Ray is started on a node of the cluster, not at a service", "--on ray --server")
    store = RemoteStore(server)
    asked = {name: value for name in OPTIONS if (value := getattr(settings, name)) is not None}
    for name in ("keep", "retries", "trial_timeout"):
        if getattr(settings, name) != getattr(Settings, name):
            asked[name] = getattr(settings, name)
    asked["fixed"] = _params(fixed)
    asked["enqueue"] = [_queued(text) for text in enqueue]
    begun = store.ask("/api/starts", {"file": Path(file).name, **asked})
    say(f"{begun['file']} is being started at {store.server}")
    while begun["state"] == "starting":
        time.sleep(POLL_SECONDS)
        begun = store.ask(f"/api/starts/{begun['start']}")
    if begun["state"] == "failed":
        raise SweepError(f"{begun['file']} must start", begun["problem"])
    print_whole(
        f"{begun['study']} is {begun['state']}; look at it with: {command('runs', begun['study'], storage=server)}"
    )


def _params(texts: Sequence[str]) -> dict[str, Any]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not equals:
            raise SweepError("a parameter is given as name=value", repr(name + value), "e.g. learning_rate=0.01")
    return {name.strip(): parse_value(value.strip()) for name, _, value in pairs}


def _queued(text: str) -> Any:
    if text.startswith("@"):
        raise SweepError("a file of parameters is read where the study is started", repr(text), "give NAME=VALUE,...")
    return text if is_run_name(text) else _params(text.split(","))
