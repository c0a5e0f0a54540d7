"""The pages as they are served: what they show, what they refuse, and that whatever is shown is escaped."""

import html
import json
import math
import re
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, distribution_to_json

from sweep.control.preview import Preview
from sweep.core.pruners import Verdict
from sweep.finding import Finding, Picture
from sweep.serve.pages.start import LONGEST, choices_of
from sweep.serve.pages.study import FIRST_ROWS
from sweep.store import RepeatRecord
from sweep.view.curves import CURVES
from tests.serve.asking import Client
from tests.store_builder import add_example, add_study, build_store, run

PAGE = {"accept": "text/html"}
EVIL = '"><script>alert(1)</script>'


def rows(client, study="diabetes", **query):
    answer = client.get(f"/studies/{study}/rows", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def numbers(given):
    return [number for number, _ in given["rows"]]


def test_the_first_page_lists_the_studies_with_progress_and_best(client):
    page = client.get("/").text
    assert 'href="/studies/diabetes"' in page
    assert "28 of 30" in page
    assert "2 running" not in page, "its coordinator is gone"


def test_without_a_study_the_first_page_says_how_to_start_one(tmp_path):
    empty = Client(build_store(tmp_path), tmp_path)
    page = empty.get("/").text
    assert "No study yet" in page
    assert "sweep start studies/diabetes.py" in page
    assert "sweep serve --studies" in empty.get("/start").text
    empty.close()


def test_a_study_shows_its_runs_their_counts_and_where_to_look_further(client):
    page = client.get("/studies/diabetes").text
    assert page.count('<tr data-number="') == 30
    assert "30 of 30 runs" in page
    assert 'href="/tensorboard/diabetes/#timeseries"' in page
    assert "minimize val_loss" in page


def test_repeats_of_a_run_are_shown_with_it_also_where_its_row_was_shown_before(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.view.snapshots.FRESH_SECONDS", 0.0)
    store = build_store(tmp_path)
    study = add_study(store, "repeated", runs=[run(0, 0.5), run(1, 0.4)])
    client = Client(store, tmp_path)
    assert "sd 0.21 (n = 2)" not in client.get("/studies/repeated").text
    store.record_repeats(
        study.study_id,
        [
            RepeatRecord(1, 1, seed=71, value=0.5),
            RepeatRecord(1, 2, seed=72, value=0.8),
            RepeatRecord(1, 3, seed=73, state="FAIL", reason="ValueError: <no>"),
        ],
    )
    page = client.get("/studies/repeated").text
    assert "mean 0.65, sd 0.21 (n = 2)" in page
    page = client.get("/studies/repeated/runs/1").text
    assert "mean 0.65, sd 0.21 (n = 2)" in page
    assert "<h2>Repeats</h2>" in page
    assert "ValueError: &lt;no&gt;" in page
    assert "<h2>Repeats</h2>" not in client.get("/studies/repeated/runs/0").text
    found = client.get("/api/studies/repeated/runs/1").json()
    assert (found["n"], len(found["repeats"])) == (2, 3)
    client.close()


def test_a_link_to_some_runs_shows_these(client):
    page = client.get("/studies/diabetes", filter="^dnn", state="pruned", sort="best").text
    shown = re.findall(r'class="part family" data-filter="([^"]*)"', page)
    assert set(shown) == {"^dnn-"}
    assert 'value="^dnn"' in page
    assert "No run matches" not in page.split('id="nothing"')[1].split(">")[0]


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({"filter": "^DNN"}, lambda name, state: name.startswith("dnn")),
        ({"where": 'state = "pruned"'}, lambda name, state: state == "PRUNED"),
        ({"state": "pruned,fail"}, lambda name, state: state in ("PRUNED", "FAIL")),
        (
            {"filter": "^mlp", "where": "bs = 32", "state": "complete"},
            lambda n, s: n.startswith("mlp") and s == "COMPLETE",
        ),
    ],
)
def test_rows_are_those_of_the_filter_the_condition_and_the_states(client, store, query, matches):
    every = store.runs(store.study("diabetes").study_id)
    assert numbers(rows(client, **query)) == [made.number for made in every if matches(made.name, made.state)]


