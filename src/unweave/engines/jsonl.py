"""Passages as JSON lines: id, concepts and weights, and what travels with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.engines.engine import Rows, Shape
from unweave.engines.parts import Parts
from unweave.engines.written import rows_from


class JsonLines(Parts):
    """One object a line; a float is written with as many digits as give it back."""

    numbers = "floats of single precision, as the index has them"
    posting_bytes: float = 19
    extension = "jsonl"

    def mapping(self, shape: Shape) -> str:
        return json.dumps({"id": "text", "concepts": ["numbers of concepts"], "weights": ["impacts, in their order"]})

    def request(self, queries: csr_array, cutoff: int) -> str:
        first = queries[[0]]
        return json.dumps({"concepts": first.indices.tolist(), "weights": shortest(first.data)})

    def write(self, path: Path, rows: Rows) -> None:
        with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            for i, passage_id in enumerate(rows.ids):
                row = slice(rows.impacts.indptr[i], rows.impacts.indptr[i + 1])
                vector = {"concepts": rows.impacts.indices[row].tolist(), "weights": shortest(rows.impacts.data[row])}
                line = {"id": passage_id, **vector, **rows.fields[i]}
                file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")

    def read(self, path: Path, first: int) -> Rows:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return rows_from(
            first, [line["id"] for line in lines], [line["concepts"] for line in lines],
            [line["weights"] for line in lines], self.shape.n_latents,
        )  # fmt: skip


def shortest(values: NDArray[np.float32]) -> list[float]:
    """Floats of single precision by the fewest digits that give each of them back."""
    return [float(str(value)) for value in values.astype(np.float32)]
