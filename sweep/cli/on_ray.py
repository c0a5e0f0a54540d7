"""The options of `sweep start` for a Ray cluster."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from sweep.control.ray import Cluster
from sweep.errors import StudyError, SweepError

On = Annotated[str, typer.Option(metavar="WHERE", help="Where workers run: here, or ray.")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="RAY_ADDRESS",
        help="The head of the cluster. [default: Ray is started here]",
        show_default=False,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        metavar="N",
        help="GPUs of a worker, or a part of one. [default: 1 where the cluster has some]",
        show_default=False,
    ),
]
Cpus = Annotated[float, typer.Option("--cpus-per-worker", metavar="N", help="Cores of a worker.")]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=N",
        help="Another resource that a worker takes of its node. Repeatable.",
        show_default=False,
    ),
]
Shared = Annotated[
    bool,
    typer.Option(
        "--shared-logdir",
        help="Refuse unless every node sees the log directory; else workers bring their files where one does not.",
    ),
]
Dashboard = Annotated[
    bool,
    typer.Option("--dashboard", help="Start Ray's dashboard with a Ray that is started here."),
]


def cluster_of(
    on: str,
    address: str | None,
    gpus: float | None,
    cpus: float,
    resources: Sequence[str],
    *,
    shared: bool,
    dashboard: bool,
) -> Cluster | None:
    """The cluster that a command line means; None for this machine.

    Raises:
        StudyError: an option makes no sense.
    """
    if on == "ray":
        return Cluster(address, cpus, gpus, dict(map(_resource, resources)), shared, dashboard)
    if on != "here":
        raise StudyError("--on is here or ray", repr(on))
    given = {
        "--address": address is not None and address != os.environ.get("RAY_ADDRESS"),
        "--gpus-per-worker": gpus is not None,
        "--cpus-per-worker": cpus != Cluster.cpus,
        "--resource": bool(resources),
        "--shared-logdir": shared,
        "--dashboard": dashboard,
    }
    alone = next((name for name, there in given.items() if there), None)
    if alone is not None:
        raise StudyError(f"{alone} is for a cluster", "no --on ray", "add it, or leave the option out")
    return None


def words(cluster: Cluster | None) -> list[str]:
    """The options that mean a cluster."""
    if cluster is None:
        return []
    said = ["--on", "ray"]
    if cluster.address is not None:
        said += ["--address", cluster.address]
    if cluster.gpus is not None:
        said += ["--gpus-per-worker", f"{cluster.gpus:g}"]
    if cluster.cpus != Cluster.cpus:
        said += ["--cpus-per-worker", f"{cluster.cpus:g}"]
    for name, amount in cluster.resources.items():
        said += ["--resource", f"{name}={amount:g}"]
    return [*said, *(["--shared-logdir"] * cluster.shared), *(["--dashboard"] * cluster.dashboard)]


def _resource(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    try:
        return name.strip(), float(amount)
    except ValueError:
        raise SweepError("a resource is given as NAME=N", repr(text), "e.g. --resource big_memory=1") from None
