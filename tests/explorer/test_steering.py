"""Steering: a concept is boosted, weakened, left out or banned; the ranks move at once, are read out, and come back."""

from __future__ import annotations

import pytest

from explorer.reading import (
    QUERY,
    asked,
    assert_bars_end_at_their_scores,
    choose_system,
    expect,
    hit,
    ids,
    number,
    params,
    searching,
    settled,
)  # fmt: skip


def first_slider(page):
    """The weight of concept A."""
    return page.locator(".steer > li").first.get_by_role("slider")


def announced(page):
    """What a screen reader says of the steering."""
    return page.locator(".strip").get_by_role("status")


def expect_moves(page, result):
    """The announcement counts the hits whose ranks changed."""
    moved = sum(one["unsteered"] is not None and one["unsteered"]["rank"] != one["rank"] for one in result["hits"])
    expect(announced(page)).to_contain_text(f"{moved} of {len(result['hits'])} hits moved" if moved else "No hit moved")


def steered_to_three(page):
    """Concept A three times as heavy, by the keyboard."""
    first_slider(page).focus()
    page.keyboard.press("End")
    expect(first_slider(page)).to_have_value("3")
    expect(page.locator(".strip")).to_contain_text("× 3")


def test_a_slider_moved_by_the_keyboard_reranks_and_the_ranks_are_announced(visit, explored):
    page = visit(explored, searching())
    before = settled(page)
    steered_to_three(page)
    result = settled(page)
    [boost] = params(page)["boost"]
    assert boost.endswith(":3")
    assert ids(result) != ids(before)
    expect_moves(page, result)
    expect(hit(page, 1).locator(".bar line.was")).to_be_attached()  # where the score stood before
    assert_bars_end_at_their_scores(page)


QUICKLY = """async steps => {
  const slider = document.querySelector(".steer input[type=range]");
  for (let i = 0; i < steps; i++) {
    slider.stepUp();
    for (const kind of ["input", "change"]) slider.dispatchEvent(new Event(kind, {bubbles: true}));
    await new Promise(next => setTimeout(next));
  }
}"""


def test_no_step_of_a_slider_is_lost_however_quickly_keys_are_pressed(visit, explored):
    page = visit(explored, searching())
    settled(page)
    page.evaluate(QUICKLY, 5)
    expect(page.locator(".strip")).to_contain_text("× 1.5")
    expect(first_slider(page)).to_have_value("1.5")
    assert params(page)["boost"][0].endswith(":1.5")


