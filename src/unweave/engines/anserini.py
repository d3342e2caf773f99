"""Lucene by Anserini: its JsonVectorCollection, JSON lines whose words have whole numbers as weights.

Anserini's impact index repeats a word as often as its weight says, so that more bits take longer to index, and reads
weights by `asInt()`, so that a float below 1 would be none.
"""

from __future__ import annotations

import json
from pathlib import Path

from scipy.sparse import csr_array

from unweave.engines.engine import Found, Rows, Shape, contents, latent_of, term
from unweave.engines.numbers import said_of, whole_queries, whole_rows
from unweave.engines.parts import Parts
from unweave.engines.written import rows_from

BITS = 8


class Anserini(Parts):
    """One object a line: id, contents, vector; queries are whole numbers too."""

    numbers = said_of(BITS)
    posting_bytes: float = 17
    extension = "jsonl"

    def mapping(self, shape: Shape) -> str:
        return (
            "java -cp anserini-fatjar.jar io.anserini.index.IndexCollection -collection JsonVectorCollection "
            "-generator DefaultLuceneDocumentGenerator -impact -pretokenized -input passages -index lucene -threads 1"
        )

    def request(self, queries: csr_array, cutoff: int) -> str:
        return topics(queries[[0]]).strip()

    def write(self, path: Path, rows: Rows) -> None:
        impacts = whole_rows(rows.impacts, self.shape.largest, BITS)
        with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for i, passage_id in enumerate(rows.ids):
                row = slice(impacts.indptr[i], impacts.indptr[i + 1])
                vector = dict(zip(map(term, impacts.indices[row].tolist()), impacts.data[row].tolist(), strict=True))
                line = {"id": passage_id, "contents": contents(rows.fields[i]), "vector": vector}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def read(self, path: Path, first: int) -> Rows:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        vectors = [line["vector"] for line in lines]
        latents = [[latent_of(word) for word in vector] for vector in vectors]
        ids, weights = [line["id"] for line in lines], [list(vector.values()) for vector in vectors]
        return rows_from(first, ids, latents, weights, self.shape.n_latents)

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return super().search(whole_queries(queries, BITS), cutoff)


def topics(queries: csr_array) -> str:
    """Queries as Anserini's `SearchCollection` reads them: a number, a tab, and each word as often as its weight."""
    lines = []
    for number, query in enumerate(whole_queries(queries[[row]], BITS) for row in range(queries.shape[0])):
        words = (f"{term(j)} " * weight for j, weight in zip(query.indices.tolist(), query.data.tolist(), strict=True))
        lines.append(f"{number}\t{''.join(words).strip()}\n")
    return "".join(lines)
