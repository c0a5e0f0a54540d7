"""Workers: each trial begins anew from its own seed, whoever trains it, and an ended one is let go of."""

import textwrap

import numpy as np
import optuna
import pytest

from sweep.control.start import start_file
from sweep.options import Settings
from tests.train.here import network
from tests.whole_study import read, run_study

RANDOM = """
    import random
    import numpy as np
    import sweep

    def train(trial):
        {keras}
        units = trial.suggest_int("units", 2, 9)
        trial.set_user_attr("drawn", [random.random(), float(np.random.random())])
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units), keras.layers.Dropout(0.5),
                                  keras.layers.Dense(1)])
        model.compile("adam", "mse")
        x = np.random.normal(size=(16, 2)).astype("float32")
        return sweep.fit(trial, model, x, x[:, :1], validation_data=(x, x[:, :1]), epochs=2, batch_size=4)

    study = sweep.Study(train, objective="val_loss", direction="minimize", trials=3, seed=3, pruner="nop")
"""


def start(folder, source, **settings):
    """Start a study file with worker processes; what it left."""
    folder.mkdir()
    file = folder / "study.py"
    file.write_text(textwrap.dedent(source))
    storage = f"sqlite:///{folder / 'sweep.db'}"
    start_file(str(file), Settings(storage=storage, logdir=str(folder / "runs"), **settings))
    return read(storage, "study", folder)


def drawn(kept):
    """What each trial drew at random, and its parameters."""
    trials = optuna.load_study(study_name="study", storage=kept.storage).trials
    return [(trial.params, trial.user_attrs["drawn"]) for trial in trials]


@pytest.mark.slow
def test_one_worker_and_a_seed_give_the_same_study_wherever_keras_is_imported(tmp_path):
    within = start(tmp_path / "a", RANDOM.format(keras="import keras"), workers=1)
    above = start(tmp_path / "b", "import keras\n" + textwrap.dedent(RANDOM.format(keras="pass")), workers=1)
    assert drawn(within) == drawn(above)
    assert within.metrics == above.metrics
    assert [run.seed for run in within.runs] == [run.seed for run in above.runs]
    assert len({run.seed for run in within.runs}) == 3


@pytest.mark.slow
def test_a_trial_in_a_fresh_worker_is_the_trial_in_one_that_has_trained(tmp_path):
    """The third trial dies with its first worker, and is run again in a new one."""
    dies = RANDOM.format(keras="import keras").replace(
        "return sweep.fit", "die(trial)\n        return sweep.fit"
    ) + textwrap.dedent("""
    def die(trial):
        import os, pathlib, signal
        mark = pathlib.Path(__file__).with_name("died")
        if trial.number == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    """).replace("\n", "\n    ")
    fresh = start(tmp_path / "a", dies, workers=1)
    steady = start(tmp_path / "b", RANDOM.format(keras="import keras"), workers=1)
    assert fresh.runs[2].attempt == 1
    assert drawn(fresh) == drawn(steady)
    assert fresh.metrics == steady.metrics


def test_what_a_study_prints_is_in_its_workers_log(tmp_path):
    said = """
    import atexit, sweep
    atexit.register(lambda: print("goodbye"))

    def train(trial):
        trial.report(1.0, 0)
        print("in train")
        return 1.0

    study = sweep.Study(train, objective="value", direction="minimize", trials=1)
    """
    kept = start(tmp_path / "a", said, workers=1)
    (log,) = (kept.folder / "runs" / "study" / "workers").iterdir()
    assert log.read_text().split("\n")[:2] == ["in train", "goodbye"]


def test_initial_weights_are_those_of_the_trials_seed(tmp_path):
    def train(trial):
        weights.append(network().get_weights()[0])
        return 1.0

    weights = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        run_study(train, folder, trials=2, seed=4)
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[1], weights[3])
    assert not np.array_equal(weights[0], weights[1])


@pytest.mark.parametrize("returned", ["text", {"loss": 1.0}, None, [1.0, 2.0], float("nan")])
def test_what_is_no_value_fails_the_trial(tmp_path, returned):
    run = run_study(lambda trial: returned, tmp_path).run
    assert run.state == "FAIL"
    assert run.reason


@pytest.mark.parametrize("returned", [1, np.float32(1.0), np.int64(1), [1.0], (1.0,)])
def test_what_optuna_takes_as_a_value_is_one(tmp_path, returned):
    assert run_study(lambda trial: returned, tmp_path).run.best == 1.0
