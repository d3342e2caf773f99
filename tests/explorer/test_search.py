"""Search and explain: every score is drawn as a sum that ends at it, opens as a table, and marks its words."""

from __future__ import annotations

from urllib.parse import quote

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

SYSTEMS = ["dense", "BM25", "CL-SR", "codes", "BM25 + 2 codes", "BM25 + dense by rank", "CL-SR then dense"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_drawn_parts_of_every_hit_end_at_its_score(visit, explored, system):
    page = visit(explored, searching(system=system))
    result = settled(page)
    assert len(result["hits"]) == 10 or system == "BM25"
    assert_bars_end_at_their_scores(page)


def test_a_query_that_is_typed_is_searched_for(visit, explored):
    page = visit(explored, "/search")
    expect(page.get_by_role("heading", name="Ask, and see why each passage was found")).to_be_visible()
    page.get_by_role("searchbox", name="Query").fill(QUERY)
    page.keyboard.press("Enter")
    assert settled(page)["query"] == QUERY
    assert params(page) == {"q": [QUERY]}
    expect(page).to_have_title(f"{QUERY} · unweave")


def test_the_opened_sum_ends_at_the_score_and_each_row_adds_to_the_total_before_it(visit, explored):
    page = visit(explored, searching())
    result = settled(page)
    first = hit(page, 1)
    first.get_by_role("button", name="Show the sum").click()
    table = first.locator("table.ledger")
    score = f"{result['hits'][0]['score']:.4f}"
    expect(table.locator("tfoot td").nth(-1)).to_have_text(score)
    rows = [
        (number(row.locator("td").nth(-2).inner_text()), number(row.locator("td").nth(-1).inner_text()))
        for row in table.locator("tbody tr").all()
    ]
    before = 0.0
    for adds, total in rows:  # each is rounded to four figures
        assert before + adds == pytest.approx(total, abs=1.01e-4)
        before = total
    assert f"{before:.4f}" == score
    first.get_by_role("button", name="Hide the sum").click()
    expect(table).to_have_count(0)


def test_a_fold_of_the_sum_opens_into_its_concepts(visit, explored):
    page = visit(explored, searching())
    settled(page)
    first = hit(page, 1)
    first.get_by_role("button", name="Show the sum").click()
    fold = first.locator("tr.fold", has=page.get_by_role("button")).first
    folded = number(fold.locator("td.num").first.inner_text())
    fold.get_by_role("button").click()
    inside = first.locator("tr.inside")
    expect(inside.first).to_be_visible()
    parts = [number(row.locator("td").nth(-2).inner_text()) for row in inside.all()]
    assert sum(parts) == pytest.approx(folded, abs=1e-4 * len(parts))


def test_open_sums_and_folds_are_in_the_address(visit, explored):
    page = visit(explored, searching())
    result = settled(page)
    for rank in (1, 3):
        hit(page, rank).get_by_role("button", name="Show the sum").click()
    fold = hit(page, 3).locator("tr.fold", has=page.get_by_role("button")).first
    fold.get_by_role("button").click()
    n = hit(page, 3).locator("tr.inside").count()
    assert n > 0
    assert params(page)["open"][0].startswith(f"{quote(ids(result)[0])},{quote(ids(result)[2])}:")

    page = visit(explored, page.url.removeprefix(explored.origin))
    settled(page)
    expect(page.locator("table.ledger")).to_have_count(2)
    expect(hit(page, 3).locator("tr.inside")).to_have_count(n)
    hit(page, 3).get_by_role("button", name="Hide the sum").click()
    hit(page, 1).get_by_role("button", name="Hide the sum").click()
    expect(page.locator("table.ledger")).to_have_count(0)
    assert "open" not in params(page)


def test_a_concept_is_selected_by_its_letter_and_its_words_are_marked(visit, explored):
    page = visit(explored, searching(), words=True)
    result = settled(page)
    expect(page.locator(".snip mark")).to_have_count(0)
    page.keyboard.press("Shift+A")
    selected = page.locator(".steer > li").first
    expect(selected.get_by_role("button", name="Select")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".strip", has_text="is selected")).to_be_visible()
    marks = page.locator(".snip mark")
    expect(marks.first).to_be_visible()
    assert_the_strongest_word_is_marked(page, result["hits"], int(params(page)["sel"][0]))
    page.keyboard.press("Escape")
    expect(marks).to_have_count(0)
    assert "sel" not in params(page)


def assert_the_strongest_word_is_marked(page, hits, latent):
    """In the first hit whose title does not hold it: words are counted from the title on."""
    for one in hits:
        [words] = asked(page, f"/api/words?passage={quote(one['passage_id'])}&latent={latent}")["marked"] or [None]
        if words is None or not words["words"]:
            continue
        strongest = max(words["words"], key=lambda word: word["share"])
        if strongest["start"] <= len(one["title"]):
            continue
        said = f"{one['title']} {one['text']}"[strongest["start"] : strongest["end"]]
        assert said in hit(page, one["rank"]).locator(".snip mark").all_inner_texts()
        return
    raise AssertionError("no hit has the concept's words in its text")


def test_a_concept_is_selected_by_a_click_in_the_list_or_on_its_part_of_a_bar(visit, explored):
    page = visit(explored, searching())
    settled(page)
    second = page.locator(".steer > li").nth(1)
    second.get_by_role("button", name="Select").click()
    expect(second).to_have_class("on")
    expect(page.locator(".bar .part.on").first).to_be_attached()
    page.locator(".bar .part.can").first.click()
    expect(page.locator(".steer > li").first).to_have_class("on")
    expect(second).not_to_have_class("on")


