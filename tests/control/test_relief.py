"""A worker that has outgrown its memory is relieved, and no trial is lost for it."""

import itertools

from tests.control.started import Folder

HOARDING = """
    import psutil
    hoard = sys.__dict__.setdefault("hoard", [])
    hoard.append(b"x" * 12_000_000)
    time.sleep(0.03)
    process = psutil.Process()
    trial.set_user_attr("pid", process.pid)
    trial.set_user_attr("process_began", process.create_time())
    x = trial.suggest_float("x", -1, 1)
    trial.report(x * x, 0)
    return x * x
"""


def test_a_worker_whose_memory_grows_is_relieved_while_it_goes_on_and_no_trial_is_lost(tmp_path):
    folder = Folder(tmp_path, HOARDING, "trials=160, workers=1, seed=7")
    ended = folder.start()
    assert ended.returncode == 0, ended.stderr
    assert folder.states() == ["COMPLETE"] * 160
    assert {run.attempt for run in folder.runs()} == {0}
    began = {trial.user_attrs["pid"]: trial.user_attrs["process_began"] for trial in folder.trials()}
    assert len(began) > 1, "nobody was relieved"
    processes = list(began)  # in the order of their first trials; none comes back after another has begun
    assert [pid for pid, _ in itertools.groupby(trial.user_attrs["pid"] for trial in folder.trials())] == processes
    for old, new in itertools.pairwise(processes):
        last = max(trial.datetime_start for trial in folder.trials() if trial.user_attrs["pid"] == old)
        assert began[new] < last.timestamp(), "the successor was started only when its predecessor had left"
