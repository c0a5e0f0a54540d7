"""The search: what it suggests, keeps, and refuses."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweep.control.domains import check_text, coerce, describe, has_grown, known_parameter
from sweep.control.search import Search, WiderSpace
from sweep.errors import StudyError
from tests.control.memory import declare

X = FloatDistribution(0.0, 1.0)


def search(**values):
    settings = {
        name: values.pop(name) for name in ("fixed", "trials", "keys", "space", "changed", "widen") if name in values
    }
    return Search(declare(**values), **settings)


@pytest.mark.parametrize(
    ("value", "domain", "expected"),
    [
        (16, FloatDistribution(0, 32), 16.0),
        (16.0, IntDistribution(0, 32), 16),
        (1, CategoricalDistribution([1, 2]), 1),
        (1.0, CategoricalDistribution([1, 2]), 1),
        (1, CategoricalDistribution(["1", "2"]), "1"),
        (1, CategoricalDistribution(["1", 1]), 1),
        (True, CategoricalDistribution(["true", "false"]), "true"),
        (None, CategoricalDistribution(["none", "l2"]), "none"),
        (None, CategoricalDistribution([None, "a"]), None),
        (True, CategoricalDistribution([False, True]), True),
        ("relu", CategoricalDistribution(["relu", "tanh"]), "relu"),
        (0.1, CategoricalDistribution([0.1, 0.2]), 0.1),
        (2**70, CategoricalDistribution([2**70]), 2**70),
    ],
)
def test_a_value_is_taken_as_its_domain_has_it(value, domain, expected):
    found = coerce("p", value, domain)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (33, IntDistribution(0, 32)),
        (3, IntDistribution(0, 32, step=2)),
        (0.5, IntDistribution(0, 32)),
        (True, IntDistribution(0, 32)),
        ("1", FloatDistribution(0, 32)),
        (float("nan"), FloatDistribution(0, 32)),
        (None, FloatDistribution(0, 32)),
        ("sgd", CategoricalDistribution(["adam"])),
        (True, CategoricalDistribution([1, 2])),
    ],
)
def test_a_value_that_the_domain_does_not_have_is_refused(value, domain):
    with pytest.raises(StudyError, match=r"p cannot be .* It must be one of"):
        coerce("p", value, domain)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (FloatDistribution(1e-4, 0.1, log=True), "[0.0001, 0.1] log"),
        (FloatDistribution(0.0, 1.0, step=0.25), "[0.0, 1.0] step 0.25"),
        (IntDistribution(1, 8), "[1, 8]"),
        (CategoricalDistribution([None, True, "a b", 0.5]), "none, true, a~20b, 0.5"),
    ],
)
def test_a_domain_is_described_as_a_person_writes_it(domain, words):
    assert describe(domain) == words


def test_an_unknown_parameter_is_refused_with_the_nearest_name():
    with pytest.raises(StudyError, match="Did you mean learning_rate"):
        known_parameter("learnin_rate", {"learning_rate": 1, "width": 2})
    with pytest.raises(StudyError, match="Its parameters are width"):
        known_parameter("zzz", {"width": 2})


@pytest.mark.parametrize("text", ["", "a" * 513, "\x00", "\ud800"])
def test_a_name_that_no_database_holds_is_refused(text):
    with pytest.raises(StudyError, match="must be text of 1 to 512 characters"):
        check_text("a name", text)


def test_the_search_space_remembers_every_domain_a_parameter_had():
    found = search()
    for domain in (X, FloatDistribution(0.0, 2.0), X):
        found.suggest(found.ask(), "x", domain)
    assert [len(known) for known in found.space.values()] == [2]
    assert found.keys.as_dict() == {"x": "x"}


def test_the_same_seed_suggests_the_same_and_each_trial_has_its_own():
    one, two = (search(sampler="random") for _ in range(2))
    values = [[found.suggest(found.ask(), "x", X) for _ in range(5)] for found in (one, two)]
    assert values[0] == values[1]
    assert len(set(values[0])) == 5
    assert len({one.seed(number) for number in range(1000)}) == 1000
    assert one.seed(3) == two.seed(3)
    assert min(one.seed(number) for number in range(1000)) >= 0
    assert max(one.seed(number) for number in range(1000)) < 2**31


def test_a_study_that_goes_on_does_not_suggest_its_first_trials_again():
    first = search(sampler="random")
    before = []
    for _ in range(3):
        trial = first.ask()
        before.append(first.suggest(trial, "x", X))
        first.tell(trial, TrialState.COMPLETE, [0.0])
    then = search(sampler="random", trials=first.trials())
    assert then.suggest(then.ask(), "x", X) not in before


def test_a_trial_that_is_run_again_has_the_parameters_it_had():
    found = search(sampler="random")
    value = found.suggest(found.ask(), "x", X)
    found.storage.wait(0)
    again = found.again(0)
    assert found.suggest(again, "x", X) == value


def test_enqueued_parameters_are_those_of_the_next_trials_and_are_passed_over_if_the_study_had_them():
    found = search()
    found.enqueue([{"x": 0.5}])
    found.enqueue([{"x": 0.5}])
    found.enqueue([{"x": 0.5}], again=True)
    assert len(found.trials()) == 1
    trial = found.ask()
    assert found.suggest(trial, "x", X) == 0.5
    found.enqueue([{"x": 0.5}], again=True)
    assert len(found.trials()) == 1
    found.tell(trial, TrialState.COMPLETE, [0.0])
    found.enqueue([{"x": 0.5}])
    assert len(found.trials()) == 1
    found.enqueue([{"x": 0.5}], again=True)
    assert len(found.trials()) == 2


def test_parameters_that_are_enqueued_twice_are_repeated_and_no_further_when_the_study_goes_on():
    found = search()
    twice = [{"x": 0.5}, {"x": 0.25}, {"x": 0.5}]
    found.enqueue(twice)
    assert [found.suggest(found.ask(), "x", X) for _ in range(3)] == [0.5, 0.25, 0.5]
    found.enqueue(twice)
    assert len(found.trials()) == 3
    found.enqueue(twice, again=True)
    assert len(found.trials()) == 3, "none of them has ended"
    for number in range(3):
        found.tell(optuna.Trial(found.study, found.trials()[number]._trial_id), TrialState.COMPLETE, [0.0])
    found.enqueue(twice, again=True)
    assert len(found.trials()) == 6


def test_a_fixed_value_that_the_domain_does_not_have_is_refused():
    found = search(fixed={"x": 7.0})
    with pytest.raises(StudyError, match=r"x cannot be 7\.0\. It must be one of \[0\.0, 1\.0\]"):
        found.suggest(found.ask(), "x", X)


@pytest.mark.parametrize("wrapping", [{}, {"precision": None}, {"fixed": {"y": 1.0}}])
def test_a_grid_is_exhausted_once_every_point_has_begun(wrapping):
    found = search(sampler="grid(x=[0.25, 0.5])", **wrapping)
    for _ in range(2):
        assert not found.exhausted
        found.suggest(found.ask(), "x", X)
    assert found.exhausted


def test_a_grid_with_enqueued_trials_is_exhausted_after_them():
    found = search(sampler="grid(x=[0.25, 0.5])")
    for _ in range(2):
        found.suggest(found.ask(), "x", X)
    found.enqueue([{"x": 0.125}])
    assert not found.exhausted
    found.ask()
    assert found.exhausted


@pytest.mark.parametrize(
    ("before", "now", "grown"),
    [
        (FloatDistribution(0, 1), FloatDistribution(0, 2), True),
        (FloatDistribution(0, 1), FloatDistribution(-1, 1), True),
        (FloatDistribution(0, 1), FloatDistribution(0.5, 2), False),
        (FloatDistribution(0, 1), FloatDistribution(0, 0.5), False),
        (FloatDistribution(0.1, 1, log=True), FloatDistribution(0.01, 1, log=True), True),
        (FloatDistribution(0.1, 1), FloatDistribution(0.01, 1, log=True), False),
        (FloatDistribution(0, 1, step=0.1), FloatDistribution(-0.3, 1.2, step=0.1), True),
        (FloatDistribution(0, 1, step=0.1), FloatDistribution(-0.05, 1.05, step=0.1), False),
        (FloatDistribution(0, 1, step=0.1), FloatDistribution(0, 1, step=0.05), True),
        (FloatDistribution(0, 1, step=0.1), FloatDistribution(0, 1), True),
        (FloatDistribution(0, 1), FloatDistribution(0, 1, step=0.1), False),
        (IntDistribution(1, 4), IntDistribution(1, 8), True),
        (IntDistribution(8, 64, step=8), IntDistribution(8, 128, step=8), True),
        (IntDistribution(8, 64, step=8), IntDistribution(4, 132, step=8), False),
        (IntDistribution(1, 4), FloatDistribution(1, 8), False),
        (CategoricalDistribution([1, 2]), CategoricalDistribution([1, 2, 3]), False),
    ],
)
def test_a_range_has_grown_if_it_has_all_its_values_and_more(before, now, grown):
    assert has_grown(before, now) is grown


def begun(domain, count=12, **values):
    """A search of some trials whose best are near 0.5."""
    found = search(**values)
    for _ in range(count):
        trial = found.ask()
        found.suggest(trial, "x", domain)
        found.tell(trial, TrialState.COMPLETE, [abs(found.frozen(trial).params["x"] - 0.5)])
    return found


def test_a_wider_range_is_continued_where_that_was_asked_for_and_the_sampler_goes_on_from_what_it_knows():
    first = begun(X, sampler="tpe(n_startup_trials=5)")
    settings = {"trials": first.trials(), "space": first.space, "changed": True, "sampler": "tpe(n_startup_trials=5)"}
    wide = FloatDistribution(0.0, 2.0)
    refused = search(**settings)
    with pytest.raises(WiderSpace, match=r"it is \[0.0, 1.0\] in the trials of study study, and now \[0.0, 2.0\]"):
        refused.suggest(refused.ask(), "x", wide)
    found = search(**settings, widen=True)
    for _ in range(10):
        trial = found.ask()
        found.tell(trial, TrialState.COMPLETE, [abs(found.suggest(trial, "x", wide) - 0.5)])
    assert found.study.sampler.infer_relative_search_space(found.study, found.frozen(found.ask())) == {"x": wide}
    assert len(found.space["x"]) == 1
    later = search(**{**settings, "trials": found.trials(), "space": found.space})
    with pytest.raises(StudyError, match="and is now"):
        later.suggest(later.ask(), "x", X)


GRIDS = {
    "another value": ("x=[0.25, 0.5]", "x=[0.125, 0.25, 0.5, 1.0]"),
    "another order": ("x=[0.25, 0.5, 1.0]", "x=[1.0, 0.5, 0.25, 0.125]"),
    "a value less": ("x=[0.25, 0.5, 1.0]", "x=[0.5, 0.75]"),
    "the same": ("x=[0.125, 0.25, 0.5, 0.75]", "x=[0.125, 0.25, 0.5, 0.75]"),
    "two parameters": ("x=[0.25, 0.5], y=[0.0, 1.0]", "x=[0.25, 0.5, 1.0], y=[0.0, 1.0]"),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stopped", [2, 99])
@pytest.mark.parametrize("queued", [0, 1])
@pytest.mark.parametrize("change", GRIDS)
def test_a_grid_that_goes_on_or_was_extended_trains_each_point_once(change, queued, stopped, seed):
    before, now = GRIDS[change]

    def trained(found, most):
        done = 0
        while not found.exhausted and done < most:
            trial = found.ask()
            for name in ("x", "y") if "y" in before else ("x",):
                found.suggest(trial, name, X)
            found.tell(trial, TrialState.COMPLETE, [0.0])
            done += 1
        return found

    first = search(sampler=f"grid({before})", seed=seed)
    first.enqueue([{"x": 0.875, "y": 0.5}][:queued])
    trained(first, stopped)
    then = trained(search(sampler=f"grid({now})", trials=first.trials(), seed=seed), 99)
    points = [tuple(trial.params.values()) for trial in then.trials() if "fixed_params" not in trial.system_attrs]
    assert len(points) == len(set(points))
    assert then.exhausted
    grid = then._grid()
    assert set(grid._all_grids) <= set(points)


def failures(sampler, seed, *, hopeless):
    """The parameters that failed among those that a search proposed, where large ones cannot be built."""
    found, failed = search(sampler=sampler, seed=seed), []
    for _ in range(40):
        trial = found.ask()
        size = [found.suggest(trial, name, IntDistribution(1, 5)) for name in ("kernel", "layers")]
        fails = size[0] * size[1] > 6
        state, values = (TrialState.FAIL, None) if fails else (TrialState.COMPLETE, [1.0])
        found.tell(trial, state, values, hopeless=fails and hopeless)
        failed += [tuple(size)] * fails
    return failed


@pytest.mark.parametrize("sampler", ["tpe(n_startup_trials=4)", "random"])
def test_what_failed_for_its_parameters_is_not_proposed_again(sampler):
    for seed in range(3):
        failed = failures(sampler, seed, hopeless=True)
        assert len(failed) == len(set(failed))


def test_a_sampler_learns_from_what_failed_for_its_parameters():
    taught, untaught = (
        sum(len(failures("tpe(n_startup_trials=4)", seed, hopeless=hopeless)) for seed in range(4))
        for hopeless in (True, False)
    )
    assert taught < untaught / 2


def test_several_trials_are_asked_for_at_once():
    found = search()
    asked = found.ask_several(3)
    assert [trial.number for trial in asked] == [0, 1, 2]
    assert len({found.suggest(trial, "x", X) for trial in asked}) == 3


def test_what_is_queued_is_taken_before_several_are_made():
    found = search()
    found.enqueue([{"x": 0.5}])
    (queued,) = found.ask_several(3)
    assert found.suggest(queued, "x", X) == 0.5
    assert len(found.ask_several(3)) == 3


def test_a_grid_is_asked_for_one_trial_at_a_time():
    found = search(sampler="grid({'x': [1, 2]})")
    assert [len(found.ask_several(5)), len(found.ask_several(5))] == [1, 1]
    assert found.exhausted
