"""The best passages of written rows, by reading all of them: how a file is held to the index that it was made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

from unweave.engines.engine import Found, Rows


def scan(batches: Iterable[Rows], queries: csr_array, cutoff: int) -> list[Found]:
    """The best passages of each query, (n_queries, n_latents), that share a latent with it; ties keep the order."""
    best: list[list[tuple[float, int, str]]] = [[] for _ in range(queries.shape[0])]
    shared = (queries != 0).astype(np.int32).T.tocsc()
    weights = queries.astype(np.float64).T.tocsc()
    for rows in batches:
        impacts = rows.impacts.astype(np.float64)
        scores, matched = (impacts @ weights).toarray(), ((impacts != 0).astype(np.int32) @ shared).toarray()
        for query, ranked in enumerate(best):
            at = np.flatnonzero(matched[:, query])
            first = at[np.argsort(-scores[at, query], kind="stable")[:cutoff]]
            ranked += [(-float(scores[i, query]), rows.first + int(i), rows.ids[i]) for i in first]
            ranked.sort()
            del ranked[cutoff:]
    return [Found([one[2] for one in ranked], [-one[0] for one in ranked]) for ranked in best]
