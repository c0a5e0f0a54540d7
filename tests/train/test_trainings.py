"""Several trainings in one trial, such as folds and fine-tuning, each with its own epochs, value and weights."""

import json
import logging
from pathlib import Path

import keras
import numpy as np
import optuna
import pytest

import sweep
from sweep.errors import SweepError
from sweep.rundir import weights_files
from sweep.worker.run import Requeued
from tests.train.here import X, Y, network
from tests.whole_study import run_study, scalars

SHIFTS = (4.0, 7.0, 3.0)  # what each fold's targets are away from what the others learn


def fold(shift):
    """Rows to train on and to validate with."""
    return X[:40], Y[:40] + shift, (X[40:], Y[40:] + shift)


def fit_fold(trial, model, shift, *, epochs=3, **settings):
    x, y, validation = fold(shift)
    return sweep.fit(trial, model, x, y, validation_data=validation, epochs=epochs, **settings)


def intermediate_values(kept, number=0):
    study = optuna.load_study(study_name=kept.study.name, storage=kept.storage)
    return study.get_trials(deepcopy=False)[number].intermediate_values


def by_epoch(kept, name="val_loss", number=0):
    return [kept.metrics[number][epoch][name] for epoch in sorted(kept.metrics[number])]


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A trial of three folds, with what each call of `sweep.fit` returned and saw."""
    seen = []

    def train(trial):
        scores = []
        for number, shift in enumerate(SHIFTS, start=1):
            epochs = []
            model = network(rate=0.05)
            schedule = keras.callbacks.LearningRateScheduler(
                lambda epoch, rate, seen=epochs: seen.append(epoch) or 0.05
            )
            label = f"fold {number} of {len(SHIFTS)}"
            score = fit_fold(trial, model, shift, callbacks=schedule, label=label)
            scores.append(score)
            seen.append((score, epochs, model.history.epoch, model.history.history["val_loss"]))
        return sum(scores) / len(scores)

    return run_study(train, tmp_path_factory.mktemp("folds"), broken="report"), seen


def test_each_fold_returns_its_own_best_epoch(folds):
    kept, seen = folds
    losses = by_epoch(kept)
    assert [score for score, *_ in seen] == [min(losses[:3]), min(losses[3:6]), min(losses[6:])]
    assert len({score for score, *_ in seen}) == 3


def test_the_value_of_a_trial_of_folds_is_what_train_returned(folds):
    kept, seen = folds
    mean = sum(score for score, *_ in seen) / 3
    assert kept.run.value == mean
    assert optuna.load_study(study_name="test", storage=kept.storage).best_value == mean


def test_the_callbacks_and_the_history_of_each_fold_begin_at_epoch_0(folds):
    kept, seen = folds
    losses = by_epoch(kept)
    for place, (_, epochs, numbers, history) in enumerate(seen):
        assert epochs == numbers == [0, 1, 2]
        assert history == losses[3 * place : 3 * place + 3]


def test_pruners_see_the_first_fold_alone(folds):
    kept, _ = folds
    assert intermediate_values(kept) == dict(enumerate(by_epoch(kept)[:3]))
    assert (kept.run.best, kept.run.last) == (min(by_epoch(kept)[:3]), by_epoch(kept)[2])


def test_tensorboard_has_one_run_with_rising_steps(folds):
    kept, _ = folds
    assert sorted(scalars(kept.run.directory, "loss")) == list(range(9))
    assert sorted(scalars(kept.run.directory, "value")) == [8]


def test_the_store_knows_each_training(folds):
    kept, seen = folds
    found = kept.run.trainings
    assert [item.label for item in found] == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    assert [(item.number, item.first, item.epochs, item.planned) for item in found] == [
        (0, 0, 3, 3),
        (1, 3, 3, 3),
        (2, 6, 3, 3),
    ]
    assert [item.judged for item in found] == [True, False, False]
    assert [item.value for item in found] == [score for score, *_ in seen]
    assert {(item.architecture, item.monitor) for item in found} == {("4", "val_loss")}
    assert all(item.how.startswith("Whole epochs as one program, run as a graph, ") for item in found)
    assert (kept.run.epoch, kept.run.epochs) == (9, 9)


def test_each_fold_keeps_weights_of_its_own(folds):
    kept, _ = folds
    directory = Path(kept.run.directory)
    assert len(weights_files(directory)) == 3
    losses = []
    for number, shift in enumerate(SHIFTS):
        x, y = fold(shift)[2]
        losses.append(sweep.load(directory, training=number).evaluate(x, y, verbose=0)[0])
    assert losses == pytest.approx([item.value for item in kept.run.trainings], rel=1e-4)


def test_a_network_trained_on_what_another_found_is_the_trials_model_and_value(tmp_path):
    returned = []

    def train(trial):
        autoencoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(3)], name="coder")
        autoencoder.compile("adam", loss="mse")
        returned.append(sweep.fit(trial, autoencoder, X, X, validation_data=(X, X), epochs=2))
        regressor = network()
        returned.append(fit_fold(trial, regressor, 50.0))
        return returned[-1]

    kept = run_study(train, tmp_path, broken="report")
    assert returned[0] < returned[1]
    assert kept.run.value == returned[1]
    assert [layer.units for layer in sweep.load(kept.run.directory).layers] == [4, 1]
    assert [layer.units for layer in sweep.load(kept.run.directory, training=0).layers] == [2, 3]


def test_a_further_call_with_the_same_model_continues_its_epochs_and_returns_its_own_best(tmp_path):
    seen = []

    def train(trial):
        model = network(rate=0.05)
        first = fit_fold(trial, model, 0.0, epochs=2)
        model.compile(keras.optimizers.SGD(1e-9), loss="mse", metrics=["mae"])
        x, y, validation = fold(0.0)
        second = sweep.fit(trial, model, x, y - 100, validation_data=(validation[0], validation[1] - 100), epochs=3)
        seen.append((first, second, model.history.epoch))
        return second

    kept = run_study(train, tmp_path, broken="report")
    losses = by_epoch(kept)
    ((first, second, epochs),) = seen
    assert epochs == [2, 3, 4]
    assert first == min(losses[:2]) < second == min(losses[2:])
    assert kept.run.value == second
    (training,) = kept.run.trainings
    assert (training.first, training.epochs, training.planned, training.value) == (0, 5, 5, second)
    assert training.best_epoch >= 2
    assert intermediate_values(kept) == dict(enumerate(losses))
    assert (kept.run.epoch, kept.run.epochs) == (5, 5)


def test_a_model_that_was_trained_before_another_one_continues_its_epochs_in_a_further_training(tmp_path):
    seen = []

    def train(trial):
        first, second = network(), network(5)
        fit_fold(trial, first, 0.0, epochs=2)
        fit_fold(trial, second, 0.0, epochs=2)
        value = fit_fold(trial, first, 0.0, epochs=2)
        seen.append(first.history.epoch)
        return value

    kept = run_study(train, tmp_path)
    assert seen == [[2, 3]]
    assert [(item.first, item.epochs, item.planned) for item in kept.run.trainings] == [(0, 2, 2), (2, 2, 2), (4, 2, 2)]


def test_the_training_marked_judge_is_the_one_that_pruners_see(tmp_path):
    def train(trial):
        fit_fold(trial, network(), 100.0, epochs=2)
        return fit_fold(trial, network(), 0.0, judge=True)

    kept = run_study(train, tmp_path, trials=2, sampler="random")
    for run in kept.runs:
        assert intermediate_values(kept, run.number) == dict(enumerate(by_epoch(kept, number=run.number)[2:]))
        assert [item.judged for item in run.trainings] == [False, True]
        assert run.best == min(by_epoch(kept, number=run.number)[2:])


def test_once_a_later_training_is_marked_an_earlier_one_prunes_no_trial(tmp_path):
    def train(trial):
        fit_fold(trial, network(), 100.0 * trial.number, epochs=2)
        return fit_fold(trial, network(), 0.0, judge=True)

    kept = run_study(train, tmp_path, trials=4, sampler="random", pruner="threshold(upper=5000.0)", broken="ignore")
    assert [run.state for run in kept.runs] == ["COMPLETE"] * 4


def test_a_training_is_left_out_of_pruning_on_request(tmp_path):
    def train(trial):
        fit_fold(trial, network(), 100.0, epochs=2, judge=False)
        return fit_fold(trial, network(), 0.0)

    kept = run_study(train, tmp_path)
    assert intermediate_values(kept) == dict(enumerate(by_epoch(kept)[2:]))


def test_two_trainings_that_are_both_marked_are_refused(tmp_path):
    def train(trial):
        fit_fold(trial, network(), 0.0, judge=True)
        return fit_fold(trial, network(), 0.0, judge=True)

    with pytest.raises(SweepError, match="Trainings 1 and 2 of one trial are both marked judge=True"):
        run_study(train, tmp_path)


def test_scores_of_folds_may_be_what_pruners_see(tmp_path):
    def train(trial):
        scores = []
        for number, shift in enumerate(SHIFTS):
            scores.append(fit_fold(trial, network(), shift, judge=False))
            trial.report(scores[-1], number)
            if trial.should_prune():
                raise optuna.TrialPruned
        return sum(scores) / len(scores)

    kept = run_study(train, tmp_path, broken="report")
    scores = [item.value for item in kept.run.trainings]
    assert intermediate_values(kept) == dict(enumerate(scores))
    assert len(by_epoch(kept)) == 9
    assert (kept.run.best, kept.run.last, kept.run.value) == (min(scores), scores[-1], sum(scores) / 3)


def test_a_training_may_be_judged_by_a_metric_of_its_own(tmp_path):
    def train(trial):
        return -fit_fold(trial, network(), 0.0, monitor="val_mae")

    kept = run_study(train, tmp_path, objective="score")
    assert kept.run.value == -min(by_epoch(kept, "val_mae"))
    assert intermediate_values(kept) == dict(enumerate(by_epoch(kept, "val_mae")))
    assert kept.run.trainings[0].monitor == "val_mae"


def test_a_training_that_does_not_decide_need_not_report_the_objective(tmp_path):
    def train(trial):
        plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        plain.compile("adam", loss="mse")
        fit_fold(trial, plain, 0.0, judge=False)
        return fit_fold(trial, network(), 0.0)

    kept = run_study(train, tmp_path, objective="val_mae")
    assert kept.run.state == "COMPLETE"
    assert intermediate_values(kept) == dict(enumerate(by_epoch_of(kept, "val_mae")))


def by_epoch_of(kept, name):
    return [metrics[name] for _, metrics in sorted(kept.metrics[0].items()) if name in metrics]


class Stop(keras.callbacks.Callback):
    """Puts a trial back into the queue before an epoch, once."""

    def __init__(self, at, stopped):
        super().__init__()
        self._at, self._stopped = at, stopped

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._at and not self._stopped:
            self._stopped.append(epoch)
            raise Requeued("stopped")


def three_folds(seen, stopped, units=lambda: 4, checkpoint=0.0):
    """A `train` of three folds that is interrupted in the second, once."""

    def train(trial):
        trial.suggest_float("x", 0, 1)
        scores = []
        for number, shift in enumerate(SHIFTS):
            model = network(units())
            trained = []
            note = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs, trained=trained: trained.append(epoch)
            )
            callbacks = [note, Stop(1, stopped)] if number == 1 else [note]
            scores.append(fit_fold(trial, model, shift, callbacks=callbacks, checkpoint=checkpoint))
            draw = float(np.random.random())
            seen.append((number, trained, scores[-1], model.history.history["val_loss"], model.get_weights(), draw))
        return sum(scores)

    return train


@pytest.mark.parametrize("checkpoint", [0.0, 30.0])
def test_a_resumed_trial_returns_what_its_finished_trainings_returned_without_training(tmp_path, checkpoint):
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = [], []
    kept_whole = run_study(three_folds(whole, [0], checkpoint=checkpoint), tmp_path / "whole", broken="report")
    kept = run_study(three_folds(parts, [], checkpoint=checkpoint), tmp_path / "parts", broken="report")
    assert (kept.run.state, kept.run.attempt) == ("COMPLETE", 1)
    _, *second = parts
    assert [(number, trained) for number, trained, *_ in second] == [
        (0, []),
        (1, [1, 2] if checkpoint == 0 else [0, 1, 2]),
        (2, [0, 1, 2]),
    ]
    for expected, found in zip(whole, second, strict=True):
        assert found[2] == pytest.approx(expected[2], rel=1e-5)
        assert found[3] == pytest.approx(expected[3], rel=1e-5)
        for one, other in zip(expected[4], found[4], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert found[5] == expected[5]  # NumPy's draws are those of an uninterrupted trial
    assert by_epoch(kept) == pytest.approx(by_epoch(kept_whole), rel=1e-5)
    assert sorted(scalars(kept.run.directory, "val_loss")) == list(range(9))
    assert intermediate_values(kept) == pytest.approx(intermediate_values(kept_whole), rel=1e-5)
    assert kept.run.value == pytest.approx(kept_whole.run.value, rel=1e-5)
    assert len(weights_files(Path(kept.run.directory))) == 3


def test_a_trial_whose_second_model_has_changed_starts_from_its_beginning_and_says_why(tmp_path, caplog):
    units = iter([4, 4, 4, 6, 4, 6, 4])
    seen = []
    with caplog.at_level(logging.WARNING):
        kept = run_study(three_folds(seen, [], lambda: next(units)), tmp_path, broken="report")
    assert (
        "trial 0 starts from its beginning, since the model of its sweep.fit call 2 was 4 and is now 6" in caplog.text
    )
    assert (kept.run.state, kept.run.epoch) == ("COMPLETE", 9)
    assert [trained for _, trained, *_ in seen[-3:]] == [[0, 1, 2]] * 3
    assert sorted(scalars(kept.run.directory, "val_loss")) == list(range(9))
    assert [item.architecture for item in kept.run.trainings] == ["4", "6", "4"]


def test_a_fine_tuning_that_is_interrupted_continues_with_its_optimizer(tmp_path):
    def train_with(stopped, seen):
        def train(trial):
            model = network(rate=0.01)
            fit_fold(trial, model, 0.0, epochs=2)
            stop = Stop(2, stopped)
            value = fit_fold(trial, model, 0.0, epochs=2, callbacks=stop)
            seen.append(model.get_weights())
            return value

        return train

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = [], []
    run_study(train_with([0], whole), tmp_path / "whole")
    kept = run_study(train_with([], parts), tmp_path / "parts")
    assert (kept.run.attempt, kept.run.epoch) == (1, 4)
    for one, other in zip(whole[0], parts[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_trainings_record_is_plain_data(folds):
    kept, _ = folds
    assert json.loads(json.dumps([item.as_dict() for item in kept.run.trainings]))[1]["label"] == "fold 2 of 3"


@pytest.mark.parametrize("compiled", ["auto", False])
def test_where_the_time_of_a_trial_is_over_each_fit_returns_after_its_epoch_as_if_that_were_its_last(
    tmp_path, compiled
):
    seen = []

    def train(trial):
        for shift in SHIFTS[:2]:
            model = network(rate=0.05)
            stop = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
            seen.append(fit_fold(trial, model, shift, epochs=50, callbacks=stop, compiled=compiled, checkpoint=0))
            seen.append((model.history.epoch, model.evaluate(*fold(shift)[2], verbose=0)[0]))
        return seen[0]

    kept = run_study(train, tmp_path, max_trial_time=0.001, broken="report")
    assert (kept.run.state, kept.run.epoch, kept.run.value) == ("COMPLETE", 2, seen[0])
    losses = by_epoch(kept)
    assert [seen[0], seen[2]] == losses
    assert [epochs for epochs, _ in (seen[1], seen[3])] == [[0], [0]]
    assert [loss for _, loss in (seen[1], seen[3])] == pytest.approx(losses, rel=1e-5)
    assert [item.best_epoch for item in kept.run.trainings] == [0, 0]
    assert len(weights_files(Path(kept.run.directory))) == 2
