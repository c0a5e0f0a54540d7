"""`sweep best`, Optuna, optuna-dashboard and TensorBoard's HParams agree on the best trial of a study."""

import math
import random
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import pytest

from sweep.objective import Objective
from tests.best_trial import by_dashboard, by_optuna, by_sweep, by_tensorboard, metrics
from tests.tensorboard_server import tensorboard
from tests.train.here import network
from tests.train.test_trainings import SHIFTS, fit_fold
from tests.whole_study import Kept, run_study


@dataclass
class Plan:
    """What the trials of a study do: each has its reports, what it returns (None: it is pruned), and a constraint."""

    direction: str = "minimize"
    trials: list[tuple[list[float], float | None, float | None]] = field(default_factory=list)

    def train(self, trial):
        reports, value, constraint = self.trials[trial.number]
        trial.suggest_float("x", 0.0, 1.0)
        for step, reported in enumerate(reports):
            trial.report(reported, step)
        if constraint is not None:
            trial.set_constraint("memory", constraint)
        if value is None:
            raise optuna.TrialPruned
        return value


def generated(seed: int) -> Plan:
    """A study in which anything may happen that could make readers disagree."""
    draw = random.Random(seed)
    values = [draw.choice([0.25, 0.5, 0.75, 1.0, 2.0]) for _ in range(4)]  # few, so that some are equal
    plan = Plan(draw.choice(["minimize", "maximize"]))
    for _ in range(8):
        reports = [draw.choice([-9.0, 0.1, 0.5, 1.5, 9.0]) for _ in range(draw.randrange(4))]
        value = draw.choice([*values, *values, None, math.nan, math.inf])
        constraint = draw.choice([None, None, None, -1.0, 0.0, 1.0]) if seed % 2 else None
        plan.trials.append((reports, value, constraint))
    return plan


PLANS = {
    "penalised": Plan(trials=[([5.28], 6.15, None), ([6.47], 6.48, None), ([1.18], 9.0, None)]),
    "smallest": Plan("minimize", [([0.3], 0.3, None), ([0.2], 0.2, None), ([0.1], None, None)]),
    "largest": Plan("maximize", [([0.3], 0.3, None), ([0.2], 0.9, None), ([5.0], None, None)]),
    "ties": Plan("maximize", [([], 0.5, None), ([], 0.7, None), ([], 0.7, None)]),
    "infeasible": Plan(trials=[([], 0.1, 1.0), ([], 0.2, 0.0), ([], 0.3, -1.0)]),
    "nothing": Plan(trials=[([], math.nan, None), ([0.1], None, None)]),
    **{f"seed{seed}": generated(seed) for seed in range(6)},
}


def train_folds(trial):
    """A mean over folds, whose best epoch of any fold is another trial's."""
    rate = trial.suggest_categorical("rate", [1e-6, 0.01, 0.05])
    scores = [fit_fold(trial, network(rate=rate), shift, epochs=2) for shift in SHIFTS]
    return sum(scores) / len(scores)


def train_penalised(trial):
    """A loss with a price for each unit: the largest network has the best epoch and not the best value."""
    units = trial.suggest_categorical("units", [2, 4, 64])
    return fit_fold(trial, network(units, rate=0.05), 0.0, epochs=4) + 0.5 * units


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> dict[str, tuple[Kept, str]]:
    """Studies by name, each with its direction, all in one database and log directory."""
    folder = tmp_path_factory.mktemp("studies")
    found = {}
    for name, plan in PLANS.items():
        kept = run_study(
            plan.train,
            folder,
            name=name,
            direction=plan.direction,
            trials=len(plan.trials),
            sampler="random",
            pruner="nop",
        )
        found[name] = kept, plan.direction
    for name, train, grid in (
        ("folds", train_folds, "grid(rate=[1e-6, 0.01, 0.05])"),
        ("units", train_penalised, "grid(units=[2, 4, 64])"),
    ):
        kept = run_study(train, folder, name=name, trials=3, sampler=grid, pruner="nop", broken="report")
        found[name] = kept, "minimize"
    return found


@pytest.fixture(scope="module")
def board(studies):
    """TensorBoard over all of them."""
    folder = next(iter(studies.values()))[0].folder / "runs"
    with tensorboard(Path(folder)) as server:
        runs = [run for kept, _ in studies.values() for run in kept.runs]
        valued = sum(run.value is not None and math.isfinite(run.value) and run.feasible is not False for run in runs)
        server.wait_for(
            server.session_groups,
            lambda groups: (
                len(groups) == len(runs) and sum("value" in metrics(group) for group in groups.values()) == valued
            ),
        )
        yield server


NAMES = [*PLANS, "folds", "units"]


@pytest.mark.parametrize("name", NAMES)
def test_we_and_optuna_agree_on_the_best_trial(studies, name):
    kept, _ = studies[name]
    assert by_sweep(kept.storage, name) == by_optuna(kept.storage, name)


@pytest.mark.parametrize("name", NAMES)
def test_optuna_dashboard_agrees_where_no_trial_has_constraints(studies, name):
    kept, _ = studies[name]
    if any(run.constraints for run in kept.runs):
        pytest.skip("optuna-dashboard 0.21 does not look at constraints")
    best = by_sweep(kept.storage, name)
    shown = by_dashboard(kept.storage, name)
    values = {run.number: run.value for run in kept.runs}
    assert [values[number] for number in shown] == ([] if best is None else [values[best]])  # of equal ones any


@pytest.mark.parametrize("name", NAMES)
def test_hparams_sorted_by_value_begins_with_the_best_trial(studies, board, name):
    kept, direction = studies[name]
    by_name = {run.name: run for run in kept.runs}
    ranked = Objective("value", direction).rank(kept.runs)
    best = next((run for run in ranked if math.isfinite(run.value)), None)  # TensorBoard takes no infinity
    first = by_name.get(by_tensorboard(board, by_name, direction))
    assert (first.value if first else None) == (best.value if best else None)


def test_the_runs_that_used_to_win_by_their_best_epoch_do_not(studies):
    penalised = studies["penalised"][0]
    assert by_sweep(penalised.storage, "penalised") == 0  # its best report is 5.28, trial 2's is 1.18
    units = studies["units"][0]
    assert min(units.runs, key=lambda run: run.best).params["units"] == 64
    assert next(run for run in units.runs if run.number == by_sweep(units.storage, "units")).params["units"] < 64
