"""The report in headless Chromium: sorting, filters, address, theme, comparison, stimuli; nothing leaves the page."""

import re
from itertools import pairwise

import pytest
from ask.browsing import browser  # noqa: F401

from benchmark import api
from benchmark.report.single_page import one_page
from benchmark.report.site import build
from benchmark.variables import read_settings
from gestaltbench.map_gallery import gallery, keep
from tests.report.conftest import dead_links

axe_runner = pytest.importorskip("axe_playwright_python.sync_playwright")
pytest.importorskip("vl_convert")
pytestmark = pytest.mark.slow
MODELS = "world-standard-0,world-stylised-0,world-adversarial-0,world-reader-0,world-reader-1,ideal-shape,ideal-texture"
A, B = "world-stylised-0", "world-standard-0"
#: The width of an image that is drawn, in its own px.
DRAWN = "one => one.decode().then(() => one.naturalWidth)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The report of three networks and two ideal observers on twelve images of each set."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(folder))
        patch.delenv("BENCH_DATA", raising=False)
        db = str(folder / "results.db")
        done = api.run(db=db, models=MODELS, suites="cue-conflict,human-comparison,saliency", limit=12, batch=12)
        assert done.exit_code == 0
        drawn = gallery(f"{A},{B}", count=4)
        keep(drawn, read_settings(db).thumbnails / drawn.stimuli)
        build(read_settings(db), folder / "report", [(A, B)])
    assert list(dead_links(folder / "report")) == []
    text = one_page(folder / "report", ["index.html", "suites/saliency.html", f"observers/{A}.html"])
    (folder / "report" / "one.html").write_text(text)
    return folder / "report"


@pytest.fixture
def visit(site, browser):  # noqa: F811
    """visit(page, **context): a page that must not complain and not ask for anything outside the report."""
    seen, contexts = [], []

    def go(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: _check(request.url))
        page.on("requestfailed", lambda request: seen.append(f"failed: {request.url}"))
        page.goto(f"{site.as_uri()}/{path}")
        return page

    def _check(url):
        if not url.startswith((site.as_uri(), "data:")):
            seen.append(f"leaves: {url}")

    yield go
    for context in contexts:
        context.close()
    assert seen == []


def pages(site):
    """One page of each kind, and every suite's."""
    kinds = ("one.html", "index.html", "compare.html", "stimuli.html", "links.html")
    some = [next((site / folder).glob("*.html")) for folder in ("observers", "compare", "stimuli")]
    return [*kinds, *(str(path.relative_to(site)) for path in (*some, *site.glob("suites/*.html")))]


def shown(page):
    return page.locator("table[data-table] tbody tr:visible th").all_inner_texts()


@pytest.mark.release
def test_a_column_sorts_without_values_last_and_people_first_and_the_address_keeps_it(visit):
    page = visit("index.html")
    head = page.locator("th[data-key='cue-conflict']")
    networks = page.locator("tr.network th")
    for order, place in (("descending", 0), ("ascending", -1), ("reloaded", -1)):
        head.locator("button").click() if order != "reloaded" else page.reload()
        assert head.get_attribute("aria-sort") == ("ascending" if place else "descending")
        assert networks.all_inner_texts()[place] == "world-stylised-0"
    assert "sort-world16=cue-conflict.asc" in page.url
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"  # the keyboard reaches what the mouse does
    head = page.locator("th[data-key='human-comparison']")
    at = page.locator("thead th").all_inner_texts().index(head.inner_text())
    for _ in range(2):
        head.locator("button").click()
        cells = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
        texts = [row[at].strip() if len(row) > at else "" for row in cells]
        values = [bool(text) and not text.startswith("*") for text in texts]
        assert values == sorted(values, reverse=True)
    for key in ("cue-conflict", "name"):
        page.locator(f"th[data-key='{key}'] button").click()
        assert page.locator("table.board th[scope='row']").first.inner_text() == "simulated people"
    band = page.locator("tbody tr.network td:has(svg path.p)")
    assert band.count() >= 6 and page.locator("tbody td.s5").count() >= 1


