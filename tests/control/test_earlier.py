"""Trials of other studies teach a study's sampler, and are none of its own: `--from STUDY:all`."""

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import TrialState, create_trial

import sweep
from sweep.cli.start import again
from sweep.control.earlier import FIRST, Earlier, InformedSampler, Taught, read_earlier
from sweep.declaration import Declaration
from sweep.errors import SweepError
from sweep.options import Settings
from sweep.store import Store
from tests.control.started import ONE_EPOCH, Folder
from tests.store_builder import build_store

DECLARATION = Declaration("new", ["loss"], ["minimize"], 5)
X, N = FloatDistribution(-1.0, 1.0), IntDistribution(1, 9)
SPACE = {"x": [distribution_to_json(X)]}
WIDER = {**SPACE, "n": [distribution_to_json(N)]}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a study in this process, in a folder of its own; returns it as Optuna has it."""
    monkeypatch.chdir(tmp_path)

    def train(trial):
        return trial.suggest_float("x", -1, 1) ** 2

    def run(name, *, train=train, from_=(), **more):
        study = sweep.Study(train, objective="loss", direction="minimize", name=name, workers=0, **{"seed": 7, **more})
        return study.run(storage="sqlite:///sweep.db", best_of=from_)

    return run


def distance(study):
    """How far the trials are from the best parameter, which is 0."""
    return sum(abs(trial.params["x"]) for trial in study.trials) / len(study.trials)


def test_a_sampler_learns_from_all_trials_of_another_study_and_trains_none_of_them_again(run):
    run("old", trials=40)
    taught = run("taught", trials=8, from_="old:all", seed=3)
    alone = run("alone", trials=8, seed=3)
    assert len(taught.trials) == len(alone.trials) == 8, "they do not count"
    assert distance(taught) < distance(alone) / 2
    assert taught.best_value == min(trial.value for trial in taught.trials), "the best of its own"
    store = Store("sqlite:///sweep.db")
    try:
        assert len(store.runs(store.study("taught").study_id)) == 8, "they are in none of its tables"
        assert len(store.runs(store.study("old").study_id)) == 40
    finally:
        store.close()


def test_a_study_with_the_seed_of_the_one_that_teaches_it_does_not_repeat_its_trials(run):
    old = run("old", trials=3)  # fewer than after which TPE learns at all
    again = run("again", trials=3, from_="old:all")
    assert not {trial.params["x"] for trial in old.trials} & {trial.params["x"] for trial in again.trials}


def test_the_best_of_a_worse_study_is_never_a_trial_of_the_other(run):
    run("old", trials=12)
    worse = run("worse", trials=3, from_=["old:all"], train=lambda trial: trial.suggest_float("x", -1, 1) ** 2 + 5)
    assert worse.best_value >= 5
    assert [trial.number for trial in worse.trials] == [0, 1, 2]


def test_a_study_that_continues_is_taught_again_and_says_by_how_many(tmp_path):
    old = Folder(tmp_path, ONE_EPOCH, "trials=12, workers=1, seed=7")
    assert old.start().returncode == 0
    first = old.start("--name", "new", "--from", "tiny:all", "--trials", "2")
    assert first.returncode == 0, first.stderr
    assert "the sampler learns from 12 of 12 trials of tiny" in first.stdout
    assert "--from tiny:all" in first.stdout, "in the command that trains more"
    more = old.start("--name", "new", "--from", "tiny:all", "--trials", "4")
    assert "the sampler learns from 12 of 12 trials of tiny" in more.stdout
    assert [run.state for run in old.runs("new")] == ["COMPLETE"] * 4
    for command in ("runs", "best", "studies"):
        assert old.command(command, *(["new"] if command != "studies" else [])).returncode == 0


def test_the_best_of_a_study_are_tried_and_all_of_it_teaches(run):
    old = run("old", trials=12)
    both = run("both", trials=3, from_=["old:best:1", "old:all"])
    assert both.trials[0].params == old.best_params
    assert len(both.trials) == 3


def test_trials_that_do_not_fit_the_search_space_teach_nothing_and_that_is_said(run, capsys):
    run("old", trials=3)
    other = run("other", trials=2, from_="old:all", train=lambda trial: trial.suggest_int("y", 0, 9))
    assert len(other.trials) == 2
    said = capsys.readouterr().out
    assert "the sampler learns from 0 of 3 trials of old: none has the parameters of this study" in said


@pytest.mark.parametrize(
    ("text", "declaration", "said"),
    [
        ("old:all", {"objective": ["val_loss"]}, "Study old has the objective loss, and new has val_loss"),
        ("old:all", {"direction": ["maximize"]}, "Study old has the direction minimize, and new has maximize"),
        ("old:all", {"sampler": "random"}, r"The sampler random learns nothing.*--from old:best:5"),
        ("old:all", {"sampler": "CmaEsSampler()"}, "learns nothing from trials of other studies"),
        ("older:all", {}, "older"),
        ("new:all", {}, "Study new has its own trials, which its sampler knows"),
    ],
)
def test_what_cannot_teach_is_refused(run, text, declaration, said):
    run("old", trials=1)
    with pytest.raises(SweepError, match=said):
        read_earlier([text], "sqlite:///sweep.db", DECLARATION.replaced(**declaration))


def test_a_study_that_cannot_be_taught_leaves_nothing(run, tmp_path):
    with pytest.raises(SweepError):
        run("new", from_="old:all")
    assert not (tmp_path / "runs" / "new").exists()
    build_store(tmp_path).close()
    with pytest.raises(SweepError, match="old"):
        run("new", from_="old:all")
    assert not (tmp_path / "runs" / "new").exists()


def trial(x, n=None, state=TrialState.COMPLETE):
    """A trial of another study."""
    params, distributions = {"x": x}, {"x": X}
    if n is not None:
        params["n"], distributions["n"] = n, N
    value = x if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, params=params, distributions=distributions)


def test_only_trials_fit_that_have_parameters_and_values_of_the_search_space():
    earlier = Earlier({"old": Taught([trial(0.5), trial(-0.5, n=3), trial(0.25)], WIDER)})
    earlier.fit({})
    assert [found.params["x"] for found in earlier.trials] == [0.5, -0.5, 0.25], "as long as nothing else is known"
    narrow = {"x": [distribution_to_json(FloatDistribution(0.3, 0.9))]}
    assert earlier.settle(narrow) == "the sampler learns from 1 of 3 trials of old"
    assert [found.params for found in earlier.trials] == [{"x": 0.5}]
    assert earlier.settle(narrow) is None, "it is said once"
    earlier.fit(WIDER)
    assert [found.number for found in earlier.trials] == [FIRST - 2, FIRST - 1, FIRST]


class Watching(optuna.samplers.RandomSampler):
    """Notes what it sees of a study."""

    def __init__(self):
        super().__init__(seed=1)
        self.seen = []

    def sample_independent(self, study, frozen, name, distribution):
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        seen = [study.get_trials(deepcopy=False), study._get_trials(states=states), study.trials]
        self.seen.append([[found.number for found in trials] for trials in seen])
        assert study.study_name == "watched"
        return super().sample_independent(study, frozen, name, distribution)


def test_a_sampler_sees_them_before_the_trials_of_the_study_and_only_those_with_the_parameter():
    watching = Watching()
    earlier = Earlier({"old": Taught([trial(0.5), trial(0.4, n=3, state=TrialState.PRUNED)], WIDER)})
    earlier.fit(WIDER)
    sampler = InformedSampler(watching, lambda: earlier.trials)
    study = optuna.create_study(study_name="watched", sampler=sampler)
    asked = study.ask()
    asked.suggest_float("x", -1, 1)
    asked.suggest_int("n", 1, 9)
    assert watching.seen == [[[-3, -2, 0], [-3, -2], [-3, -2, 0]], [[-2, 0], [-2], [-2, 0]]]
    assert [found.number for found in study.trials] == [0]


def test_the_command_that_continues_a_study_names_who_teaches_it_and_not_what_was_tried_first():
    settings = Settings(best_of=["old:best:3", "old:all"])
    assert again("studies/x.py", settings) == "sweep start studies/x.py --from old:all"
