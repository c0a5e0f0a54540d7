"""What repeats of a study's runs show, and how that is said."""

import pytest

from sweep.errors import StudyError, SweepError
from sweep.store import RepeatRecord
from sweep.view.repeats import (
    confirmed,
    further,
    more_budget,
    order_differs,
    planned_race,
    race_object,
    race_of,
    ranked_runs,
    report,
    said,
    shown_race,
    spread,
)
from tests.store_builder import add_study, build_store, run

WINNER = [0.610, 0.612, 0.607, 0.615, 0.611]
LUCKY = [0.626, 0.630, 0.622, 0.627, 0.625]


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def repeated(store, fresh, *, values=None, **declaration):
    """A study whose runs were repeated with these values, and its runs; None is a repeat that failed."""
    values = values or {number: 0.6 + number / 100 for number in fresh}
    study = add_study(store, runs=[run(number, value) for number, value in values.items()], **declaration)
    store.record_repeats(
        study.study_id,
        [
            RepeatRecord(
                number, at, seed=at, value=value, state="FAIL" if value is None else "COMPLETE",
                reason="ValueError: no" if value is None else None,
            )
            for number, some in fresh.items()
            for at, value in enumerate(some, start=1)
        ],
    )  # fmt: skip
    return study, store.runs(study.study_id)


def test_the_value_that_selected_a_run_is_no_part_of_its_mean(store):
    _, (found,) = repeated(store, {0: [1.0, 2.0, 3.0]}, values={0: -100.0})
    assert (found.mean, found.sd, found.n) == (2.0, 1.0, 3)


def test_a_run_without_repeats_has_no_mean_and_a_failed_repeat_does_not_count(store):
    _, (failed, alone, never) = repeated(store, {0: [None], 1: [0.5, None], 2: []})
    assert (failed.mean, failed.sd, failed.n) == (None, None, 0)
    assert (alone.mean, alone.sd, alone.n) == (0.5, None, 1)
    assert (never.mean, never.sd, never.n) == (None, None, None)


def test_the_report_names_the_winner_and_what_the_best_value_was_worth(store):
    study, runs = repeated(store, {3: LUCKY, 12: WINNER}, values={3: 0.600, 12: 0.605})
    race = race_of(study, runs)
    lines = report(study, runs, race)
    assert lines[0] == "t0012: mean 0.6110, sd 0.0029 (n = 5). t0003's 0.6 was luck: its mean is 0.626."
    assert lines[1].startswith("Confirmed: t0012 is better than the other one (one-sided paired t-tests, Bonferroni")
    assert race.confirmed
    assert order_differs(study, runs) == (
        "By fresh seeds t0012 is the best: mean 0.6110, sd 0.0029 (n = 5), before t0003, mean 0.626. It is "
        "diabetes:confirmed in sweep.load, --from and sweep best."
    )


def test_a_best_value_that_is_reached_again_is_not_called_luck(store):
    study, runs = repeated(store, {3: WINNER, 12: LUCKY}, values={3: 0.620, 12: 0.630})
    lines = report(study, runs, race_of(study, runs))
    assert lines[0] == "t0003: mean 0.6110, sd 0.0029 (n = 5)."
    assert order_differs(study, runs) is None


def test_runs_that_cannot_be_told_apart_are_named(store):
    study, runs = repeated(store, {3: WINNER, 12: [value + 0.001 * (-1) ** at for at, value in enumerate(WINNER)]})
    race = race_of(study, runs)
    assert report(study, runs, race)[1].startswith("Not confirmed: t0003 leads, but t0012 cannot be told from it by")
    text, needed = further(race, None)
    assert text.startswith("If t0012 is as much worse as it seems, about")
    assert needed is not None
    assert needed > 5
    text, enough = further(race, 0.005)
    assert text == (
        f"The means of t0003 and t0012 differ by 0.04 of the standard deviation of the study's runs. About {enough} "
        "repeats would show that either will do"
    )
    assert 5 < enough < needed
    assert further(race, 1e-9) == further(race, None)
    assert further(race_of(study, runs, repeats=5, close=1.0), None)[1] == needed


QUIET = {0: [0.50, 0.51, 0.50, 0.51, 0.50], 1: [0.60, 0.61], 2: [0.70, 0.71], 3: [0.80, 0.81]}
NOISY = {0: [0.50, 0.70, 0.40], 1: [0.45, 0.69, 0.50], 2: [0.70, 0.55]}


def test_where_the_model_is_sure_the_report_says_how_sure_and_of_what(store):
    study, runs = repeated(store, QUIET)
    race = shown_race(study, runs)
    assert race.is_sure
    assert report(study, runs, race)[1] == (
        "t0000 is the best of the 4, or within a tenth of the runs' standard deviation of the best, with a probability "
        "of more than 99% by a normal model of seeds."
    )
    found = race_object(study, runs, race)
    assert (found["sure"], found["confirmed"], round(found["risk"], 3)) == (True, False, 0.0)


