"""Pictures of explanations: what is drawn is what the numbers say, and text from outside stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import unweave as uw
from unweave.base.records import Contribution, Explanation, Group, Trust
from unweave.cli import main
from unweave.encode.words import Word
from unweave.explaining.counterfactual import Counterfactual, Standing
from unweave.explaining.difference import difference
from unweave.explaining.words import ByWords
from unweave.report import pictures

HOSTILE = '<script>alert(1)</script>"&\x1b[31m\u202e'
SVG = "{http://www.w3.org/2000/svg}"


def scored(*values: float, bias: float = 0.1, residual: float = 0.0, name: str = "c") -> Explanation:
    found = [
        Contribution(j, f"{name}{j}", 1.0, value, value, Trust.HOLDS, True, Group.NAMED)
        for j, value in enumerate(values) if value
    ]  # fmt: skip
    return Explanation("dense", sum(values) + bias + residual, tuple(found), bias, residual)


def bars(drawn: str) -> list[tuple[str, float, float]]:
    """Each step: whether it adds or takes away, and where it begins and ends, from the left."""
    rects = [
        rect for rect in ElementTree.fromstring(drawn).iter(f"{SVG}rect") if rect.get("class") in ("adds", "takes")
    ]
    return [(str(r.get("class")), float(r.get("x", 0)), float(r.get("x", 0)) + float(r.get("width", 0))) for r in rects]


def ticks(drawn: str) -> list[float]:
    return [float(line.get("x1", 0)) for line in ElementTree.fromstring(drawn).iter(f"{SVG}line")]


def test_each_step_of_a_staircase_begins_where_the_one_above_ends():
    # Ten concepts worth 10, 9 … 1 are 55 together; bias 3 and residual -8 make 50. The weakest has no bar of its own.
    drawn = pictures.staircase(scored(*range(10, 0, -1), bias=3.0, residual=-8.0), "why")
    found = bars(drawn)
    assert [kind for kind, *_ in found] == ["adds"] * 11 + ["takes"]
    along = [(begin, end) if kind == "adds" else (end, begin) for kind, begin, end in found]
    assert [begin for begin, _ in along[1:]] == pytest.approx([end for _, end in along[:-1]], abs=0.02)
    assert ticks(drawn) == [pytest.approx(along[-1][1], abs=0.02)]
    assert [end - begin for begin, end in along[:2]] == [
        pytest.approx(450 * 10 / 58, abs=0.02),
        pytest.approx(450 * 9 / 58, abs=0.02),
    ]
    assert "1 more concept<" in drawn and "-8.0000" in drawn


def test_a_waterfall_leads_from_the_second_score_to_the_first():
    # .75 against .6: +.4, -.3, +.1 by concepts and -.05 of residual
    found = difference(scored(0.6, 0.1, residual=-0.05), scored(0.2, 0, 0.3))
    drawn = pictures.waterfall(found, "A", "B")
    second, first = ticks(drawn)
    steps = bars(drawn)
    assert [kind for kind, *_ in steps] == ["adds", "takes", "adds", "takes"]
    assert steps[0][1] == pytest.approx(second, abs=0.02) and steps[-1][1] == pytest.approx(first, abs=0.02)
    assert re.findall(r">([+-]0\.\d{4})</text>", drawn) == ["+0.4000", "-0.3000", "+0.1000", "-0.0500"]


def test_ranks_are_drawn_from_where_passages_stood():
    places = [("a", "one", 2), ("b", "", 1), ("c", "far", 30), ("d", "new", None), ("e", "same", 5)]
    hits = tuple(
        Standing(passage_id, title, 0.5, before, 0.5, after)
        for after, (passage_id, title, before) in enumerate(places, 1)
    )
    drawn = pictures.slopes(Counterfactual("query", "dense", (), None, hits))
    lines = [line.get("class") for line in ElementTree.fromstring(drawn).iter(f"{SVG}line")]
    assert lines == ["up", "down", "up", "up", "same"]
    assert "was 30" in drawn and "was not found" in drawn and "2  b" in drawn


def by_words(pairs: np.ndarray) -> ByWords:
    query, passage = (tuple(Word(f"{kind}{i}", i) for i in range(n)) for kind, n in zip("qp", pairs.shape, strict=True))
    none = np.zeros((0, len(passage)))
    return ByWords(scored(float(pairs.sum()), bias=0.0), passage, query, none, np.zeros(0), none, 0.0, pairs)


def test_words_that_are_too_many_are_folded_and_nothing_is_lost():
    pairs = np.random.default_rng(0).normal(size=(30, 40))
    drawn = pictures.heat(by_words(pairs))
    values = [float(one) for one in re.findall(r"([+-]\d+\.\d{4})</title>", drawn)]
    assert drawn.count(">14 more</text>") == 2
    assert sum(values) == pytest.approx(pairs.sum(), abs=0.05)
    cells = [rect for rect in ElementTree.fromstring(drawn).iter(f"{SVG}rect") if rect.get("class") in ("hot", "cold")]
    largest = max(cells, key=lambda rect: float(rect.get("width", 0)))
    assert (largest.get("class") == "hot") == (values[int(np.argmax(np.abs(values)))] > 0)


def test_a_small_table_is_drawn_whole():
    drawn = pictures.heat(by_words(np.array([[0.4, -0.1], [0.0, 0.1]])))
    assert re.findall(r"<title>(.*?)</title>", drawn)[1:] == [
        "q0 \u00d7 p0 +0.4000",
        "q0 \u00d7 p1 -0.1000",
        "q1 \u00d7 p1 +0.1000",
    ]


def test_text_from_outside_stays_text():
    hostile = scored(0.5, 0.3, name=HOSTILE)
    hits = (Standing(HOSTILE, HOSTILE, 0.5, 2, 0.6, 1),)
    words = by_words(np.eye(2))
    said = ByWords(hostile, (Word(HOSTILE, 0), Word("b", 1)), (Word(HOSTILE, 0), Word("b", 1)), *_rest(words))
    for drawn in (
        pictures.staircase(hostile, HOSTILE), pictures.waterfall(difference(hostile, scored(0.1)), HOSTILE, HOSTILE),
        pictures.slopes(Counterfactual("query", "dense", (), None, hits)), pictures.heat(said),
    ):  # fmt: skip
        assert "<script" not in drawn and "\x1b" not in drawn and "\u202e" not in drawn
        ElementTree.fromstring(drawn)


def _rest(words: ByWords) -> tuple:
    return words.contributions, words.of_no_word, words.residual, words.residual_of_no_word, words.pairs


def test_commands_draw_what_they_show(tmp_path, kept_copy):
    hits = [hit.passage.passage_id for hit in uw.Project.open(kept_copy).search("wind", 2, system="dense")]
    for name, words in (
        ("stairs", ["explain", "a wind turbine", "turbines make power"]),
        ("heat", ["explain", "a wind turbine", "turbines make power", "--by-words"]),
        ("fall", ["difference", str(kept_copy), "wind", *hits]),
        ("slopes", ["counterfactual", str(kept_copy), "wind", "--in-query", "--add", "3=.2"]),
    ):
        done = CliRunner().invoke(main, [*words, "--svg", str(tmp_path / f"{name}.svg")])
        assert done.exit_code == 0, done.output
        ElementTree.fromstring((tmp_path / f"{name}.svg").read_text(encoding="utf-8"))
    refused = CliRunner().invoke(main, ["explain", "a", "b", "--two-sided", "--svg", str(tmp_path / "no.svg")])
    assert refused.exit_code == 2 and "has no picture" in refused.output
