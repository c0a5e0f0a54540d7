"""`Study.run`: from a script, in this process, in any thread, and where no file binds the study, as in a notebook."""

import subprocess
import sys
import textwrap

import optuna
import pytest

import sweep
from sweep.errors import StudyError
from sweep.store import Store

SCRIPT = """
import os
import sweep

def train(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    trial.set_user_attr("process", os.getpid())
    return x + trial.suggest_int("offset", 1, 3)

study = sweep.Study(train, objective="value", direction="minimize", trials=4, sampler="random", seed=1)
"""
RUN = """
if __name__ == "__main__":
    best = study.run({arguments}).best_value
    print("best", best, os.getpid())
"""


def run(folder, source, name="tiny.py", command=None):
    """Run a script in a folder; what it said, and its exit status."""
    (folder / name).write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, *(command or [name])], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr, done.returncode


def trials(folder, name="tiny"):
    """A study's trials as Optuna has them."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'sweep.db'}").trials


def processes(folder, name="tiny"):
    """The processes that trained."""
    return {trial.user_attrs["process"] for trial in trials(folder, name)}


def test_a_script_runs_its_study_in_workers_and_shows_what_happens(tmp_path):
    said, status = run(tmp_path, SCRIPT + RUN.format(arguments="workers=2"))
    assert status == 0, said
    best, own = next(line.split()[1:] for line in said.splitlines() if line.startswith("best"))
    assert float(best) == min(trial.value for trial in trials(tmp_path))
    assert int(own) not in processes(tmp_path)
    assert "started tiny-" in said
    assert "[4/4]" in said


@pytest.mark.slow
def test_a_script_runs_its_study_on_a_cluster(tmp_path):
    said, status = run(tmp_path, SCRIPT + RUN.format(arguments="cluster=sweep.Cluster(), workers=2"))
    assert status == 0, said
    own = next(line.split()[2] for line in said.splitlines() if line.startswith("best"))
    assert len(trials(tmp_path)) == 4
    assert int(own) not in processes(tmp_path)


def test_no_workers_means_this_process(tmp_path):
    said, status = run(tmp_path, SCRIPT + RUN.format(arguments="workers=0"))
    assert status == 0, said
    own = next(line.split()[2] for line in said.splitlines() if line.startswith("best"))
    assert processes(tmp_path) == {int(own)}


def test_a_study_that_its_script_binds_to_another_name_is_trained_in_this_process(tmp_path):
    said, status = run(
        tmp_path, SCRIPT.replace("study =", "mine =") + RUN.format(arguments="").replace("study", "mine")
    )
    assert status == 0, said
    assert len(processes(tmp_path)) == 1


def test_code_of_no_file_as_in_a_notebook_is_trained_in_this_process(tmp_path):
    cells = f"cells = {SCRIPT!r}; exec(cells); study.run(); print('own', os.getpid())"
    said, status = run(tmp_path, "", command=["-c", cells])
    assert status == 0, said
    assert len(trials(tmp_path, "study")) == 4
    assert f"own {processes(tmp_path, 'study').pop()}" in said


def test_workers_for_a_study_that_no_file_binds_are_refused():
    here = sweep.Study(lambda trial: 1.0, objective="value", direction="minimize")
    with pytest.raises(StudyError, match=r"^workers=2 needs a file that binds this study"):
        here.run(workers=2)


@pytest.mark.parametrize("workers", [1, 0])
def test_fixed_and_enqueued_parameters_are_checked_against_the_search_space(tmp_path, workers):
    wrong = (
        ({"fixed": {"ofset": 1}}, "The study has no parameter 'ofset'. Did you mean offset?"),
        ({"fixed": {"offset": 9}}, "offset cannot be 9. It must be one of [1, 3]."),
        ({"enqueue": [{"x": 2.0}]}, "x cannot be 2.0. It must be one of [0.0, 1.0]."),
        ({"setting": 1}, "No such option: setting. The options are trials, timeout"),
    )
    attempt = f"""
if __name__ == "__main__":
    for options in {[options for options, _ in wrong]}:
        try:
            study.run(workers={workers}, **options)
        except sweep.SweepError as error:
            print("refused:", error)
