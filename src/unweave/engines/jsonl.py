"""Passages as JSON lines: id, concepts and weights, and what travels with them."""

from __future__ import annotations

import json
from pathlib import Path

from scipy.sparse import csr_array

from unweave.engines.engine import Rows, Shape
from unweave.engines.numbers import shortest
from unweave.engines.parts import Parts
from unweave.engines.written import rows_from


class JsonLines(Parts):
    """One object a line; a float is written with as many digits as give it back."""

    numbers = "floats of single precision, as the index has them"
    posting_bytes: float = 19
    extension = "jsonl"

    def mapping(self, shape: Shape) -> str:
        dense = {"embedding": [f"{shape.width} numbers"]} if shape.width else {}
        vector = {"concepts": ["numbers of concepts"], "weights": ["impacts, in their order"]}
        return json.dumps({"id": "text", **vector, **dense})

    def request(self, queries: csr_array, cutoff: int) -> str:
        first = queries[[0]]
        return json.dumps({"concepts": first.indices.tolist(), "weights": shortest(first.data)})

    def write(self, path: Path, rows: Rows) -> None:
        with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for i, passage_id in enumerate(rows.ids):
                row = slice(rows.impacts.indptr[i], rows.impacts.indptr[i + 1])
                vector = {"concepts": rows.impacts.indices[row].tolist(), "weights": shortest(rows.impacts.data[row])}
                dense = {} if rows.embeddings is None else {"embedding": shortest(rows.embeddings[i])}
                line = {"id": passage_id, **vector, **dense, **rows.fields[i]}
                file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def read(self, path: Path, first: int) -> Rows:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return rows_from(
            first, [line["id"] for line in lines], [line["concepts"] for line in lines],
            [line["weights"] for line in lines], self.shape.n_latents,
        )  # fmt: skip
