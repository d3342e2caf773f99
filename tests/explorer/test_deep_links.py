"""The address is the state: opened cold it shows the same, Back and Forward walk it, and it is copied as code."""

from __future__ import annotations

import json
import shlex
from urllib.parse import urlsplit

from explorer.reading import asked, choose_system, expect, ids, searching, settled
from invoked import unweave


def steered(page):
    """A search with a boost, a ban, a filter and a selected concept, as a person would come to have one."""
    first = settled(page)["hits"][0]["explanation"]["contributions"]
    boost, ban, sel = first[0]["latent"], first[5]["latent"], first[1]["latent"]
    return {"system": "CL-SR", "boost": f"{boost}:1.5", "ban": ban, "sel": sel, "where": "topic=Physical sciences"}


def test_an_address_opened_in_another_browser_shows_the_same_state(visit, explored):
    state = steered(visit(explored, searching()))
    page = visit(explored, searching(**state))
    result = settled(page)
    boost, factor = state["boost"].split(":")
    assert result["system"] == "CL-SR"
    assert ids(result) == ids(asked(page, f"/api{searching(**{k: v for k, v in state.items() if k != 'sel'})}"))
    expect(page.get_by_role("combobox", name="System")).to_have_value("CL-SR")
    expect(page.get_by_role("searchbox", name="Query")).to_have_value(result["query"])
    expect(page.get_by_role("button", name="topic = Physical sciences")).to_be_visible()
    expect(page.locator(".steer > li.on")).to_have_count(1)
    strip = page.locator(".strip", has=page.get_by_role("status"))
    expect(strip).to_contain_text(f"× {factor}")
    expect(strip).to_contain_text("banned")
    moved = page.locator(".steer").get_by_role("slider").evaluate_all("all => all.map(one => one.value)")
    assert "1.5" in moved
    assert boost in page.locator(".steer a").evaluate_all("all => all.map(one => one.href.split('/').pop())")


def test_back_and_forward_walk_through_query_system_and_selection(visit, explored):
    page = visit(explored, searching("coffee"))
    settled(page)
    page.get_by_role("searchbox", name="Query").fill("whales")
    page.keyboard.press("Enter")
    whales = ids(settled(page))
    choose_system(page, "BM25")
    expect(page.locator(".legend")).to_contain_text("Words")
    settled(page)

    page.go_back()
    expect(page.get_by_role("combobox", name="System")).to_have_value("dense")
    assert ids(settled(page)) == whales
    page.go_back()
    expect(page.get_by_role("searchbox", name="Query")).to_have_value("coffee")
    assert settled(page)["query"] == "coffee"
    page.go_forward()
    expect(page.get_by_role("searchbox", name="Query")).to_have_value("whales")
    assert ids(settled(page)) == whales


def test_the_copied_command_finds_the_same_passages_in_a_terminal(visit, explored):
    page = visit(explored, searching(**steered(visit(explored, searching()))))
    result = settled(page)
    page.get_by_role("button", name="Command").click()
    expect(page.locator(".copy").get_by_role("status")).to_have_text("Command copied")
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert command[:2] == ["unweave", "search"]
    done = unweave(*command[1:], "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["hits"]
    assert [one["passage_id"] for one in found] == ids(result)
    assert [round(one["score"], 4) for one in found] == [round(one["score"], 4) for one in result["hits"]]


def test_the_copied_python_finds_the_same_passages(visit, explored):
    page = visit(explored, searching(**steered(visit(explored, searching()))))
    result = settled(page)
    page.get_by_role("button", name="Python").click()
    expect(page.locator(".copy").get_by_role("status")).to_have_text("Python copied")
    names = {}
    exec(page.evaluate("navigator.clipboard.readText()"), names)
    assert [one.passage.passage_id for one in names["hits"]] == ids(result)


def test_the_link_is_the_address_and_the_json_is_json(visit, explored):
    page = visit(explored, searching(sel=3))
    result = settled(page)
    page.get_by_role("button", name="Link").click()
    expect(page.locator(".copy").get_by_role("status")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="JSON").click()
    assert json.loads(opened.value.locator("body").inner_text())["hits"] == result["hits"]


def test_the_link_of_a_comparison_shows_it(visit, explored):
    page = visit(explored, searching())
    first, second = settled(page)["hits"][:2]
    page = visit(explored, searching(compare=f"{first['passage_id']},{second['passage_id']}"))
    expect(page.get_by_role("heading", name=f"Why {first['title']} is above {second['title']}")).to_be_visible()
    page.locator(".why").get_by_role("button", name="Command").click()
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    done = unweave(*command[1:])
    assert done.exit_code == 0, done.output
    scores = f"dense score of the first {first['score']:.4f}, of the second {second['score']:.4f}"
    assert done.stdout.startswith(scores)


def test_the_address_without_the_token_lets_nobody_in(visit, explored, browser):
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(explored.origin + "/search?q=coffee")
    assert answer.status == 401
    assert "Coffee" not in page.content()
    answer = page.goto(explored.address)  # as it is printed
    assert (answer.status, urlsplit(page.url).query) == (200, "")  # the token left the address
    expect(page.get_by_role("heading", level=1)).to_have_text("mine")
    context.close()


def test_an_address_of_no_view_says_so_and_leads_back(visit, explored):
    page = visit(explored, "/nowhere")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="To the project").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("mine")
