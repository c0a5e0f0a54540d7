"""The options that mean a cluster, and what cannot be is refused."""

import pytest

from sweep.cli.on_ray import cluster_of, words
from sweep.control.ray import Cluster
from sweep.errors import SweepError


def meant(on="ray", address=None, gpus=None, cpus=1.0, resources=(), **flags):
    return cluster_of(on, address, gpus, cpus, resources, **{"shared": False, "dashboard": False, **flags})


def test_without_options_workers_run_here(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert meant("here") is None
    assert meant("here", address="head:6379") is None, "which stands in the environment"


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(),
        Cluster("head:6379", cpus=0.5, gpus=0.25, resources={"large": 2.0}, shared=True),
        Cluster(gpus=0.0, dashboard=True),
    ],
)
def test_the_command_that_goes_on_means_the_same_cluster(cluster):
    said = iter(words(cluster))
    given = {}
    for word in said:
        name = word.removeprefix("--")
        given[name] = True if name in ("shared-logdir", "dashboard") else next(said)
    again = meant(
        given["on"],
        given.get("address"),
        float(given["gpus-per-worker"]) if "gpus-per-worker" in given else None,
        float(given.get("cpus-per-worker", 1)),
        [given["resource"]] if "resource" in given else [],
        shared="shared-logdir" in given,
        dashboard="dashboard" in given,
    )
    assert again == cluster
    assert words(None) == []


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"on": "slurm"}, "--on is here or ray"),
        ({"on": "here", "gpus": 1.0}, "--gpus-per-worker is for a cluster"),
        ({"on": "here", "address": "head:1"}, "--address is for a cluster"),
        ({"on": "here", "shared": True}, "--shared-logdir is for a cluster"),
        ({"gpus": -1.0}, "--gpus-per-worker is a number of at least 0"),
        ({"gpus": 1.5}, "--gpus-per-worker is a whole number where it is more than 1"),
        ({"cpus": float("nan")}, "--cpus-per-worker is a number of at least 0"),
        ({"resources": ["large"]}, "a resource is given as NAME=N"),
        ({"resources": ["large=-1"]}, "--resource large is a number of at least 0"),
        ({"address": "head:1", "dashboard": True}, "--dashboard is for a Ray that is started here"),
    ],
)
def test_what_cannot_be_is_refused(options, rule, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SweepError, match=f"^{rule}"):
        meant(**options)


def test_without_ray_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SweepError, match=r"needs Ray: got none installed; run: pip install 'sweep\[ray\]'"):
        Cluster()
