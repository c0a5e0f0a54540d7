"""A database of an earlier version is ranked anew, and what that changes is said once."""

import pytest

from sweep.view.upgrades import open_upgraded, ranked_anew
from tests.store_builder import add_study, build_store, run


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def directory(tmp_path, name, *, weights):
    (tmp_path / name).mkdir()
    if weights:
        (tmp_path / name / "weights.npz").touch()
    return str(tmp_path / name)


def test_a_study_whose_best_run_changes_is_said_with_both(store):
    add_study(store, runs=[run(0, 0.25, values=[0.5]), run(1, 0.5, values=[0.4])])
    add_study(store, "as_before", runs=[run(0, 0.25), run(1, 0.5)])
    assert ranked_anew(store, "sqlite:///sweep.db") == [
        "diabetes: the best run is t0001, whose value is 0.4; by its best epoch it was t0000"
    ]


@pytest.mark.parametrize(("mine", "others", "gone"), [(False, True, True), (True, True, False), (False, False, False)])
def test_a_best_run_whose_weights_were_removed_by_the_former_ranking_is_said(store, tmp_path, mine, others, gone):
    runs = [
        run(0, 0.25, directory=directory(tmp_path, "best", weights=mine)),
        run(1, 0.5, directory=directory(tmp_path, "other", weights=others)),
    ]
    add_study(store, runs=runs)
    lines = ranked_anew(store, "sqlite:///sweep.db")
    assert [line.partition(", since")[0] for line in lines] == [
        "diabetes: the weights of t0000, its best run, are gone"
    ] * gone


def test_a_best_run_whose_directory_is_elsewhere_has_lost_nothing_that_is_known(store, tmp_path):
    runs = [run(0, 0.25), run(1, 0.5, directory=directory(tmp_path, "other", weights=True))]
    add_study(store, runs=runs)
    assert ranked_anew(store, "sqlite:///sweep.db") == []


def test_a_database_of_this_version_is_opened_with_nothing_to_say(store):
    add_study(store, runs=[run(0, 0.25, values=[0.5]), run(1, 0.5, values=[0.4])])
    again, lines = open_upgraded(str(store.url))
    assert (len(again.studies()), lines) == (1, [])
    again.close()
