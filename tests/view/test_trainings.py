"""How far a run is, as displays say it."""

import pytest

from sweep.store.records import RunRecord, Training
from sweep.view.runs import epoch_share, epochs_text, how_trained, trained_text, training_name


def folds(*epochs, **changes):
    """A run of trainings with so many epochs of 10 each."""
    trainings, first = [], 0
    for number, done in enumerate(epochs):
        trainings.append(
            Training(number, first=first, epochs=done, planned=10, architecture="32", monitor="val_loss", **changes)
        )
        first += done
    return RunRecord(0, epoch=first, epochs=10 * len(epochs), trainings=trainings)


@pytest.mark.parametrize(
    ("run", "short", "long", "share"),
    [
        (RunRecord(0, epoch=3, epochs=10), "3/10", "3 of 10 epochs", 30.0),
        (RunRecord(0, epoch=1), "1", "1 epoch", 0.0),
        (folds(3), "3/10", "3 of 10 epochs", 30.0),
        (folds(10, 10, 4), "training 3, 4/10", "24 epochs in 3 trainings", 40.0),
        (folds(10, 10, label="fold 2 of 3"), "fold 2 of 3, 10/10", "20 epochs in 2 trainings", 100.0),
    ],
)
def test_the_epochs_shown_are_those_of_the_present_training(run, short, long, share):
    assert (epochs_text(run), trained_text(run), epoch_share(run)) == (short, long, share)


def test_a_training_is_called_by_its_label_or_else_by_its_number():
    assert training_name(Training(1)) == "training 2"
    assert training_name(Training(1, label="fine-tuning")) == "fine-tuning"


def test_how_a_training_ran_is_told_of_each_that_has_ended():
    run = folds(10, 10, how="Whole epochs as one program.")
    assert how_trained(run) == [
        ("training 1", "Whole epochs as one program."),
        ("training 2", "Whole epochs as one program."),
    ]
    assert how_trained(folds(3)) == []
    assert how_trained(folds(10, how="Keras' own fit.")) == [("trained", "Keras' own fit.")]
