"""Banks of learning curves, from a study and from a file."""

import json
import math

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from sweep.core.pruners import Verdict
from sweep.errors import SweepError
from sweep.finding import Finding
from sweep.simulate.bank import bank_of_file, bank_of_study
from sweep.store.records import Training
from tests.simulate.banks import bank_of
from tests.store_builder import add_all_epochs, add_study, run

RATE = FloatDistribution(1e-3, 1e-1, log=True)
VERDICT = Verdict("median", "val_loss", 0.5, 1, 0.4, 3, {"percentile": 50.0, "best_epoch_index": 1})


def stored(store, runs, epochs, **declaration):
    """The bank of a study with these runs and their values of val_loss."""
    space = {"learning_rate": [distribution_to_json(RATE)]}
    study = add_study(store, "wine", runs, space=space, **declaration)
    add_all_epochs(
        store, study, {number: [{"val_loss": value} for value in values] for number, values in epochs.items()}
    )
    return bank_of_study(study, store.runs(study.study_id), store.metrics(study.study_id))


def test_the_runs_of_a_study_that_ended_by_themselves_are_its_curves(store):
    severe = Finding("dead-relu", "all units are zero", "Lower the learning rate.", severe=True)
    runs = [
        run(0, 0.2),
        run(1, 0.4),
        run(2, 0.3),
        run(3, 0.5, state="PRUNED", verdict=VERDICT),
        run(4, 0.5, state="PRUNED", reason="by hand"),
        run(5, 0.5, state="PRUNED", reason="dead", findings=[severe]),
        run(6, None, state="PRUNED", last=math.nan),
        run(7, None, state="FAIL"),
        run(8, 0.5, state="RUNNING"),
        run(9, 0.5),  # without an epoch, as a trial that another program added
    ]
    epochs = {0: [0.3, 0.2], 1: [0.4, 0.6], 2: [0.3, 0.4], 3: [0.5], 4: [0.5], 5: [0.5], 6: [math.nan], 8: [0.5]}
    bank = stored(store, runs, epochs)
    assert [curve.number for curve in bank.curves] == [0, 1, 2, 5, 6, 7]
    assert [curve.state for curve in bank.curves] == ["COMPLETE"] * 3 + ["PRUNED"] * 2 + ["FAIL"]
    assert bank.curves[0].values == [0.3, 0.2]
    assert (bank.epochs, bank.left_out, bank.space) == (2, 4, {"learning_rate": RATE})
    assert bank.bests == [0.2, 0.3, 0.4, 0.5]


def test_the_training_that_pruners_judge_is_the_curve(store):
    trainings = [Training(0, first=0, epochs=2), Training(1, judged=True, first=2, epochs=3, monitor="val_loss")]
    runs = [run(number, 0.1, trainings=trainings) for number in range(3)]
    bank = stored(store, runs, {number: [9.0, 8.0, 0.3, 0.2, 0.1] for number in range(3)})
    assert bank.curves[0].values == [0.3, 0.2, 0.1]


def test_a_parameter_with_several_distributions_has_one_that_holds_them_all(store):
    space = {
        "units": [IntDistribution(1, 4), IntDistribution(2, 8)],
        "rate": [FloatDistribution(0.1, 0.2), IntDistribution(0, 1)],
        "kind": [CategoricalDistribution(("a", "b")), CategoricalDistribution(("b", "c"))],
    }
    texts = {name: [distribution_to_json(one) for one in known] for name, known in space.items()}
    study = add_study(store, "wine", [run(number, 0.1) for number in range(3)], space=texts)
    add_all_epochs(store, study, {number: [{"val_loss": 0.1}] for number in range(3)})
    bank = bank_of_study(study, store.runs(study.study_id), store.metrics(study.study_id))
    assert bank.space == {
        "units": IntDistribution(1, 8),
        "rate": FloatDistribution(0, 1),
        "kind": CategoricalDistribution(("a", "b", "c")),
    }


def test_a_study_that_was_pruned_throughout_has_too_few_curves(store):
    runs = [run(0, 0.2), *(run(number, 0.5, state="PRUNED", verdict=VERDICT) for number in (1, 2, 3))]
    with pytest.raises(SweepError, match="has 1 whole learning curve, and a simulation needs at least 3") as refused:
        stored(store, runs, {0: [0.2]})
    assert "--pruner nop" in refused.value.hint


@pytest.mark.parametrize(("share", "drawn"), [(0.5, True), (0.05, False), (None, False)])
def test_the_runs_that_the_pruner_has_left_alone_are_the_bank_where_there_are_ten(store, share, drawn):
    runs = [run(number, 0.1 * number) for number in range(40)]
    runs.append(run(40, 0.5, state="PRUNED", verdict=VERDICT))
    bank = stored(store, runs, {number: [0.1 * number] for number in range(40)}, unpruned=share, seed=7)
    assert bank.drawn is drawn
    if drawn:
        assert 10 <= len(bank.curves) < 30
        declaration = store.study("wine").declaration
        assert all(declaration.leaves_unpruned(curve.number) for curve in bank.curves)
    else:
        assert len(bank.curves) == 40
    assert bank.left_out == 41 - len(bank.curves)


def test_all_runs_are_the_bank_where_every_one_of_them_is_whole(store):
    runs = [run(number, 0.1 * number) for number in range(40)]
    bank = stored(store, runs, {number: [0.1 * number] for number in range(40)}, unpruned=0.5, seed=7)
    assert (len(bank.curves), bank.left_out, bank.drawn) == (40, 0, False)


def test_a_study_with_several_objectives_has_no_bank(store):
    with pytest.raises(SweepError, match="several objectives"):
        stored(store, [run(0, 0.1)], {0: [0.1]}, objective=["a", "b"], direction=["minimize", "minimize"], pruner="nop")


def test_a_file_holds_a_bank(tmp_path):
    file = tmp_path / "toy.json"
    runs = [{"number": n, "params": {"learning_rate": 0.01}, "curve": [0.5, 0.1 * n, None]} for n in range(4)]
    space = {"learning_rate": json.loads(distribution_to_json(RATE))}
    file.write_text(
        json.dumps({"name": "toy", "objective": "acc", "direction": "maximize", "space": space, "runs": runs})
    )
    bank = bank_of_file(file)
    assert (bank.name, str(bank.objective), bank.epochs, bank.space) == (
        "toy",
        "maximize acc",
        3,
        {"learning_rate": RATE},
    )
    assert math.isnan(bank.curves[0].values[2])
    assert bank.best == 0.5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": 3}', '{"runs": [{}], "space": {}, "objective": "a"}'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    file = tmp_path / "wrong.json"
    file.write_text(text)
    with pytest.raises(SweepError, match="does not hold learning curves"):
        bank_of_file(file)
    with pytest.raises(SweepError, match="No such file"):
        bank_of_file(tmp_path / "none.json")


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_distances_are_in_robust_standard_deviations(direction, sign):
    bank = bank_of(*([sign * value] for value in (1.0, 2.0, 3.0, 4.0, 100.0)), direction=direction)
    sd = 2 / 1.349  # quartiles 2 and 4
    assert bank.sd == pytest.approx(sd)
    assert bank.within_sd(0.1) == pytest.approx(sign * (1 + 0.1 * sd))
    assert bank.within_range(0.01) == pytest.approx(sign * 1.02)
    assert bank.regret(sign * 3.0) == pytest.approx(2 / sd)
