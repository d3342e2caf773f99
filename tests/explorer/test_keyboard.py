"""Without a mouse: every element that Tab reaches shows that it has the focus, and no dialog loses it."""

from __future__ import annotations

import pytest

from explorer.reading import expect, hit, ids, params, searching, settled

DRAWN = ".hit, table tbody tr, .hist, .blank, .jobs, .passage-text"
_FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return {on: at === document.body ? "" : at.outerHTML.slice(0, 140), ring};
}"""
MOST = 60  # tabs of one view


def focused(page):
    return page.evaluate(_FOCUS)


@pytest.mark.parametrize(
    "path",
    ["/", searching(sel=590, boost="590:2"), "/concepts", "/concepts/78", "/evaluation", "/audit", "/map", "/jobs"],
)  # fmt: skip
def test_the_focus_is_seen_on_all_that_tab_reaches(visit, explored, path):
    page = visit(explored, path, refused="/api/")
    expect(page.locator("main").locator(DRAWN).first).to_be_attached()
    unseen, reached = [], []
    for _ in range(MOST):
        page.keyboard.press("Tab")
        at = focused(page)
        if not at["on"] or at["on"] in reached[:1]:
            break
        reached.append(at["on"])
        if not at["ring"]:
            unseen.append(at["on"])
    assert len(reached) > 8
    assert unseen == []


def test_from_the_address_to_a_steered_search_and_a_renamed_concept_without_a_mouse(visit, explored):
    page = visit(explored)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("how do volcanoes erupt")
    page.keyboard.press("Enter")
    before = ids(settled(page))
    page.keyboard.press("Escape")
    for _ in range(12):  # out of the field, to the hits
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.hit, .hit *')"):
            break
    page.keyboard.press("Shift+A")
    for _ in range(8):
        page.keyboard.press("+")
    expect(page.locator(".steer > li.on").get_by_role("slider")).to_have_value("1.8")
    assert ids(settled(page)) != before or params(page)["boost"]
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    focus = page.locator(".hit:focus")
    expect(focus.locator("table.ledger tfoot")).to_be_visible()

    latent = params(page)["sel"][0]
    link = page.get_by_role("link", name="Open the concept")
    for _ in range(MOST):
        page.keyboard.press("Shift+Tab")
        if link.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/concepts/{latent}")
    title = page.get_by_role("heading", level=1)
    name = title.inner_text()
    page.keyboard.press("e")
    page.keyboard.type("named by the keys")
    page.keyboard.press("Enter")
    expect(title).to_have_text("named by the keys")
    assert focused(page)["on"]  # the form is gone, the focus is not
    page.keyboard.press("Control+z")
    expect(title).to_have_text(name)


def test_a_closed_dialog_gives_the_focus_back(visit, explored):
    page = visit(explored, searching())
    settled(page)
    keys = page.get_by_role("button", name="Keys ?")
    keys.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("Boost the selected concept by 0.1")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(keys).to_be_focused()

    hit(page, 2).focus()
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(hit(page, 2)).to_be_focused()


def test_a_field_that_is_left_gives_the_focus_back(visit, explored):
    page = visit(explored, searching())
    settled(page)
    add = page.get_by_role("button", name="Add a concept")
    add.focus()
    page.keyboard.press("Enter")
    field = page.get_by_role("textbox", name="Words of the concept's name")
    expect(field).to_be_focused()
    page.keyboard.type("population")
    choice = page.locator(".pick").get_by_role("button", name="Add").first
    expect(choice).to_be_visible()
    page.keyboard.press("Tab")
    expect(choice).to_be_focused()
    page.keyboard.press("Enter")
    expect(add).to_be_focused()
    assert "sel" in params(page)
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(add).to_be_focused()


@pytest.mark.parametrize(("button", "field"), [("Rename", "input.name"), ("Flag", "input[list]")])
def test_a_form_of_a_concept_that_is_left_gives_the_focus_back(visit, explored, button, field):
    page = visit(explored, "/concepts/78")
    opener = page.get_by_role("button", name=button)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator(field)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(field)).to_have_count(0)
    expect(opener).to_be_focused()


def test_the_merge_dialog_of_a_concept_gives_the_focus_back(visit, explored):
    page = visit(explored, "/concepts/78")
    merge = page.get_by_role("button", name="Merge")
    merge.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Merge into another concept")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(merge).to_be_focused()


def test_the_first_tab_leads_past_the_bar_at_the_top(visit, explored):
    page = visit(explored, "/concepts")
    expect(page.locator("table tbody tr").first).to_be_attached()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
