"""Whether a pruner stops too many runs too early."""

from sweep.core.pruners import Verdict
from sweep.view.early_pruning import early_pruning
from tests.store_builder import run


def pruned(number, epoch=1, family="mlp", rule="median", epochs=20):
    verdict = Verdict(rule, "val_loss", 0.5, epoch - 1, 0.4, 3)
    return run(number, state="PRUNED", epoch=epoch, epochs=epochs, family=family, verdict=verdict)


def complete(number, family="mlp"):
    return run(number, 0.5, epoch=20, epochs=20, family=family)


def test_most_runs_pruned_at_the_first_epoch_are_told_with_the_family_that_lost_them():
    runs = [*(pruned(number, family="cnn") for number in range(6)), *(pruned(number) for number in range(6, 16))]
    runs += [complete(16, "cnn"), *(complete(number) for number in range(17, 24))]
    assert early_pruning(runs) == "16 of 24 runs were pruned at epoch 1, all but one of the cnn runs among them"


def test_a_family_that_lost_every_run_is_named_so():
    runs = [*(pruned(number, family="cnn") for number in range(5)), *(complete(number) for number in range(5, 9))]
    assert early_pruning(runs) == "5 of 9 runs were pruned at epoch 1, all of the cnn runs among them"


def test_where_all_runs_are_of_one_family_none_is_named():
    runs = [*(pruned(number) for number in range(6)), *(complete(number) for number in range(6, 10))]
    assert early_pruning(runs) == "6 of 10 runs were pruned at epoch 1"


def test_a_tenth_of_the_epochs_is_early_and_more_is_not():
    some = [complete(number) for number in range(6, 10)]
    assert early_pruning([*(pruned(number, epoch=2) for number in range(6)), *some]) is not None
    assert early_pruning([*(pruned(number, epoch=3) for number in range(6)), *some]) is None


def test_nothing_is_said_of_few_runs_of_fewer_than_half_of_them_and_of_runs_that_paused():
    assert early_pruning([pruned(number) for number in range(7)]) is None
    assert early_pruning([*map(pruned, range(4)), *map(complete, range(4, 9))]) is None
    assert early_pruning([pruned(number, rule="asha") for number in range(9)]) is None


def test_what_a_person_has_pruned_was_not_the_pruners():
    by_hand = [run(number, state="PRUNED", epoch=1, epochs=20, reason="by hand") for number in range(9)]
    assert early_pruning(by_hand) is None
