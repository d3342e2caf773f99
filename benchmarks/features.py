"""Do Lucene's feature fields find what an export for Elasticsearch or OpenSearch says will be found?

    UNWEAVE_DATA=… python benchmarks/features.py [--passages 2000]

Neither engine can be had here, and both make `sparse_vector` and `rank_features` of one class of Lucene's,
FeatureField, asked by FeatureField.newLinearQuery. That class, in Anserini's jar, gets the passages of
benchmarks/engines.py and its 200 queries; what it finds is compared with what `unweave export elasticsearch --dry-run`
computes.

Writes nothing; the last line is one JSON object: `lucene` (its version), `same_passages` (queries for which both find
the same ten in the same order), `score_error` (the largest difference of a score, relatively), `share` (of the index's
best ten, by both), `largest_weight` (of a query, that Lucene takes).
"""

from __future__ import annotations

import argparse
import json
import os
import site
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import engines  # isort: skip  (adds what UNWEAVE_BENCHMARK_SEES names, so it comes first)
from engines_peers.lucene import home, jar
from environments import CACHE, HERE, python_of
from scipy.sparse import csr_array, load_npz

from unweave.engines.agreement import agreement
from unweave.engines.engine import Found, term
from unweave.engines.numbers import at_most, positive
from unweave.engines.opensearch import CEILING
from unweave.engines.rehearsal import Rehearsal, features
from unweave.engines.sending import rows_of, shape_of
from unweave.index.concept_index import ConceptIndex

LUCENE = "org.apache.lucene"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=2_000)
    options = parser.parse_args()
    folder = CACHE / "engines" / str(options.passages)
    if find_spec("jnius") is None:
        engines.prepared(folder, options.passages)
        python = python_of(HERE / "engines_peers" / "requirements-anserini.txt")
        sees = {"UNWEAVE_BENCHMARK_SEES": os.pathsep.join(site.getsitepackages())}
        raise SystemExit(subprocess.run([python, *sys.argv], env={**os.environ, **sees}).returncode)
    index, queries = ConceptIndex.open(folder / "index"), load_npz(folder / "queries.npz")
    lucene = FeatureFields(index)
    predicted = Rehearsal(index, shape_of(index, ""), features(CEILING), lucene.numbers)
    pairs = list(zip(lucene.search(queries, 10), predicted.search(queries, 10), strict=True))
    print(agreement(index, lucene, queries))
    print(agreement(index, predicted, queries))
    print(json.dumps({
        "lucene": lucene.version,
        "same_passages": sum(found.ids == said.ids for found, said in pairs) / len(pairs),
        "score_error": max(
            abs(a - b) / b for found, said in pairs for a, b in zip(found.scores, said.scores, strict=True)
        ),
        "share": [agreement(index, one, queries).share for one in (lucene, predicted)],
        "largest_weight": lucene.largest_weight(),
    }))  # fmt: skip


class FeatureFields:
    """An index of Lucene's in memory, a feature a concept."""

    numbers = "9 significant bits"

    def __init__(self, index: ConceptIndex) -> None:
        os.environ["JAVA_HOME"] = str(home())
        import jnius_config

        jnius_config.set_classpath(str(jar()))
        self.feature = _java("document.FeatureField")
        self.version, self.ids = str(_java("util.Version").LATEST.toString()), list[str]()
        folder = _java("store.ByteBuffersDirectory")()
        writer = _java("index.IndexWriter")(folder, _java("index.IndexWriterConfig")())
        for rows in rows_of(index):
            for i, passage_id in enumerate(rows.ids):
                document = _java("document.Document")()
                for latent, impact in _pairs(rows.impacts, i):
                    document.add(self.feature("impacts", term(latent), impact))
                writer.addDocument(document)
                self.ids.append(passage_id)
        writer.commit()
        writer.close()
        from jnius import cast

        reader = cast(f"{LUCENE}.index.IndexReader", _java("index.DirectoryReader").open(folder))
        self.searcher = _java("search.IndexSearcher")(reader)

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        asked, found = at_most(positive(queries), CEILING), []
        should = _java("search.BooleanClause$Occur").SHOULD
        for row in range(asked.shape[0]):
            query = _java("search.BooleanQuery$Builder")()
            for latent, weight in _pairs(asked, row):
                query.add(self.feature.newLinearQuery("impacts", term(latent), weight), should)
            hits = self.searcher.search(query.build(), cutoff).scoreDocs
            found.append(Found([self.ids[hit.doc] for hit in hits], [float(hit.score) for hit in hits]))
        return found

    def largest_weight(self) -> int:
        """The largest whole weight of a query that is not refused."""
        from jnius import JavaException

        weight = 1
        try:
            while weight < 2**20:
                self.feature.newLinearQuery("impacts", term(0), float(weight + 1))
                weight += 1
        except JavaException:
            return weight
        return weight


def _java(name: str) -> Any:
    from jnius import autoclass

    return autoclass(f"{LUCENE}.{name}")


def _pairs(rows: csr_array, nth: int) -> list[tuple[int, float]]:
    row = slice(rows.indptr[nth], rows.indptr[nth + 1])
    return list(zip(rows.indices[row].tolist(), map(float, rows.data[row].tolist()), strict=True))


if __name__ == "__main__":
    main()
