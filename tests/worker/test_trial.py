"""The trial that a worker hands to user code: all that an Optuna objective asks of its trial, in a real study."""

import math
import signal
from pathlib import Path

import optuna
import pytest
from tensorboard.plugins.hparams import plugin_data_pb2

from sweep.errors import SweepError
from sweep.tensorboard import event_files, hparams
from sweep.worker.run import Requeued
from tests.whole_study import nothing_written, run_study, scalars


def values_of(folder, **study):
    """Optuna's own view of a study that ran in `folder`."""
    return optuna.load_study(study_name="test", storage=f"sqlite:///{folder / 'sweep.db'}")


def test_every_kind_of_suggestion_is_optunas_own(tmp_path):
    seen = []

    def train(trial):
        seen.append(
            {
                "float": trial.suggest_float("float", 0.0, 1.0),
                "log": trial.suggest_float("log", 1e-5, 1e-1, log=True),
                "step": trial.suggest_float("step", 0.0, 0.9, step=0.3),
                "int": trial.suggest_int("int", 3, 9),
                "even": trial.suggest_int("even", 2, 8, step=2),
                "logint": trial.suggest_int("logint", 1, 1000, log=True),
                "choice": trial.suggest_categorical("choice", [None, True, 7, 0.5, "text", math.inf]),
            }
        )
        return float(trial.number)

    run_study(train, tmp_path, trials=12, sampler="random")
    trials = values_of(tmp_path).trials
    assert [trial.params for trial in trials] == seen
    assert [{name: type(value) for name, value in trial.params.items()} for trial in trials] == [
        {name: type(value) for name, value in params.items()} for params in seen
    ]
    assert {params["step"] for params in seen} <= {0.0, 0.3, 0.6, 0.9}
    assert all(params["even"] % 2 == 0 and type(params["int"]) is int for params in seen)
    assert len({params["choice"] for params in seen}) > 2


def test_a_parameter_suggested_twice_has_one_value(tmp_path):
    def train(trial):
        first = trial.suggest_float("x", 0.0, 1.0)
        return first - trial.suggest_float("x", 0.0, 1.0)

    assert [trial.value for trial in run_and_load(train, tmp_path, trials=3)] == [0.0, 0.0, 0.0]


def run_and_load(train, folder, **study):
    """The trials of a study, as Optuna has them."""
    run_study(train, folder, **study)
    return values_of(folder).trials


def test_conditional_branches_have_their_own_parameters(tmp_path):
    def train(trial):
        if trial.suggest_categorical("family", ["mlp", "dnn"]) == "dnn":
            return float(trial.suggest_int("depth", 2, 5))
        return trial.suggest_float("drop", 0.0, 0.5)

    kept = run_study(train, tmp_path, trials=12, sampler="random")
    assert {frozenset(run.params) for run in kept.runs} == {
        frozenset({"family", "depth"}),
        frozenset({"family", "drop"}),
    }
    assert all(run.name.startswith(f"test-family={run.params['family']}") or run.family == "test" for run in kept.runs)


@pytest.mark.parametrize("choices", [[[1, 2], [3]], [(1,), (2,)], [1, True], [1, 1.0], [object()]])
def test_choices_that_optuna_cannot_keep_or_tell_apart_are_refused(tmp_path, choices):
    with pytest.raises(SweepError, match="choice"):
        run_study(lambda trial: trial.suggest_categorical("choice", choices) and 1.0, tmp_path)
    assert nothing_written(tmp_path)


def test_attributes_and_constraints_are_in_optunas_tables(tmp_path):
    def train(trial):
        trial.set_user_attr("note", {"a": [1, 2]})
        trial.set_constraint("memory", -0.5)
        return 1.0

    (trial,) = run_and_load(train, tmp_path)
    assert trial.user_attrs["note"] == {"a": [1, 2]}
    assert trial.constraints == {"memory": -0.5}


