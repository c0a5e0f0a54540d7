"""`sweep confirm` on a real Ray cluster: repeats train on its nodes as the study's trials did."""

from pathlib import Path

import pytest

from tests.ray_cluster import OnCluster, cluster

pytestmark = pytest.mark.slow

BODY = """
    here = os.path.dirname(os.path.abspath(__file__))
    offset = float(open(os.path.join(here, "data", "offset.txt")).read())
    x = trial.suggest_float("x", 0, 1)
    epochs = sweep.epochs(trial, 2)
    for epoch in epochs:
        epochs.report({"loss": offset + x + 0.0001 * (trial.seed % 100) / 100})
    with open(f"{FOLDER}/where-{trial.run.directory.name}", "w") as file:
        file.write(os.environ["RAY_RAYLET_PID"] + " " + " ".join(sorted(os.listdir(here))))
    return epochs.value
"""


def places(folder: Path) -> dict[str, list[str]]:
    """The node's process and the study's folder there, for each run that trained, by its name."""
    return {path.name.removeprefix("where-"): path.read_text().split() for path in folder.glob("where-*")}


def test_repeats_train_on_the_nodes_of_the_cluster_where_the_trials_did(tmp_path):
    with cluster() as nodes:
        nodes.add(num_cpus=2)
        folder = OnCluster(tmp_path, nodes, BODY, "trials=4, seed=7")
        file = tmp_path / "tiny.py"
        file.write_text(f"FOLDER = {str(tmp_path)!r}\n{file.read_text()}")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "offset.txt").write_text("1.0")
        done = folder.start(*folder.options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert folder.states() == ["COMPLETE"] * 4, done.stdout
        trained = places(tmp_path)
        done = folder.command("confirm", "tiny", "--top", "2", "--repeats", "3", *folder.options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(n = 3)" in done.stdout
    repeats = {one.name: one for run in folder.runs() for one in run.repeats}
    assert len(repeats) == 6
    now = places(tmp_path)
    assert now.keys() == trained.keys() | repeats.keys()
    assert {node for node, *_ in now.values()} == {trained[next(iter(trained))][0]}, "the one node that has cores"
    listed = {name for repeat in repeats for name in now[repeat][1:]}
    assert listed - {"__pycache__"} <= {"tiny.py", "data", "runs"} | {f"where-{name}" for name in now}
    for one in repeats.values():
        assert (one.state, one.epoch) == ("COMPLETE", 2)
        assert list(Path(one.directory).glob("events.out.tfevents.*"))
    assert len(folder.trials()) == 4
