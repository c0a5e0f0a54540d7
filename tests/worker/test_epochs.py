"""`sweep.epochs`: objectives without Keras are named, written, pruned, resumed and kept as those of `sweep.fit` are."""

import math
import textwrap
from pathlib import Path

import numpy as np
import optuna
import pytest

import sweep
from sweep.control.preview import preview
from sweep.control.start import start_file
from sweep.errors import StudyError, SweepError
from sweep.options import Settings
from sweep.tensorboard import event_files, hparams
from sweep.worker.run import Requeued
from tests.whole_study import read, run_study, scalars

X = np.linspace(-1, 1, 20)
Y = 3 * X


def descend(trial, count=6, *, rate=0.3, stop=None, seen=None, **settings):
    """A line fitted by gradient descent from noisy data; `stop` is called with each epoch before it is trained."""
    epochs = sweep.epochs(trial, count, **settings)
    slope = epochs.resumed["slope"] if epochs.resumed else np.zeros(1)
    steps = epochs.resumed["steps"] if epochs.resumed else 0
    for epoch in epochs:
        if stop is not None:
            stop(epoch)
        noise = np.random.normal(0, 0.01, X.shape)
        slope = slope - rate * 2 * np.mean((slope * X - Y - noise) * X)
        steps += 1
        if seen is not None:
            seen.append((epoch, steps))
        epochs.report({"loss": np.mean((slope * X - Y) ** 2)}, {"slope": slope, "steps": steps})
    return epochs.value


def once(at, stopped):
    """Puts a trial back into the queue before an epoch, once."""

    def stop(epoch):
        if epoch == at and not stopped:
            stopped.append(epoch)
            raise Requeued("stopped")

    return stop


def losses(kept, number=0):
    return [metrics["loss"] for _, metrics in sorted(kept.metrics[number].items())]


def test_a_run_is_named_and_has_its_curves_histograms_and_parameters(tmp_path):
    def train(trial):
        rate = trial.suggest_float("learning_rate", 0.1, 0.1)
        epochs = sweep.epochs(trial, 3, family="line", architecture="1_1")
        for epoch in epochs:
            epochs.report({"loss": 3 - epoch, "score": epoch}, histograms={"slope": [rate, 2.0, 3.0]})
        return epochs.value

    kept = run_study(train, tmp_path, objective="loss")
    assert (kept.run.name, kept.run.architecture) == ("line-1_1-lr=0.1-t0000", "1_1")
    assert (kept.run.state, kept.run.value, kept.run.epoch) == ("COMPLETE", 1.0, 3)
    assert scalars(kept.run.directory, "loss") == {0: 3.0, 1: 2.0, 2: 1.0}
    assert scalars(kept.run.directory, "score") == {0: 0.0, 1: 1.0, 2: 2.0}
    assert scalars(kept.run.directory, "value") == {2: 1.0}
    tags = {value.tag for event in event_files.read(Path(kept.run.directory)) for value in event.summary.value}
    assert "slope" in tags
    assert hparams.START_TAG in tags


def test_the_study_says_how_many_epochs_unless_the_call_does_and_the_command_line_overrides_both(tmp_path):
    def train(trial):
        return descend(trial, None)

    for folder, study, settings, expected in (
        ("a", {}, {}, 10),
        ("b", {"epochs": 4}, {}, 4),
        ("c", {"epochs": 4}, {"epochs": 2}, 2),
    ):
        (tmp_path / folder).mkdir()
        kept = run_study(train, tmp_path / folder, objective="loss", settings=settings, **study)
        assert kept.run.epoch == expected


def test_a_poor_run_is_pruned_after_the_epoch_that_shows_it(tmp_path):
    def train(trial):
        return descend(trial, rate=0.0 if trial.number == 3 else 0.3)

    kept = run_study(train, tmp_path, objective="loss", trials=4, pruner="median(n_startup_trials=3)")
    assert [run.state for run in kept.runs] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    assert kept.runs[3].epoch == 1
    assert kept.runs[3].why.startswith("median")


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 5)
        for epoch in epochs:
            epochs.report({"loss": math.nan if epoch == 2 else 1.0})

    kept = run_study(train, tmp_path, objective="loss")
    assert (kept.run.state, kept.run.epoch) == ("PRUNED", 3)
    assert "NaN" in kept.run.why


def test_a_verdict_that_the_objective_catches_holds_all_the_same(tmp_path):
    def train(trial):
        try:
            epochs = sweep.epochs(trial, 5)
            for _ in epochs:
                epochs.report({"loss": math.inf})
        except optuna.TrialPruned:
            return 1.0

    assert run_study(train, tmp_path, objective="loss").run.state == "PRUNED"


def test_losses_that_show_overfitting_are_a_finding(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 20)
        for epoch in epochs:
            epochs.report({"loss": 1 / (epoch + 1), "val_loss": 1 + abs(epoch - 2)})
        return epochs.value

    kept = run_study(train, tmp_path, objective="val_loss", pruner="nop")
    (found,) = kept.run.findings
    assert (found.kind, found.since) == ("overfitting", 3)