COUNTED = """
const animate = Element.prototype.animate;
window.slid = 0;
Element.prototype.animate = function (...all) { window.slid += 1; return animate.apply(this, all); };
"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_hits_that_change_ranks_slide_unless_less_motion_is_wished(visit, explored, motion):
    page = visit(explored, searching(), reduced_motion=motion, script=COUNTED)
    before = settled(page)
    hit(page, 1).get_by_role("button", name="Show the sum").click()  # moves the others, and no rank
    expect(hit(page, 1).locator("table.ledger")).to_be_visible()
    assert page.evaluate("window.slid") == 0
    steered_to_three(page)
    after = settled(page)
    assert ids(after) != ids(before)
    assert (page.evaluate("window.slid") > 0) == (motion == "no-preference")
    page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished)).then(() => null)")
    assert_bars_end_at_their_scores(page)


def test_plus_minus_and_zero_weigh_the_selected_concept(visit, explored):
    page = visit(explored, searching())
    settled(page)
    page.keyboard.press("Shift+A")
    for _ in range(4):
        page.keyboard.press("+")
    expect(first_slider(page)).to_have_value("1.4")
    page.keyboard.press("-")
    expect(first_slider(page)).to_have_value("1.3")
    expect_moves(page, settled(page))
    page.keyboard.press("0")
    expect(first_slider(page)).to_have_value("0")
    latent = int(params(page)["sel"][0])
    result = settled(page)
    assert params(page)["boost"] == [f"{latent}:0"]
    parts = [c for one in result["hits"] for c in one["explanation"]["contributions"] if c["latent"] == latent]
    assert all(c["value"] == 0 for c in parts)


def test_ctrl_z_the_button_back_and_reset_each_take_steering_back(visit, explored):
    page = visit(explored, searching())
    before = ids(settled(page))

    steered_to_three(page)
    page.keyboard.press("Control+z")
    expect(page.locator(".strip")).to_have_count(0)
    assert ids(settled(page)) == before

    steered_to_three(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".strip")).to_have_count(0)
    assert ids(settled(page)) == before

    steered_to_three(page)
    page.go_back()
    expect(first_slider(page)).to_have_value("1")
    assert ids(settled(page)) == before
    page.go_forward()
    expect(first_slider(page)).to_have_value("3")

    page.get_by_role("button", name="Reset all").click()
    expect(first_slider(page)).to_have_value("1")
    assert "boost" not in params(page)
    assert ids(settled(page)) == before
    page.keyboard.press("Control+z")  # a reset is a change as well
    expect(first_slider(page)).to_have_value("3")


def test_a_slider_that_is_dragged_is_one_step_back_and_stops_at_whole_numbers(visit, explored):
    page = visit(explored, searching())
    before = ids(settled(page))
    box = first_slider(page).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for part in (0.55, 0.6, 0.65, 0.7, 0.755):  # 0.755 of the way from -1 to 3 is 2.02
        page.mouse.move(box["x"] + part * box["width"], y)
    expect(first_slider(page)).to_have_value("2")
    page.mouse.up()
    expect(page.locator(".strip")).to_contain_text("× 2")
    settled(page)
    page.go_back()
    expect(first_slider(page)).to_have_value("1")
    assert ids(settled(page)) == before


def test_a_ban_leaves_out_passages_with_the_concept_and_is_lifted(visit, explored):
    page = visit(explored, searching())
    before = ids(settled(page))
    page.keyboard.press("Shift+A")
    page.keyboard.press("b")
    expect(page.locator(".steer > li").first.get_by_role("button", name="in again")).to_have_text("Banned")
    latent = int(params(page)["ban"][0])
    result = settled(page)
    assert set(before) - set(ids(result))
    for one in result["hits"]:
        assert all(c["latent"] != latent or c["passage"] == 0 for c in one["explanation"]["contributions"])
    expect(announced(page)).to_contain_text("left")
    page.locator(".steer > li").first.get_by_role("button", name="in again").click()
    expect(page.locator(".steer > li").first.get_by_role("button", name="Ban passages")).to_have_text("Ban")
    assert ids(settled(page)) == before


def test_bans_that_leave_no_hit_can_be_lifted(visit, explored):
    page = visit(explored, searching(where="topic=Nothing", ban="1,2"))
    expect(page.get_by_role("heading", name="No hit has topic = Nothing")).to_be_visible()
    expect(page.locator(".strip").get_by_role("status")).to_have_text("No hit is left.")
    page.get_by_role("button", name="Lift the ban").click()
    expect(page.locator(".strip")).to_have_count(0)
    assert "ban" not in params(page)


def test_a_concept_that_has_no_letter_here_is_added_by_a_word_of_its_name_and_steered_by(visit, explored):
    page = visit(explored, searching())
    before = ids(settled(page))
    shown = page.locator(".steer > li .n").all_inner_texts()
    rows = asked(page, "/api/concepts?trust=vague&limit=100")["rows"]
    row = next(one for one in rows if not any(one["name"] in line for line in shown))
    page.get_by_role("button", name="Add a concept").click()
    page.get_by_role("textbox", name="Words of the concept's name").fill(row["name"])
    page.locator(".pick > li", has_text=row["name"]).first.get_by_role("button", name="Add").click()
    added = page.locator(".steer > li.on")
    expect(added).to_contain_text(row["name"])
    page.keyboard.press("+")
    expect(added.get_by_role("slider")).to_have_value("1.1")
    assert params(page)["boost"] == [f"{params(page)['sel'][0]}:1.1"]
    settled(page)
    page.keyboard.press("Control+z")
    expect(added.get_by_role("slider")).to_have_value("1")
    assert ids(settled(page)) == before


@pytest.mark.parametrize(
    ("system", "shown"),
    [("CL-SR", "CL-SR"), ("codes", "Concept codes"), ("BM25 + 2 codes", "BM25 + 2 Concept codes")],
)
def test_steering_stays_when_the_system_changes(visit, explored, system, shown):
    page = visit(explored, searching())
    settled(page)
    steered_to_three(page)
    boost = params(page)["boost"]
    choose_system(page, shown)
    expect(first_slider(page)).to_have_value("3")
    result = settled(page)
    assert (params(page)["boost"], result["system"]) == (boost, system)
    assert_bars_end_at_their_scores(page)


def test_a_system_that_cannot_be_steered_says_so_and_keeps_the_steering_for_the_next(visit, explored):
    page = visit(explored, searching())
    settled(page)
    steered_to_three(page)
    choose_system(page, "BM25")
    expect(page.locator(".panel .refused").first).to_have_text(
        "BM25 cannot be steered by concepts. Dense, CL-SR and Concept codes can."
    )
    expect(first_slider(page)).to_be_disabled()
    choose_system(page, "Dense")
    expect(first_slider(page)).to_have_value("3")
    assert settled(page)["query"] == QUERY


def test_two_hits_are_compared_and_the_smallest_change_swaps_them(visit, explored):
    page = visit(explored, searching())
    first, second = settled(page)["hits"][:2]
    for rank in (1, 2):
        hit(page, rank).get_by_role("button", name="Compare").click()
    why = page.locator("section.why")
    expect(why.get_by_role("heading")).to_have_text(f"Why {first['title']} is above {second['title']}")
    table = why.locator("table.ledger")
    expect(table.locator("tbody tr").first).to_contain_text(f"{second['score']:.4f}")
    expect(table.locator("tbody tr").last).to_contain_text(f"{first['score']:.4f}")
    assert params(page)["compare"] == [f"{first['passage_id']},{second['passage_id']}"]
    why.get_by_role("button", name="Search with this change").click()
    expect(why).to_have_count(0)
    found = ids(settled(page))
    assert found.index(second["passage_id"]) < found.index(first["passage_id"])


def test_the_steps_of_a_comparison_add_up_to_the_difference(visit, explored):
    page = visit(explored, searching())
    first, third = (settled(page)["hits"][i] for i in (0, 2))
    for rank in (1, 3):  # by the keyboard
        hit(page, rank).focus()
        page.keyboard.press("x")
    why = page.locator("section.why")
    expect(why.locator("table.ledger tbody tr").last).to_contain_text(f"{first['score']:.4f}")
    shown = why.locator("table.ledger tbody tr td:nth-of-type(4)").all_inner_texts()
    steps = [number(text) for text in shown if text]
    assert sum(steps) == pytest.approx(first["score"] - third["score"], abs=1e-4 * len(steps))
    page.keyboard.press("Escape")
    expect(why).to_have_count(0)
