"""Ray Tune: Optuna's TPE and ASHA, as many trials at once as cores."""

import os
import sys

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from spaces import EPOCHS, cores, suggest

HERE = os.path.dirname(os.path.abspath(__file__))
name, seed = sys.argv[1], int(sys.argv[2])


def train(config: dict) -> None:
    sys.path.insert(0, HERE)
    from types import SimpleNamespace

    from spaces import one_thread, trained

    one_thread()  # Ray sets OMP_NUM_THREADS alone
    import keras

    class Report(keras.callbacks.Callback):
        def on_epoch_end(self, _epoch: int, logs: dict | None = None) -> None:
            tune.report({"val_loss": logs["val_loss"]})

    chosen = SimpleNamespace(
        suggest_categorical=lambda key, _choices: config[key],
        suggest_int=lambda key, _low, _high, log=False: config[key],  # noqa: ARG005  # as an Optuna trial's
        suggest_float=lambda key, _low, _high, log=False: config[key],  # noqa: ARG005
    )
    trained(chosen, name, seed + int(tune.get_context().get_trial_id().split("_")[-1], 36) % 10_000, [Report()])


def space(trial: object) -> None:
    suggest(trial, name)


ray.init(address="local", num_cpus=cores(), include_dashboard=False, log_to_driver=False)
tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    tune_config=tune.TuneConfig(
        metric="val_loss",
        mode="min",
        num_samples=10_000,
        search_alg=ConcurrencyLimiter(OptunaSearch(space, metric="val_loss", mode="min", seed=seed), cores()),
        scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=3, reduction_factor=3),
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(storage_path=os.path.join(os.getcwd(), "ray"), verbose=0),
).fit()
