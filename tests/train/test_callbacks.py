"""`sweep.callbacks` in `model.fit` of a plain `study.optimize`: names, events, HParams and pruning alone."""

import gc
import logging
from pathlib import Path

import keras
import optuna
import pytest

import sweep
from sweep.errors import StudyError
from sweep.tensorboard import event_files, hparams
from tests.train.here import VALIDATION, X, Y, network
from tests.whole_study import run_study


def optimize(folder, *, trials=1, epochs=3, direction="minimize", pruner=None, fit=None, **settings):
    """Run a study of plain Optuna; returns it."""

    def objective(trial):
        rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
        model = network(trial.suggest_categorical("units", [4, 8]), rate=rate)
        chosen = sweep.callbacks(
            trial, model, objective="val_loss", direction=direction, logdir=str(folder), **settings
        )
        train = fit or (
            lambda model, chosen: model.fit(
                X, Y, validation_data=VALIDATION, epochs=epochs, verbose=0, callbacks=chosen
            )
        )
        return min(train(model, chosen).history["val_loss"])

    study = optuna.create_study(
        study_name="plain", sampler=optuna.samplers.RandomSampler(seed=2), pruner=pruner or optuna.pruners.NopPruner()
    )
    study.optimize(objective, n_trials=trials, catch=(ValueError,))
    return study


def directory(folder, trial):
    """The run directory of a trial."""
    return Path(folder, "plain", trial.user_attrs["run"])


def end(folder):
    """The status of a run's end record."""
    ends = [hparams.parse_end(event.summary) for event in event_files.read(folder)]
    return [status for status in ends if status]


def test_each_trial_has_a_named_run_with_its_events_and_hparams(tmp_path):
    study = optimize(tmp_path, trials=2)
    for trial in study.trials:
        folder = directory(tmp_path, trial)
        assert folder.name.startswith(f"mlp-{trial.params['units']}-lr=")
        assert folder.name.endswith(f"-t{trial.number:04d}")
        starts = [hparams.parse_start(event.summary) for event in event_files.read(folder)]
        ((group, params),) = [start for start in starts if start]
        assert group == folder.name
        assert params == {"learning_rate": trial.params["learning_rate"], "units": trial.params["units"]}
        assert end(folder) == ["SUCCESS"]
        steps = {
            event.step for event in event_files.read(folder) for value in event.summary.value if value.tag == "val_loss"
        }
        assert steps == {0, 1, 2}


def test_optunas_pruner_prunes_and_the_run_says_so(tmp_path):
    study = optimize(tmp_path, epochs=6, pruner=optuna.pruners.ThresholdPruner(upper=0.0))
    (trial,) = study.trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert trial.last_step == 0
    assert end(directory(tmp_path, trial)) == ["FAILURE"]
    texts = [
        value.tensor.string_val[0].decode()
        for event in event_files.read(directory(tmp_path, trial))
        for value in event.summary.value
        if value.tag == event_files.RUN_TAG
    ]
    assert "ThresholdPruner" in texts[-1]
    assert "PRUNED" in texts[-1]


def test_a_value_that_is_nan_prunes(tmp_path):
    def fit(model, chosen):
        return model.fit(X, Y * float("nan"), validation_data=VALIDATION, epochs=5, verbose=0, callbacks=chosen)

    (trial,) = optimize(tmp_path, fit=fit).trials
    assert trial.state == optuna.trial.TrialState.PRUNED
    assert trial.last_step == 0


def test_an_exception_in_fit_gives_the_run_an_end(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, logger="optuna")  # pytest keeps what is logged, and with it the trial

    def raises(epoch, logs):
        raise ValueError("from a callback")

    def fit(model, chosen):
        other = keras.callbacks.LambdaCallback(on_epoch_end=raises)
        return model.fit(X, Y, validation_data=VALIDATION, epochs=5, verbose=0, callbacks=[*chosen, other])

    (trial,) = optimize(tmp_path, fit=fit).trials
    gc.collect()  # the traceback kept the trial
    assert trial.state == optuna.trial.TrialState.FAIL
    assert end(directory(tmp_path, trial)) == ["FAILURE"]


def test_a_second_training_goes_on_with_the_epochs_of_the_run(tmp_path):
    def objective(trial):
        model = network()
        for _ in range(2):
            chosen = sweep.callbacks(trial, model, objective="loss", direction="minimize", logdir=str(tmp_path))
            model.fit(X, Y, epochs=2, verbose=0, callbacks=chosen)
        return 1.0

    study = optuna.create_study(study_name="plain")
    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert sorted(trial.intermediate_values) == [0, 1, 2, 3]
    folder = directory(tmp_path, trial)
    assert len(event_files.files(folder)) == 1
    assert end(folder) == ["SUCCESS"]


def test_pruning_works_where_the_callback_is_not_the_last(tmp_path):
    def fit(model, chosen):
        other = keras.callbacks.EarlyStopping("loss", patience=100)
        return model.fit(X, Y, validation_data=VALIDATION, epochs=5, verbose=0, callbacks=[*chosen, other])

    (trial,) = optimize(tmp_path, fit=fit, pruner=optuna.pruners.ThresholdPruner(upper=0.0)).trials
    assert (trial.state, trial.last_step) == (optuna.trial.TrialState.PRUNED, 0)
    assert end(directory(tmp_path, trial)) == ["FAILURE"]