def test_rows_are_a_stretch_of_all_that_match_in_their_order(client):
    whole = numbers(rows(client, sort="-best"))
    part = rows(client, sort="-best", **{"from": 5, "count": 4})
    assert (numbers(part), part["matched"], part["total"]) == (whole[5:9], 30, 30)


def test_a_link_to_tensorboard_follows_the_rows(client):
    assert rows(client, filter="^dnn")["tensorboard"] == "/tensorboard/diabetes/?runFilter=%5Ednn#timeseries"


@pytest.mark.parametrize(
    ("query", "field", "parts"),
    [
        ({"filter": "^dnn("}, "filter", ["^dnn", "(", ""]),
        ({"where": "lr < and"}, "where", ["lr < ", "a", "nd"]),
        ({"where": "nonsense < 1"}, "where", ["", "n", "onsense < 1"]),
    ],
)
def test_what_is_wrong_is_marked_at_its_place(client, query, field, parts):
    answer = client.get("/studies/diabetes/rows", **query)
    given = answer.json()
    assert (answer.status_code, given["field"], given["parts"]) == (422, field, parts)
    page = client.get("/studies/diabetes", **query)
    assert page.status_code == 200
    assert "<mark>" in page.text
    assert page.text.count('<tr data-number="') == 30


def test_what_is_wrong_with_a_condition_is_said_once_with_what_to_do(client):
    said = client.get("/studies/diabetes/rows", where="lr <").json()["said"]
    assert said.startswith("Expected a name or a value after `<` at character 5. For example: ")
    said = client.get("/studies/diabetes/rows", where="state = pruned").json()["said"]
    assert said.endswith("'pruned' at character 9. To compare with text, put it in quotes: 'pruned'.")
    said = client.get("/studies/diabetes/rows", where="zzzzzz < 1").json()["said"]
    assert "learning_rate (lr)" in said


def test_the_box_for_a_condition_shows_one_that_this_study_takes(client):
    page = client.get("/studies/diabetes").text
    example = html.unescape(re.search(r'id="where"[^>]* placeholder="([^"]*)"', page)[1])
    assert re.fullmatch(r"lr < 0\.\d+ and value < \d+", example)
    assert rows(client, where=example)["matched"] > 0


@pytest.mark.parametrize("query", [{"sort": "nonsense"}, {"state": "done"}, {"from": "-1"}, {"count": "100000"}])
def test_what_cannot_be_shown_is_refused(client, query):
    assert client.get("/studies/diabetes/rows", **query).status_code == 422


def test_curves_are_those_of_the_runs_that_match(client, store):
    given = client.get("/studies/diabetes/curves", filter="^dnn", metric="loss").json()
    study = store.study("diabetes")
    first = given["runs"][0]
    expected = store.metrics(study.study_id, [first["number"]])[first["number"]]
    assert first["values"] == [pytest.approx(expected[epoch]["loss"], rel=1e-5) for epoch in sorted(expected)]
    assert all(one["name"].startswith("dnn") for one in given["runs"])
    assert (given["metric"], given["metrics"]) == ("loss", ["val_loss", "loss"])


def test_a_metric_that_is_not_there_gives_the_objective(client):
    assert client.get("/studies/diabetes/curves", metric=EVIL).json()["metric"] == "val_loss"


def test_a_run_shows_its_parameters_reason_and_how_to_train_it_again(client, store):
    pruned = next(made for made in store.runs(1) if made.state == "PRUNED")
    page = client.get(f"/studies/diabetes/runs/{pruned.number}").text
    assert pruned.why.startswith("median: ")
    assert pruned.why in page
    assert f'data-threshold="{pruned.verdict.threshold}" data-measured="{pruned.epoch}" data-rivals="11"' in page
    assert f"--enqueue {pruned.name}" in page
    assert "learning_rate" in page


