"""Every view in light and in dark: axe finds nothing serious, and no view is wider than a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.reading import expect, hit, searching, settled

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
VIEWS = {
    "entrance": "/",
    "before the first query": "/search",
    "search": searching(),
    "a sum of systems": searching(system="BM25 + 2 codes"),
    "no hit": searching("xyzzyxyzzy", system="BM25"),
    "side by side": searching(view="systems"),
    "passage": "/passage?id=Granite&q=volcano",
    "concepts": "/concepts",
    "concepts by text": "/concepts?text=lava",
    "families": "/concepts?show=families",
    "concept": "/concepts/78",
    "evaluation": "/evaluation",
    "audit": "/audit",
    "map": "/map",
    "jobs": "/jobs",
}
COLOURS = ["color-contrast", "link-in-text-block"]
DRAWN = ".hit, .cols li, table tbody tr, .hist, .blank, .jobs, .passage-text, .families li"


def opened(visit, served, path, **options):
    page = visit(served, path, refused="/api/", **options)
    expect(page.locator("main").locator(DRAWN).first).to_be_attached()
    expect(page.locator("main .sk")).to_have_count(0)
    return page


def violations(page, rules=None):
    """What axe calls serious or critical, by all its rules or some, each with the first element that has it."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        "only => axe.run(document, {preload: false, resultTypes: ['violations'], ...(only && {runOnly: only})})", rules
    )
    assert "color-contrast" in [one["id"] for one in found["passes"]]  # it looked
    return [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0].get("failureSummary", "")[:200])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.fixture(autouse=True)
def axe():
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make web")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious_in_light_and_dark(visit, explored, view):
    page = opened(visit, explored, VIEWS[view], color_scheme="light")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(17, 18, 21)")
    assert violations(page, COLOURS) == []


def test_axe_finds_nothing_serious_in_what_opens(visit, explored):
    page = opened(visit, explored, searching(), words=True)
    settled(page)
    page.keyboard.press("Shift+A")
    expect(page.locator(".snip mark").first).to_be_visible()
    page.keyboard.press("+")
    hit(page, 1).get_by_role("button", name="Show the sum").click()
    for rank in (1, 2):
        hit(page, rank).get_by_role("button", name="Compare").click()
    expect(page.locator("section.why table")).to_be_visible()
    page.get_by_role("button", name="Add a concept").click()
    expect(page.locator(".strip").get_by_role("status")).to_contain_text("moved")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, COLOURS) == []
    page.keyboard.press("Escape")
    page.locator("h1").first.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert violations(page) == []


def test_axe_finds_nothing_serious_in_the_forms_of_a_concept(visit, explored):
    page = opened(visit, explored, "/concepts/78")
    page.get_by_role("button", name="Rename").click()
    assert violations(page) == []
    page.get_by_role("button", name="Flag").click()
    assert violations(page) == []
    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


# --- a phone -------------------------------------------------------------------------------------


def test_no_view_scrolls_sideways_on_a_phone(visit, explored):
    page = opened(visit, explored, "/", **PHONE)
    wide = []
    for view, path in VIEWS.items():
        page.goto(explored.origin + path)
        expect(page.locator("main").locator(DRAWN).first).to_be_attached()
        expect(page.locator("main .sk")).to_have_count(0)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth || innerWidth > 390"):
            wide.append(view)
    assert wide == []


def test_a_leaderboard_that_is_wider_than_the_page_scrolls_for_itself(visit, explored):
    page = opened(visit, explored, "/evaluation", viewport={"width": 800, "height": 900})
    expect(page.locator("table.board th", has_text="Verdict")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


def test_on_a_phone_chips_select_and_a_sheet_steers(visit, explored):
    page = opened(visit, explored, searching(), words=True, **PHONE)
    before = [one["passage_id"] for one in settled(page)["hits"]]
    chips = page.get_by_role("group", name="Concepts of this result")
    chips.get_by_role("button").nth(1).tap()
    expect(chips.get_by_role("button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".snip mark").first).to_be_visible()
    chips.get_by_role("button", name="Steer …").tap()
    sheet = page.get_by_role("dialog", name="Steer this search")
    sheet.get_by_role("slider").first.focus()
    page.keyboard.press("End")
    expect(sheet.get_by_role("slider").first).to_have_value("3")
    sheet.get_by_role("button", name="Close").tap()
    expect(sheet).to_have_count(0)
    expect(page.locator(".strip").get_by_role("status").first).to_contain_text("moved")
    assert [one["passage_id"] for one in settled(page)["hits"]] != before


def test_on_a_phone_a_tap_on_the_bar_opens_the_sum(visit, explored):
    page = opened(visit, explored, searching(), **PHONE)
    settled(page)
    hit(page, 1).locator(".bar-of").tap()
    expect(hit(page, 1).locator("table.ledger tfoot")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_what_is_tapped_is_at_least_34_pixels_high(visit, explored):
    page = opened(visit, explored, searching(), **PHONE)
    settled(page)
    small = page.locator("main button:visible, main select:visible, main input:visible").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().height < 34 && one.type !== 'range')"
        ".map(one => one.outerHTML.slice(0, 120))"
    )
    assert small == []
