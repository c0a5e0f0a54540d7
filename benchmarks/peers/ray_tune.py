"""Ray Tune with Keras, as many trials at once as cores: a callback reports each epoch, Keras' TensorBoard writes."""

import os
import sys

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ray
from nets import cores
from ray import tune

HERE = os.path.dirname(os.path.abspath(__file__))
trials, epochs, sets = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def train(config: dict) -> None:
    sys.path.insert(0, HERE)
    from nets import build, data, one_thread, parameter_sets

    one_thread()  # Ray sets OMP_NUM_THREADS alone
    import keras

    class Report(keras.callbacks.Callback):
        def on_epoch_end(self, _epoch: int, logs: dict | None = None) -> None:
            tune.report({"val_loss": logs["val_loss"], "loss": logs["loss"]})

    x, y, x_val, y_val = data()
    model = build(**parameter_sets(trials, sets)[config["set"]])
    callbacks = [Report(), keras.callbacks.TensorBoard("logs", histogram_freq=1)]
    model.fit(x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs, callbacks=callbacks, verbose=0)


ray.init(address="local", num_cpus=cores(), include_dashboard=False, log_to_driver=False)
tuner = tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={"set": tune.grid_search(list(range(trials)))},
    tune_config=tune.TuneConfig(max_concurrent_trials=cores(), reuse_actors=True),
    run_config=tune.RunConfig(storage_path=os.path.join(os.getcwd(), "ray"), verbose=0),
)
results = tuner.fit()
if results.num_errors:
    sys.exit(f"{results.num_errors} trials failed: {results.errors[0]}")
print("done", len(results))