def test_a_run_that_an_earlier_version_pruned_shows_its_text_and_one_with_an_infinite_threshold_no_line(tmp_path):
    bound = Verdict("threshold", "val_loss", 0.5, 59, math.inf)
    texts = [run(0, 0.5, state="PRUNED", reason="median: 0.9 is above 0.3"), run(1, state="PRUNED", verdict=bound)]
    store = build_store(tmp_path)
    add_study(store, runs=texts)
    there = Client(store, tmp_path)
    pages = [there.ask("GET", f"/studies/diabetes/runs/{number}", headers=PAGE).text for number in (0, 1)]
    there.close()
    assert "median: 0.9 is above 0.3" in pages[0]
    assert "is below the lower bound inf" in pages[1]
    assert "data-threshold" not in "".join(pages)


def test_a_run_that_failed_shows_its_traceback(client, store):
    failed = next(made for made in store.runs(1) if made.state == "FAIL")
    assert "ValueError: no</pre>" in client.get(f"/studies/diabetes/runs/{failed.number}").text


def test_a_run_is_found_by_its_name_too(client, store):
    made = store.runs(1)[3]
    answer = client.get(f"/studies/diabetes/runs/{made.name}")
    assert (answer.status_code, answer.headers["location"]) == (302, "/studies/diabetes/runs/3")


def test_runs_are_compared_by_their_numbers(client):
    page = client.get("/studies/diabetes/compare", runs="0,2,t0004").text
    assert page.count('class="swatch') == 3
    assert "Parameters that differ" in page
    assert len(client.get("/studies/diabetes/compare/curves", runs="0,2,4").json()["runs"]) == 3


@pytest.mark.parametrize("runs", ["", "1", "1,1", "0,1,2,3,4,5,6,7,8", "1,x", "1,999", "1,-2", "1," + "9" * 100])
def test_what_cannot_be_compared_is_refused(client, runs):
    assert client.get("/studies/diabetes/compare", runs=runs).status_code in (404, 422)


@pytest.mark.parametrize("path", ["/studies/nope", "/studies/diabetes/runs/999", "/start?file=..%2Fsecret.py", "/nope"])
def test_what_is_not_there_is_said_on_a_page(client, path):
    answer = client.ask("GET", path, headers=PAGE)
    assert answer.status_code == 404
    assert '<section class="empty">' in answer.text


def test_a_page_of_what_is_wrong_speaks_of_no_api(client):
    for path, query in (
        ("/studies/nope", {}),
        ("/start", {"file": "x.py"}),
        ("/studies/diabetes/rows", {"from": "-1"}),
    ):
        page = client.ask("GET", path, params=query, headers=PAGE).text
        assert "<h1>" in page
        assert "/api/" not in page.split("<main")[1], path


def test_a_method_that_an_address_does_not_take_is_answered_with_those_that_it_does(client):
    problem = client.ask("PUT", "/api/studies").json()
    assert (problem["status"], problem["error"], problem["hint"]) == (
        405,
        "/api/studies does not take PUT.",
        "Use GET.",
    )


@pytest.mark.parametrize(
    "path", ["/", "/start", "/start?file=wine.py", "/studies/diabetes/compare?runs=1,2", "/api/docs"]
)
def test_a_page_has_one_heading_of_the_first_order(client, path):
    assert client.ask("GET", path).text.count("<h1") == 1


def test_study_files_are_shown_with_their_docstring_and_never_run(client):
    page = client.get("/start", file="wine.py").text
    assert "Wine by its chemistry." in page
    assert 'data-preview="/start/preview?file=wine.py"' in page
    assert "secret.py" not in page


