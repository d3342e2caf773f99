"""Lucene itself, by Anserini's commands as the page shows them: it reads the export, and finds what was written."""

from __future__ import annotations

from pathlib import Path

import engines_here as here
import pytest

from benchmarks_of_the_repository import load_benchmark
from unweave.engines.agreement import agreement
from unweave.engines.anserini import Anserini, topics
from unweave.engines.engine import Found
from unweave.engines.sending import send, shape_of
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES

lucene = load_benchmark("engines_peers.lucene")
JAVA = next(iter((lucene.JAR.parent / "anserini").glob(f"{lucene.RUNTIME}/bin/java")), None)
pytestmark = pytest.mark.skipif(
    JAVA is None or not lucene.JAR.is_file(),
    reason="Anserini's jar and its Java are not here: python benchmarks/engines.py --quick --only anserini",
)
BRIEFLY = "-XX:TieredStopAtLevel=1"
PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


class ByCommands(Anserini):
    """Lucene's index beside the export, and searches of all queries at once."""

    def finish(self):
        super().finish()
        lucene.run(self.mapping(self.shape), JAVA, self.folder.parent, BRIEFLY)

    def search(self, queries, cutoff):
        (self.folder.parent / "request.txt").write_text(topics(queries))
        lucene.run(shown("SearchCollection"), JAVA, self.folder.parent, BRIEFLY)
        found = [Found([], []) for _ in range(queries.shape[0])]
        for line in (self.folder.parent / "run.txt").read_text(encoding="utf-8").splitlines():
            query, _, passage_id, _, score, _ = line.split(" ")
            found[int(query)].ids.append(passage_id)
            found[int(query)].scores.append(float(score))
        return found


def shown(name: str) -> str:
    """The command of this name that the page shows, on one line."""
    page = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    (command,) = [line.strip() for line in page.splitlines() if line.startswith("    java") and name in line]
    return command


def test_lucene_finds_what_the_index_finds_and_scores_as_it_was_written(tmp_path):
    rows, ids = here.rows_of_latents(300), [f"p{i}" for i in range(300)]  # a run's ids have no blanks
    index = ConceptIndex.build(rows, ids, PROFILES["default"], folder=tmp_path / "index")
    engine = ByCommands(tmp_path / "passages")
    send(index, engine, shape_of(index, ""))
    searched = engine.search(here.queries(), 10)
    assert [one.scores for one in searched] == [one.scores for one in Anserini.search(engine, here.queries(), 10)]
    engine.search = lambda *_: searched
    found = agreement(index, engine, here.queries())
    assert found.share >= 0.98 and found.error < 0.02, found  # few passages: the last of ten is often nearly a tie
