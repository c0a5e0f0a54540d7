"""Conditions on runs: what they match, where they are refused, and that they are never code."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.conditions import DEEPEST, LONGEST, compile_condition
from sweep.declaration import Declaration
from sweep.errors import FilterError
from sweep.store import StudyRecord
from tests.store_builder import DECLARATION, add_epochs, add_study, build_store, run, select

KEYS = {"learning_rate": "lr", "batch_size": "bs", "optimizer": "opt", "aug": "aug", "l2": "l2", "odd name": "odd"}
STUDY = StudyRecord(1, "diabetes", Declaration.stored(DECLARATION), KEYS, {}, "/somewhere", 0.0, None, 0)
METRICS = {0: {"val_loss": 0.5, "val_mae": 0.4}, 1: {"val_mae": math.nan}}
ADAM = {"learning_rate": 0.001, "batch_size": 32, "optimizer": "Adam", "aug": True, "l2": None, "odd name": 3}
RUN = dataclasses.replace(
    run(0, 0.25, params=ADAM),
    duration=125.0,
    state="PRUNED",
    epoch=12,
    values=[1.5],
    constraints={"size": 2.0, "time": 0.0},
)
BARE = run(1, None, params={"batch_size": 64}, family="mlp", duration=None)


def matches(text, of=RUN):
    return compile_condition(text, STUDY, lambda: METRICS, [RUN, BARE]).matches(of)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "lr < 0.01",
        "learning_rate<1e-2",
        "lr <= .001 and lr >= 0.001",
        "0.0001 < lr < 0.01",
        "bs = 32",
        "bs == 32 and bs != 33",
        "val_mae < 0.6",
        "val_loss = 0.5",
        "best < 0.3 or best > 100",
        "best.val_loss = 0.25",
        "value = 1.5 and run.value = 1.5 and value.val_loss = 1.5",
        "feasible = false and run.feasible != true",
        "constraint.size = 2 and constraint.time <= 0",
        "state = 'PRUNED'",
        'state = "pruned"',
        "epoch = 12",
        "number = 0",
        "duration > 2m and duration < 1h",
        "duration > 125 or duration = 125s",
        "family = 'dnn'",
        "opt = 'adam'",
        "aug = true",
        "AUG != false AND not aug = FALSE".replace("AUG", "aug"),
        "l2 = none",
        "`odd name` = 3",
        "odd = 3",
        "bs in (16, 32)",
        "opt not in ('sgd', 'rmsprop')",
        "not (bs = 64)",
        "(lr < 0.01) and (bs = 32 or bs = 64)",
        "lr < 1 or lr > 2 and bs = 99",
        "lr < bs",
        "-1 < lr",
        "lr < inf",
        "bs != 'adam'",
    ],
)
def test_a_condition_that_holds(text):
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "lr > 0.01",
        "bs = 33",
        "bs = '32'",
        "opt < 3",
        "aug = 1",
        "aug < true",
        "l2 < 1",
        "state = 'complete'",
        "(lr < 1 or lr > 2) and bs = 99",
        "not not bs = 64",
        "bs not in (32)",
        "0.01 < lr < 0.1",
    ],
)
def test_a_condition_that_does_not_hold(text):
    assert not matches(text)


@pytest.mark.parametrize("text", ["lr < 1", "lr != 1", "lr in (1)", "lr not in (1)", "val_mae < 9", "val_mae != 9"])
def test_what_a_run_does_not_have_fulfils_no_comparison(text):
    assert not matches(text, BARE)
    assert matches(f"not ({text})", BARE)


@pytest.mark.parametrize("text", ["best != 1", "duration != 1"])
def test_a_property_that_is_not_there_yet_fulfils_none_either(text):
    assert not matches(text, BARE)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("lr <", 4),
        ("lr", 2),
        ("< 3", 0),
        ("lr < 0.1 bs = 3", 9),
        ("lr < 0.1 and", 12),
        ("(lr < 0.1", 9),
        ("lr < 0.1)", 8),
        ("learning < 0.1", 0),
        ("lr < 0.1 and nothing = 3", 13),
        ("opt = adam", 6),
        ("opt = 'adam", 6),
        ("lr ? 3", 3),
        ("lr < 0.1; import os", 8),
        ("lr < 1.2.3", 5),
        ("lr < 3x", 5),
        ("bs in 3", 6),
        ("bs in ()", 7),
        ("bs in (bs)", 7),
        ("bs not 3", 7),
        ("not", 3),
        ("__import__('os')", 0),
        ("lr.__class__ = 3", 0),
        ("lr < 0.1 \x00", 9),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text, position):
    with pytest.raises(FilterError) as refused:
        matches(text)
    assert refused.value.position == position
    assert f"character {position + 1}" in str(refused.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(FilterError, match="Did you mean learning_rate"):
        matches("learning_rat < 1")


def test_a_condition_may_be_neither_long_nor_deep():
    deep = "(" * DEEPEST + "bs = 1" + ")" * DEEPEST
    for text in ("(" * 900, "not " * 240, deep, "bs = 1 or " * 200):
        with pytest.raises(FilterError):
            matches(text)
    assert matches("(" * 30 + "bs = 32" + ")" * 30)
    with pytest.raises(FilterError, match=f"the most is {LONGEST}"):
        matches("x" * 2000)


@given(st.text(alphabet="lrbs<>=!()'\"`,. 0123456789-aeion\\\n\x00é", max_size=60))
def test_any_text_is_a_condition_or_refused(text):
    try:
        answer = matches(text)
    except FilterError as error:
        answer, place = False, error.position
    else:
        place = None
    assert answer in (True, False)
    assert place is None or 0 <= place <= len(text)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_comparisons_of_numbers_are_pythons(one, other, sign):
    with_rate = dataclasses.replace(RUN, params={"learning_rate": one})
    assert matches(f"lr {sign} {other!r}", with_rate) == eval(f"one {sign} other", {"one": one, "other": other})


def test_runs_of_a_store_are_chosen_by_parameters_and_metrics(tmp_path):
    store = build_store(tmp_path)
    study = add_study(store, runs=[run(0, 0.5), run(1, 0.1), run(2, 0.2, params={"batch_size": 64})])
    add_epochs(store, study, 1, [{"val_mae": 0.5}] * 60)
    assert [found.number for found in select(store, study, where="lr < 0.01").runs] == [0, 1]
    assert [found.number for found in select(store, study, where="val_mae < 0.6").runs] == [1]
    store.close()