def test_a_study_that_is_there_already_is_told_of_before_its_file_is_started(tmp_path):
    (tmp_path / "plain.py").write_text('most = 7\nstudy = sweep.Study(train, trials=most, epochs=9, pruner="nop")\n')
    store = build_store(tmp_path)
    add_study(store, "plain", [run(0), run(1)], trials=2)
    there = Client(store, tmp_path, studies=tmp_path)
    page = there.get("/start", file="plain.py").text
    assert "exists: 2 of 2 trials, finished; starting goes on with it" in page
    assert 'data-done="2"' in page
    for field in ('placeholder="7"', 'placeholder="9"', 'placeholder="nop"', 'placeholder="tpe"'):
        assert field in page
    assert there.get("/start/standing", name="other").text.strip() == ""
    answer = there.post("/api/starts", file="plain.py", trials=1)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("plain already has 2 of its trials, and 1 is fewer")
    there.close()


def test_a_file_that_is_no_python_cannot_be_started(client):
    page = client.get("/start", file="broken.py").text
    assert "This study file is refused" in page
    assert 'id="start-now"' not in page
    answer = client.post("/api/starts", file="broken.py")
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "broken.py is not valid Python: line 1: invalid syntax.",
    )


def test_choices_are_shown_as_they_are_and_sent_as_their_values():
    choices = ["nan", "none", True, None, 0.5, "long " * 40]
    space = {"words": [distribution_to_json(CategoricalDistribution(choices))]}
    shown = choices_of(Preview(space=space, keys={"words": "words"}))[0]
    assert shown.domain.startswith("nan, none, true, none, 0.5, long long")
    assert len(shown.options[-1].text) == LONGEST
    assert [json.loads(option.json) for option in shown.options] == choices


def test_a_figure_without_runs_or_without_optuna_says_so(client, tmp_path):
    assert "Optuna" in client.get("/studies/diabetes/figures/history").json()["message"]
    assert client.get("/studies/diabetes/figures/nope").status_code == 404


def test_plotly_comes_out_of_its_package(client):
    answer = client.get("/static/plotly.min.js")
    assert (answer.status_code, "plotly.js v" in answer.text[:200]) == (200, True)


def test_names_parameters_reasons_and_tracebacks_are_escaped(tmp_path):
    store = build_store(tmp_path)
    findings = [Finding(EVIL, EVIL, EVIL, layer=EVIL, picture=Picture(EVIL, [[0.5]], [[1.0]]))]
    params = {EVIL: EVIL, "x": 1}
    made = run(0, 0.5, name=EVIL, family=EVIL, params=params, reason=EVIL, traceback=EVIL, findings=findings)
    made.worker = made.directory = made.architecture = EVIL
    add_study(store, "s", [made, run(1, 0.4, params={EVIL: "y"}, name="mlp-t0001")], doc=EVIL, file=f"/x/{EVIL}.py")
    there = Client(store, tmp_path)
    for path in ("/", "/studies/s", "/studies/s/runs/0", "/studies/s/compare?runs=0,1", "/studies/s/runs/1"):
        page = there.ask("GET", path, headers=PAGE)
        assert page.status_code == 200
        assert "<script>alert" not in page.text, path
    assert all("<script>alert" not in row for _, row in rows(there, "s")["rows"])
    for query in ({"filter": EVIL}, {"where": EVIL}, {"sort": EVIL}):
        assert "<script>alert" not in there.ask("GET", "/studies/s", params=query, headers=PAGE).text
    there.close()


@pytest.mark.parametrize("path", ["/", "/studies/diabetes", "/studies/diabetes/runs/3", "/start", "/nope"])
def test_a_page_has_neither_scripts_nor_styles_in_itself(client, path):
    answer = client.ask("GET", path, headers=PAGE)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "'unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)


def test_the_address_of_everything_that_a_page_loads_answers(client):
    for path in ("/", "/studies/diabetes", "/studies/diabetes/runs/3", "/start?file=wine.py"):
        for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', client.get(path).text):
            assert client.get(address).status_code == 200, address
    static = Path(__file__).parents[2] / "sweep" / "serve" / "static"
    for module in static.glob("*.js"):
        for address in re.findall(r'from "/static/([^"]+)"', module.read_text()):
            assert (static / address).is_file(), (module.name, address)


