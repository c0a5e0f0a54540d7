"""`sweep.fit`: one trial from start to finish, in a real study, read back from its store and its event files."""

import contextlib
import math
from pathlib import Path

import keras
import numpy as np
import optuna
import pytest

import sweep
from sweep.errors import StudyError, SweepError
from sweep.tensorboard import event_files, hparams
from sweep.worker.run import Requeued
from tests.train.here import VALIDATION, X, Y, network
from tests.whole_study import nothing_written, run_study, scalars


def fit(trial, model=None, **settings):
    """The plain case: 3 epochs with validation data."""
    return sweep.fit(trial, model or network(), X, Y, validation_data=VALIDATION, **{"epochs": 3, **settings})


def tags(directory):
    """Tags of an event file by plugin."""
    found = {}
    for event in event_files.read(Path(directory)):
        for value in event.summary.value:
            found.setdefault(value.metadata.plugin_data.plugin_name, set()).add(value.tag)
    return found


def test_fit_returns_the_objective_at_its_best_epoch(tmp_path):
    returned = []

    def train(trial):
        returned.append(fit(trial, network(rate=1.0), epochs=6))  # a rate that lets the loss jump about
        return returned[0]

    kept = run_study(train, tmp_path, broken="report")
    by_epoch = [kept.metrics[0][epoch]["val_loss"] for epoch in range(6)]
    assert returned == [min(by_epoch)]
    assert (kept.run.best, kept.run.best_epoch, kept.run.last) == (
        min(by_epoch),
        by_epoch.index(min(by_epoch)),
        by_epoch[-1],
    )
    assert optuna.load_study(study_name="test", storage=kept.storage).best_value == min(by_epoch)


@pytest.mark.parametrize("name", ["result", "value"])
def test_fit_may_return_the_objective_at_its_last_epoch(tmp_path, name):
    kept = run_study(
        lambda trial: fit(trial, network(rate=1.0), epochs=6), tmp_path, **{name: "last", "broken": "report"}
    )
    assert optuna.load_study(study_name="test", storage=kept.storage).best_value == kept.metrics[0][5]["val_loss"]
    assert kept.run.value == kept.metrics[0][5]["val_loss"]


def test_the_history_is_left_in_the_model(tmp_path):
    histories = []

    def train(trial):
        model = network()
        value = fit(trial, model)
        histories.append(model.history.history)
        return value

    kept = run_study(train, tmp_path)
    assert histories[0]["val_loss"] == [kept.metrics[0][epoch]["val_loss"] for epoch in range(3)]
    assert set(histories[0]) == {"loss", "mae", "val_loss", "val_mae"}


def test_every_metric_of_every_epoch_is_in_the_store_and_in_the_event_file(tmp_path):
    kept = run_study(fit, tmp_path)
    assert {frozenset(of_epoch) for of_epoch in kept.metrics[0].values()} == {
        frozenset({"loss", "mae", "val_loss", "val_mae", "learning_rate"})
    }
    for name in ("loss", "val_mae", "learning_rate"):
        written = scalars(kept.run.directory, name)
        stored = {epoch: kept.metrics[0][epoch][name] for epoch in range(3)}
        assert written == {epoch: float(np.float32(value)) for epoch, value in stored.items()}


def test_the_run_is_named_after_its_parameters_and_its_architecture(tmp_path):
    def train(trial):
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        return fit(trial, network(trial.suggest_int("units", 2, 8), rate=rate, name="dnn"))

    run = run_study(train, tmp_path, settings={"fixed": {"learning_rate": 0.01, "units": 5}}).run
    assert run.name == "dnn-5-lr=0.01-units=5-t0000"
    assert run.directory == str(tmp_path / "runs" / "test" / run.name)
    assert (run.family, run.architecture, run.epochs, run.epoch) == ("dnn", "5", 3, 3)


def test_a_model_that_nobody_named_has_the_studys_name_as_its_family(tmp_path):
    assert run_study(lambda trial: fit(trial, network(name=None)), tmp_path).run.name == "test-4-t0000"


def test_a_second_fit_goes_on_with_the_epochs_of_the_same_run(tmp_path):
    def train(trial):
        model = network()
        fit(trial, model, epochs=2)
        model.compile(keras.optimizers.SGD(0.001), loss="mse", metrics=["mae"])
        return fit(trial, model, epochs=3)

    kept = run_study(train, tmp_path)
    assert sorted(kept.metrics[0]) == [0, 1, 2, 3, 4]
    assert kept.run.epoch == 5
    assert len(event_files.files(Path(kept.run.directory))) == 1
    assert sorted(scalars(kept.run.directory, "loss")) == [0, 1, 2, 3, 4]


