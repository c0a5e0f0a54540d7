"""What a person sees on the pages in Chromium: marks, colours and places that the HTML alone does not tell."""

import re

import pytest

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from tests.serve.browsing import ready
from tests.serve.serving import served
from tests.store_builder import add_example, add_study, build_store, run


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a service with an example study and one, `small`, with a run that waits and one that failed."""
    folder = tmp_path_factory.mktemp("looks")
    store = build_store(folder)
    add_example(store)
    waiting = run(1, state="WAITING", epoch=3, reason="interrupted")
    add_study(
        store, "small", [run(0, 0.5), waiting, run(2, state="FAIL", epoch=0), run(3, 0.4, epoch=8888, epochs=9999)]
    )
    (folder / "small.py").write_text("study = sweep.Study(train, trials=5)\n")
    with served(create_app(ServeSettings(str(store.url), folder / "runs", studies=folder), store)) as address:
        yield address


def test_a_run_that_waits_has_no_spinner_and_says_that_it_is_run_again(opened, address):
    page = ready(opened(f"{address}/studies/small"))
    before = "getComputedStyle(document.querySelector('tr[data-number=\"1\"]'), '::before').content"
    assert page.evaluate(before) == "none"
    assert page.locator("tr[data-number='1'] .c-reason").inner_text() == "to be run again: interrupted"
    assert "ended" not in page.inner_text("#heads")


@pytest.mark.parametrize("width", [1400, 500])
def test_epochs_of_four_digits_are_not_cut_off(opened, address, width):
    page = ready(opened(f"{address}/studies/small", width=width))
    cut = "[...document.querySelectorAll('#rows .c-epoch')].filter(cell => cell.scrollWidth > cell.clientWidth).length"
    assert page.inner_text("tr[data-number='3'] .c-epoch") == "8888/9999"
    assert page.evaluate(cut) == 0


def test_the_start_page_tells_of_a_study_of_that_name_and_its_error_goes_with_its_cause(opened, address):
    page = opened(f"{address}/start?file=small.py")
    page.wait_for_selector("#preview [data-refused]")  # it imports nothing
    assert page.is_disabled("#start-now")
    assert "small exists: 3 of 30 trials" in page.inner_text("#standing")
    assert page.get_attribute("[name=trials]", "min") == "3"
    page.fill("[name=name]", "other")
    page.wait_for_selector("#standing .reason", state="detached")
    assert page.get_attribute("[name=trials]", "min") == "1"
    page.evaluate("document.querySelector('#start-wrong').hidden = false")
    page.fill("[name=trials]", "3")
    assert page.is_hidden("#start-wrong")


CURVES = """async given => {
    const { Curves } = await import("/static/curves.js");
    const curves = Object.assign(new Curves(document.getElementById("curves")), given.set);
    curves.whole = new Set(given.whole || []);
    curves.show(given);
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return [curves.scale.low, curves.scale.high, curves.scale.epochs];
}"""
MANY = {"number": 0, "state": "complete", "values": [50.0, 9.0, *[2.0, 2.1] * 24, 0.1]}


@pytest.mark.parametrize(("better", "shown"), [("low", [0.1, 9.0]), ("high", [2.0, 50.0]), (None, [2.0, 9.0])])
def test_the_end_with_the_better_values_is_never_cut_off(opened, address, better, shown):
    page = ready(opened(f"{address}/studies/small"))
    within = "async given => (await import('/static/axes.js')).within(...given)"
    assert page.evaluate(within, [sorted([50.0, 9.0, *[2.0, 2.1] * 24, 0.1]), better]) == shown


def test_a_pruned_runs_picture_covers_its_values_its_threshold_and_twice_its_epochs(opened, address):
    page = ready(opened(f"{address}/studies/small"))
    own = {"number": 1, "state": "pruned", "values": [80.0, 70.0, 60.0]}
    given = {"runs": [MANY, own], "best": 0, "better": "low", "whole": [1]}
    given["set"] = {"threshold": {"value": 90.0, "epoch": 3}, "upTo": 6}
    low, high, epochs = page.evaluate(CURVES, given)
    assert (low < 2.0, high > 90.0, epochs) == (True, True, 6)
    page = ready(opened(f"{address}/studies/diabetes/runs/3"))
    assert page.is_visible("#all-epochs")
    assert re.fullmatch(r"threshold [0-9.]+ at epoch [0-9]+ \(11 other runs\)", page.text_content("#limit-said"))
    page = ready(opened(f"{address}/studies/diabetes/runs/0"))
    assert page.is_hidden("#all-epochs")


def test_the_best_and_each_selected_run_have_a_colour_of_their_own(opened, address):
    page = ready(opened(f"{address}/studies/diabetes?select=0,2"))
    shades = page.evaluate("""[0, 2].map(number => {
        const row = document.querySelector(`tr[data-number="${number}"]`);
        return getComputedStyle(row).getPropertyValue("--series");
    })""")
    best = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--best')")
    complete = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--complete')")
    assert len({*shades, best, complete}) == 4


def test_a_picture_without_curves_says_why(opened, address):
    said = """async () => {
        const written = [], fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
            written.push(text);
            fill.call(this, text, ...place);
        };
        dispatchEvent(new PopStateEvent("popstate"));
        while (!written.length) await new Promise(resolve => setTimeout(resolve, 20));
        return written[0];
    }"""
    page = ready(opened(f"{address}/studies/diabetes?filter=nothing"))
    assert page.evaluate(said) == "No run matches"
    page = ready(opened(f"{address}/studies/small/runs/2"))
    assert "It ended before its first epoch." in page.inner_text("main")


@pytest.mark.parametrize("width", [1400, 500])
def test_the_list_of_studies_shows_the_pruned_share(opened, address, width):
    page = ready(opened(f"{address}/", width=width))
    shown = page.locator(".s-pruned, .narrow").filter(has_text="%").locator("visible=true").all_inner_texts()
    assert [text.strip(" ,").removesuffix(" pruned") for text in shown] == ["0 %", "46 %"]
