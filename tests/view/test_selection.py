"""Which runs are meant: by filter, condition, state and number, sorted and limited."""

import pytest

from sweep.conditions import ConditionError
from sweep.errors import FilterError, SweepError
from sweep.view.selection import Selection, parse_states
from tests.store_builder import add_study, build_store, run, select


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def numbers(runs):
    return [run.number for run in runs]


@pytest.mark.parametrize("texts", [["pruned", "FAIL"], ["Pruned,fail"], ["pruned,", " fail "]])
def test_states_are_read_in_any_case(texts):
    assert parse_states(texts) == {"PRUNED", "FAIL"}


def test_an_unknown_state_is_refused_with_the_nearest():
    with pytest.raises(SweepError, match=r"No such state: prund\. Did you mean PRUNED"):
        parse_states(["prund"])


def test_runs_are_those_that_match_and_are_in_a_state(store):
    runs = [run(0), run(1, family="mlp"), run(2, state="PRUNED"), run(3)]
    study = add_study(store, runs=runs)
    chosen = select(store, study, filter="^DNN", states=frozenset({"COMPLETE"}))
    assert (numbers(chosen.runs), chosen.total) == ([0, 3], 4)


def test_a_run_that_has_no_name_yet_matches_no_pattern(store):
    study = add_study(store, runs=[run(0, name=None, params={}), run(1)])
    assert numbers(select(store, study, filter=".").runs) == [1]
    assert numbers(select(store, study).runs) == [0, 1]


def test_runs_are_also_meant_by_their_numbers(store):
    study = add_study(store, runs=[run(0), run(1), run(2, state="PRUNED"), run(3)])
    assert numbers(select(store, study, numbers=frozenset({1, 2, 9})).runs) == [1, 2]
    assert numbers(select(store, study, numbers=frozenset({1, 2}), states=frozenset({"PRUNED"})).runs) == [2]
    assert select(store, study, numbers=frozenset()).runs == []


@pytest.mark.parametrize(
    ("wanted", "shown"), [({}, [2, 3]), ({"sort": "number"}, [0, 1]), ({"sort": "-number"}, [3, 2])]
)
def test_a_limit_keeps_the_first_of_a_sorted_list_else_the_latest(store, wanted, shown):
    study = add_study(store, runs=[run(number) for number in range(4)])
    found = select(store, study, limit=2, **wanted)
    assert (numbers(found.shown), len(found.runs), found.total) == (shown, 4, 4)
    assert select(store, study, limit=9, **wanted).shown == select(store, study, **wanted).runs


def test_what_is_wrong_with_a_condition_is_told_from_what_is_wrong_with_a_filter(store):
    study = add_study(store)
    with pytest.raises(ConditionError):
        select(store, study, where="lr <", filter="dnn(")
    with pytest.raises(FilterError) as refused:
        select(store, study, filter="dnn(")
    assert not isinstance(refused.value, ConditionError)


def test_names_may_be_matched_elsewhere_and_only_those_that_are_still_meant(store):
    runs = [run(0), run(1, state="PRUNED"), run(2, name=None, params={}), run(3)]
    study = add_study(store, runs=runs)
    runs, asked = store.runs(study.study_id), []

    def match(pattern, names):
        asked.append((pattern, names))
        return names[-1:]

    found = Selection("x", states=frozenset({"COMPLETE"})).of(study, runs, dict, match)
    assert asked == [("x", [runs[0].name, runs[3].name])]
    assert numbers(found.runs) == [3]