@pytest.mark.parametrize("at", [1, 4, 5])
def test_an_interrupted_trial_continues_from_its_checkpoint_as_if_it_had_not_been(tmp_path, at):
    whole, parts, stopped, seen = tmp_path / "whole", tmp_path / "parts", [], []
    whole.mkdir()
    parts.mkdir()
    expected = run_study(lambda trial: descend(trial), whole, objective="loss")
    kept = run_study(
        lambda trial: descend(trial, stop=once(at, stopped), seen=seen, checkpoint=0), parts, objective="loss"
    )
    assert stopped == [at]
    assert seen == [(epoch, epoch + 1) for epoch in range(6)]
    assert losses(kept) == losses(expected)
    assert kept.run.value == expected.run.value
    assert scalars(kept.run.directory, "loss") == scalars(expected.run.directory, "loss")


def test_a_trial_that_reports_no_state_begins_anew(tmp_path):
    stopped, seen = [], []

    def train(trial):
        epochs = sweep.epochs(trial, 3, checkpoint=0)
        for epoch in epochs:
            once(2, stopped)(epoch)
            seen.append(epoch)
            epochs.report({"loss": 1.0})
        return epochs.value

    assert run_study(train, tmp_path, objective="loss").run.epoch == 3
    assert seen == [0, 1, 0, 1, 2]


def test_a_trial_whose_network_has_changed_begins_anew_and_says_why(tmp_path, caplog):
    stopped, seen = [], []

    def train(trial):
        return descend(trial, stop=once(3, stopped), seen=seen, checkpoint=0, architecture="8" if stopped else "4")

    kept = run_study(train, tmp_path, objective="loss")
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    assert kept.run.state == "COMPLETE"
    assert "trial 0 starts from its beginning, since the network of its training 1 was 4 and is now 8" in caplog.text


def test_finished_folds_are_not_trained_again_when_a_trial_continues(tmp_path):
    stopped, seen = [], []

    def train(trial):
        folds = []
        for number in range(3):
            stop = once(1, stopped) if number == 1 else None
            folds.append(descend(trial, 2, seen=seen, stop=stop, label=f"fold {number + 1} of 3", checkpoint=0))
        return sum(folds) / 3

    kept = run_study(train, tmp_path, objective="loss")
    assert [epoch for epoch, _ in seen] == [0, 1, 0, 1, 0, 1]
    assert [training.label for training in kept.run.trainings] == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    assert kept.run.value == pytest.approx(sum(training.value for training in kept.run.trainings) / 3)
    trial = optuna.load_study(study_name="test", storage=kept.storage).trials[0]
    assert list(trial.intermediate_values) == [0, 1]  # of the first training, which pruners judge


def test_the_state_of_the_best_epoch_is_kept_and_can_be_loaded(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 4)
        for epoch in epochs:
            loss = abs(epoch - 2)
            epochs.report({"loss": loss}, lambda epoch=epoch: {"w": np.full(2, epoch), "at": epoch, "file": "x"})
        return epochs.value

    kept = run_study(train, tmp_path, objective="loss", pruner="nop")
    state = sweep.load(kept.run.directory, storage=kept.storage)
    assert state["w"].tolist() == [2, 2]
    assert (state["at"], state["file"]) == (2, "x")
    with pytest.raises(StudyError, match="no model of Keras"):
        sweep.load(kept.run.directory, storage=kept.storage, rebuild=True)
    with pytest.raises(StudyError, match=r"sweep\.retrain trains models of sweep\.fit"):
        sweep.retrain("test:best", train=train, storage=kept.storage)


def test_arrays_that_change_afterwards_are_kept_as_they_were(tmp_path):
    def train(trial):
        weights = np.zeros(1)
        epochs = sweep.epochs(trial, 3)
        for epoch in epochs:
            weights += 1
            epochs.report({"loss": epoch}, {"weights": weights})
        return epochs.value

    kept = run_study(train, tmp_path, objective="loss", pruner="nop")
    assert sweep.load(kept.run.directory, storage=kept.storage)["weights"].tolist() == [1.0]


def test_a_loop_that_is_left_early_has_the_best_value_so_far(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 9)
        for epoch in epochs:
            epochs.report({"loss": abs(epoch - 1)})
            if epoch == 3:
                break
        return epochs.value

    kept = run_study(train, tmp_path, objective="loss", pruner="nop")
    assert (kept.run.state, kept.run.value, kept.run.epoch) == ("COMPLETE", 0.0, 4)


def test_several_objectives_have_the_last_epochs_values(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 2)
        for epoch in epochs:
            epochs.report({"loss": epoch, "size": 7})
        return epochs.value

    kept = run_study(train, tmp_path, objective=["loss", "size"], direction=["minimize", "minimize"])
    assert optuna.load_study(study_name="test", storage=kept.storage).trials[0].values == [1.0, 7.0]