def test_a_parameter_suggested_after_fit_is_refused_by_name(tmp_path):
    def train(trial):
        value = fit(trial)
        trial.suggest_float("afterwards", 0.0, 1.0)
        return value

    with pytest.raises(SweepError, match=r"Parameter 'afterwards' was suggested after sweep\.fit began"):
        run_study(train, tmp_path)


@pytest.mark.parametrize("compiled", ["auto", False])
def test_an_objective_that_no_epoch_reports_is_refused_with_the_metrics_there_are(tmp_path, compiled):
    epochs = []
    begun = keras.callbacks.LearningRateScheduler(lambda epoch: epochs.append(epoch) or 0.01)
    with pytest.raises(SweepError, match=r"objective 'val_acuracy'\. Each epoch reports loss, mae, val_loss, val_mae"):
        run_study(lambda trial: fit(trial, compiled=compiled, callbacks=[begun]), tmp_path, objective="val_acuracy")
    assert epochs == []
    assert nothing_written(tmp_path)


def test_an_objective_may_be_a_metric_that_a_callback_of_the_users_adds(tmp_path):
    def train(trial):
        adds = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(double=2 * logs["loss"]))
        return fit(trial, callbacks=[adds])

    kept = run_study(train, tmp_path, objective="double")
    assert kept.run.state == "COMPLETE"
    assert [of_epoch["double"] for of_epoch in kept.metrics[0].values()] == [
        2 * of_epoch["loss"] for of_epoch in kept.metrics[0].values()
    ]


def test_an_objective_that_a_callback_might_have_added_is_refused_once_it_has_not(tmp_path):
    other = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(double=2 * logs["loss"]))
    with pytest.raises(SweepError, match=r"objective 'treble'\. Each epoch reports double, loss, mae, val_loss"):
        run_study(lambda trial: fit(trial, callbacks=[other]), tmp_path, objective="treble")
    assert nothing_written(tmp_path)


def test_a_generators_unknown_objective_is_refused_and_nothing_is_written(tmp_path):
    def train(trial):
        rows = ((X[:8], Y[:8]) for _ in range(1000))
        how = {"steps_per_epoch": 4, "shuffle": False, "validation_data": VALIDATION}
        return sweep.fit(trial, network(), rows, epochs=2, **how)

    with pytest.raises(SweepError, match=r"objective 'val_acuracy'\. Each epoch reports loss, mae, val_loss, val_mae"):
        run_study(train, tmp_path, objective="val_acuracy")
    assert nothing_written(tmp_path)