def test_a_large_study_comes_a_window_at_a_time(tmp_path):
    store = build_store(tmp_path)
    add_example(store, count=600)
    large = Client(store, tmp_path)
    assert large.get("/studies/diabetes").text.count('<tr data-number="') == FIRST_ROWS
    assert numbers(rows(large, **{"from": 580, "count": 100})) == list(range(580, 600))
    given = large.get("/studies/diabetes/curves", numbers="4").json()
    best = json.loads(large.get("/studies/diabetes/rows").text)["best"]
    drawn = {one["number"] for one in given["runs"]}
    assert len(given["runs"]) in (CURVES, CURVES + 1)
    assert {4, given["best"], 598, 599} <= drawn
    assert best is not None
    large.close()


def test_findings_are_shown_in_the_study_in_its_table_and_with_their_picture_on_the_runs_page(tmp_path):
    store = build_store(tmp_path)
    picture = Picture("weights, a column for each unit", [[0.25, 0.25]], [[0.5, -0.5]])
    same = Finding("symmetric-neurons", "all 2 units are alike", "initialise at random", "dense", True, picture=picture)
    leak = Finding("data-leak", "30% of 10 rows", "split first")
    runs = [run(number, 0.5, findings=[same, leak] if number < 3 else [leak]) for number in range(7)]
    add_study(store, "s", [*runs, run(7, None, epoch=0)])
    there = Client(store, tmp_path)
    page = there.ask("GET", "/studies/s", headers=PAGE).text
    assert re.search(r"3 of 7 runs had symmetric-neurons", page)
    assert "where=finding+%3D+%27symmetric-neurons%27" in page
    assert [row.count('class="mark"') for _, row in rows(there, "s")["rows"]] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert there.get("/studies/s", where="finding = 'symmetric-neurons'").text.count('<tr data-number="') == 3
    shown = there.ask("GET", "/studies/s/runs/0", headers=PAGE).text
    for text in ("all 2 units are alike", "Initialise at random.", "since epoch 1, in dense, certain, severe"):
        assert text in shown
    assert shown.count('<svg width="22" height="11"') == 2
    there.close()


def test_a_run_tells_of_its_attempts_and_of_the_run_that_it_revives(tmp_path):
    store = build_store(tmp_path)
    told = run(1, 0.25, revives=0, interruptions=["after 3 epochs: its worker was killed"], attempt=1)
    add_study(store, "s", [run(0, 0.5, state="PRUNED"), told])
    there = Client(store, tmp_path)
    old, new = (there.ask("GET", f"/studies/s/runs/{number}", headers=PAGE).text for number in (0, 1))
    assert 'by <a href="/studies/s/runs/1">t0001</a>' in old
    assert '<a href="/studies/s/runs/0">t0000</a>, whose checkpoint' in new
    assert "<li>after 3 epochs: its worker was killed</li><li>which came to its end</li>" in new
    there.close()


def cell(page, kind):
    """The texts of a column's cells."""
    return re.findall(rf'<td class="c-{kind}[^>]*>([^<]*)</td>', page)