def test_filters_hide_rows_columns_are_chosen_and_the_address_keeps_both(visit):
    page = visit("index.html")
    page.get_by_label("recipe").first.select_option("stylised")
    names = shown(page)
    assert "world-stylised-0" in names and "world-standard-0" not in names and "chance" in names
    assert "recipe=stylised" in page.url
    page.reload()
    assert shown(page) == names
    page.get_by_role("button", name="Reset").click()
    assert "world-standard-0" in shown(page)
    page.get_by_label("Search").fill("ADVERS")
    assert "world-adversarial-0" in shown(page) and "world-stylised-0" not in shown(page)
    assert "of" in page.locator("[data-count]").inner_text()
    page.get_by_role("button", name="Reset").click()
    assert not page.locator("th[data-key='family']").is_visible()
    page.locator("details.columns summary").click()
    page.locator("input[data-column='family']").check()
    page.locator("input[data-column='cue-conflict']").uncheck()
    assert page.locator("th[data-key='family']").is_visible()
    page.reload()
    assert page.locator("th[data-key='family']").is_visible()
    assert not page.locator("th[data-key='cue-conflict']").is_visible()


@pytest.mark.release
def test_the_theme_of_page_and_figures_follows_the_reader_and_the_button(visit):
    dark = visit("index.html", color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    before = dark.evaluate(colour)
    dark.get_by_role("button", name="Dark or light").click()
    after = dark.evaluate(colour)
    assert after == "rgb(255, 255, 255)" and before != after
    dark.reload()
    assert dark.evaluate(colour) == after
    shades = []
    for theme in ("light", "dark"):
        image = visit("suites/cue-conflict.html", color_scheme=theme).locator("figure img").first
        image.scroll_into_view_if_needed()
        assert image.evaluate(DRAWN) > 100
        shades.append(image.screenshot())
    assert shades[0] != shades[1]


@pytest.mark.release
def test_a_comparison_the_gallery_and_links_have_their_drawings(visit):
    page = visit("compare.html")
    page.get_by_role("link", name=f"{A} against {B}").click()
    assert page.locator("figure img").evaluate(DRAWN) > 100
    assert page.locator("h3").count() >= 1 and "alone" in page.locator("h4").first.inner_text()
    page = visit("suites/saliency.html")
    rows = page.locator(".gallery h3").all_inner_texts()
    assert rows == ["image", "object", B, A]
    assert page.locator(".gallery ol").first.locator("li").count() == 4
    assert [image.evaluate(DRAWN) for image in page.locator(".gallery img").all()] == [4 * 64] * 4
    page = visit("links.html")
    text = page.locator("main").inner_text()
    assert "not a random sample" in text and "too few" in text
    table = page.locator("table[data-table]").first
    table.locator("th[data-key='spearman'] button").click()
    assert table.locator("th[data-key='spearman']").get_attribute("aria-sort") == "descending"
    page.locator("details.more summary").click()
    assert page.locator("details.more img").first.evaluate(DRAWN) > 100


def test_an_image_tells_everybodys_answer(visit):
    page = visit("stimuli/cue-conflict-world16.html")
    page.locator("[data-image] button").first.click()
    dialog = page.locator("dialog")
    assert dialog.is_visible() and "world-standard-0" in dialog.inner_text()
    assert dialog.locator("a").first.get_attribute("href").startswith("../observers/")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.get_by_role("button", name="Hardest for networks").click()
    assert "sort-stimuli=networks.asc" in page.url


def test_the_menu_leads_to_every_kind_of_page_and_without_javascript_everything_is_there(visit):
    page = visit("index.html")
    for title in ("Cue-conflict", "Links", "Compare", "Stimuli", "Leaderboard"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=title, exact=True).click()
        assert page.locator("nav [aria-current]").inner_text() == title
    page = visit("index.html", java_script_enabled=False)
    assert {"world-standard-0", "world-stylised-0", "ideal-shape", "chance"} <= set(shown(page))
    assert not page.locator("form.filters").is_visible()


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.release)])
def test_the_front_page_answers_on_one_screen(visit, theme):
    page = visit("index.html", viewport={"width": 1440, "height": 900}, color_scheme=theme)
    assert re.match(r"Simulated people .+ \d+ of 100 .+, the best network ", page.locator("h1").inner_text())
    strips = page.locator("ul.strips > li")
    boxes = [strip.bounding_box() for strip in strips.all()]
    assert len(boxes) == 3 and all(box["y"] + box["height"] <= 900 for box in boxes)
    assert strips.first.locator("svg rect").count() == 1 and strips.first.locator("circle").count() == 3
    heads = page.locator("table.board").first.locator("th[data-key]:has(.axis)")
    assert all(head.bounding_box()["x"] + head.bounding_box()["width"] <= 1440 for head in heads.all())


