"""The other views: entrance, evaluation, audit, map and jobs, which begin, are seen to end, and are cancelled."""

from __future__ import annotations

import shutil

import pytest

from explorer.reading import asked, expect, params, settled

NO_CANVAS = "HTMLCanvasElement.prototype.getContext = () => null;"


@pytest.fixture(scope="module")
def made_from(serve, tiny_project_folder, tmp_path_factory):
    """A project of sixty texts, on which jobs take seconds."""
    folder = tmp_path_factory.mktemp("jobs") / "tiny"
    shutil.copytree(tiny_project_folder, folder)
    return serve(folder)


def test_the_entrance_says_what_there_is_and_searches(visit, explored):
    page = visit(explored)
    expect(page.get_by_role("heading", level=1)).to_have_text("mine")
    table = page.get_by_role("table", name="Steps of the project")
    expect(table.locator("tr").first).to_contain_text("347 passages, 258 judged queries")
    expect(table.locator("tr", has_text="Names")).to_contain_text("767 concepts named")
    page.get_by_role("searchbox", name="Query").fill("whales")
    page.keyboard.press("Enter")
    assert settled(page)["query"] == "whales"
    page.go_back()
    example = page.get_by_role("list", name="Queries to begin with").get_by_role("link").first
    query = example.inner_text()
    example.click()
    assert settled(page)["query"] == query


def test_the_leaderboard_sorts_by_measure_and_compares_two_systems(visit, explored):
    page = visit(explored, "/evaluation?a=codes&b=CL-SR")
    board = asked(page, "/api/evaluation")
    measure = board["measures"][1]
    table = page.locator("table.board")
    table.get_by_role("button", name=measure).click()
    order = sorted(board["rows"], key=lambda row: -row["measures"].get(measure, 0))
    expect(table.locator("tbody tr").first.locator(".system")).to_have_text(order[0]["system"])
    assert params(page)["measure"] == [measure]
    table.get_by_role("radio", name="Compare BM25", exact=True).check()
    table.get_by_role("radio", name="Compare with dense", exact=True).check()
    expect(page.get_by_role("heading", name="BM25 against dense, query by query")).to_be_visible()
    table.get_by_role("radio", name="Compare dense", exact=True).check()  # stands on the other side: both change places
    expect(page.get_by_role("heading", name="dense against BM25, query by query")).to_be_visible()


def test_queries_are_brushed_by_the_keyboard_opened_and_gone_on_with_in_the_search(visit, explored):
    page = visit(explored, "/evaluation?a=dense&b=BM25")
    queries = asked(page, "/api/evaluation/difference?first=dense&second=BM25")["queries"]
    page.get_by_role("slider", name="from").focus()
    page.keyboard.press("End")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.wait_for_url("**from=0.5**")
    n = sum(one["first"] - one["second"] >= 0.5 - 1e-9 for one in queries)
    assert 0 < n < len(queries)
    expect(page.locator(".listed").get_by_role("status")).to_contain_text(str(n))
    expect(page.locator("table.by-query")).to_have_attribute("aria-rowcount", str(n + 1))  # the others are gone
    row = page.locator("table.by-query tbody tr").first
    query = page.locator("table.by-query td.name button").first
    text = query.inner_text()
    query.click()
    expect(page.get_by_role("heading", name="Judged passages")).to_be_visible()
    expect(page.locator(".opened-hits").first.locator("li svg.bar").first).to_be_visible()
    expect(row).to_be_visible()
    page.get_by_role("link", name="Open in the search").click()
    assert settled(page)["query"] == text
    page.go_back()
    expect(page.get_by_role("heading", name="Judged passages")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Judged passages")).to_have_count(0)
    page.keyboard.press("Escape")
    assert "from" not in params(page)


def test_before_an_audit_the_view_says_what_one_is_and_begins_it(visit, explored):
    page = visit(explored, "/audit", refused="/api/audit")
    expect(page.locator(".blank-title")).to_be_visible()
    expect(page.locator(".blank").get_by_role("button")).to_be_enabled()


def test_a_map_is_made_and_stands_as_a_table_where_no_canvas_is(visit, made_from):
    page = visit(made_from, "/map", refused="/api/map")
    expect(page.get_by_role("heading", name="No map yet")).to_be_visible()
    page.get_by_role("button", name="Make the map").click()
    expect(page.locator("canvas").first).to_be_visible()
    page.get_by_role("button", name="Passages", exact=True).click()
    expect(page.locator("canvas").first).to_be_visible()
    assert params(page)["layer"] == ["passages"]

    page = visit(made_from, "/map", script=NO_CANVAS)
    expect(page.get_by_text("This browser cannot draw the map.")).to_be_visible()
    expect(page.locator("canvas")).to_have_count(0)
    n = len(asked(page, "/api/map/concepts")["latent"])
    expect(page.get_by_role("status").filter(has_text="concepts, those of most passages first")).to_contain_text(str(n))
    page.locator("table.map-table td.name a").first.click()
    expect(page.get_by_role("heading", name="How strongly it is active")).to_be_visible()


def test_a_job_begins_is_seen_to_end_and_can_be_looked_at_afterwards(visit, made_from):
    page = visit(made_from, "/jobs")
    page.get_by_role("button", name="Start a job").click()
    dialog = page.get_by_role("dialog", name="Start a job")
    dialog.get_by_role("radio", name="Evaluation").check()
    dialog.get_by_role("button", name="Start").click()
    line = page.get_by_role("row", name="Evaluation")
    expect(line.first).to_contain_text("Done")
    expect(page.locator("#running")).to_have_count(0)
    page.get_by_role("link", name="Evaluation").first.click()
    expect(page.locator("table.board tbody tr").first).to_be_visible()


def test_a_job_that_runs_is_cancelled(visit, explored):
    page = visit(explored, "/jobs")
    page.get_by_role("button", name="Start a job").click()
    dialog = page.get_by_role("dialog", name="Start a job")
    dialog.get_by_role("radio", name="Judging names").check()
    dialog.get_by_role("button", name="Start").click()
    running = page.get_by_role("article", name="Judging names")
    expect(running.get_by_role("progressbar").first).to_be_visible()
    running.get_by_role("button", name="Cancel").click()
    line = page.get_by_role("row", name="Judging names").first
    expect(line).to_contain_text("Cancelled")
    expect(line.get_by_role("button", name="Resume")).to_be_enabled()


def test_light_and_dark_are_chosen_and_kept(visit, explored):
    page = visit(explored, "/jobs")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark
