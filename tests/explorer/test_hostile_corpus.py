"""A corpus full of markup, links, bidi marks, control characters and long texts stays text, in every view."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from explorer.hostile import ARABIC, BIDI, CONTROL, HEBREW, IDS, IMAGE, MEGABYTE, SCRIPT, TEXTS, hostile_project
from explorer.reading import asked, expect, hit, ids, params, searching, settled

NARROW = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
VIEWS = ["/", searching(SCRIPT), searching("wind", view="systems"), "/concepts", "/concepts?show=families",
         "/passage?id=script", "/evaluation", "/audit", "/map", "/map?view=table", "/jobs"]  # fmt: skip
ALIVE = ("main script, main img, main iframe, main style, main link, main object, main #main, "
         "a[href^='javascript' i], [onerror], [onload], [srcdoc]")  # fmt: skip


@pytest.fixture(scope="session")
def hostile(chromium, serve, tmp_path_factory):
    return serve(hostile_project(tmp_path_factory.mktemp("hostile") / "<b>project"))


def expect_only_text(page):
    """Nothing of the corpus became an element; what it tried to run or to fetch fails the test in `visit`."""
    assert page.locator(ALIVE).count() == 0
    assert "4011" not in page.locator("main").inner_text()  # 1337 * 3


def test_every_view_shows_the_corpus_as_text(visit, hostile):
    page = visit(hostile, words=True, refused="/api/audit")  # which was not made
    latent = asked(page, "/api/concepts?limit=1")["rows"][0]["latent"]
    for view in [*VIEWS, f"/concepts/{latent}"]:
        page.goto(hostile.origin + view)
        expect(page.get_by_role("heading", level=1).first).to_be_attached()
        expect(page.locator("main [aria-busy=true], main .sk")).to_have_count(0)
        expect_only_text(page)
        expect(page.locator("header.top b").first).to_have_text("<b>project")


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "megabyte"])
def test_a_text_is_found_by_itself_and_stands_there_as_it_is(visit, hostile, name):
    page = visit(hostile, searching(TEXTS[name], system="BM25 + 3 dense"))
    result = settled(page)
    rank = ids(result).index(name) + 1
    found = hit(page, rank)
    expect(found.locator("h2 a")).to_have_text(f"{SCRIPT} {name}")
    shown = found.locator(".snip").text_content().removesuffix(" …").removeprefix("… ")
    assert len(shown) > 25
    assert shown.strip() in f"{TEXTS[name]} about {name}"
    expect(page.get_by_role("searchbox", name="Query")).to_have_value(params(page)["q"][0])
    found.get_by_role("button", name="Show the sum").click()
    expect(found.locator("table.ledger tfoot")).to_be_visible()
    expect_only_text(page)
    found.locator("h2 a").click()
    expect(page.locator(".passage-title")).to_have_text(f"{SCRIPT} {name}")
    assert page.locator(".passage-text").text_content() == f"{TEXTS[name]} about {name}"
    expect_only_text(page)


def test_a_passage_is_opened_whatever_its_id_is(visit, hostile):
    page = visit(hostile)
    for one in IDS:
        page.goto(f"{hostile.origin}/passage?{urlencode({'id': one, 'q': 'sea', 'system': 'dense'})}")
        expect(page.locator(".passage-title")).to_have_text(f"Passage {one}")
        expect(page.locator(".passage-why svg.bar")).to_be_visible()
        expect(page.locator("dl.kv dd")).to_have_text(one)
        expect_only_text(page)


def test_two_hits_are_compared_whatever_their_ids_are(visit, hostile):
    page = visit(
        hostile, searching("A plain sentence about the sea, the wind and passage number", system="dense", k=14)
    )
    found = ids(settled(page))
    pair = [found.index("two, commas") + 1, found.index("a&b=c#d?e") + 1]
    for rank in pair:
        hit(page, rank).get_by_role("button", name="Compare").click()
    expect(page.locator("section.why h2")).to_contain_text("two, commas")
    page.reload()  # the address says it all
    expect(page.locator("section.why h2")).to_contain_text("a&b=c#d?e")


def test_a_megabyte_is_a_snippet_first_then_a_page_and_whole_on_request(visit, hostile):
    page = visit(hostile, searching("The volcano erupted and ash fell on the town"))
    rank = ids(settled(page)).index("megabyte") + 1
    assert len(hit(page, rank).locator(".snip").inner_text()) < 400
    hit(page, rank).locator("h2 a").click()
    text = page.locator(".passage-text")
    expect(text).to_be_visible()
    assert len(text.text_content()) < 60_000
    page.get_by_role("button", name="Show all 1,0").click()
    expect(page.get_by_role("button", name="Show all")).to_have_count(0)
    assert len(text.text_content()) > len(MEGABYTE)


@pytest.mark.parametrize(("name", "text"), [("arabic", ARABIC), ("hebrew", HEBREW)])
def test_a_text_that_runs_from_right_to_left_does_so(visit, hostile, name, text):
    page = visit(hostile, searching(text))
    found = hit(page, ids(settled(page)).index(name) + 1)
    field = page.get_by_role("searchbox", name="Query")
    for element in (found.locator(".snip"), field):
        assert element.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"


def test_marks_that_turn_text_round_end_with_the_text_that_has_them(visit, hostile):
    page = visit(hostile, searching(BIDI, system="BM25"))
    settled(page)
    loose = page.evaluate(
        r"""() => {
          const found = [], walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) if (/[\u202a-\u202e\u2066-\u2069]/.test(walk.currentNode.data)) {
            const from = walk.currentNode.parentElement;
            if (!from.closest("bdi, option, [dir=auto]")) found.push(from.outerHTML);
          }
          return found;
        }"""
    )
    assert loose == []


def test_metadata_is_offered_and_filtered_by_as_text(visit, hostile):
    page = visit(hostile, searching("alert"))
    settled(page)
    page.get_by_role("button", name="Filter by metadata").click()
    page.get_by_label("Key").select_option("topic")
    page.get_by_label("Value").select_option(IMAGE)
    expect(page.get_by_role("button", name="Remove this filter")).to_contain_text(f"topic = {IMAGE}")
    assert set(ids(settled(page))) <= set(TEXTS)
    page.goto(f"{hostile.origin}/passage?id=script")
    expect(page.locator("dl.kv dt", has_text=SCRIPT)).to_be_visible()
    expect_only_text(page)


@pytest.mark.parametrize("name", [IMAGE[:60], "אבג gnp.exe", "{{1337*3}} ${1337*3}"])
def test_a_concept_that_is_named_with_markup_is_called_so_and_no_more(visit, hostile, name):
    page = visit(hostile, searching("wind and sea"))
    latent = settled(page)["hits"][0]["explanation"]["contributions"][0]["latent"]
    page.goto(f"{hostile.origin}/concepts/{latent}")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect_only_text(page)
    page.goto(f"{hostile.origin}{searching('wind and sea', boost=f'{latent}:2')}")
    settled(page)
    expect(page.locator(".strip .bent bdi")).to_have_text(name)
    hit(page, 1).get_by_role("button", name="Show the sum").click()
    expect(hit(page, 1).locator("table.ledger bdi", has_text=name).first).to_be_visible()
    expect_only_text(page)
    page.goto(f"{hostile.origin}/concepts?words={latent}")
    expect(page.locator("td.name bdi")).to_have_text(name)
    expect_only_text(page)
    page.goto(f"{hostile.origin}/map?view=table")
    expect(page.locator("td.name bdi", has_text=name)).to_be_visible()
    expect_only_text(page)


def test_marks_that_turn_text_round_are_taken_out_of_a_name(visit, hostile):
    page = visit(hostile, "/concepts")
    latent = asked(page, "/api/concepts?limit=1")["rows"][0]["latent"]
    page.goto(f"{hostile.origin}/concepts/{latent}")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("safe \u202egnp.exe")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("safe gnp.exe")


def test_a_query_is_text_wherever_it_is_said_again(visit, hostile):
    page = visit(hostile, "/search")
    field = page.get_by_role("searchbox", name="Query")
    for query in (SCRIPT, IMAGE, BIDI, CONTROL, "' OR 1=1 --", "%2e%2e%2f%00", "\\u0000 &lt;b&gt;"):
        field.fill(query)
        typed = field.input_value().strip()
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url, typed=typed: parse_qs(urlsplit(url).query)["q"] == [typed])
        assert settled(page)["query"] == typed
        expect_only_text(page)
    page.reload()
    expect(field).to_have_value(typed)
    assert page.title() == f"{typed} · unweave"


def test_long_words_break_where_the_screen_is_narrow(visit, hostile):
    page = visit(hostile, **NARROW)
    views = ["/search?q=long&system=BM25", "/passage?id=long", "/passage?id=piled", "/concepts", "/evaluation"]
    for view in views:
        page.goto(hostile.origin + view)
        expect(page.locator(".hit, .passage-text, main table").first).to_be_attached()
        expect(page.locator("main .sk")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
