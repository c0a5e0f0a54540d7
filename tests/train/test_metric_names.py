"""What a metric is called: the same in every model of a trial, whatever Keras has counted in between."""

import keras
import numpy as np
import pytest

from sweep.train.metric_names import canonical
from sweep.train.session import begin

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")


@pytest.fixture(autouse=True)
def _new_trial():
    begin(1)


def binary(*metrics, weighted=None) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    model.compile(loss="binary_crossentropy", metrics=list(metrics), weighted_metrics=weighted)
    return model


def trained(model, y=Y, **settings) -> list[str]:
    return list(model.fit(X, y, validation_data=(X, y), verbose=0, **settings).history)


def test_a_metric_that_a_user_left_unnamed_has_one_name_in_every_model_of_a_trial():
    for raw in ("auc", "auc_1", "auc_2"):
        model = binary(keras.metrics.AUC(), "accuracy")
        names = trained(model)
        assert names == ["accuracy", raw, "loss", "val_accuracy", f"val_{raw}", "val_loss"]
        assert list(canonical(model, names).values()) == [
            "accuracy",
            "auc",
            "loss",
            "val_accuracy",
            "val_auc",
            "val_loss",
        ]


def test_two_unnamed_metrics_of_one_class_are_counted_by_model():
    for first in (0, 2):
        model = binary(keras.metrics.AUC(), keras.metrics.AUC(curve="PR"))
        names = trained(model)
        assert f"val_auc_{first + 1}" in names
        assert sorted(canonical(model, names).values()) == ["auc", "auc_1", "loss", "val_auc", "val_auc_1", "val_loss"]


def test_names_that_a_user_gave_stay():
    for _ in range(2):
        model = binary(keras.metrics.AUC(name="auc_1"), keras.metrics.AUC(name="auc_2"), keras.metrics.Recall())
        names = trained(model)
        assert sorted(name for name in canonical(model, names).values() if "val" not in name) == [
            "auc_1",
            "auc_2",
            "loss",
            "recall",
        ]


def test_an_unnamed_metric_does_not_take_the_name_that_a_user_gave_another():
    binary(keras.metrics.AUC())
    model = binary(keras.metrics.AUC(name="auc"), keras.metrics.AUC())
    names = canonical(model, trained(model))
    assert (names["auc"], names["auc_1"]) == ("auc", "auc_1")


def test_the_objective_that_a_study_declares_stays():
    binary(keras.metrics.AUC())
    model = binary(keras.metrics.AUC())
    trained(model)
    assert canonical(model, ["auc_1", "val_auc_1"], keep=["val_auc_1"]) == {"auc_1": "auc", "val_auc_1": "val_auc_1"}


def test_outputs_that_a_user_left_unnamed_are_counted_by_model():
    def build() -> keras.Model:
        inputs = keras.Input((3,))
        hidden = keras.layers.Dense(2)(inputs)
        named = keras.layers.Dense(1, name="named")(hidden)
        model = keras.Model(inputs, [keras.layers.Dense(1)(hidden), named])
        model.compile(loss=["mse", "mae"], metrics=[["mae", keras.metrics.RootMeanSquaredError(name="far")], ["mse"]])
        return model

    for raw in ("dense_1", "dense_3"):
        model = build()
        names = trained(model, [Y, Y])
        assert f"val_{raw}_loss" in names
        assert sorted(canonical(model, names).values()) == sorted(
            side + name
            for side in ("", "val_")
            for name in ("dense_1_loss", "dense_1_mae", "dense_1_far", "loss", "named_loss", "named_mse")
        )


def test_weighted_metrics_and_those_of_a_subclass_are_renamed_too():
    class Counting(keras.Sequential):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.spread = keras.metrics.Mean()

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.spread.update_state(keras.ops.std(y_pred))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    found = []
    for _ in range(2):
        model = Counting([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(loss="mse", metrics=[keras.metrics.AUC()], weighted_metrics=[keras.metrics.Recall()])
        found.append(list(canonical(model, trained(model)).values()))
    assert found[0] == found[1]
    assert "mean" in found[0]
    assert "recall" in found[0]


def test_names_that_no_model_explains_stay():
    model = binary(keras.metrics.AUC())
    assert canonical(model, ["learning_rate", "val_double", "d_loss_1"]) == {
        "learning_rate": "learning_rate",
        "val_double": "val_double",
        "d_loss_1": "d_loss_1",
    }
