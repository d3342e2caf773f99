"""Passages as Parquet, which DuckDB, Polars and Spark read: id, concepts and weights, and what travels with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.engines.engine import Rows, Shape
from unweave.engines.parts import Parts

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = ("title", "text", "metadata")
_DUCKDB = """WITH query(concept, weight) AS (VALUES {values}),
passage AS (SELECT id, unnest(concepts) AS concept, unnest(weights) AS impact FROM 'passages/*.parquet')
SELECT id, sum(weight * impact) AS score FROM passage JOIN query USING (concept)
GROUP BY id ORDER BY score DESC LIMIT {cutoff};  -- as DuckDB reads it"""


class Parquet(Parts):
    """One row a passage; each file a row group, compressed by zstd."""

    numbers = "floats of single precision, as the index has them"
    posting_bytes: float = 4
    extension = "parquet"

    def __init__(self, folder: Path) -> None:
        require("writing Parquet", "parquet", "pyarrow")
        super().__init__(folder)

    def mapping(self, shape: Shape) -> str:
        return str(_schema())

    def request(self, queries: csr_array, cutoff: int) -> str:
        values = ", ".join(f"({j}, {w:.9g})" for j, w in zip(queries[[0]].indices, queries[[0]].data, strict=True))
        return _DUCKDB.format(values=values, cutoff=cutoff)

    def write(self, path: Path, rows: Rows) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ends = pa.array(rows.impacts.indptr.astype(np.int32))
        concepts = pa.ListArray.from_arrays(ends, pa.array(rows.impacts.indices.astype(np.int32)))
        weights = pa.ListArray.from_arrays(ends, pa.array(rows.impacts.data.astype(np.float32)))
        columns = {"id": [_utf8(one) for one in rows.ids], "concepts": concepts, "weights": weights}
        columns["embedding"] = [None] * len(rows.ids) if rows.embeddings is None else list(rows.embeddings)
        for name in _TEXTS:
            columns[name] = [_text(fields.get(name)) for fields in rows.fields]
        pq.write_table(pa.table(columns, schema=_schema()), path, compression="zstd")

    def read(self, path: Path, first: int) -> Rows:
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=["id", "concepts", "weights"]).combine_chunks()
        concepts, weights = (table[name].combine_chunks() for name in ("concepts", "weights"))
        parts = weights.flatten().to_numpy(), concepts.flatten().to_numpy(), concepts.offsets.to_numpy()
        impacts = csr_array(parts, shape=(table.num_rows, self.shape.n_latents))
        return Rows(first, table["id"].to_pylist(), impacts, [{}] * table.num_rows)


def _schema() -> pa.Schema:
    import pyarrow as pa

    numbers = [("concepts", pa.list_(pa.int32())), ("weights", pa.list_(pa.float32())),
               ("embedding", pa.list_(pa.float32()))]  # fmt: skip
    return pa.schema([("id", pa.string()), *numbers, *((name, pa.string()) for name in _TEXTS)])


def _text(value: object) -> str | None:
    if value is None:
        return None
    return _utf8(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _utf8(text: str) -> str:
    """A text without halves of characters, which Parquet cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
