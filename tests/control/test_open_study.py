"""Opening a study: what the command line says instead, what is refused, and what stands from before."""

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState

from sweep.control.open_study import check_writable, continuing, open_study, overridden
from sweep.control.stored import Stored
from sweep.core.events import Changes, Finish
from sweep.errors import StudyError
from sweep.options import Settings
from sweep.store import RunRecord, Store
from tests.control.memory import a_study, declare
from tests.databases import optunas_own
from tests.store_builder import add_study


def test_what_the_command_line_says_stands_instead_of_the_files_word():
    declared = declare(trials=10, epochs=5, sampler="random")
    said = overridden(declared, Settings(trials=20, sampler="tpe", seed=3, name="other"))
    assert (said.trials, said.epochs, said.sampler, said.seed, said.name) == (20, 5, "tpe", 3, "other")


def closed(study, *, changes=None, refused=False):
    """Close an open study, with everything written that has changed, as its journal does at the end."""
    study.journal._close(Finish(changes or Changes(), list(study.opened.runs), refused))
    return study.opened


def test_a_seed_is_drawn_once_and_kept(tmp_path):
    settings = Settings(storage=f"sqlite:///{tmp_path}/sweep.db", logdir=str(tmp_path / "runs"))
    first = open_study(declare(seed=None), settings)
    first.journal._write(Changes())
    seed = closed(first).declaration.seed
    assert closed(open_study(declare(seed=None), settings)).declaration.seed == seed is not None
    assert closed(open_study(declare(seed=11), settings)).declaration.seed == 11


@pytest.mark.parametrize(
    ("before", "file", "start", "now", "notes"),
    [
        (None, None, None, "asha", []),
        ("median", None, None, "median", ["the study keeps the pruner that it has: median"]),
        ("asha(rungs=[2])", None, None, "asha(rungs=[2])", []),
        ("median", "asha", None, "asha", []),
        ("median", None, "nop", "nop", []),
        ("asha(rungs=[2])", "asha(2)", None, "asha(reduction_factor=2, rungs=[2])", []),
        ("asha(rungs=[2])", None, "asha(rungs=[3])", "asha(rungs=[3])", []),
        (None, "halving", None, "halving(min_resource=6)", []),
        (None, "halving(reduction_factor=2)", None, "halving(min_resource=6, reduction_factor=2)", []),
        (None, "halving('auto')", None, "halving('auto')", []),
        (None, "halving(4)", None, "halving(4)", []),
        ("halving", "halving", None, "halving", []),
        ("halving", None, None, "halving", ["the study keeps the pruner that it has: halving"]),
        ("halving(4)", "halving", None, "halving(min_resource=4)", []),
        ("median", None, "halving", "halving(min_resource=6)", []),
    ],
)
def test_a_study_keeps_its_pruner_and_its_rungs_unless_others_are_named(tmp_path, before, file, start, now, notes):
    settings = Settings(storage=f"sqlite:///{tmp_path}/sweep.db", logdir=str(tmp_path / "runs"))
    if before is not None:
        first = open_study(declare(pruner=before), settings)
        first.journal._write(Changes())
        closed(first)
    declared = declare(pruner=file or "asha", pruner_given=file is not None, epochs=60)
    opened = closed(open_study(declared, dataclasses.replace(settings, pruner=start)))
    assert (opened.declaration.pruner, list(opened.notes)) == (now, notes)


@pytest.mark.parametrize(
    ("before", "now", "first"),
    [({"unpruned": 0.5}, {}, 0), ({}, {}, 1), ({"unpruned": 0.1}, {}, 1), ({"unpruned": 0.5}, {"seed": 8}, 1)],
)
def test_no_trial_is_left_unpruned_that_began_under_another_share(tmp_path, before, now, first):
    settings = Settings(storage=f"sqlite:///{tmp_path}/sweep.db", logdir=str(tmp_path / "runs"))
    begun = open_study(declare(**before), settings)
    begun.search.ask()
    changes = Changes()
    changes.add(RunRecord(0, state="COMPLETE", values=[0.5]), {}, ["loss"])
    begun.journal._write(changes)
    closed(begun)
    opened = closed(open_study(declare(**{"unpruned": 0.5, **now}), settings))
    assert opened.declaration.unpruned_from == first


def test_halving_has_optunas_first_rung_where_no_epochs_are_known(tmp_path):
    settings = Settings(storage=f"sqlite:///{tmp_path}/sweep.db", logdir=str(tmp_path / "runs"))
    assert closed(open_study(declare(pruner="halving"), settings)).declaration.pruner == "halving"


