"""A project that has concepts of single tokens: found, drawn and opened like others, but without pages of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from explorer.reading import asked, assert_bars_end_at_their_scores, choose_system, expect, hit, searching, settled

KEPT = Path(__file__).parents[1] / "kept" / "project"
QUERY = "how an inverted index is searched"


@pytest.fixture(scope="module")
def with_tokens(chromium, serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens") / "project"
    shutil.copytree(KEPT, folder)
    return serve(folder)


def test_a_search_by_concepts_of_tokens_is_drawn_and_opened_without_links_to_concepts(visit, with_tokens):
    page = visit(with_tokens, searching(QUERY))
    settled(page)
    choose_system(page, "Token concepts")
    result = settled(page)
    assert result["system"] == "tokens"
    assert_bars_end_at_their_scores(page)
    strongest = max(result["hits"][0]["explanation"]["contributions"], key=lambda one: one["value"])
    assert (strongest["latent"] < 0, strongest["group"]) == (True, None)  # no concept that has a page
    expect(page.locator(".legend")).to_contain_text("Words")
    expect(page.locator(".snip mark").first).to_be_visible()
    first = hit(page, 1)
    first.get_by_role("button", name="Show the sum").click()
    line = first.locator("table.ledger tbody tr").first
    expect(line).to_contain_text(f"“{strongest['name']}”")
    expect(line).to_contain_text(f"{strongest['value']:.4f}")
    expect(first.locator("table.ledger a")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_sum_with_concepts_of_tokens_in_it_ends_at_its_score_and_stands_beside_others(visit, with_tokens):
    page = visit(with_tokens, searching(QUERY, system="tokens + 2 codes"))
    settled(page)
    assert_bars_end_at_their_scores(page)
    expect(hit(page, 1).locator("svg.brackets")).to_contain_text("Token")
    page = visit(with_tokens, searching(QUERY, view="systems", systems="dense,tokens"))
    column = page.locator(".cols > section").nth(1)
    found = asked(page, f"/api{searching(QUERY, system='tokens')}")
    expect(column.locator("ol > li")).to_have_count(len(found["hits"]))
    expect(column.locator("ol > li svg.bar").first).to_be_visible()
