"""`sweep runs` and `sweep best`."""

import json
import math

import pytest

from sweep.cli import run as sweep
from sweep.finding import Finding
from tests.refusals import refusal_of
from tests.store_builder import add_epochs, add_example, add_study, run


@pytest.fixture
def output(capsys):
    """Run a command line that must succeed, and return what it printed."""

    def printed(*arguments, status=0):
        assert sweep(list(arguments)) == status
        return capsys.readouterr()

    return printed


def numbers(text):
    return [run["number"] for run in json.loads(text)]


def first_column(text, column=0):
    return [line.split()[column] for line in text.splitlines()[1:]]


def test_runs_are_listed_by_number_with_parameters_as_columns_and_constants_left_out(store, output):
    runs = [
        run(0, 0.5, params={"learning_rate": 0.00118, "batch_size": 32}),
        run(1, 0.25, params={"learning_rate": 0.02, "batch_size": 32, "dropout": 0.313}),
    ]
    add_study(store, runs=runs)
    said = output("runs", "diabetes")
    assert said.out == (
        "   run    state     epoch  value   best    last    time  lr       drop\n"
        "   t0000  COMPLETE  60/60  0.5000  0.5000  0.5000   10s  0.00118\n"
        "★  t0001  COMPLETE  60/60  0.2500  0.2500  0.2500   11s  0.02     0.313\n"
    )
    assert said.err == "the same in all: bs=32\n"


def test_a_study_that_was_left_out_is_named_on_stderr(store, output):
    add_study(store, runs=[run(0)])
    assert output("runs", "--json").err == "study diabetes\n"


@pytest.mark.parametrize(
    "arguments",
    [["diabetes", "^dnn"], ["^dnn"], ["--filter", "^dnn"], ["diabetes", "--filter", "^DNN"]],
)
def test_a_pattern_is_an_argument_or_an_option(store, output, arguments):
    add_study(store, runs=[run(0), run(1, family="mlp"), run(2)])
    assert numbers(output("runs", *arguments, "--json").out) == [0, 2]


def test_two_patterns_are_refused(store, output):
    add_study(store)
    said = refusal_of(output("runs", "diabetes", "^dnn", "--filter", "^mlp", status=2).err)
    assert said == "sweep: Two patterns given: '^dnn' and --filter '^mlp'. Give only one."


def test_a_bad_pattern_is_refused_with_its_place(store, output):
    add_study(store)
    said = refusal_of(output("runs", "diabetes", "^(dnn", status=2).err)
    assert said.startswith("sweep: Invalid filter: ")
    assert "character 2" in said


def test_an_argument_that_is_no_study_is_refused_where_there_are_several(store, output):
    add_study(store, "diabetes")
    add_study(store, "wine")
    assert "No such study: win. Did you mean wine?" in refusal_of(output("runs", "win", status=2).err)


def test_json_has_every_key_and_the_last_metrics(store, output):
    study = add_study(store, runs=[run(0, 0.25, epoch=2, best_epoch=1), run(1, math.nan, epoch=0, state="PRUNED")])
    add_epochs(store, study, 0, [{"loss": 0.5, "val_loss": 0.75}, {"loss": math.inf, "val_loss": 0.25}])
    first, second = json.loads(output("runs", "diabetes", "--json").out, parse_constant=pytest.fail)
    assert (first["metrics"], first["params"]) == (
        {"loss": None, "val_loss": 0.25},
        {"learning_rate": 0.001, "batch_size": 32},
    )
    assert (second["last"], second["metrics"], second["state"]) == (None, {}, "PRUNED")


def test_json_of_no_runs_is_an_empty_list(store, output):
    add_study(store)
    assert json.loads(output("runs", "--json").out) == []


def test_states_choose_in_any_case(store, output):
    states = ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    add_study(store, runs=[run(number, state=state) for number, state in enumerate(states)])
    assert numbers(output("runs", "--state", "pruned", "--state", "Fail", "--json").out) == [1, 2]
    assert "Did you mean FAIL" in output("runs", "--state", "fial", status=2).err


