"""The options that mean a cluster, and what cannot be is refused."""

import pytest

from sweep.errors import SweepError
from sweep.options import Cluster, Settings, from_command_line, words


def meant(**flags):
    """The cluster of a command line: flags with their texts."""
    given = {f"--{name.replace('_', '-')}": value for name, value in flags.items()}
    return from_command_line({"--on": "ray", **given}).cluster


def test_without_options_workers_run_here(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert meant(on="here") is None
    assert meant(on="here", address="head:6379") is None, "which stands in the environment"


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(),
        Cluster("head:6379", cpus=0.5, gpus=0.25, resources={"large": 2.0, "disk": 1.0}, shared=True),
        Cluster(gpus=0.0, dashboard=True),
    ],
)
def test_the_command_that_goes_on_means_the_same_cluster(cluster, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    given = {}
    for flag, text in words(Settings(cluster=cluster), ["cluster"]):
        given[flag] = [*given.get(flag, []), text] if flag == "--resource" else text if text is not None else True
    assert from_command_line(given).cluster == cluster
    assert list(words(Settings(), ["cluster"])) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "slurm"}, "--on must be here or ray, not 'slurm'."),
        ({"on": "rai"}, "--on must be here or ray, not 'rai'. Did you mean ray?"),
        ({"on": "here", "gpus_per_worker": "1"}, "--gpus-per-worker applies only to a Ray cluster. Add --on ray."),
        ({"on": "here", "address": "head:1"}, "--address applies only to a Ray cluster."),
        ({"on": "here", "shared_logdir": True}, "--shared-logdir applies only to a Ray cluster."),
        ({"gpus_per_worker": "-1"}, "--gpus-per-worker must be a number of at least 0"),
        ({"gpus_per_worker": "1.5"}, "--gpus-per-worker must be a number of at least 0, and whole where it is more"),
        ({"cpus_per_worker": "nan"}, "--cpus-per-worker must be a number of at least 0"),
        ({"cpus_per_worker": "many"}, "--cpus-per-worker must be a number of at least 0"),
        ({"resource": ["large"]}, "--resource must be NAME=N, such as big_memory=1, not 'large'."),
        ({"resource": ["large=-1"]}, "--resource must be NAME=N, such as big_memory=1, not -1.0."),
        ({"address": "head:1", "dashboard": True}, "--dashboard applies only where Ray is started here"),
    ],
)
def test_what_cannot_be_is_refused(options, message, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SweepError) as refused:
        meant(**options)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus": "2,3"}, "--gpus and --per-gpu apply to this machine only. On Ray, use --gpus-per-worker."),
        ({"per_gpu": 2}, "--gpus and --per-gpu apply to this machine only."),
        ({"workers": 0}, "--workers must be at least 1 on Ray, not 0."),
    ],
)
def test_options_of_this_machine_do_not_fit_a_cluster(settings, message):
    with pytest.raises(SweepError) as refused:
        Settings(cluster=Cluster(), **settings)
    assert str(refused.value).startswith(message)


def test_without_ray_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SweepError, match=r"needs Ray, which is not installed\. Run: pip install .*\[ray\]"):
        Cluster()
