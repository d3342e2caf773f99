"""Dense vectors, quantised: the best passages of each query by FAISS, exhaustively.

    python run_faiss.py FOLDER DEPTH

The folder holds training.npy, passages.npy and queries.npy, and gets found.npz: `NAME.passages` and `NAME.scores`,
(n_queries, depth), and `NAME.bytes`, of a passage, for product quantisation at two sizes and scalar quantisation to 8
bits, trained on the training vectors, and for one bit a dimension (the query whole, against signs around the mean).
"""

from __future__ import annotations

import sys
from pathlib import Path

import faiss
import numpy as np

PQ_BYTES = (96, 48)


def main() -> None:
    folder = Path(sys.argv[1])
    training, passages, queries = (np.load(folder / f"{name}.npy") for name in ("training", "passages", "queries"))
    d, depth = training.shape[1], min(int(sys.argv[2]), len(passages))
    indexes = {f"PQ {m} B": faiss.IndexPQ(d, m, 8, faiss.METRIC_INNER_PRODUCT) for m in PQ_BYTES}
    indexes["int8"] = faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    found: dict[str, np.ndarray] = {}
    for name, index in indexes.items():
        index.train(training)
        index.add(passages)
        found[f"{name}.scores"], found[f"{name}.passages"] = index.search(queries, depth)
        found[f"{name}.bytes"] = np.array(index.sa_code_size())
    signs = faiss.IndexFlatIP(d)
    signs.add(np.where(passages > training.mean(axis=0), 1, -1).astype(np.float32))
    found["binary.scores"], found["binary.passages"] = signs.search(queries, depth)
    found["binary.bytes"] = np.array(d // 8)
    np.savez(folder / "found.npz", **found)


if __name__ == "__main__":
    main()
