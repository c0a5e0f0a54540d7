"""Optuna by hand: KerasPruningCallback, Keras' TensorBoard callback, SQLite; the pruner lets every trial run."""

import sys
import warnings

import keras
import optuna
from nets import build, data, folder, parameter_sets
from optuna_integration import KerasPruningCallback

warnings.filterwarnings("ignore")
trials, epochs, recurring = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "recurring"
x, y, x_val, y_val = data()


def objective(trial: optuna.Trial) -> float:
    model = build(
        trial.suggest_categorical("family", ["mlp", "dnn"]),
        trial.suggest_int("width", 4, 4096),
        trial.suggest_float("learning_rate", 1e-5, 1.0, log=True),
    )
    callbacks = [
        KerasPruningCallback(trial, "val_loss"),
        keras.callbacks.TensorBoard(str(folder() / "logs" / str(trial.number)), histogram_freq=1),
    ]
    fitted = model.fit(
        x, y, validation_data=(x_val, y_val), batch_size=32, epochs=epochs, callbacks=callbacks, verbose=0
    )
    return min(fitted.history["val_loss"])


study = optuna.create_study(
    storage="sqlite:///study.db", pruner=optuna.pruners.NopPruner(), sampler=optuna.samplers.RandomSampler(seed=0)
)
for params in parameter_sets(trials, recurring=recurring):
    study.enqueue_trial(params)
study.optimize(objective, n_trials=trials)
print("done", len(study.trials))
