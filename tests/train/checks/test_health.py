"""How a run does: since when a finding has held, when it is due, and what is not said beside its cause."""

import math

import keras
import numpy as np
import pytest

from sweep.train.checks import Health, Material
from sweep.train.checks import health as module
from sweep.train.graphs import weight_tags, weights
from tests.train.checks.networks import X, Y, found, network


def health(x=X, y=Y, validation=None):
    return Health(Material(x, y, validation), direction="minimize", objective="val_loss")


def checked(checks, model, losses, rates=()):
    """The findings after each epoch of a training that does not change the model."""
    history: dict[str, list[float]] = {"loss": []}
    results = []
    for epoch, loss in enumerate(losses):
        history["loss"].append(loss)
        if rates:
            history.setdefault("learning_rate", []).append(rates[epoch])
        results.append(checks.check(model, epoch, weights(model, weight_tags(model)), history))
    return results


def kinds(findings):
    return [finding.kind for finding in findings]


def test_a_severe_finding_is_due_after_the_second_epoch_that_it_holds():
    checks, model = health(), network(kernel_initializer="zeros", bias_initializer="ones")
    first, second = checked(checks, model, [1.0, 0.9])
    assert kinds(first) == kinds(second) == ["symmetric-neurons"]
    again = health()
    (only,) = checked(again, model, [1.0])
    assert again.due(only) is None
    assert checks.due(second).startswith("symmetric-neurons: all 16 units of dense/kernel have the same weights")
    assert second[0].since == 0


def test_a_finding_that_has_gone_begins_anew_when_it_comes_back():
    checks = health()
    broken, well = network(kernel_initializer="ones"), network()
    checked(checks, broken, [1.0])
    checked(checks, well, [1.0])
    assert checks.check(broken, 7, weights(broken, weight_tags(broken)), {"loss": [1.0]})[0].since == 7
    assert checks.due(checks.check(broken, 8, weights(broken, weight_tags(broken)), {"loss": [1.0]}))


@pytest.mark.parametrize("name", ["loss", "val_loss"])
def test_not_a_number_is_due_at_once(name):
    checks, model = health(), network()
    history = {"loss": [1.0], "val_loss": [1.0], name: [math.nan]}
    findings = checks.check(model, 0, weights(model, weight_tags(model)), history)
    assert checks.due(findings) == f"not-a-number: {name} is nan"


def test_a_loss_that_has_stood_still_since_the_start_is_stuck_with_the_reason_why():
    findings = checked(health(), network(), [1.5, 1.5])[-1]
    assert {"stuck-loss", "learning-rate-too-low"} <= set(kinds(findings))


@pytest.mark.parametrize(
    ("losses", "rates"),
    [([0.0, 0.0], ()), ([1.5, 1.4], ()), ([1.5, 1.5], (0.0, 0.1)), ([1.5, 1.5], (0.1, 0.01))],
    ids=["a perfect loss", "a little progress", "a warmed-up rate", "a lowered rate"],
)
def test_other_losses_are_not_called_stuck(losses, rates):
    assert "stuck-loss" not in kinds(checked(health(), network(), losses, rates)[-1])


def test_what_a_severe_cause_explains_is_not_said_beside_it():
    dead = network()
    for layer in dead.layers[1:-1]:
        layer.set_weights([layer.get_weights()[0], np.full(16, -1e3)])
    assert kinds(checked(health(), dead, [1.0, 1.0, 1.0])[-1]) == ["dead-relu"]


def test_the_data_are_looked_at_once_for_the_same_arrays(monkeypatch):
    looks = []
    monkeypatch.setattr(module.data, "look", lambda *parts: looks.append(parts) or facts)
    facts = module.data.Facts(None, None, None, None)
    x, y = X.copy(), Y.copy()
    for _ in range(3):
        health(x, y, x).begin(network())
    health(x.copy(), y, x).begin(network())
    assert len(looks) == 2
    for _ in range(3):
        health(x, y).begin(network())
    assert len(looks) == 3, "without data to validate with as well"


def test_the_sample_goes_through_in_the_first_epochs_and_then_ever_less_often(monkeypatch):
    looks = []
    monkeypatch.setattr(module.signals, "look", lambda *_: looks.append(True))
    checks, model, seen = health(), network(), []
    for epoch in range(40):
        before = len(looks)
        checks.check(model, epoch, weights(model, weight_tags(model)), {"loss": [1.0 / (epoch + 1)]})
        seen += [epoch + 1] * (len(looks) - before)
    assert seen == [1, 2, 3, 4, 8, 10, 16, 20, 30, 32, 40]


def test_data_that_are_no_arrays_leave_what_weights_and_losses_show():
    import tensorflow as tf

    broken = network(kernel_initializer="ones")
    checks = health(tf.data.Dataset.from_tensors((X, Y)), None)
    assert kinds(checked(checks, broken, [1.0, 0.9])[-1]) == ["symmetric-neurons"]


def test_the_last_rows_of_a_split_are_those_to_validate_with():
    material = Material.of(X, Y, None, 0.25)
    assert (len(material.x), len(material.y), len(material.validation)) == (300, 300, 100)
    assert material.validation == pytest.approx(X[300:])
    assert Material.of(X, Y, (X[:9], Y[:9]), 0.0).validation is not None
    assert Material.of(iter(()), None, None, 0.5).validation is None


def test_an_error_of_the_training_says_what_was_found_in_the_data():
    labels = np.arange(400) % 4 + 1
    model = network(loss="sparse_categorical_crossentropy", last="softmax", units=4)
    checks = health(X, labels)
    checks.begin(model)
    error = ValueError("label out of range")
    checks.explain(error)
    assert "labels go from 1 to 4, for 4 units" in "".join(error.__notes__)


def test_a_network_that_learns_has_no_finding():
    keras.utils.set_random_seed(1)
    assert found(network(optimizer=keras.optimizers.Adam(0.005)), epochs=12) == {}
