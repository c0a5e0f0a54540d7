"""The pages in Chromium, as a person uses them: started, watched, filtered, pruned, compared, opened in TensorBoard."""

import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from tests.serve.asking import TOKEN
from tests.serve.browsing import SOME_SECONDS, fits, ready, shown, until
from tests.serve.optuna_study import add_optuna_study
from tests.serve.serving import served
from tests.store_builder import add_example, build_store

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    store = build_store(folder)
    add_example(store)
    add_example(store, "wide", count=2000)
    with served(create_app(ServeSettings(str(store.url), folder / "runs"), store)) as address:
        yield address


def test_what_is_typed_filters_and_a_wrong_pattern_keeps_what_was_shown(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    page.keyboard.press("/")
    page.keyboard.type("^dnn")
    page.wait_for_url("**?filter=%5Ednn")
    until(page, "[...document.querySelectorAll('#rows .part.family')].every(part => part.textContent === 'dnn')")
    count, names = page.inner_text("#count"), shown(page)
    assert count == f"{len(names)} of 30 runs"
    assert page.get_attribute("#tensorboard", "href") == "/tensorboard/diabetes/?runFilter=%5Ednn#timeseries"
    page.keyboard.type("(")
    page.wait_for_selector("#wrong mark")
    assert page.inner_text("#wrong mark") == "("
    assert (page.inner_text("#count"), shown(page)) == (count, names)
    page.keyboard.press("Backspace")
    page.wait_for_selector("#wrong", state="hidden")


def test_a_condition_filters_and_goes_into_the_link(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    page.keyboard.press("w")
    page.keyboard.type("lr < 0.01 and epoch > 5")
    until(page, "!document.querySelector('#count').textContent.startsWith('30 ')")
    numbers = [name[-5:] for name in shown(page)]
    link = unquote(page.get_attribute("#tensorboard", "href"))
    assert link == f"/tensorboard/diabetes/?runFilter=-({'|'.join(numbers)})$#timeseries"


def test_a_part_of_a_name_filters_by_it_and_the_back_button_undoes_it(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    page.click("#rows .part.family:text-is('mlp')")
    until(page, "!document.querySelector('#count').textContent.startsWith('30 ')")
    assert page.input_value("#filter") == "^mlp-"
    page.click("#rows .part.parameter:has-text('bs=')", modifiers=["Shift"])
    page.wait_for_url("**bs%3D32**")
    assert all(name.startswith("mlp") for name in shown(page))
    page.go_back()
    page.go_back()
    until(page, "document.querySelector('#count').textContent.startsWith('30 ')")
    assert page.input_value("#filter") == ""


def test_a_part_of_a_name_is_reached_and_pressed_by_keyboard(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    assert page.locator("#rows [role=button][tabindex='0']").count() == 0
    page.focus("tr[data-number='2'] a.number")
    parts = page.locator("tr[data-number='2'] [role=button][tabindex='0']")
    assert parts.count() == page.locator("#rows [role=button][tabindex='0']").count() > 2
    page.keyboard.press("Shift+Tab")
    pattern = page.evaluate("document.activeElement.dataset.filter")
    page.keyboard.press("Enter")
    until(page, "new URLSearchParams(location.search).has('filter')")
    assert page.input_value("#filter") == pattern


def test_a_row_that_is_drawn_anew_keeps_the_focus(opened, example):
    def changed(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("c-reason", "c-reason anew"))

    page = ready(opened(f"{example}/studies/diabetes"))
    page.route("**/rows?**", changed)
    page.focus("tr[data-number='2'] a.number")
    page.evaluate(
        "{ const box = document.querySelector('#filter'); box.value = 't000'; box.dispatchEvent(new Event('input')) }"
    )
    page.wait_for_selector("tr[data-number='2'] .anew", state="attached")
    assert page.evaluate("document.activeElement.closest('tr')?.dataset.number") == "2"
    page.unroute_all(behavior="wait")  # an answer that is on its way would fail in the next test


def test_a_link_keeps_filter_sort_and_selection(opened, example):
    page = ready(opened(f"{example}/studies/diabetes?filter=%5Ednn&state=pruned&sort=best&select=3,5"))
    assert page.get_attribute(".c-best[aria-sort]", "aria-sort") == "ascending"
    assert page.inner_text("#compare") == "Compare 2"
    assert page.get_attribute(".chip.pruned", "aria-current") == "true"
    before = page.url
    page.click("th.c-time a")
    page.wait_for_selector("th.c-time[aria-sort]")
    page.go_back()
    page.wait_for_selector("th.c-best[aria-sort]")
    assert page.url == before


def test_runs_are_selected_and_compared_by_keyboard(opened, example):
    page = ready(opened(f"{example}/studies/diabetes?sort=best"))
    for key in "jxjx":
        page.keyboard.press(key)
    names = [name[-5:] for name in shown(page)[:2]]
    page.keyboard.press("c")
    page.wait_for_url("**/compare?runs=*")
    ready(page)
    assert [text.strip() for text in page.locator(".compared thead a").all_inner_texts()] == names


def test_enter_opens_the_run_and_arrows_lead_to_its_neighbours(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/1")
    ready(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/runs/2")


def test_a_long_table_holds_the_rows_in_sight_alone(opened, example):
    page = ready(opened(f"{example}/studies/wide"))
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector("tr[data-number='1999']")
    assert page.locator("#rows tr[data-number]").count() < 150
    assert page.evaluate("document.querySelector('#runs').offsetHeight") >= 2000 * 30
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_selector("tr[data-number='0']")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1400, "light"),
        pytest.param(500, "dark", marks=pytest.mark.slow),
        pytest.param(1400, "dark", marks=pytest.mark.slow),
        pytest.param(500, "light", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/studies/diabetes", "/studies/diabetes/runs/3", "/studies/diabetes/compare?runs=1,2"]
)
def test_pages_fit_the_window_in_light_and_dark(opened, example, path, width, scheme):
    page = ready(opened(f"{example}{path}", width=width, scheme=scheme))
    assert fits(page)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")


def test_the_tab_shows_progress_and_a_new_best_until_it_is_looked_at(opened, example):
    page = ready(opened(f"{example}/studies/diabetes"))
    shown = """async hidden => {
        const { Tab } = await import("/static/tab.js");
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        window.tab ??= new Tab("mine");
        window.tab.show({ used: 1, trials: 4, state: "running", best: "0.5", isNew: hidden });
        document.dispatchEvent(new Event("visibilitychange"));
        return [document.title, document.querySelector("link[rel=icon]").href];
    }"""
    title, icon = page.evaluate(shown, True)
    assert (title, icon[:22]) == ("★ 0.5 1/4 mine \N{EN DASH} sweep", "data:image/png;base64,")
    assert page.evaluate(shown, False)[0] == "1/4 mine \N{EN DASH} sweep"


def test_figures_are_drawn_one_after_the_other_by_keyboard(serving, opened, tmp_path):
    store = build_store(tmp_path)
    add_optuna_study(store, 6)
    address = serving(ServeSettings(str(store.url), tmp_path / "runs"), store)
    page = ready(opened(f"{address}/studies/both"))
    page.wait_for_selector("#figure[data-drawn=history] svg")
    page.focus("#tab-history")
    for kind in ("importances", "parallel", "slices"):
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"#figure[data-drawn={kind}] svg")
    assert page.url.endswith("?figure=slices")
    assert fits(page)


def test_a_study_is_deleted_after_its_name_was_written(serving, opened, tmp_path):
    store = build_store(tmp_path)
    add_example(store)
    address = serving(ServeSettings(str(store.url), tmp_path / "runs"), store)
    page = ready(opened(f"{address}/studies/diabetes"))
    page.click("[data-action=delete]")
    assert page.is_disabled("#ask-yes")
    page.fill("#ask-body input", "diabetes")
    page.click("#ask-yes")
    page.wait_for_url(f"{address}/")
    assert "No study yet" in page.inner_text("main")


def test_somebody_with_the_token_logs_in(serving, opened, tmp_path):
    store = build_store(tmp_path)
    add_example(store)
    address = serving(ServeSettings(str(store.url), tmp_path / "runs", token=TOKEN), store)
    page = opened(f"{address}/studies/diabetes?filter=%5Ednn")
    page.fill("#token", TOKEN)
    page.click("button")
    page.wait_for_url("**/studies/diabetes?filter=%5Ednn")
    ready(page).wait_for_selector("#rows tr[data-number]")
    page.click("text=Log out")
    page.wait_for_url("**/login")
    page.goto(f"{address}/studies/diabetes")
    page.wait_for_url("**/login?next=*")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 500])
def test_a_study_is_started_watched_filtered_pruned_and_seen_in_tensorboard(
    serving, opened, tmp_path, monkeypatch, width
):
    monkeypatch.chdir(tmp_path)
    store = build_store(tmp_path)
    address = serving(ServeSettings(str(store.url), tmp_path / "runs", studies=STUDIES), store)
    page = ready(opened(f"{address}/", width=width))
    page.click("text=Start a study >> nth=0")
    page.click("text=diabetes.py")
    for name, value in {
        "trials": "4",
        "epochs": "100000",
        "workers": "2",
        "pruner": "nop",
    }.items():  # till it is stopped
        page.fill(f"[name={name}]", value)
    page.click("#start-now")
    page.wait_for_url("**/studies/diabetes")
    ready(page)
    page.wait_for_selector("#rows tr.running .epochs")
    until(page, "document.title.includes('/4 diabetes')")
    _prunes_one_of_its_runs(page)
    _filters_and_opens_tensorboard(page)
    assert fits(page)
    _stops(page)
    until(page, "fetch('/api/starts').then(answer => answer.json()).then(given => given.starts[0].state === 'ended')")


def _prunes_one_of_its_runs(page):
    number = page.locator("#rows tr.running").first.get_attribute("data-number")
    page.fill("#filter", f"-t{int(number):04d}$")
    until(page, "document.querySelector('#count').textContent.startsWith('1 of')")
    page.wait_for_selector("#prune:enabled")
    page.click("#prune")
    page.wait_for_selector("#ask-body li")
    assert page.inner_text("#ask-yes") == "Prune 1 running trial"
    page.click("#ask-yes")
    page.wait_for_selector(f"tr[data-number='{number}'].pruned")
    assert "by hand" in page.text_content(f"tr[data-number='{number}'] .c-reason")


def _filters_and_opens_tensorboard(page):
    page.fill("#filter", "^dnn")
    until(page, "[...document.querySelectorAll('#rows .part.family')].every(part => part.textContent === 'dnn')")
    page.fill("#filter", "")
    until(page, "document.querySelectorAll('#rows tr[data-number]').length >= 2")
    page.fill("#filter", "^(dnn|mlp)")
    until(page, "new URL(document.querySelector('#tensorboard').href).searchParams.get('runFilter') === '^(dnn|mlp)'")
    names = [name for name in shown(page) if not name.startswith("t0")]
    with page.expect_popup() as popup:
        page.click("#tensorboard")
    board = popup.value
    assert board.evaluate("new URLSearchParams(location.search).get('runFilter')") == "^(dnn|mlp)"
    deadline = time.monotonic() + SOME_SECONDS / 1000
    runs: list[str] = []
    while not set(names) <= set(runs) and time.monotonic() < deadline:
        runs = board.evaluate("fetch('data/runs').then(answer => answer.json()).catch(() => [])")
        time.sleep(0.5)
    assert set(names) <= set(runs)
    board.close()


def _stops(page):
    page.click("[data-action=stop]")
    page.click("#ask-yes")
    page.wait_for_selector("#summary .state.stopped, #summary .state.finished")