def test_an_objective_of_plain_optuna_reports_and_prunes_unchanged(tmp_path):
    def train(trial):
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(5):
            trial.report(x + step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    kept = run_study(train, tmp_path, trials=15, sampler="random", pruner="median(n_startup_trials=3)")
    assert {run.state for run in kept.runs} == {"COMPLETE", "PRUNED"}
    pruned = [run for run in kept.runs if run.state == "PRUNED"]
    assert all(run.verdict.rule == "median" and run.reason is None for run in pruned)
    assert all(run.verdict.rivals >= 3 and run.verdict.threshold < run.verdict.value for run in pruned)
    assert all(run.epoch == len(kept.metrics[run.number]) for run in kept.runs)
    trials = values_of(tmp_path).trials
    assert [trial.intermediate_values for trial in trials] == [
        {epoch: values["val_loss"] for epoch, values in kept.metrics[trial.number].items()} for trial in trials
    ]


def test_an_objective_that_reports_nothing_has_a_run_all_the_same(tmp_path):
    run = run_study(lambda trial: trial.suggest_float("x", 0.0, 1.0), tmp_path).run
    assert (run.state, run.epoch, run.best, run.last) == ("COMPLETE", 0, run.params["x"], run.params["x"])
    assert run.name == f"test-x={run.params['x']}-t0000"


def test_what_an_objective_returns_is_a_scalar_and_a_metric_of_hparams(tmp_path):
    run = run_study(lambda trial: trial.suggest_float("x", 0.0, 1.0), tmp_path).run
    value = pytest.approx(run.params["x"])
    assert scalars(run.directory, "value") == {0: value}
    assert scalars(run.directory, "val_loss") == {0: value}  # its own name, which no epoch has reported


def test_a_value_has_a_tag_of_its_own_where_a_parameter_or_metric_is_called_value(tmp_path):
    run = run_study(lambda trial: trial.suggest_float("value", 0.0, 1.0), tmp_path).run
    assert scalars(run.directory, "run.value") == {0: pytest.approx(run.params["value"])}
    assert scalars(run.directory, "value") == {}


def test_an_infeasible_run_has_no_value_that_hparams_could_rank(tmp_path):
    def train(trial):
        trial.set_constraint("memory", 0.5)
        return 1.0

    run = run_study(train, tmp_path).run
    assert scalars(run.directory, "value") == {}
    assert scalars(run.directory, "infeasible/value") == {0: 1.0}


def test_several_objectives_have_a_value_each(tmp_path):
    run = run_study(lambda trial: (1.0, 2.0), tmp_path, objective=["a", "b"], direction=["minimize", "maximize"]).run
    assert [scalars(run.directory, f"value.{name}") for name in "ab"] == [{0: 1.0}, {0: 2.0}]


def test_hparams_begin_and_end_when_the_store_says_also_of_a_trial_that_was_run_again(tmp_path):
    requeued = []

    def train(trial):
        trial.report(1.0, 0)
        if trial.number == 1 and not requeued:
            requeued.append(True)
            raise Requeued("stopped")
        return 1.0

    for run in run_study(train, tmp_path, trials=2).runs:
        *starts, end = [
            time for event in event_files.read(Path(run.directory)) for time in hparams_times(event.summary)
        ]
        assert set(starts) == {run.started}
        assert end == pytest.approx(run.started + run.duration, abs=1e-6)
        assert run.attempt == run.number


def hparams_times(summary):
    """When a run began, or ended, as an HParams record says it."""
    for value in summary.value:
        data = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
        if value.tag == hparams.START_TAG:
            yield data.session_start_info.start_time_secs
        elif value.tag == hparams.END_TAG:
            yield data.session_end_info.end_time_secs


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda: exit(3), "SystemExit: 3"),
        (lambda: (_ for _ in ()).throw(ConnectionError("no host")), "ConnectionError: no host"),
        (lambda: (_ for _ in ()).throw(EOFError("short")), "EOFError: short"),
    ],
)
def test_whatever_the_objective_raises_is_its_own_failure(tmp_path, end, reason):
    run = run_study(lambda trial: end(), tmp_path).run
    assert (run.state, run.reason) == ("FAIL", reason)
    assert reason.partition(":")[0] in run.traceback


def test_a_pruned_trial_that_says_why_keeps_its_reason(tmp_path):
    def train(trial):
        raise optuna.TrialPruned("too large for the memory")

    run = run_study(train, tmp_path).run
    assert (run.state, run.reason) == ("PRUNED", "too large for the memory")


def test_five_failures_alike_in_a_row_stop_the_study(tmp_path):
    def train(trial):
        raise ValueError("always the same")

    with pytest.raises(SweepError, match="5 trials in a row failed in the same way"):
        run_study(train, tmp_path, trials=20)


def test_a_step_reported_twice_keeps_its_value_and_steps_may_come_in_any_order(tmp_path):
    def train(trial):
        for step, value in ((0, 5.0), (3, 2.0), (1, 4.0)):
            trial.report(value, step)
        with pytest.warns(UserWarning, match="step 3 has a value already"):
            trial.report(9.0, 3)
        return 2.0

    (trial,) = run_and_load(train, tmp_path)
    assert trial.state.name == "COMPLETE"
    assert trial.intermediate_values == {0: 5.0, 1: 4.0, 3: 2.0}


def test_a_constraint_keeps_its_first_value_and_is_never_nan(tmp_path):
    def train(trial):
        trial.set_constraint("memory", 1)
        with pytest.warns(UserWarning, match="memory has a value already"):
            trial.set_constraint("memory", 2)
        with pytest.raises(ValueError, match="NaN"):
            trial.set_constraint("time", math.nan)
        return 1.0

    (trial,) = run_and_load(train, tmp_path)
    assert trial.constraints == {"memory": 1.0}


def test_several_objectives_report_nothing_as_with_optuna(tmp_path):
    def train(trial):
        with pytest.raises(NotImplementedError):
            trial.report(1.0, 0)
        with pytest.raises(NotImplementedError):
            trial.should_prune()
        return 1.0, 2.0

    (trial,) = run_and_load(train, tmp_path, objective=["a", "b"], direction=["minimize", "maximize"])
    assert trial.values == [1.0, 2.0]


def test_an_attribute_may_be_what_numpy_gives_and_what_is_no_json_fails_the_trial(tmp_path):
    import numpy as np

    def train(trial):
        trial.set_user_attr("scores", np.array([1.0, 2.0]))
        with pytest.raises(TypeError, match="no plain value"):
            trial.set_user_attr("model", object())
        return 1.0

    (trial,) = run_and_load(train, tmp_path)
    assert trial.user_attrs["scores"] == [1.0, 2.0]


def test_nan_may_be_a_choice(tmp_path):
    def train(trial):
        choice = trial.suggest_categorical("fill", [math.nan, 1.5])
        return 0.0 if math.isnan(choice) else 1.0

    values = {trial.value for trial in run_and_load(train, tmp_path, trials=8, sampler="random")}
    assert values == {0.0, 1.0}


def test_an_interrupt_of_user_code_is_its_own_failure(tmp_path):
    def train(trial):
        raise KeyboardInterrupt

    assert run_study(train, tmp_path).run.reason == "KeyboardInterrupt"


def test_ctrl_c_twice_in_this_process_leaves_the_trial_to_be_run_again(tmp_path):
    def train(trial):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        return 1.0

    run = run_study(train, tmp_path).run
    assert (run.state, run.reason) == ("WAITING", "Ctrl-C twice")
