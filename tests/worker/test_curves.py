"""What the losses by epoch show: explosions, a learning rate that is too high, overfitting."""

import math

import numpy as np
import pytest

from sweep.worker.curves import exploding, overfitting, too_fast


def curve(*parts):
    """Numbers along straight lines: each part is where it goes, and in how many epochs."""
    values = [1.0]
    for end, epochs in parts:
        values += list(np.linspace(values[-1], end, epochs + 1)[1:])
    return values


def overfits(history, direction="minimize", objective="val_loss"):
    return overfitting(history, direction, objective)


def test_a_loss_that_grows_a_thousandfold_explodes():
    (finding,) = exploding([0.5, 0.25, 251.0])
    assert (finding.kind, finding.evidence) == ("exploding-loss", "the loss is 251, and was 0.25")
    assert exploding([300.0, 0.25, 251.0]) == exploding([0.5, -3.0, 6.0]) == exploding([]) == []


def test_a_loss_that_swings_while_weights_are_thrown_about_has_too_high_a_learning_rate():
    (finding,) = too_fast([1.0, 0.4, 0.9, 0.3, 0.8], [0.3, 0.2, 0.4], 0.5, None)
    assert finding.kind == "learning-rate-too-high"
    assert finding.evidence == (
        "the loss has jumped 2 times in 5 epochs, and kernels change by 0.3 of their size in an epoch "
        "at a learning rate of 0.5"
    )


def test_a_loss_far_above_a_constants_while_weights_are_thrown_about_has_too():
    assert too_fast([90.0, 60.0], [0.9], 10.0, worse=60.0)
    assert not too_fast([90.0, 60.0], [0.1], 10.0, worse=60.0)


@pytest.mark.parametrize(
    ("losses", "moves"),
    [
        ([1.0, 0.8, 0.7, 0.65], [0.9]),
        ([1.0, 0.4, 0.9, 0.3, 0.8], [0.01]),
        ([1.0, math.nan], [0.9]),
        ([1.0, 2.0], [0.9]),
        ([1.0, 0.4, 0.9], []),
    ],
    ids=["falls", "weights hardly move", "nan", "one step", "no kernels"],
)
def test_other_losses_have_not(losses, moves):
    assert too_fast(losses, moves, 0.1, None) == []


def test_overfitting_is_told_by_the_two_curves_with_the_best_epoch_and_since_when():
    history = {"loss": curve((0.5, 10), (0.1, 20)), "val_loss": curve((0.6, 10), (0.8, 20))}
    (finding,) = overfits(history)
    assert finding.evidence == "val_loss 0.8 against loss 0.1; its best was 0.6 at epoch 11"
    assert finding.since == 11


@pytest.mark.parametrize(
    "val_loss",
    [
        curve((0.5, 30)),
        curve((0.5, 25), (0.9, 5)),
        curve((0.6, 10), (0.62, 20)),
        curve((0.6, 10), (0.8, 17), (0.61, 3)),
        curve((0.6, 10), (math.nan, 20)),
        curve((-10.0, 10), (-9.8, 20)),
        curve((1e-7, 10), (3e-7, 20)),
    ],
    ids=["falling", "risen of late", "flat", "one good epoch of late", "nan", "flat and negative", "next to none"],
)
def test_a_curve_that_may_yet_fall_is_not_called_overfitting(val_loss):
    assert overfits({"loss": curve((0.1, 30)), "val_loss": val_loss}) == []


def test_a_curve_that_rises_with_the_loss_is_not_called_overfitting():
    both = curve((0.6, 10), (0.8, 20))
    assert overfits({"loss": both, "val_loss": both}) == []


def test_a_val_loss_that_is_still_below_the_loss_is_not_called_overfitting():
    assert overfits({"loss": curve((0.95, 30)), "val_loss": curve((0.6, 10), (0.8, 20))}) == []


def test_a_model_whose_objective_gets_better_all_the_same_is_not_called_overfitting():
    history = {"loss": curve((0.1, 30)), "val_loss": curve((0.6, 10), (0.8, 20)), "val_accuracy": curve((1.5, 30))}
    assert overfits(history, "maximize", "val_accuracy") == []
    history["val_accuracy"] = curve((1.5, 10), (1.4, 20))
    assert overfits(history, "maximize", "val_accuracy")


def test_a_run_without_history_does_not_overfit():
    assert overfits({}) == []