"""
    said, status = run(tmp_path, SCRIPT + attempt)
    assert status == 0, said
    refusals = [line for line in said.splitlines() if line.startswith("refused: ")]
    assert len(refusals) == len(wrong)
    for refusal, (_, message) in zip(refusals, wrong, strict=True):
        assert message in refusal
    assert not (tmp_path / "sweep.db").exists()
    assert not (tmp_path / "runs").exists()


def test_fixed_and_enqueued_parameters_are_what_trials_get(tmp_path):
    said, status = run(
        tmp_path, SCRIPT + RUN.format(arguments="workers=0, fixed={'offset': 2}, enqueue=[{'x': 1}], trials=2")
    )
    assert status == 0, said
    first, second = (trial.params for trial in trials(tmp_path))
    assert first == {"x": 1.0, "offset": 2}
    assert second["offset"] == 2
    store = Store(f"sqlite:///{tmp_path / 'sweep.db'}")
    try:
        assert store.runs(store.study("tiny").study_id)[0].name == "tiny-x=1.0-offset=2-t0000"
    finally:
        store.close()


NOTEBOOK = """
import optuna
import sweep
from optuna.distributions import FloatDistribution

def build(trial):
    return trial.suggest_float("x", 0.0, 1.0)

def train(trial):
    return build(trial) + trial.suggest_int("offset", 1, 3)

def declare(**settings):
    return sweep.Study(
        train, objective="value", direction="minimize", sampler="random", seed=1, name="cells", **settings
    )

def refusal(study, **options):
    try:
        study.run(**options)
    except sweep.SweepError as error:
        return str(error)

def number_and_run(study):
    return [(trial.number, trial.user_attrs.get("run")) for trial in study.trials]
"""


def cells(folder, *cells):
    """Run the cells of a notebook; what the last one printed."""
    source = f"for cell in {[NOTEBOOK, *cells]!r}: exec(compile(cell, '<cell>', 'exec'))"
    said, status = run(folder, "", command=["-c", source])
    assert status == 0, said
    return [line.removeprefix("> ") for line in said.splitlines() if line.startswith("> ")]


def test_the_study_that_run_returns_is_that_of_the_database_and_running_again_continues_it(tmp_path):
    cells(
        tmp_path,
        "study = declare(trials=2); found = study.run()",
        "found.set_user_attr('mine', 1)",
        "found.add_trial(optuna.trial.create_trial(value=0.5, params={'x': 0.25}, "
        "distributions={'x': FloatDistribution(0.0, 1.0)}))",
        "found.optimize(lambda trial: trial.suggest_float('x', 0.0, 1.0) + 5, n_trials=1)",
        "found.enqueue_trial({'x': 0.75, 'offset': 3})",
        "found = study.run(); assert len(found.trials) == 5",  # the total is reached
        "found = study.run(trials=4)",
        "assert number_and_run(found) == number_and_run(optuna.load_study(study_name='cells', storage='sqlite:///sweep.db'))",
        "assert found.best_trial.number == 2 and found.user_attrs == {'mine': 1}",
    )
    there = trials(tmp_path, "cells")
    assert [trial.state.name for trial in there] == ["COMPLETE"] * 6
    assert there[4].params == {"x": 0.75, "offset": 3}
    store = Store(f"sqlite:///{tmp_path / 'sweep.db'}")
    try:
        runs = store.runs(store.study("cells").study_id)
    finally:
        store.close()
    assert [run.added for run in runs] == [False, False, True, True, False, False]
    named = [trial.user_attrs.get("run") for trial in there]
    assert named == [None if run.added else run.name for run in runs]


def test_the_study_that_run_returns_goes_on_with_every_sampler(tmp_path):
    cells(
        tmp_path,
        "for place, sampler in enumerate(('tpe', 'tpe(multivariate=True, group=True)', 'nsgaii', 'qmc', "
        "'grid(x=[0.25], offset=[1])')):"
        "\n    study = sweep.Study(train, objective='value', direction='minimize', sampler=sampler, seed=1, trials=12,"
        "\n        name=f'study{place}')"
        "\n    study.run().optimize(lambda trial: trial.suggest_float('x', 0.0, 1.0) + 5, n_trials=2)",
    )
    assert [trials(tmp_path, f"study{place}")[-1].state.name for place in range(5)] == ["COMPLETE"] * 5


def test_a_cell_that_was_run_again_continues_its_study_and_with_another_space_is_refused(tmp_path):
    wider = "def build(trial): return trial.suggest_float('x', 0.0, 2.0)"
    said = cells(
        tmp_path,
        "declare(trials=2).run()",
        "def build(trial):\n    # as before\n\n    return trial.suggest_float('x', 0.0, 1.0)",
        "assert len(declare(trials=3).run().trials) == 3",
        wider,
        "print('>', refusal(declare(trials=4)))",
        "assert len(declare(trials=4).run(yes=True).trials) == 4",
        "assert len(declare(trials=5).run().trials) == 5",  # the wider range is the study's by now
        "def build(trial): return trial.suggest_categorical('x', [0.5, 1.5])",
        "print('>', refusal(declare(trials=6)))",
        "assert len(declare(trials=1).run(name='cells_2').trials) == 1",  # as the refusal advises
        "print('>', refusal(declare(trials=6)))",
    )
    assert said == [
        "The range of x has grown: it is [0.0, 1.0] in the trials of study cells, and now [0.0, 2.0]. To continue with "
        "the wider range, pass --yes (in Python, yes=True). To start a new study, call study.run(name='cells_2').",
        "x is [0.0, 2.0] in the trials of study cells, and is now one of 0.5, 1.5. To start a new study, call "
        "study.run(name='cells_2').",
        "x is [0.0, 2.0] in the trials of study cells, and is now one of 0.5, 1.5. To start a new study, call "
        "study.run(name='cells_3').",
    ]
    assert len(trials(tmp_path, "cells")) == 5


HANDLERS = """
import asyncio, os, signal, threading