def test_the_table_has_what_train_returned_and_sorts_the_best_run_first(tmp_path):
    runs = [
        run(0, 0.5, values=[3.0], params={"value": 1}),
        run(1, 0.4, values=[1.0], constraints={"size": 2.0, "time": -1.0}, params={"value": 2}),
        run(2, 0.3, state="PRUNED", params={"value": 3}),
        run(3, 0.6, values=[2.0], constraints={"size": 0.0}, params={"value": 0}),
    ]
    store = build_store(tmp_path)
    add_study(store, "s", runs)
    client = Client(store, tmp_path)
    assert numbers(rows(client, "s", sort="run.value")) == [3, 0, 1, 2]
    assert numbers(rows(client, "s", sort="value")) == [3, 0, 1, 2], "the parameter"
    assert numbers(rows(client, "s", where="run.value <= 2 and feasible = true")) == [3]
    assert numbers(rows(client, "s", where="constraint.size > 0")) == [1]
    page = client.get("/studies/s", sort="run.value").text
    assert (cell(page, "value"), cell(page, "best")) == (["2", "3", "1", ""], ["0.6", "0.5", "0.4", "0.3"])
    assert 'title="infeasible: size 2"' in page
    assert re.search(r'<th class="c-value[^>]*>\s*<a[^>]*>run.value</a>', page), "value is the parameter"
    assert 'placeholder="run.value &lt; 2.2"' in page
    assert re.search(r'<th class="c-value"[^>]*aria-sort="ascending"', page)
    assert rows(client, "s")["best"] == 2.0
    shown = client.get("/studies/s/runs/1").text
    assert "Constraints: size" in shown
    assert "infeasible" in shown
    client.close()


def test_a_study_whose_trials_report_nothing_or_return_infinity_is_shown(tmp_path):
    store = build_store(tmp_path)
    silent = {"epoch": 0, "epochs": None, "best_epoch": None}
    add_study(store, "s", [run(0, values=[float("-inf")], **silent), run(1, 0.5, **silent)])
    client = Client(store, tmp_path)
    assert rows(client, "s")["best"] is None, "JSON has no infinity"
    for path in ("/", "/studies/s", "/studies/s/runs/0", "/studies/s/runs/1"):
        assert client.get(path).status_code == 200
    assert client.get("/studies/s/compare", runs="0,1").status_code == 200
    assert "-inf" in client.get("/studies/s").text
    client.close()


def test_a_study_of_several_objectives_has_each_value_and_no_best_run(tmp_path):
    store = build_store(tmp_path)
    objectives = {"objective": ["loss", "size"], "direction": ["minimize", "maximize"]}
    add_study(store, "s", [run(0, values=[0.5, 33.0]), run(1, values=[0.4, 44.0])], **objectives)
    client = Client(store, tmp_path)
    page = client.get("/studies/s").text
    assert 'title="loss 0.4; size 44"' in page
    assert "none of several objectives" in page
    assert "size <b" in client.get("/studies/s/runs/0").text
    assert "value.size" in client.get("/studies/s/compare", runs="0,1").text
    assert numbers(rows(client, "s", sort="value.size")) == [1, 0]
    client.close()


def test_a_best_epoch_that_nobody_knows_is_refused_in_one_sentence(client):
    wrong = client.get("/studies/diabetes/rows", where="lr < 1 and best.loss < 2")
    assert wrong.status_code == 422
    assert wrong.json()["said"].startswith(
        "Only the objective has a best epoch, and loss is not the objective of diabetes. Use best.val_loss"
    )
    assert wrong.json()["parts"][0] == "lr < 1 and "


def test_a_studys_page_says_what_has_become_of_it_with_commands_to_copy(client):
    page = client.get("/studies/diabetes").text
    assert "is the best of 13 complete runs with one seed each, so its value is partly luck." in page
    assert "ValueError: no, in diabetes.py line 31" in page
    assert "File &#34;diabetes.py&#34;, line 31, in train" in page
    assert "sweep show diabetes t0019" in page
    moving = client.get("/studies/diabetes/rows").json()["summary"]
    assert "sweep show diabetes t0019" in moving


def test_a_run_with_another_epoch_budget_than_most_is_marked(tmp_path):
    store = build_store(tmp_path)
    add_study(store, "mixed", [run(0, 0.1, epochs=2, epoch=2), run(1, 0.5), run(2, 0.6)])
    client = Client(store, tmp_path)
    try:
        page = client.get("/studies/mixed").text
    finally:
        client.close()
    assert page.count("Most runs were to train 60 epochs: this one's value does not compare.") == 1