def test_sorting_puts_the_best_first_and_a_minus_turns_it_round(store, output):
    add_study(store, runs=[run(0, 0.5), run(1, 0.25), run(2, None), run(3, 0.75)])
    assert numbers(output("runs", "--sort", "val_loss", "--json").out) == [1, 0, 3, 2]
    assert numbers(output("runs", "--sort=-best", "--json").out) == [3, 0, 1, 2]
    assert numbers(output("runs", "--sort", "-lr", "--json").out) == [3, 2, 1, 0]
    assert "Did you mean val_loss?" in output("runs", "--sort", "valloss", status=2).err


def test_a_table_has_the_latest_forty_runs_and_says_how_to_see_more(store, output):
    add_study(store, runs=[run(number, 1.0 + number) for number in range(45)])
    said = output("runs", "diabetes")
    assert first_column(said.out) == [f"t{number:04d}" for number in range(5, 45)]
    assert "5 more, earlier ones: --limit 45 shows all" in said.err
    assert len(numbers(output("runs", "--json").out)) == 45


def test_a_limit_keeps_the_first_of_those_sorted_and_the_latest_otherwise(store, output):
    add_study(store, runs=[run(number, 1.0 + number) for number in range(5)])
    assert numbers(output("runs", "--limit", "2", "--json").out) == [3, 4]
    assert numbers(output("runs", "--limit", "2", "--sort", "best", "--json").out) == [0, 1]
    assert numbers(output("runs", "--limit", "2", "--sort", "number", "--json").out) == [0, 1]


def test_names_are_shown_whole_where_asked_for(store, output):
    study = add_example(store)
    shown = output("runs", "--names").out
    assert all(run.name in shown for run in store.runs(study.study_id))
    assert " lr" not in shown.splitlines()[0]


def test_nothing_that_matches_is_said_on_stderr(store, output):
    add_study(store, runs=[run(0)])
    said = output("runs", "diabetes", "^cnn", "--state", "pruned")
    assert said.out == ""
    assert said.err == "no run of diabetes matches '^cnn' and is pruned; it has 1 run\n"


def test_the_best_runs_are_listed_best_first(store, output):
    add_study(store, runs=[run(0, 0.5), run(1, 0.25), run(2, 0.1, state="PRUNED"), run(3, 0.3)])
    said = output("best", "-n", "2")
    assert first_column(said.out.replace("★", " ")) == ["t0001", "t0003"]
    assert "dnn-lr=0.002-bs=32-t0001: sweep show diabetes t0001" in said.err
    assert numbers(output("best", "--json").out) == [1, 3, 0]


def test_a_study_with_no_complete_run_has_no_best(store, output):
    add_study(store, runs=[run(0, 0.5, state="PRUNED")])
    assert "No run of diabetes is COMPLETE yet." in output("best").err
    assert json.loads(output("best", "--json").out) == []


DEAD = Finding("dead-relu", "all 4 units are zero", "do this", since=2)
LEAK = Finding("data-leak", "9% of rows", "do that")


def test_findings_are_marked_and_choose_runs(store, output):
    runs = [run(0, 0.5, findings=[DEAD, LEAK]), run(1, 0.25, findings=[LEAK]), run(2, 0.75)]
    add_study(store, runs=runs)
    table = output("runs").out
    assert (table.count("dead-relu"), table.count("data-leak")) == (1, 0)
    assert numbers(output("runs", "--finding", "dead-relu", "--json").out) == [0]
    assert numbers(output("runs", "--finding", "data-leak", "--where", "val_loss < 0.4", "--json").out) == [1]
    assert numbers(output("runs", "--where", "finding != 'dead-relu'", "--json").out) == [1, 2]
    assert numbers(output("runs", "--where", "finding in ('dead-relu', 'overfitting')", "--json").out) == [0]
    assert "Did you mean dead-relu?" in output("runs", "--finding", "deadrelu", status=2).err
