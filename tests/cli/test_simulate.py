"""`sweep simulate`."""

import json

import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from sweep.cli import run as sweep
from tests.refusals import refusal_of
from tests.store_builder import add_all_epochs, add_study, run

KEYS = [
    "sampler",
    "pruner",
    "simulations",
    "budget_epochs",
    "found_01sd",
    "epochs_01sd",
    "found_1pct",
    "epochs_1pct",
    "regret",
]


@pytest.fixture
def whole(store):
    """A study whose 12 runs have 9 epochs each, none of them pruned."""
    runs = [run(number, number / 10, params={"rate": (number + 1) / 20}, epoch=9) for number in range(12)]
    space = {"rate": [distribution_to_json(FloatDistribution(0.0, 1.0))]}
    study = add_study(store, "wine", runs, space=space, trials=12, pruner="nop", sampler="random")
    curves = {number: [{"val_loss": number / 10 + 1 / epoch} for epoch in range(1, 10)] for number in range(12)}
    add_all_epochs(store, study, curves)
    return store


def simulated(capsys, *words):
    assert sweep(["simulate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_sampler_is_simulated_with_each_pruner(whole, capsys):
    words = ("--pruner", "asha", "--pruner", "nop", "--sampler", "tpe", "--sampler", "random", "--simulations", "2")
    found = simulated(capsys, "wine", *words)
    assert [list(one) for one in found] == [KEYS] * 4
    assert [(one["sampler"], one["pruner"]) for one in found] == [
        ("tpe", "asha"),
        ("tpe", "nop"),
        ("random", "asha"),
        ("random", "nop"),
    ]
    assert {(one["simulations"], one["budget_epochs"]) for one in found} == {(2, 108)}
    assert found[1]["found_01sd"] == 1.0
    assert found[1]["regret"] == 0.0


def test_the_recorded_order_is_simulated_once_as_the_study_had_it(whole, capsys):
    (found,) = simulated(capsys, "wine", "--pruner", "nop", "--sampler", "recorded")
    assert (found["simulations"], found["epochs_01sd"]) == (1, pytest.approx(9.0))


def test_a_budget_ends_studies_and_the_studys_sampler_is_the_default(whole, capsys):
    found = simulated(capsys, "--pruner", "median", "--budget-epochs", "27", "--simulations", "3")
    assert [(one["sampler"], one["simulations"], one["budget_epochs"]) for one in found] == [("random", 3, 27)]


def test_trials_are_a_limit_too(whole, capsys):
    (found,) = simulated(capsys, "wine", "--pruner", "nop", "--trials", "2", "--simulations", "1")
    assert found["budget_epochs"] == 18


def test_the_table_says_what_it_is_and_that_it_is_an_approximation(whole, capsys):
    assert sweep(["simulate", "wine", "--pruner", "asha", "--pruner", "nop", "--simulations", "2"]) == 0
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [["random", "asha"], ["random", "nop"]]
    assert "12 learning curves of up to 9 epochs" in said.err
    assert "An approximation: what random proposes is taken to the nearest of 12 recorded" in said.err
    assert sweep(["simulate", "wine", "--pruner", "asha", "--sampler", "recorded"]) == 0
    said = capsys.readouterr()
    assert "exact" in said.err
    assert "pproximation" not in said.err


def test_curves_may_come_from_a_file(store, capsys, tmp_path):
    file = tmp_path / "toy.json"
    runs = [{"number": number, "params": {}, "curve": [1.0, number / 10]} for number in range(4)]
    file.write_text(json.dumps({"name": "toy", "objective": "loss", "space": {}, "runs": runs}))
    (found,) = simulated(capsys, "--curves", str(file), "--pruner", "nop", "--simulations", "1")
    assert (found["sampler"], found["budget_epochs"], found["found_01sd"]) == ("tpe", 8, 1.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "No such study: nosuch."),
        (["wine", "--pruner", "nosuch"], "nosuch"),
        (["wine", "--sampler", "nosuch"], "nosuch"),
        (["wine", "--curves", "toy.json"], "Both a study, wine, and --curves toy.json were given."),
        (["--curves", "none.json"], "Cannot read none.json: No such file or directory."),
    ],
)
def test_what_cannot_be_simulated_is_refused(whole, capsys, words, said):
    assert sweep(["simulate", *words]) == 2
    assert said in refusal_of(capsys.readouterr().err)
