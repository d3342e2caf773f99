"""CIFF, the Common Index File Format, which Anserini, PISA, Terrier, JASS and OldDog read: postings of whole numbers.

Passages come one by one and postings lie concept by concept, so that passages are kept beside the file until all are
there. Source: Lin et al. 2020, arXiv 2003.08276, and its CommonIndexFileFormat.proto.

    index.ciff    a header, a list of postings for each concept in the order of its word, a record for each passage
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from unweave.base.files import write_atomically
from unweave.engines.engine import Found, Rows, Shape, latent_of, term
from unweave.engines.numbers import said_of, whole_queries, whole_rows
from unweave.engines.parts import Parts
from unweave.engines.scan import scan
from unweave.engines.wire import delimited, field, fields, messages, pairs

BITS = 8
_VERSION = 1
_FILE = "index.ciff"
_POSTINGS_AT_ONCE = 1 << 24
"""That are turned at once, about 500 MB."""


class Ciff(Parts):
    """One file; a passage's length is the sum of its impacts, and an engine has to score by the sum of products."""

    numbers = said_of(BITS)
    posting_bytes: float = 8
    extension = "npz"

    def mapping(self, shape: Shape) -> str:
        return "Header(1), PostingsList(term, df, cf, Posting(docid gap, tf = impact)), DocRecord(docid, id, length)"

    def request(self, queries: csr_array, cutoff: int) -> str:
        first = whole_queries(queries[[0]], BITS)
        return " ".join(
            f"{term(j)}^{weight}" for j, weight in zip(first.indices.tolist(), first.data.tolist(), strict=True)
        )

    @property
    def file(self) -> Path:
        """The index itself."""
        return self.folder / _FILE

    def write(self, path: Path, rows: Rows) -> None:
        impacts = whole_rows(rows.impacts, self.shape.largest, BITS)
        ids = np.frombuffer(json.dumps(list(rows.ids)).encode(), np.uint8)
        with path.open("wb") as file:
            np.savez(file, data=impacts.data, indices=impacts.indices, indptr=impacts.indptr, ids=ids)

    def read(self, path: Path, first: int) -> Rows:
        with np.load(path) as held:
            ids = json.loads(held["ids"].tobytes())
            parts = held["data"], held["indices"], held["indptr"]
        impacts = csr_array(parts, shape=(len(ids), self.shape.n_latents))
        return Rows(first, ids, impacts, [{}] * len(ids))

    def count(self) -> int:
        return self.shape.n_passages if self.file.is_file() else super().count()

    def finish(self) -> None:
        if super().count() == self.shape.n_passages:
            write_atomically(self.file, self._write)
        self._clear()  # passages are kept as long as the index is not whole

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return scan([read_ciff(self.file, self.shape.n_latents)], whole_queries(queries, BITS), cutoff)

    def _write(self, path: Path) -> None:
        frequency, total = np.zeros(self.shape.n_latents, np.int64), 0
        for rows in self.rows():
            frequency += np.bincount(rows.impacts.indices, minlength=self.shape.n_latents)
            total += int(rows.impacts.data.sum())
        length = total / max(self.shape.n_passages, 1)
        n_lists = int((frequency > 0).sum())
        with path.open("wb") as file:
            counts = [_VERSION, n_lists, self.shape.n_passages, n_lists, self.shape.n_passages, total, length]
            header = b"".join(field(number, value) for number, value in enumerate(counts, 1))
            file.write(delimited(header + field(8, f"concepts as terms, impacts of {BITS} bits as tf, by unweave")))
            self._write_postings(file, frequency)
            for rows in self.rows():
                for i, passage_id in enumerate(rows.ids):
                    length = int(rows.impacts.data[rows.impacts.indptr[i] : rows.impacts.indptr[i + 1]].sum())
                    record = field(1, rows.first + i) + field(2, passage_id) + field(3, length)
                    file.write(delimited(record))

    def _write_postings(self, file: IO[bytes], frequency: NDArray[np.int64]) -> None:
        for start, end in _groups(frequency):
            some = [rows.impacts[:, start:end] for rows in self.rows()]
            columns = vstack(some).tocsc()
            columns.sort_indices()
            for latent in range(start, end):
                held = slice(columns.indptr[latent - start], columns.indptr[latent - start + 1])
                docids, impacts = columns.indices[held].astype(np.int64), columns.data[held].astype(np.int64)
                if len(docids):
                    gaps = np.diff(docids, prepend=0)
                    head = field(1, term(latent)) + field(2, len(docids)) + field(3, int(impacts.sum()))
                    file.write(delimited(head + pairs(4, gaps, impacts)))


def _groups(frequency: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of latents whose postings fit into memory."""
    start, ends = 0, np.cumsum(frequency)
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _POSTINGS_AT_ONCE, side="right")))
        yield start, end
        start = end


def read_ciff(file: Path, n_latents: int) -> Rows:
    """The passages of a CIFF file whose terms are concepts, all at once.

    Raises:
        ValueError: it is no such file.
    """
    ids: list[str] = []
    rows, columns, impacts = [], [], []
    for number, message in enumerate(messages(memoryview(file.read_bytes()))):
        if number == 0:
            n_lists = dict(fields(message))[2]
        elif number <= n_lists:
            held = list(fields(message))
            postings = [tuple(value for _, value in fields(one)) for key, one in held if key == 4]
            gaps, weights = np.array(postings, np.int64).reshape(-1, 2).T
            rows.append(np.cumsum(gaps))
            columns.append(np.full(len(gaps), latent_of(bytes(dict(held)[1]).decode())))
            impacts.append(weights)
        else:
            ids.append(bytes(dict(fields(message))[2]).decode("utf-8"))
    parts = (np.concatenate(impacts), (np.concatenate(rows), np.concatenate(columns)))
    return Rows(0, ids, csr_array(coo_array(parts, shape=(len(ids), n_latents))), [{}] * len(ids))