def test_where_the_budget_is_spent_the_report_names_who_may_be_better_and_a_larger_one(store):
    study, runs = repeated(store, NOISY)
    planned = planned_race(study, runs, top=3, budget=8)
    assert (planned.race.trainings, planned.trainings, planned.race.over) == (8, 0, True)
    line = report(study, runs, planned.race)[1]
    assert line.startswith("Not settled: t0000 is the best of the 3 with a probability of only ")
    assert line.endswith("% by a normal model of seeds; t0001 may be better.")
    assert more_budget(planned.race) == 16
    assert more_budget(planned_race(study, runs, top=3, budget=9).race) is None
    assert more_budget(planned_race(study, runs, top=3, repeats=3).race) is None


def test_what_a_race_would_take_is_said_in_trainings_and_epochs(store):
    study = add_study(
        store, runs=[run(number, number / 10, epoch=10 * (number + 1), duration=60.0) for number in range(4)]
    )
    runs = store.runs(study.study_id)
    by_noise = planned_race(study, runs, top=3)
    assert (by_noise.left, by_noise.least, by_noise.trainings) == ({0: 2, 1: 2, 2: 2}, 6, 30)
    assert str(by_noise) == (
        "6 to 30 trainings, more where seeds matter more: 120 to 600 epochs, 6m00s to 30m00s of one worker by the time "
        "that they took at first"
    )
    in_turn = planned_race(study, runs, top=2, repeats=4)
    assert str(in_turn) == "8 trainings at most: 120 epochs, 8m00s of one worker by the time that they took at first"
    assert (in_turn.epochs, in_turn.seconds, in_turn.as_object()["least"]) == (120, 480.0, 8)


def test_a_run_whose_repeat_failed_is_said_to_be_out(store):
    study, runs = repeated(store, {3: [None], 12: WINNER})
    lines = report(study, runs, race_of(study, runs))
    assert lines == [
        "t0012: mean 0.6110, sd 0.0029 (n = 5). t0003's 0.63 was not reached again: its repeat gave no number.",
        "t0003 is out: its repeat 1 gave no number (ValueError: no).",
    ]


def test_where_every_repeat_failed_nothing_is_confirmed(store):
    study, runs = repeated(store, {3: [None], 12: [None]})
    assert report(study, runs, race_of(study, runs)) == ["No run has a repeat that gave a number."]
    with pytest.raises(
        StudyError, match=r"^No run of study diabetes has been confirmed\. Run: sweep confirm diabetes$"
    ):
        ranked_runs(study, runs, "confirmed")


def test_a_run_that_was_beaten_comes_after_those_that_were_not(store):
    """Although its mean is better, over fewer repeats: the pairs count."""
    noisy = [0.0, 1.0, 2.0, 3.0, 4.0]
    beaten = [0.5, 1.51, 2.49]
    study, runs = repeated(
        store, {0: noisy, 1: beaten, 2: [value + 0.3 * (-1) ** at for at, value in enumerate(noisy)]}
    )
    assert runs[1].mean < runs[0].mean
    race = race_of(study, runs)
    assert race.standings[1].drop is not None
    assert [one.number for one in confirmed(study, runs)][-1] == 1


def test_the_highest_mean_is_the_best_where_it_is_maximized(store):
    study, runs = repeated(store, {3: LUCKY, 12: WINNER}, direction=["maximize"])
    assert [one.number for one in ranked_runs(study, runs, "confirmed")] == [3, 12]
    assert [one.number for one in ranked_runs(study, runs, "best")] == [12, 3]


def test_a_study_of_several_objectives_has_no_winner(store):
    study, runs = repeated(store, {0: WINNER}, objective=["val_loss", "size"], direction=["minimize", "minimize"])
    with pytest.raises(SweepError, match="several objectives"):
        ranked_runs(study, runs, "confirmed")


def test_the_spread_of_a_study_is_that_between_its_quartiles(store):
    study = add_study(store, runs=[run(number, float(number)) for number in range(9)])
    assert spread(study, store.runs(study.study_id)) == pytest.approx(4 / 1.349)
    few = add_study(store, "few", runs=[run(number, float(number)) for number in range(3)])
    assert spread(few, store.runs(few.study_id)) is None
    equal = add_study(store, "equal", runs=[run(number, 1.0) for number in range(9)])
    assert spread(equal, store.runs(equal.study_id)) is None


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.61123, 0.00412, "mean 0.6112, sd 0.0041 (n = 5)"),
        (12345.678, 321.0, "mean 12346, sd 321 (n = 5)"),
        (0.5, 0.0, "mean 0.5, sd 0 (n = 5)"),
        (0.5, None, "mean 0.5 (n = 5)"),
        (1.0, 1e-12, "mean 1, sd 1e-12 (n = 5)"),
    ],
)
def test_a_mean_has_as_many_decimals_as_its_standard_deviation(mean, sd, expected):
    assert said(mean, sd, 5) == expected


def test_a_race_as_json_has_the_test_and_each_candidate(store):
    study, runs = repeated(store, {3: LUCKY, 12: WINNER, 20: [None]})
    found = race_object(study, runs, race_of(study, runs))
    assert (found["leader"], found["confirmed"], found["level"]) == (12, True, 0.05)
    assert [one["number"] for one in found["candidates"]] == [12, 3, 20]
    assert found["candidates"][1]["dropped"]["by"] == 12
    assert found["candidates"][2]["failed"] == 1