def test_layers_have_the_same_tags_in_every_trial_of_a_process(tmp_path):
    def histograms(trial):
        return {
            value.tag
            for event in event_files.read(directory(tmp_path, trial))
            for value in event.summary.value
            if value.metadata.plugin_data.plugin_name == "histograms"
        }

    first, second = optimize(tmp_path, trials=2).trials
    assert histograms(first) == histograms(second) != set()


def test_an_objective_that_no_epoch_reports_is_refused_with_the_metrics_there_are(tmp_path):
    def objective(trial):
        model = network()
        chosen = sweep.callbacks(trial, model, objective="val_acc", direction="minimize", logdir=str(tmp_path))
        model.fit(X, Y, epochs=2, verbose=0, callbacks=chosen)

    with pytest.raises(StudyError, match=r"objective 'val_acc'\. Each epoch reports loss, mae"):
        optuna.create_study(study_name="plain").optimize(objective, n_trials=1)


def test_the_key_table_is_the_same_when_a_study_goes_on(tmp_path):
    storage = f"sqlite:///{tmp_path / 'plain.db'}"
    for order in (("warmup_steps", "weight_scale"), ("weight_scale", "warmup_steps")):

        def objective(trial, order=order):
            for name in order:
                trial.suggest_int(name, 1, 1)
            model = network()
            chosen = sweep.callbacks(trial, model, objective="loss", direction="minimize", logdir=str(tmp_path))
            return min(model.fit(X, Y, epochs=1, verbose=0, callbacks=chosen).history["loss"])

        optuna.create_study(storage=storage, study_name="plain", load_if_exists=True).optimize(objective, n_trials=1)
    names = [trial.user_attrs["run"] for trial in optuna.load_study(study_name="plain", storage=storage).trials]
    assert names[1] == names[0].replace("t0000", "t0001")


def test_the_direction_is_that_of_the_study():
    with pytest.raises(StudyError, match="The direction maximize differs from the study's, which is to minimize"):
        sweep.callbacks(optuna.create_study().ask(), network(), objective="accuracy", direction="maximize")


def test_a_study_whose_name_is_no_folder_is_refused():
    trial = optuna.create_study(study_name="../elsewhere").ask()
    with pytest.raises(StudyError, match=r"not '\.\./elsewhere'"):
        sweep.callbacks(trial, network(), objective="loss", direction="minimize")


def test_a_direction_is_given_and_never_guessed(tmp_path):
    with pytest.raises(StudyError, match=r"A direction must be .*, not 'min'"):
        sweep.callbacks(optuna.create_study().ask(), network(), objective="val_loss", direction="min")


def test_gradients_want_the_data(tmp_path):
    with pytest.raises(StudyError, match="gradients needs rows of arrays"):
        sweep.callbacks(optuna.create_study().ask(), network(), objective="loss", direction="minimize", gradients=True)


def test_a_broken_network_is_pruned_and_its_text_says_why(tmp_path):
    def train(model, chosen):
        for layer in model.layers:
            layer.set_weights([weight * 0 for weight in layer.get_weights()])
        return model.fit(X, Y, validation_data=VALIDATION, epochs=6, verbose=0, callbacks=chosen)

    for broken, last in (("prune", 1), ("report", 5)):
        (trial,) = optimize(tmp_path / broken, fit=train, broken=broken).trials
        assert trial.last_step == last
    with pytest.raises(StudyError, match="broken must be prune, report or ignore"):
        optimize(tmp_path, broken="stop")


def test_in_a_trial_of_a_sweep_they_say_what_to_call_instead(tmp_path):
    def train(trial):
        model = network()
        chosen = sweep.callbacks(trial, model, objective="val_loss", direction="minimize")
        return min(model.fit(X, Y, validation_data=VALIDATION, verbose=0, callbacks=chosen).history["val_loss"])

    with pytest.raises(
        sweep.SweepError, match=r"belongs to a sweep\. Call `sweep\.fit\(trial, model, \.\.\.\)` in place"
    ):
        run_study(train, tmp_path)


def test_only_a_trial_of_study_optimize_has_callbacks():
    with pytest.raises(StudyError, match=r"needs a trial of study\.optimize, not a FixedTrial"):
        sweep.callbacks(optuna.trial.FixedTrial({}), objective="loss", direction="minimize")


def test_they_train_any_model_or_only_the_one_that_they_are_given(tmp_path):
    study = optuna.create_study(study_name="plain")
    settings = {"objective": "loss", "direction": "minimize", "logdir": str(tmp_path)}
    trial, model, other = study.ask(), network(), network(name="other")
    for trained in (model, other):
        trained.fit(X, Y, verbose=0, callbacks=sweep.callbacks(trial, **settings))
    with pytest.raises(StudyError, match=r"were made for the model mlp, and other is being trained\."):
        other.fit(X, Y, verbose=0, callbacks=sweep.callbacks(trial, model, **settings))
