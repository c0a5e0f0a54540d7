"""studies/optuna_plain.py: an objective that any Optuna script might have."""

import ast
from pathlib import Path

import optuna

from sweep.study_file import load

FILE = Path(__file__).parents[2] / "studies" / "optuna_plain.py"


def test_it_knows_nothing_of_sweep_but_the_study_it_declares():
    used = [node for node in ast.walk(ast.parse(FILE.read_text())) if isinstance(node, ast.Name) and node.id == "sweep"]
    assert len(used) == 1
    assert "sweep.Study(objective, " in FILE.read_text()


def test_optuna_alone_runs_its_objective():
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.ThresholdPruner(lower=2.0, n_warmup_steps=3),
    )
    objective = load(FILE).train
    study.enqueue_trial({"penalty": "elasticnet", "loss": "hinge", "l1_ratio": 0.5, "alpha": 0.001})
    study.optimize(objective, n_trials=1)
    (pruned,) = study.trials
    assert pruned.state == optuna.trial.TrialState.PRUNED
    assert list(pruned.intermediate_values) == [0, 1, 2, 3]
    assert objective(optuna.trial.FixedTrial({"penalty": "l2", "loss": "hinge", "alpha": 0.001})) > 0.9
