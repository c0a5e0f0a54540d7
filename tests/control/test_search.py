"""The search: what it suggests, keeps, and refuses."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sweep.control.domains import check_text, coerce, describe, known_parameter
from sweep.control.search import Search
from sweep.errors import StudyError
from tests.control.memory import declare

X = FloatDistribution(0.0, 1.0)


def search(**values):
    settings = {name: values.pop(name) for name in ("fixed", "trials", "keys", "space", "changed") if name in values}
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
    with pytest.raises(StudyError, match="p is one of"):
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
    with pytest.raises(StudyError, match="did you mean learning_rate"):
        known_parameter("learnin_rate", {"learning_rate": 1, "width": 2})
    with pytest.raises(StudyError, match="there is width"):
        known_parameter("zzz", {"width": 2})


@pytest.mark.parametrize("text", ["", "a" * 513, "\x00", "\ud800"])
def test_a_name_that_no_database_holds_is_refused(text):
    with pytest.raises(StudyError, match="a text of 1 to 512 characters"):
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
    found.enqueue([{"x": 0.5}, {"x": 0.5}])
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


def test_a_fixed_value_that_the_domain_does_not_have_is_refused():
    found = search(fixed={"x": 7.0})
    with pytest.raises(StudyError, match=r"x is one of \[0.0, 1.0\]: got 7.0"):
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