def test_a_preview_opens_nothing(tmp_path):
    study = open_study(declare(), Settings(storage="sqlite:////nowhere/x.db", logdir="/nowhere"), preview=True)
    assert study.journal is None
    assert not study.opened.kept


def test_a_folder_that_does_not_exist_is_checked_and_not_made(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file", "file/below", "/proc/below"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="Choose another with --logdir"):
        check_writable(tmp_path / path)


def test_a_study_continues_in_its_own_log_directory_unless_another_one_is_named(tmp_path, storage_url):
    """Also on a cluster, which has to see the log directory before a worker says the study's name."""
    (tmp_path / "old" / "study").mkdir(parents=True)
    (tmp_path / "old" / "other").mkdir()
    store = Store(storage_url)
    add_study(store, "study", directory=f"{tmp_path}/old/study")
    add_study(store, "gone", directory=f"{tmp_path}/nowhere/gone")
    add_study(store, "renamed", directory=f"{tmp_path}/old/other")
    with optunas_own(storage_url) as storage:
        for name in ("study", "gone", "renamed"):
            optuna.create_study(study_name=name, storage=storage)
    store.close()
    settings = Settings(storage=storage_url)
    assert continuing(settings, "study").logdir == f"{tmp_path}/old"
    assert continuing(Settings(storage=storage_url, logdir="here"), "study").logdir == "here"
    assert {continuing(settings, name).logdir for name in ("new", "gone", "renamed")} == {"runs"}
    with optunas_own(storage_url) as storage:
        optuna.create_study(study_name="theirs", storage=storage)
    with pytest.raises(StudyError, match="Study theirs in this database was made with Optuna"):
        continuing(settings, "theirs")


def test_a_study_that_is_opened_is_given_up_when_it_cannot_be(tmp_path):
    """In a notebook the process lives on, and would keep the study from everybody."""
    settings = Settings(storage=f"sqlite:///{tmp_path}/sweep.db", logdir=str(tmp_path / "runs"))
    first = open_study(declare(), settings)
    first.journal._write(Changes())
    closed(first)
    with pytest.raises(StudyError):
        open_study(declare(direction=["maximize"]), settings)
    closed(open_study(declare(), settings), refused=True)
    closed(open_study(declare(), settings))


def test_a_total_below_the_trials_that_are_done_is_refused_and_a_files_is_raised(tmp_path, storage_url):
    with a_study(storage_url) as study:
        for _ in range(3):
            trial = study.ask()
            study.ledger.update(trial.number, state="COMPLETE")
            study.search.tell(trial, TrialState.COMPLETE, [1.0])
        study.flush()
        study.writer.release()
    settings = Settings(storage=storage_url, logdir=str(tmp_path / "runs"), trials=2)
    with pytest.raises(StudyError, match=r"study already has 3 of its trials, and 2 is fewer: .* Give more than 3"):
        open_study(declare(), settings)
    opened = open_study(declare(trials=2), dataclasses.replace(settings, trials=None))
    assert closed(opened, refused=True).declaration.trials == 3


def test_trials_stand_without_a_gap_in_their_numbers():
    known = {number: (number, optuna.trial.create_trial(value=1.0)) for number in (0, 2)}
    states = [trial.state for trial in Stored(known).trials()]
    assert states == [TrialState.COMPLETE, TrialState.RUNNING, TrialState.COMPLETE]


def test_a_trial_that_was_to_be_run_again_runs_and_one_in_optunas_queue_waits():
    waiting = optuna.trial.create_trial(state=TrialState.WAITING)
    known = {number: (number, waiting) for number in (0, 1)}
    stored = Stored(known, [RunRecord(0, state="WAITING")])
    assert [trial.state for trial in stored.trials()] == [TrialState.RUNNING, TrialState.WAITING]
    assert waiting.state == TrialState.WAITING


def test_a_study_with_many_trials_goes_on_with_the_next_number(tmp_path, storage_url):
    with a_study(storage_url) as study:
        for _ in range(300):
            trial = study.ask()
            for step in range(20):
                study.search.report(trial, step, 1.0)
            study.ledger.update(trial.number, name=f"t{trial.number}", state="COMPLETE")
            study.search.tell(trial, TrialState.COMPLETE, [1.0])
        study.flush()
        study.writer.release()
    opened = open_study(declare(trials=400), Settings(storage=storage_url, logdir=str(tmp_path / "runs")))
    assert len(opened.search.trials()) == 300
    assert opened.opened.again == []
    assert opened.search.ask().number == 300
    closed(opened, refused=True)