def test_the_arrow_keys_walk_the_parts_of_a_bar_and_say_what_each_adds(visit, explored):
    page = visit(explored, searching())
    result = settled(page)
    page.keyboard.press("j")
    expect(hit(page, 1)).to_be_focused()
    page.keyboard.press("ArrowLeft")  # the last part
    tip = hit(page, 1).get_by_role("status")
    expect(tip).to_contain_text("Residual")
    expect(tip).to_contain_text(f"{abs(result['hits'][0]['explanation']['residual']):.3f}")
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("Bias")
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)


def test_more_hits_are_shown_on_the_same_scale(visit, explored):
    page = visit(explored, searching())
    settled(page)
    before = page.locator(".scale svg.axis text").all_inner_texts()
    page.get_by_role("button", name="Show 10 more").click()
    expect(page.locator(".hits > .hit")).to_have_count(20)
    assert len(settled(page)["hits"]) == 20
    assert page.locator(".scale svg.axis text").all_inner_texts() == before
    assert_bars_end_at_their_scores(page)


def test_a_filter_by_metadata_leaves_only_passages_that_have_it(visit, explored):
    page = visit(explored, searching())
    settled(page)
    page.get_by_role("button", name="Filter by metadata").click()
    page.get_by_label("Value").select_option("Physical sciences")
    expect(page.get_by_role("button", name="topic = Physical sciences")).to_be_visible()
    result = settled(page)
    topics = [asked(page, f"/api/passage?id={one}")["metadata"]["topic"] for one in ids(result)[:3]]
    assert topics == ["Physical sciences"] * 3
    page.get_by_role("button", name="topic = Physical sciences").click()
    assert ids(settled(page)) != ids(result)


def test_a_filter_that_no_passage_passes_says_which_values_there_are(visit, explored):
    page = visit(explored, searching(where="topic=Alchemy"))
    expect(page.get_by_role("heading", name="No hit has topic = Alchemy")).to_be_visible()
    expect(page.get_by_text("topic is one of Arts, Biology and health sciences")).to_be_visible()
    page.get_by_role("button", name="Remove the filter").click()
    assert settled(page)["hits"]


def test_a_search_without_a_hit_offers_another_system(visit, explored):
    page = visit(explored, searching("xyzzyxyzzy", system="BM25"))
    expect(page.get_by_role("heading", name="No passage was found")).to_be_visible()
    page.get_by_role("button", name="Search with Dense").click()
    assert settled(page)["system"] == "dense"


def test_an_unknown_system_is_an_error_in_words_and_the_query_stays(visit, explored):
    page = visit(explored, searching(system="sparse"), refused="system=sparse")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("sparse")
    expect(alert).to_contain_text("BM25")  # one of those that there are
    expect(page.get_by_role("searchbox", name="Query")).to_have_value(QUERY)
    choose_system(page, "Dense")
    assert settled(page)["hits"]


def test_systems_stand_side_by_side_and_one_of_them_is_gone_on_with(visit, explored):
    page = visit(explored, searching())
    settled(page)
    page.get_by_role("link", name="Side by side").click()
    columns = page.locator(".cols > section")
    expect(columns).to_have_count(4)
    names = [column.get_attribute("aria-label") for column in columns.all()]
    for column, system in zip(columns.all(), names, strict=True):
        found = asked(page, f"/api{searching(system=system)}")
        expect(column.locator("ol > li")).to_have_count(len(found["hits"]))
        expect(column.locator("ol > li a").first).to_have_text(found["hits"][0]["title"])
    columns.nth(1).get_by_role("combobox").select_option("CL-SR then dense")
    expect(columns.nth(1)).to_have_attribute("aria-label", "CL-SR then dense")
    columns.nth(1).get_by_role("button", name="Open").click()
    assert settled(page)["system"] == "CL-SR then dense"


def test_another_system_is_chosen_and_a_sum_is_built(visit, explored):
    page = visit(explored, searching())
    settled(page)
    choose_system(page, "CL-SR")
    expect(page.locator(".sum-line")).to_be_visible()
    assert settled(page)["system"] == "CL-SR"
    choose_system(page, "Build a sum …")
    dialog = page.get_by_role("dialog", name="Build a sum of systems")
    dialog.get_by_label("CL-SR", exact=True).fill("0")
    dialog.get_by_label("BM25", exact=True).fill("1")
    expect(dialog.get_by_role("button", name="Search with it")).to_be_disabled()
    dialog.get_by_label("Dense", exact=True).fill("3")
    dialog.get_by_role("button", name="Search with it").click()
    assert settled(page)["system"] == "BM25 + 3 dense"
    expect(page.get_by_text("BM25 25 % and Dense 75 %")).to_be_visible()
    expect(hit(page, 1).locator("svg.brackets")).to_contain_text("Dense")
    assert_bars_end_at_their_scores(page)


def test_a_whole_passage_is_read_and_its_search_gone_back_to(visit, explored):
    page = visit(explored, searching())
    result = settled(page)
    hit(page, 1).locator("h2 a").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(result["hits"][0]["title"])
    expect(page.locator(".passage-text")).to_contain_text(result["hits"][0]["text"][-40:])
    expect(page.locator(".passage-why svg.bar")).to_be_visible()
    page.get_by_role("link", name="Back to the search for").click()
    settled(page)
