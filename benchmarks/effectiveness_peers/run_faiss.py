"""Dense vectors, quantised: the best passages of each query by FAISS, exhaustively.

    python run_faiss.py TRAINING.npy PASSAGES.npy QUERIES.npy DEPTH OUT.npz

Writes `NAME.passages` and `NAME.scores`, (n_queries, depth), and `NAME.bytes`, of a passage, for product quantisation
at two sizes (trained on the training vectors), for scalar quantisation to 8 bits, and for one bit a dimension (the
query whole, against signs of what differs from the mean).
"""

from __future__ import annotations

import sys

import faiss
import numpy as np


def main() -> None:
    training, passages, queries = (np.load(path) for path in sys.argv[1:4])
    depth, out = min(int(sys.argv[4]), len(passages)), sys.argv[5]
    d = passages.shape[1]
    indexes = {f"PQ {m} B": faiss.IndexPQ(d, m, 8, faiss.METRIC_INNER_PRODUCT) for m in (96, 48)}
    indexes["int8"] = faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    found: dict[str, np.ndarray] = {}
    for name, index in indexes.items():
        index.train(training)
        index.add(passages)
        found[f"{name}.scores"], found[f"{name}.passages"] = index.search(queries, depth)
        found[f"{name}.bytes"] = np.array(index.sa_code_size())
    signs = np.where(passages > training.mean(axis=0), 1, -1).astype(np.float32)
    index = faiss.IndexFlatIP(d)
    index.add(signs)
    found["binary.scores"], found["binary.passages"] = index.search(queries, depth)
    found["binary.bytes"] = np.array(d // 8)
    np.savez(out, **found)


if __name__ == "__main__":
    main()
