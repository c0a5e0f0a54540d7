"""Ray Tune with Keras, a trial on each core: a callback reports each epoch, Keras' TensorBoard callback writes."""

import os
import sys

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from ray import tune

trials, epochs, recurring = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "recurring"
HERE = os.path.dirname(os.path.abspath(__file__))


def train(config: dict) -> None:
    sys.path.insert(0, HERE)
    import keras
    from nets import build, data, parameter_sets

    class Report(keras.callbacks.Callback):
        def on_epoch_end(self, _epoch: int, logs: dict | None = None) -> None:
            tune.report({"val_loss": logs["val_loss"], "loss": logs["loss"]})

    x, y, x_val, y_val = data()
    model = build(**parameter_sets(trials, recurring=recurring)[config["set"]])
    callbacks = [Report(), keras.callbacks.TensorBoard("logs", histogram_freq=1)]
    model.fit(x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs, callbacks=callbacks, verbose=0)


ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
tuner = tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={"set": tune.grid_search(list(range(trials)))},
    run_config=tune.RunConfig(storage_path=os.path.join(os.getcwd(), "ray"), verbose=0),
)
print("done", len(tuner.fit()))
