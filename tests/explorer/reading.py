"""What a person reads off the search page: the hits, where the parts of a bar stand, and what the server says of it."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

QUERY = "how do volcanoes erupt"


def searching(query: str = QUERY, **other: str | int) -> str:
    """The address of a search."""
    return f"/search?{urlencode({'q': query, **other})}"


def expect(of: Any) -> Any:
    """Playwright's, which waits until it is so."""
    from playwright.sync_api import expect as expecting

    return expecting(of)


def params(page: Any) -> dict[str, list[str]]:
    """What the address holds."""
    return parse_qs(urlsplit(page.url).query)


def asked(page: Any, path: str) -> Any:
    """The JSON below an address of the page's server."""
    address = urlsplit(page.url)
    answer = page.request.get(f"{address.scheme}://{address.netloc}{path}")
    assert answer.ok, answer.text()
    return answer.json()


def settled(page: Any) -> dict[str, Any]:
    """The search that the page shows, as the server answers it, once the page shows these hits in this order."""
    link = page.locator(".copy a", has_text="JSON")
    expect(link).to_have_count(1)
    result = asked(page, link.get_attribute("href"))
    expect_hits(page, result)
    return result


def expect_hits(page: Any, result: dict[str, Any]) -> None:
    hits = page.locator(".hits > .hit")
    expect(hits).to_have_count(len(result["hits"]))
    if hits.evaluate_all("all => all.map(one => one.dataset.passage)") != ids(result):  # not yet
        for i, passage in enumerate(ids(result)):
            expect(hits.nth(i)).to_have_attribute("data-passage", passage)
    if result["hits"]:
        expect(hits.last.locator(".score")).to_contain_text(re.compile(r"\d"))
        expect(hits.first.locator(".bar .part").first).to_be_attached()


def hit(page: Any, rank: int) -> Any:
    return page.locator(".hits > .hit").nth(rank - 1)


def choose_system(page: Any, shown: str) -> None:
    """The system of the whole search, by what the page calls it."""
    page.get_by_role("combobox", name="System").select_option(label=shown)


def ids(result: dict[str, Any]) -> list[str]:
    return [one["passage_id"] for one in result["hits"]]


def number(text: str) -> float:
    """A number as the pages write it, with a true minus sign."""
    return float(text.replace("−", "-").replace("+", "").replace(",", ""))


# --- bars ----------------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """A bar, in pixels from where its zero stands."""

    adds: list[tuple[float, float]]
    """From and to of each part of the upper lane."""
    takes: list[tuple[float, float]]
    tick: float
    score: float
    """As it is written beside the bar."""
    shown: str
    """The same as text."""


_BARS = """bars => bars.map(bar => {
  const place = (element) => element.getBoundingClientRect();
  const zero = place(bar.querySelector("line.zero")), tick = place(bar.querySelector("line.tick"));
  const from = zero.x + zero.width / 2, top = place(bar).y;
  const parts = [...bar.querySelectorAll(".part rect:first-of-type")].map(place);
  const lane = (upper) => parts.filter(one => (one.y - top < 9) === upper).map(one => [one.x - from, one.right - from]);
  const score = bar.closest(".bar-row").querySelector(".score");
  const shown = [...score.childNodes].filter(one => one.nodeType === 3).map(one => one.data).join("");
  return {adds: lane(true), takes: lane(false), tick: tick.x + tick.width / 2 - from, shown};
})"""
_AXIS = """axis => [...axis.querySelectorAll("g")].map(one => [
  one.querySelector("text").textContent, one.querySelector("line").getBoundingClientRect().x])"""


def bars(page: Any) -> list[Drawn]:
    found = page.locator(".hits .bar-of > svg.bar").evaluate_all(_BARS)
    return [
        Drawn([(a, b) for a, b in one["adds"]], [(a, b) for a, b in one["takes"]], one["tick"],
              number(one["shown"]), one["shown"])
        for one in found
    ]  # fmt: skip


def pixels_of_one(page: Any) -> float:
    """How far apart the axis above the bars has 0 and 1."""
    marks = page.locator(".scale svg.axis").evaluate(_AXIS)
    (least, left), (most, right) = (marks[0][0], marks[0][1]), (marks[-1][0], marks[-1][1])
    return (right - left) / (number(most) - number(least))


def assert_bars_end_at_their_scores(page: Any) -> None:
    """Parts stand end to end; right by what adds, back by what takes away, and there are the tick and the score."""
    scale = pixels_of_one(page)
    found = bars(page)
    assert found
    for bar in found:
        assert bar.adds[0][0] == pytest.approx(0, abs=0.5)
        for (_, end), (begin, _) in pairwise(bar.adds):
            assert begin == pytest.approx(end, abs=0.5)
        gives = sum(to - start for start, to in bar.adds)
        takes = sum(to - start for start, to in bar.takes)
        assert gives - takes == pytest.approx(bar.tick, abs=0.5)
        assert bar.adds[-1][1] == pytest.approx(gives, abs=0.5)
        if bar.takes:
            assert min(start for start, _ in bar.takes) == pytest.approx(bar.tick, abs=0.5)
        half = 0.5 * 10 ** -len(bar.shown.partition(".")[2])
        assert bar.tick / scale == pytest.approx(bar.score, abs=half + 0.7 / scale)
