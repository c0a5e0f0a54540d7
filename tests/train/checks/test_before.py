"""`sweep.check`: the findings of a model before any sweep, which leaves the model as it was."""

import keras
import numpy as np
import pytest

import sweep
from sweep.errors import StudyError
from sweep.train.checks.before import Findings
from tests.train.checks.networks import X, Y, found, network


def test_the_chapters_broken_network_is_told():
    findings = sweep.check(network(kernel_initializer="zeros", bias_initializer="ones"), X, Y)
    assert repr(findings) == (
        "symmetric-neurons since epoch 1: all 16 units of dense/kernel have the same weights, and so in 1 more layer; "
        "initialise kernels at random, e.g. glorot_uniform"
    )


def test_no_findings_are_said_to_be_none():
    assert repr(Findings()) == "no findings"


def test_the_model_and_a_built_optimizer_are_as_they_were():
    model = network()
    model.fit(X, Y, verbose=0)
    before = [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]
    sweep.check(model, X, Y, batch_size=64)
    after = [*model.get_weights(), *(variable.numpy() for variable in model.optimizer.variables)]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_model_that_was_never_trained_trains_as_if_nobody_had_looked():
    losses = []
    for looks in (False, True):
        keras.utils.set_random_seed(3)
        model = network(optimizer=keras.optimizers.SGD(0.05, momentum=0.9))
        if looks:
            sweep.check(model, X, Y)
        losses.append(model.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_generators_and_splits_are_taken_as_fit_takes_them():
    def batches():
        while True:
            yield X[:32], Y[:32]

    broken = network(kernel_initializer="ones")
    assert "symmetric-neurons" in {
        item.kind for item in sweep.check(broken, batches(), None, steps_per_epoch=3, shuffle=False)
    }
    assert "data-leak" in found(network(), np.tile(X, (2, 1)), np.tile(Y, 2), validation_split=0.5)


def test_an_error_of_the_training_keeps_its_traceback_and_says_what_was_found():
    model = network(loss="sparse_categorical_crossentropy", last="softmax", units=4)
    with pytest.raises(Exception, match="label") as caught:
        sweep.check(model, X, (np.arange(400) % 4 + 1).astype("int32"), compiled=False)
    assert "sweep noticed before: unfit-output" in "".join(caught.value.__notes__)


def test_a_model_that_is_not_compiled_is_refused():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    with pytest.raises(StudyError, match=r"Call model.compile\(...\) first"):
        sweep.check(model, X, Y)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "3"])
def test_epochs_are_a_whole_number(epochs):
    with pytest.raises(StudyError, match="epochs must be a whole number of at least 1"):
        sweep.check(network(), X, Y, epochs=epochs)
