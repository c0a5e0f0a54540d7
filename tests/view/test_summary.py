"""What has become of a study, to be read at once."""

import json

import pytest

from sweep.core.pruners import Verdict
from sweep.errors import SweepError
from sweep.failures import failure_kind, short_traceback
from sweep.finding import Finding
from sweep.store import RepeatRecord
from sweep.view.summary import as_object, moment_of, paragraphs, summarize, text
from tests.store_builder import add_study, build_store, run

TRACEBACK = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/sweep/worker/process.py", line 148, in _train
    returned = study.train(trial)
  File "/home/me/wine.py", line {line}, in train
    raise ValueError({message!r})
ValueError: {message}
"""


@pytest.fixture
def store(tmp_path):
    store = build_store(tmp_path)
    yield store
    store.close()


def made(store, runs, *, running=False, since=None, ends=None, **declaration):
    """The summary of a study with these runs, which has as many trials unless more are declared."""
    study = add_study(store, runs=runs, **{"trials": len(runs), **declaration})
    known = store.runs(study.study_id)
    for each, given in zip(known, runs, strict=True):
        each.repeats = given.repeats
    return summarize(study, known, running=running, place="sqlite:///sweep.db", since=since, ends=ends)


def said(summary):
    """The paragraphs by label."""
    return dict(paragraphs(summary))


def failed(number, message="no", line=31):
    trace = TRACEBACK.format(line=line, message=message)
    return run(number, state="FAIL", reason=f"ValueError: {message}", traceback=trace, epoch=0, values=None)


def asha(number, epoch, state="PRUNED"):
    details = {"rank": 3, "entered": 4, "places": 1, "pausable": True, "reduction_factor": 3}
    verdict = Verdict("asha", "val_loss", 0.9, epoch - 1, 0.5, 3, details)
    return run(number, state=state, verdict=verdict, epoch=epoch, values=None)


def test_the_winner_its_lead_and_that_it_may_be_luck_are_said(store):
    found = said(made(store, [run(0, 0.75), run(1, 0.5), run(2, 1.0)]))
    assert found["best"] == [
        "dnn-lr=0.002-bs=32-t0001: val_loss 0.5 at epoch 60 of 60.",
        "It is 0.25 better than the next one, t0000, 0.75.",
    ]
    assert found["certain"] == [
        "No: it is the best of 3 complete runs with one seed each, so its value is partly luck."
    ]


def test_failures_of_one_cause_are_one_line_whatever_their_messages_with_the_traceback_of_the_last(store):
    runs = [failed(0, "4 is too many"), failed(1, "5 is too many"), failed(2, "no file", line=12), run(3, 0.5)]
    summary = made(store, runs)
    assert said(summary)["failed"] == [
        "2: ValueError: 5 is too many, in wine.py line 31 (t0000, t0001)",
        "1: ValueError: no file, in wine.py line 12 (t0002)",
    ]
    first = summary.failed[0].traceback
    assert first.startswith('Traceback (most recent call last):\n  File "/home/me/wine.py", line 31')
    assert first.endswith("ValueError: 5 is too many")
    assert text(summary).count("Traceback (most recent call last)") == 2


def test_what_was_pruned_and_what_waits_is_grouped_by_reason(store):
    runs = [asha(0, 7), asha(1, 7), asha(2, 20), run(3, 0.5), asha(4, 20, "PAUSED")]
    runs += [run(5, state="PRUNED", reason="by hand", epoch=3, values=None)]
    runs += [run(6, state="PRUNED", reason="dead-relu: all units of dense are zero", epoch=2, values=None)]
    found = said(made(store, runs))
    assert found["pruned"] == [
        "2: asha, at epoch 7: not among the best third of those that came so far (t0000, t0001)",
        "1: asha, at epoch 20: not among the best third of those that came so far (t0002)",
        "1: by hand, at epoch 3 (t0005)",
        "1: the finding dead-relu: units of a ReLU are zero for every row of a sample, at epoch 2 (t0006)",
    ]
    assert found["paused"] == ["1: asha, at epoch 20: not among the best third of those that came so far (t0004)"]


def test_since_leaves_out_what_ended_before_and_says_how_much_better_the_best_is(store):
    runs = [run(0, 0.8), failed(1), run(2, 0.6), run(3, 0.9)]
    summary = made(store, runs, since=500.0, ends={0: 100.0, 1: 200.0, 2: 600.0, 3: 700.0})
    assert dict(summary.ended) == {"COMPLETE": 2}
    assert summary.failed == []
    assert said(summary)["best"][1] == "It is new: 0.2 (25.0%) better than the best before, t0000, 0.8."
    later = made(store, runs, since=650.0, ends={0: 100.0, 1: 200.0, 2: 600.0, 3: 700.0}, name="later")
    assert said(later)["best"][1] == "It was the best before, too."


def test_interruptions_are_counted_by_what_caused_them(store):
    killed = ["after 3 epochs: its worker was killed by SIGKILL", "after 5 epochs: its worker was killed by SIGKILL"]
    summary = made(store, [run(0, 0.5, interruptions=killed), run(1, 0.6, interruptions=["after 1 epoch: Ctrl-C"])])
    assert said(summary)["restarted"] == ["2: its worker was killed by SIGKILL (t0000, t0000)", "1: Ctrl-C (t0001)"]


def repeated(number, value, others):
    one = run(number, value)
    one.repeats = [RepeatRecord(number, place, 100 + place, value=other) for place, other in enumerate(others, start=1)]
    return one


def test_a_winner_that_repeats_have_confirmed_is_certain(store):
    fine, worse = [0.50, 0.51, 0.52, 0.51, 0.50], [0.80, 0.81, 0.83, 0.80, 0.81]
    summary = made(store, [repeated(0, 0.5, fine), repeated(1, 0.55, worse)])
    assert summary.certain is True
    assert said(summary)["certain"][0] == "Yes."
    assert any("t0000 is better than the other one" in line for line in summary.certainty)
    assert not any("confirm" in step.command for step in summary.steps)


def test_a_winner_that_is_as_good_as_the_best_by_the_model_of_confirm_is_certain_too(store):
    often, seldom = [0.50, 0.51, 0.52, 0.51, 0.50, 0.51], [0.80, 0.81]
    summary = made(store, [repeated(0, 0.5, often), repeated(1, 0.55, seldom), run(2, 0.7), run(3, 0.9)])
    assert summary.certain is True
    assert any("with a probability of more than 99%" in line for line in summary.certainty)


def test_the_seeds_that_a_value_is_the_mean_of_confirm_nothing(store):
    runs = [run(0, 0.5), run(1, 0.6)]
    for one in runs:
        one.repeats = [
            RepeatRecord(one.number, place, place, value=0.5 + place / 100, of_value=True) for place in range(3)
        ]
    summary = made(store, runs, repeats=3)
    assert summary.certain is False
    assert summary.certainty == [
        "No: it is the best of 2 complete runs with 3 seeds each, so its value is partly luck."
    ]


def test_what_to_do_next_begins_with_the_last_failure_and_confirms_a_finished_study(store):
    summary = made(store, [run(0, 0.5), run(1, 0.6), failed(2)])
    assert [step.what for step in summary.steps] == [
        "shows the last failure whole",
        "tells the best from the lucky",
        "lists all runs",
        "shows them in TensorBoard",
    ]
    assert summary.steps[0].command == "sweep show diabetes t0002"


def test_a_stopped_study_continues_where_its_file_is_there(store, tmp_path):
    file = tmp_path / "diabetes.py"
    file.write_text("")
    runs = [run(0, 0.5), run(1, state="WAITING", values=None)]
    summary = made(store, runs, trials=9, file=str(file))
    assert [step.what for step in summary.steps][:1] == ["continues"]
    assert "1 that was running will be run again when the study continues" in summary.notes


def test_without_a_complete_run_there_is_no_winner_and_nothing_is_certain(store):
    summary = made(store, [failed(0), failed(1)])
    assert said(summary)["best"] == ["There is no complete run yet."]
    assert (summary.certain, "certain" in said(summary)) == (None, False)


def test_with_several_objectives_no_run_wins(store):
    two = {"objective": ["a", "b"], "direction": ["minimize", "minimize"], "pruner": "nop"}
    summary = made(store, [run(0, 0.5, values=[0.5, 1.0]), run(1, 0.5, values=[0.4, 2.0])], **two)
    assert "no run is the best of all" in said(summary)["best"][0]
    assert summary.certain is None


def test_what_findings_have_in_common_and_runs_of_another_budget_are_noted(store):
    dead = [Finding("dead-relu", "all units are zero", "Lower the learning rate.")]
    runs = [run(0, 0.1, epochs=2, epoch=2, findings=dead), *(run(number, 0.5) for number in range(1, 6))]
    notes = said(made(store, runs))["noted"]
    assert "1 of 6 runs had dead-relu" in notes
    assert "t0000 was to train 2 epochs and most runs 60: its value does not compare." in notes


def test_as_json_it_is_the_study_with_groups_and_commands(store):
    found = as_object(made(store, [run(0, 0.5), failed(1)]))
    json.dumps(found, allow_nan=False)
    assert (found["winner"]["number"], found["confirmed"], found["failed"][0]["numbers"]) == (0, False, [1])
    assert found["next"][0]["command"] == "sweep show diabetes t0001"
    assert "ValueError: no" in found["text"]


def test_since_is_a_time():
    assert moment_of("1h") < moment_of("1m")
    with pytest.raises(SweepError, match="--since must be a time above 0, such as 90"):
        moment_of("yesterday")


def test_a_traceback_is_shown_from_the_users_own_code_on():
    group = TRACEBACK.format(line=1, message="x") + "\nDuring handling\n\n" + TRACEBACK.format(line=2, message="y")
    assert short_traceback(group) == group.rstrip()
    foreign = 'Traceback (most recent call last):\n  File "/lib/python3.11/x.py", line 1, in f\nOSError: no'
    assert short_traceback(foreign) == foreign
    assert failure_kind(failed(0)) == "ValueError at /home/me/wine.py, line 31"