def test_a_phone_has_a_card_for_each_network_with_rank_name_and_value_in_sight(visit):
    page = visit("index.html", viewport={"width": 390, "height": 844})
    cards = [row.bounding_box() for row in page.locator("tbody tr.network").all()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] > 80 for box in cards)
    assert all(after["y"] >= before["y"] + before["height"] for before, after in pairwise(cards))
    assert page.locator("tbody tr.network td[data-t='cue-conflict']").first.inner_text().startswith(".")
    row = page.locator("tbody tr.network").first
    row.scroll_into_view_if_needed()
    rank, value = row.locator("td.r"), row.locator("td:has(svg)").first
    assert rank.inner_text() and rank.evaluate("cell => cell.scrollWidth <= cell.clientWidth")
    assert value.bounding_box()["x"] + value.bounding_box()["width"] <= 390
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    assert all(link.bounding_box()["x"] + link.bounding_box()["width"] <= 390 for link in links.all())


@pytest.mark.release
def test_every_page_fits_its_screen_and_is_accessible(visit, site):
    """No wider than the screen; tables at most two screens down; figures in sight. Dark: only colours differ."""
    for path in pages(site):
        page = visit(path)
        for width, height in ((390, 844), (820, 1180), (1440, 900)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            for image in page.locator("figure img:visible").all():
                box = image.bounding_box()
                assert box["x"] >= 0 and box["x"] + box["width"] <= width, path
            if path.startswith("suites/"):
                assert page.locator("table.board").first.bounding_box()["y"] <= 2 * height, path
        for theme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=theme)
            wrong = axe_runner.Axe().run(page, options={"preload": False, **rules}).response["violations"]
            found = [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in wrong]
            assert not found, (path, theme, found)


@pytest.mark.release
def test_head_and_first_column_stay_in_sight_and_the_focus_goes_down_the_page(visit):
    page = visit("index.html", viewport={"width": 600, "height": 400})
    scroll = page.locator(".tall").first
    scroll.evaluate("box => box.scrollTo(200, 300)")
    box, head = scroll.bounding_box(), page.locator("thead").first.bounding_box()
    assert abs(head["y"] - box["y"]) <= 2
    names = page.locator("tbody tr.network th").all()
    assert all(abs(name.bounding_box()["x"] - names[0].bounding_box()["x"]) < 1 for name in names)
    assert names[0].bounding_box()["x"] < box["x"] + 100
    page, places = visit("index.html"), []
    focus = """(() => { const one = document.activeElement, box = one.getBoundingClientRect();
        return [one.className, box.top + scrollY, getComputedStyle(one).outlineStyle]; })()"""
    for _ in range(30):
        page.keyboard.press("Tab")
        places.append(page.evaluate(focus))
    assert places[0][0] == "skip" and all(style != "none" for _, _, style in places)
    tops = [top for name, top, _ in places if name != "skip"]
    assert all(after >= before - 60 for before, after in pairwise(tops))  # a row of a form is no step back