def test_an_objective_that_not_every_epoch_reports_is_refused(tmp_path):
    with pytest.raises(SweepError, match="With validation_freq=2 not every epoch reports val_loss"):
        run_study(lambda trial: fit(trial, validation_freq=2), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": 2.5}, r"epochs must be a whole number of at least 1, not 2\.5"),
        ({"epochs": True}, "epochs must be a whole number of at least 1, not True"),
        ({"histograms": -1}, "histograms must be a whole number of epochs, or 0 for never, not -1"),
        ({"initial_epoch": -1}, "initial_epoch must be a whole number of at least 0, not -1"),
        ({"initial_epoch": 3}, "initial_epoch=3 leaves no epoch to train of 3"),
        ({"gradients": "yes"}, "gradients must be True, False or a number of rows, not 'yes'"),
        ({"compiled": "always"}, "compiled must be True, False or"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(tmp_path, settings, message):
    with pytest.raises(SweepError, match=message):
        run_study(lambda trial: fit(trial, **settings), tmp_path)
    assert nothing_written(tmp_path)


def test_gradients_of_data_that_are_no_arrays_are_refused(tmp_path):
    def train(trial):
        rows = ((X[:8], Y[:8]) for _ in range(1000))
        return sweep.fit(trial, network(), rows, steps_per_epoch=4, validation_data=VALIDATION, gradients=True)

    with pytest.raises(SweepError, match="gradients needs rows of arrays"):
        run_study(train, tmp_path)


def test_an_objective_of_validation_without_validation_data_is_refused(tmp_path):
    with pytest.raises(
        SweepError, match=r"reports 'val_loss' without validation data\. Each epoch reports loss, mae\. Give"
    ):
        run_study(lambda trial: sweep.fit(trial, network(), X, Y, epochs=2), tmp_path)
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("pruner", ["nop", "median"])
def test_a_loss_that_is_nan_prunes_at_once_and_is_never_best(tmp_path, pruner):
    def train(trial):
        rate = trial.suggest_categorical("rate", [0.01, 1e30])
        return fit(trial, network(rate=rate), epochs=8)

    kept = run_study(train, tmp_path, trials=2, sampler="grid(rate=[0.01, 1e30])", pruner=pruner)
    broken = next(run for run in kept.runs if run.params["rate"] == 1e30)
    assert broken.state == "PRUNED"
    assert broken.epoch < 8
    assert "NaN" in broken.reason or "inf" in broken.reason
    assert broken.best is None or math.isfinite(broken.best)
    assert optuna.load_study(study_name="test", storage=kept.storage).best_trial.params == {"rate": 0.01}


def test_pruning_that_the_objective_swallows_prunes_all_the_same(tmp_path):
    def train(trial):
        try:
            return fit(trial, network(rate=1e30), epochs=8)
        except Exception:
            return 0.0

    assert run_study(train, tmp_path).run.state == "PRUNED"


def test_a_float_of_the_objectives_own_is_the_value(tmp_path):
    def train(trial):
        fit(trial)
        return 0.125

    kept = run_study(train, tmp_path)
    assert optuna.load_study(study_name="test", storage=kept.storage).best_value == kept.run.value == 0.125
    assert kept.run.best == min(kept.metrics[0][epoch]["val_loss"] for epoch in range(3))


def test_an_objective_that_returns_nothing_fails_and_says_what_to_return(tmp_path):
    run = run_study(lambda trial: fit(trial) and None, tmp_path).run
    assert run.state == "FAIL"
    assert "train returns the trial's value" in run.reason


def test_an_exception_in_the_objective_fails_the_trial_with_its_traceback(tmp_path):
    def train(trial):
        fit(trial)
        raise ValueError("no such thing")

    run = run_study(train, tmp_path).run
    assert (run.state, run.reason) == ("FAIL", "ValueError: no such thing")
    assert "in train" in run.traceback
    assert "Traceback" in run.traceback
    ends = [hparams.parse_end(event.summary) for event in event_files.read(Path(run.directory))]
    assert [end for end in ends if end] == ["FAILURE"]


@pytest.mark.parametrize(("every", "expected"), [(1, {0, 1, 2, 3}), (2, {0, 2}), (0, set())])
def test_histograms_are_written_every_so_many_epochs(tmp_path, every, expected):
    run = run_study(lambda trial: fit(trial, epochs=4, histograms=every), tmp_path).run
    steps = {
        event.step
        for event in event_files.read(Path(run.directory))
        for value in event.summary.value
        if value.tag == "dense/kernel"
    }
    assert steps == expected


def test_layers_that_nobody_named_have_the_same_tags_in_every_trial(tmp_path):
    runs = run_study(fit, tmp_path, trials=3, sampler="random").runs
    assert [tags(run.directory)["histograms"] for run in runs] == [
        {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"}
    ] * 3


@pytest.mark.parametrize("gradients", [True, 7])
def test_gradients_have_histograms_where_asked_for(tmp_path, gradients):
    run = run_study(lambda trial: fit(trial, gradients=gradients), tmp_path).run
    assert {"gradients/dense/kernel", "gradients/dense_1/bias"} <= tags(run.directory)["histograms"]


def test_the_graph_is_written_unless_it_is_not_wanted(tmp_path):
    def has_graph(run):
        return any(event.graph_def for event in event_files.read(Path(run.directory)))

    def train(trial):
        return fit(trial, graph=trial.suggest_categorical("graph", [True, False]))

    runs = run_study(train, tmp_path, trials=2, sampler="grid(graph=[True, False])").runs
    assert {run.params["graph"]: has_graph(run) for run in runs} == {True: True, False: False}


def test_the_epochs_of_the_command_line_come_before_those_of_the_call(tmp_path):
    assert run_study(lambda trial: fit(trial, epochs=5), tmp_path, settings={"epochs": 2}).run.epoch == 2


def test_the_epochs_of_the_study_hold_where_the_call_says_none(tmp_path):
    assert run_study(lambda trial: fit(trial, epochs=None), tmp_path, epochs=4).run.epoch == 4


def test_callbacks_of_the_users_own_act_before_the_epoch_is_reported(tmp_path):
    def train(trial):
        stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=100.0, restore_best_weights=True)
        return fit(trial, epochs=30, callbacks=[stop])

    kept = run_study(train, tmp_path)
    assert (kept.run.state, kept.run.epoch) == ("COMPLETE", 2)
    assert sorted(kept.metrics[0]) == [0, 1]


@pytest.mark.filterwarnings("ignore:.*shuffle=True.*:UserWarning")  # Keras' own remark
def test_data_that_no_program_takes_are_trained_by_keras_fit(tmp_path):
    def train(trial):
        import tensorflow as tf

        rows = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        return sweep.fit(trial, network(), rows, validation_data=rows, epochs=2)

    kept = run_study(train, tmp_path)
    assert (kept.run.state, kept.run.epoch, sorted(kept.metrics[0])) == ("COMPLETE", 2, [0, 1])


def test_a_requeued_trial_is_run_again_under_its_name_with_every_epoch(tmp_path):
    """`sweep stop` while it trains, then `sweep start` again."""

    def train(trial):
        def stop(epoch, logs):
            if epoch == 1 and not stopped:
                stopped.append(epoch)
                raise Requeued("stop")

        return fit(trial, epochs=4, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)])

    stopped = []
    kept = run_study(train, tmp_path)
    assert stopped == [1]
    assert (kept.run.state, kept.run.attempt, kept.run.epoch) == ("COMPLETE", 1, 4)
    assert sorted(kept.metrics[0]) == [0, 1, 2, 3]


