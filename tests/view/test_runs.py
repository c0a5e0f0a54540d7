"""Which runs a study has, and which one a person means."""

import math

import pytest

from sweep.errors import StoreError, SweepError
from sweep.view.runs import best_run, find_run, rank
from sweep.view.studies import choose_study
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def numbers(runs):
    return [run.number for run in runs]


def test_the_only_study_need_not_be_named(store):
    add_study(store, "diabetes")
    assert choose_study(store, None).name == "diabetes"


def test_of_several_studies_one_must_be_named(store):
    add_study(store, "diabetes")
    add_study(store, "wine")
    with pytest.raises(StoreError, match=r"so one must be named\. Name one of diabetes, wine\."):
        choose_study(store, None)


def test_an_empty_store_says_how_to_begin(store):
    with pytest.raises(StoreError, match="sweep start FILE"):
        choose_study(store, None)


def test_an_unknown_study_is_refused_with_the_nearest(store):
    add_study(store, "diabetes")
    with pytest.raises(StoreError, match=r"No such study: diabetis. Did you mean diabetes"):
        choose_study(store, "diabetis")


def test_the_best_run_is_the_complete_one_with_the_least_value(store):
    runs = [run(0, 0.5), run(1, 0.1, state="PRUNED"), run(2, 0.3), run(3, 0.2, state="RUNNING"), run(4, None)]
    study = add_study(store, runs=runs)
    assert numbers(rank(study, store.runs(study.study_id))) == [2, 0]


def test_the_best_run_has_the_largest_value_where_that_is_the_direction(store):
    study = add_study(store, runs=[run(0, 0.5), run(1, 0.9), run(2, 0.9)], direction=["maximize"])
    assert numbers(rank(study, store.runs(study.study_id))) == [1, 2, 0]


def test_runs_are_ranked_by_what_train_returned_and_not_by_their_epochs(store):
    runs = [run(0, 0.1, values=[7.0]), run(1, 0.2, last=0.3, values=[0.5]), run(2, 0.0, values=None)]
    study = add_study(store, runs=runs)
    assert numbers(rank(study, store.runs(study.study_id))) == [1, 0]


def test_an_infinite_value_is_ranked_like_any_other(store):
    runs = [run(0, values=[math.inf]), run(1, values=[-math.inf]), run(2, 1.0)]
    study = add_study(store, runs=runs)
    assert numbers(rank(study, store.runs(study.study_id))) == [1, 2, 0]


def test_an_infeasible_run_is_never_the_best(store):
    runs = [
        run(0, 0.1, constraints={"size": 1.0, "time": -1.0}),
        run(1, 0.3, constraints={"size": 0.0, "time": -1.0}),
        run(2, 0.2),
    ]
    study = add_study(store, runs=runs)
    kept = store.runs(study.study_id)
    assert [one.feasible for one in kept] == [False, True, None]
    assert numbers(rank(study, kept)) == [2, 1]


def test_several_objectives_have_no_best_run(store):
    objectives = {"objective": ["loss", "size"], "direction": ["minimize", "minimize"]}
    study = add_study(store, runs=[run(0, 0.1)], **objectives)
    assert best_run(study, store.runs(study.study_id)) is None
    with pytest.raises(
        SweepError,
        match=r"Study diabetes has several objectives, loss, size, so no run is the best\. Sort by one of them",
    ):
        rank(study, [])


@pytest.mark.parametrize("text", ["17", "t0017", "t17", "0017", "dnn-lr=0.018-bs=32-t0017"])
def test_a_run_is_found_by_its_number_or_its_name(store, text):
    add_study(store, runs=[run(17, 0.5), run(18)])
    study, found = find_run(store, text)
    assert (study.name, found.number, found.best) == ("diabetes", 17, 0.5)


def test_a_run_that_one_study_has_needs_no_study(store):
    add_study(store, "diabetes", [run(0), run(5)])
    add_study(store, "wine", [run(0)])
    assert find_run(store, "5")[0].name == "diabetes"


def test_a_run_that_two_studies_have_is_refused(store):
    add_study(store, "diabetes", [run(5)])
    add_study(store, "wine", [run(5)])
    with pytest.raises(
        StoreError, match=r"5 is a run of several studies: diabetes and wine\. .*: sweep show diabetes 5"
    ):
        find_run(store, "5")
    assert find_run(store, "5", "wine")[0].name == "wine"


@pytest.mark.parametrize("text", ["17", str(2**31), "9" * 18])
def test_a_number_that_no_run_has_is_refused_with_those_there_are(store, text):
    add_study(store, runs=[run(0), run(3)])
    with pytest.raises(StoreError, match=rf"No run {text} in study diabetes \(t0000 to t0003\)"):
        find_run(store, text)


def test_a_name_that_no_run_has_is_refused_with_the_nearest(store):
    add_study(store, runs=[run(0), run(1)])
    with pytest.raises(StoreError, match=r"Did you mean dnn-lr=0\.002-bs=32-t0001"):
        find_run(store, "dnn-lr=0.0021-bs=32-t0001")


def test_without_studies_no_run_is_found(store):
    with pytest.raises(StoreError, match="there is no study"):
        find_run(store, "nonsense")
