"""The report of an export, on engines that are wrong in a known way."""

from __future__ import annotations

import engines_here as here
import pytest

from unweave.engines.agreement import agreement
from unweave.engines.engine import Found
from unweave.engines.jsonl import JsonLines
from unweave.engines.sending import send, shape_of


class Wrong(JsonLines):
    """Finds what it should, changed by a function."""

    change = staticmethod(lambda found: found)

    def search(self, queries, cutoff):
        return [self.change(found) for found in super().search(queries, cutoff)]


@pytest.fixture
def report(tmp_path):
    def make(change):
        index, engine = here.index_of(tmp_path / "index"), Wrong(tmp_path / "files")
        engine.change = change
        send(index, engine, shape_of(index, ""))
        return agreement(index, engine, here.queries())

    return make


def test_nothing_differs(report):
    found = report(lambda found: found)
    assert (found.share, found.same_order, found.n_queries) == (1, 40, 40) and found.why.startswith("nothing")


def test_one_of_ten_is_missing(report):
    found = report(lambda found: Found(found.ids[1:], found.scores[1:]))
    assert found.share == pytest.approx(0.9) and found.same_order == 0 and "prunes" in found.why


def test_one_twice_is_one(report):
    assert report(lambda found: Found(found.ids[:1] * 10, found.scores[:1] * 10)).share == pytest.approx(0.1)


def test_ids_that_nobody_knows_count_for_nothing(report):
    assert report(lambda found: Found([f"{one}?" for one in found.ids], found.scores)).share == 0


def test_another_unit_is_no_error_and_other_scores_are(report):
    assert report(lambda found: Found(found.ids, [3 * s for s in found.scores])).error < 1e-6
    found = report(lambda found: Found(found.ids[::-1], [s * (1 + i / 10) for i, s in enumerate(found.scores)][::-1]))
    assert found.error > 0.01 and found.same_order < 40 and "changes scores by" in found.why