def test_user_code_that_catches_exceptions_does_not_catch_a_requeue(tmp_path):
    def train(trial):
        try:
            if not raised:
                raised.append(True)
                raise Requeued("stop")
            return fit(trial)
        except Exception:
            return 0.0

    raised = []
    assert run_study(train, tmp_path).run.attempt == 1


def test_two_models_may_be_trained_in_one_trial(tmp_path):
    def train(trial):
        fit(trial, network(4), epochs=2)
        return fit(trial, network(7), epochs=2)

    kept = run_study(train, tmp_path)
    assert kept.run.name == "mlp-4-t0000"
    assert sorted(kept.metrics[0]) == [0, 1, 2, 3]


class Wide(keras.Model):
    """A model whose graph only a call shows."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(6, activation="relu")
        self.head = keras.layers.Dense(1)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


@pytest.mark.parametrize("compiled", ["auto", False])
def test_a_subclassed_model_has_its_name_graph_and_histograms(tmp_path, compiled):
    def train(trial):
        model = Wide()
        model.compile("adam", loss="mse")
        return fit(trial, model, compiled=compiled)

    run = run_study(train, tmp_path, trials=2).runs[1]
    assert run.name == "wide-6-t0001"
    assert any(event.graph_def for event in event_files.read(Path(run.directory)))
    assert {tag for tag in tags(run.directory)["histograms"] if tag.endswith("kernel")} == {
        "hidden/kernel",
        "head/kernel",
    } or len(tags(run.directory)["histograms"]) == 4


def test_validation_rows_may_be_split_off(tmp_path):
    kept = run_study(lambda trial: sweep.fit(trial, network(), X, Y, validation_split=0.25, epochs=2), tmp_path)
    assert all("val_loss" in of_epoch for of_epoch in kept.metrics[0].values())


def test_should_prune_after_fit_gives_the_verdict_on_the_last_epoch(tmp_path):
    def train(trial):
        value = fit(trial)
        asked.append(trial.should_prune())
        return value

    asked = []
    assert run_study(train, tmp_path).run.state == "COMPLETE"
    assert asked == [False]


def test_a_pruning_callback_of_optunas_kind_in_fit_changes_nothing(tmp_path):
    def train(trial):
        def report(epoch, logs):
            trial.report(logs["loss"], epoch)
            stopped.append(trial.should_prune())

        return fit(trial, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)])

    stopped = []
    kept = run_study(train, tmp_path)
    assert (kept.run.state, kept.run.epoch, stopped) == ("COMPLETE", 3, [False] * 3)


def test_a_training_that_a_verdict_has_stopped_is_not_followed_by_another(tmp_path):
    def train(trial):
        with contextlib.suppress(optuna.TrialPruned):
            fit(trial, network(rate=1e30), epochs=8)
        return fit(trial, network())

    kept = run_study(train, tmp_path)
    assert kept.run.state == "PRUNED"
    assert "mlp" in kept.run.name
    assert kept.run.epoch < 8


def test_several_objectives_have_the_last_epochs_values(tmp_path):
    kept = run_study(fit, tmp_path, objective=["val_loss", "val_mae"], direction=["minimize", "minimize"], pruner="nop")
    (trial,) = optuna.load_study(study_name="test", storage=kept.storage).trials
    assert trial.values == [kept.metrics[0][2]["val_loss"], kept.metrics[0][2]["val_mae"]]


def test_a_trial_of_plain_optuna_is_told_what_to_use():
    with pytest.raises(StudyError, match=r"sweep\.callbacks"):
        sweep.fit(optuna.create_study().ask(), network(), X, Y)


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(tmp_path):
    def train(trial):
        return fit(trial, network(trial.suggest_int("units", 2, 8)))

    def losses(folder, seed):
        folder.mkdir()
        return run_study(train, folder, trials=2, seed=seed).metrics

    first, again, other = losses(tmp_path / "a", 5), losses(tmp_path / "b", 5), losses(tmp_path / "c", 6)
    assert first == again
    assert first != other


def texts_of(run, tag):
    return [
        value.tensor.string_val[0].decode()
        for event in event_files.read(Path(run.directory))
        for value in event.summary.value
        if value.tag == tag
    ]


@pytest.mark.parametrize(
    ("compiled", "expected"), [("auto", "Whole epochs as one program, run as a graph"), (False, "Keras' own fit")]
)
def test_a_text_says_how_the_epochs_of_each_training_ran(tmp_path, compiled, expected):
    def train(trial):
        return max(fit(trial, network(), epochs=2, compiled=compiled) for _ in range(2))

    texts = texts_of(run_study(train, tmp_path).run, event_files.TRAINING_TAG)
    assert len(texts) == 2
    assert all(text.startswith(expected) for text in texts)


def broken_network():
    """All units of a layer are alike, and stay so."""
    ones = {"kernel_initializer": "ones"}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, **ones), keras.layers.Dense(1, **ones)])
    model.compile("adam", "mse")
    return model


def test_a_broken_run_is_pruned_after_its_second_epoch_and_says_what_is_wrong_with_it(tmp_path):
    kept = run_study(lambda trial: fit(trial, broken_network(), epochs=8), tmp_path, broken="prune")
    assert (kept.run.state, kept.run.epoch) == ("PRUNED", 2)
    assert kept.run.reason.startswith("symmetric-neurons: all 4 units of dense/kernel have the same weights")
    assert [found.kind for found in kept.run.findings if found.severe] == ["symmetric-neurons"]
    texts = texts_of(kept.run, event_files.RUN_TAG)
    assert "- symmetric-neurons since epoch 1: all 4 units" in texts[-1]


@pytest.mark.parametrize(("broken", "kinds"), [("report", {"symmetric-neurons"}), ("ignore", set())])
def test_a_broken_run_goes_on_where_it_is_only_to_be_reported_or_ignored(tmp_path, broken, kinds):
    kept = run_study(lambda trial: fit(trial, broken_network(), epochs=4), tmp_path, broken=broken)
    assert (kept.run.state, kept.run.epoch) == ("COMPLETE", 4)
    assert {found.kind for found in kept.run.findings if found.severe} == kinds


def test_the_command_line_says_what_broken_runs_are_for(tmp_path):
    kept = run_study(lambda trial: fit(trial, broken_network(), epochs=4), tmp_path, settings={"broken": "report"})
    assert kept.run.state == "COMPLETE"
    with pytest.raises(SweepError, match="broken must be prune, report or ignore, not 'stop'"):
        run_study(lambda trial: fit(trial, broken_network()), tmp_path, broken="stop")


def test_a_training_that_fails_says_what_was_found_in_its_data(tmp_path):
    def train(trial):
        y = np.full(60, 9)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return sweep.fit(trial, model, X, y, validation_data=(X, y), compiled=False)

    run = run_study(train, tmp_path).run
    assert run.state == "FAIL"
    assert "sweep noticed before: unfit-output: labels go from 9 to 9, for 4 units" in run.traceback