def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

def called(number, frame):
    print("> called", signal.Signals(number).name)
"""


def test_a_study_runs_inside_an_event_loop_which_is_as_before_afterwards(tmp_path):
    said = cells(
        tmp_path,
        HANDLERS,
        "async def notebook():"
        "\n    loop, terminated = asyncio.get_running_loop(), asyncio.Event()"
        "\n    loop.add_signal_handler(signal.SIGTERM, terminated.set)"
        "\n    before = handlers()"
        "\n    found = declare(trials=2).run()"
        "\n    print('>', len(found.trials), asyncio.get_running_loop() is loop, handlers() == before)"
        "\n    os.kill(os.getpid(), signal.SIGTERM)"
        "\n    await terminated.wait()"
        "\n    print('> terminated')",
        "asyncio.run(notebook())",
    )
    assert said == ["2 True True", "terminated"]


@pytest.mark.parametrize("number", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_signal_handlers_are_those_of_before_when_a_study_was_stopped_by_one(tmp_path, number):
    said = cells(
        tmp_path,
        HANDLERS,
        "signal.signal(signal.SIGINT, called); signal.signal(signal.SIGTERM, called); before = handlers()",
        f"def build(trial):\n    signal.raise_signal(signal.{number})\n    return trial.suggest_float('x', 0.0, 1.0)",
        "print('>', [trial.state.name for trial in declare(trials=3).run().trials])",
        "assert handlers() == before",
        "signal.raise_signal(signal.SIGINT); signal.raise_signal(signal.SIGTERM)",
        "print('>', refusal(declare(), trials=0)); assert handlers() == before",
    )
    assert said[0] == "['COMPLETE']", "the running trial ends, and no other begins"
    assert said[1:3] == ["called SIGINT", "called SIGTERM"]
    assert said[3].startswith("trials must be")


def test_two_studies_train_at_once_in_one_process_and_neither_in_the_main_thread(tmp_path):
    said = cells(
        tmp_path,
        HANDLERS,
        "before, both = handlers(), threading.Barrier(2, timeout=60)",
        "def build(trial):"
        "\n    both.wait()"
        "\n    assert threading.current_thread() is not threading.main_thread()"
        "\n    return trial.suggest_float('x', 0.0, 1.0)",
        "threads = [threading.Thread(target=declare(trials=3).run, kwargs={'name': name}) for name in ('one', 'two')]"
        "\nfor thread in threads: thread.start()"
        "\nfor thread in threads: thread.join()",
        "print('>', handlers() == before)",
    )
    assert said == ["True"]
    for name in ("one", "two"):
        assert [trial.state.name for trial in trials(tmp_path, name)] == ["COMPLETE"] * 3


MEETING = """
import os, time
from pathlib import Path
import sweep

def train(trial):
    Path(f"{os.getpid()}.there").touch()
    deadline = time.monotonic() + 60
    while len(list(Path().glob("*.there"))) < 2:
        assert time.monotonic() < deadline, "the other study trains nothing"
        time.sleep(0.02)
    return trial.suggest_float("x", 0.0, 1.0)

study = sweep.Study(train, objective="value", direction="minimize", trials=1, sampler="random", seed=1)

if __name__ == "__main__":
    import threading
    other = threading.Thread(target=lambda: study.run(workers=1, name="other"))
    other.start()
    study.run(workers=1, name="mine")
    other.join()
"""


def test_two_studies_have_workers_at_once_one_of_them_started_by_another_thread(tmp_path):
    said, status = run(tmp_path, MEETING)
    assert status == 0, said
    assert [trials(tmp_path, name)[0].state.name for name in ("mine", "other")] == ["COMPLETE"] * 2
