"""Ray itself: reached at its address, or started here; its nodes and what they have."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import ray

from sweep.errors import SweepError
from sweep.options import Cluster
from sweep.words import one_line

PATIENCE = 5.0  # seconds for an address to answer


def connect(cluster: Cluster) -> None:
    """Connect this process to a cluster, or start one on this machine.

    Raises:
        SweepError: the cluster cannot be reached or does not let us in.
    """
    if cluster.address is not None:
        _knock(cluster.address)
    own: dict[str, Any] = {"include_dashboard": cluster.dashboard} if cluster.address is None else {}
    try:
        ray.init(
            address=cluster.address or "local",
            log_to_driver=False,
            namespace=f"sweep-{os.getpid()}",
            **own,
        )
    except Exception as error:  # Ray raises many kinds, some of them its own
        raise _refusal(error, cluster) from error


def _knock(address: str) -> None:
    """See that somebody answers, where Ray would try for a minute.

    Raises:
        SweepError: nobody does, or it is no address.
    """
    host, colon, port = address.rpartition(":")
    if "://" in address or not (host and colon and port.isdigit() and int(port) < 2**16):
        raise SweepError(
            f"--address must be HOST:PORT of the cluster's head, not {address!r}.",
            "For example: --address head.example.org:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        raise SweepError(
            f"Cannot reach the Ray cluster at {address}: {error.strerror or error}.",
            "Check that its head is running, with: ray status",
        ) from None


def _refusal(error: Exception, cluster: Cluster) -> SweepError:
    """The error that says why Ray cannot be used."""
    said = one_line(f"{error} {error.__cause__ or ''}")
    kind = type(error).__name__
    where = cluster.address or "this machine"
    if kind == "AuthenticationError":
        hint = "Give its token in RAY_AUTH_TOKEN or ~/.ray/auth_token, or set RAY_AUTH_MODE=disabled if it has none."
        return SweepError(f"The Ray cluster at {where} refused access: {said.partition('. ')[0].rstrip('.')}.", hint)
    if "No node info found" in said:
        hint = f"Run here first: ray start --address={where} --num-cpus=0"
        return SweepError("This machine is not a node of the Ray cluster, and `--on ray` must be given on one.", hint)
    if "Failed to connect to" in said:
        hint = "Check that it is the head of a Ray cluster, and that RAY_AUTH_TOKEN or ~/.ray/auth_token is its token."
        return SweepError(f"Cannot connect to the Ray cluster at {where}: {error}", hint)
    return SweepError(f"Ray did not start or answer at {where}: {kind}: {said[:400]}")


def nodes() -> list[Mapping[str, Any]]:
    """The nodes that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def needs(cluster: Cluster) -> dict[str, float]:
    """What a worker takes, by Ray's names; a GPU where the cluster has some, unless it is said otherwise."""
    gpus = cluster.gpus
    if gpus is None:
        gpus = 1.0 if any(node["Resources"].get("GPU", 0) >= 1 for node in nodes()) else 0.0
    taken = {"CPU": cluster.cpus, "GPU": gpus, **cluster.resources}
    return {name: amount for name, amount in taken.items() if amount > 0}


def room(taken: Mapping[str, float]) -> int:
    """How many workers the cluster's nodes have room for, whatever else runs on them."""
    return sum(
        min((int(node["Resources"].get(name, 0.0) / amount + 1e-9) for name, amount in taken.items()), default=1)
        for node in nodes()
    )