def test_reports_to_optuna_beside_the_epochs_change_nothing(tmp_path):
    def train(trial):
        epochs = sweep.epochs(trial, 2)
        for epoch in epochs:
            trial.report(-5.0, epoch)
            assert not trial.should_prune()
            epochs.report({"loss": 1.0})
        return epochs.value

    kept = run_study(train, tmp_path, objective="loss")
    trial = optuna.load_study(study_name="test", storage=kept.storage).trials[0]
    assert trial.intermediate_values == {0: 1.0, 1: 1.0}


def unreported(trial):
    for _ in sweep.epochs(trial, 2):
        pass


def reported_too_often(trial):
    epochs = sweep.epochs(trial, 1)
    for _ in epochs:
        epochs.report({"loss": 1.0})
        epochs.report({"loss": 1.0})


def reported(metrics, state=None):
    def train(trial):
        epochs = sweep.epochs(trial, 1)
        for _ in epochs:
            epochs.report(metrics, state)

    return train


def read_too_late(trial):
    first = sweep.epochs(trial, 1)
    sweep.epochs(trial, 1)
    return first.value


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (unreported, "Epoch 1 of 2 has ended without a report."),
        (reported_too_often, "All 1 epochs have been reported."),
        (reported({"error": 1.0}), "No epoch reports the objective 'loss'."),
        (reported({"loss": "low"}), "The metric 'loss' must be a number, not 'low'."),
        (reported({1: 1.0}), "The name of a metric must be a text, not 1."),
        (
            reported({"loss": 1.0}, {"w": object()}),
            "The state 'w' is neither an array of numbers nor plain data: object",
        ),
        (reported({"loss": 1.0}, {"w": np.array([{}])}), "The state 'w' is neither an array of numbers nor plain data"),
        (read_too_late, "The trial has begun another training."),
        (lambda trial: sweep.epochs(trial, 1).value, "A training has no value before its first epoch was reported."),
        (lambda trial: sweep.epochs(trial, 0), "epochs must be a whole number of at least 1, not 0."),
        (lambda trial: sweep.epochs(trial, checkpoint=-1), "checkpoint must be a number of seconds"),
        (lambda trial: sweep.epochs(trial, architecture="a-b"), "An architecture must consist of letters"),
    ],
)
def test_a_wrong_use_stops_the_study_with_a_sentence(tmp_path, train, message):
    with pytest.raises(SweepError) as refusal:
        run_study(train, tmp_path, objective="loss")
    assert message in str(refusal.value)


def test_a_trial_of_plain_optuna_is_refused_with_what_to_do():
    with pytest.raises(StudyError, match="needs a trial of a sweep, not a FixedTrial"):
        sweep.epochs(optuna.trial.FixedTrial({}), 1)


WITHOUT_KERAS = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    import sweep

    def train(trial):
        trial.set_user_attr("loaded", sorted({"keras", "tensorflow"} & set(sys.modules)))
        trial.suggest_float("rate", 0.1, 0.2)
        epochs = sweep.epochs(trial, 5, checkpoint=0)
        total = epochs.resumed["total"] if epochs.resumed else np.zeros(())
        for epoch in epochs:
            if epoch == 3 and not Path("killed").exists():
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            total = total + np.random.random()
            epochs.report({"loss": float(total)}, {"total": total})
        return epochs.value

    study = sweep.Study(train, objective="loss", direction="minimize", trials=2, seed=3, pruner="nop")
"""


def started(folder, monkeypatch, *, killed):
    """The file above, run by a worker process, which is killed in its first trial."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    if not killed:
        Path("killed").touch()
    Path("study.py").write_text(textwrap.dedent(WITHOUT_KERAS))
    storage = f"sqlite:///{folder / 'sweep.db'}"
    start_file("study.py", Settings(storage=storage, logdir="runs", workers=1))
    return read(storage, "study", folder)


def test_a_killed_worker_loads_no_keras_and_its_trial_continues_with_the_same_numbers(tmp_path, monkeypatch):
    whole = started(tmp_path / "whole", monkeypatch, killed=False)
    parts = started(tmp_path / "parts", monkeypatch, killed=True)
    assert [run.state for run in parts.runs] == ["COMPLETE", "COMPLETE"]
    assert [run.attempt for run in parts.runs] == [1, 0]
    assert [losses(parts, number) for number in (0, 1)] == [losses(whole, number) for number in (0, 1)]
    for trial in optuna.load_study(study_name="study", storage=parts.storage).trials:
        assert trial.user_attrs["loaded"] == []


def test_a_preview_names_runs_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("study.py").write_text(textwrap.dedent(WITHOUT_KERAS))
    found = preview("study.py")
    assert [run.name.partition("=")[0] for run in found.runs] == ["study-rate"] * len(found.runs)
    assert len(found.runs) > 1
    assert {path.name for path in tmp_path.iterdir()} <= {"study.py", "__pycache__"}
