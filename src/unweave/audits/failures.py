"""Concepts over-represented in failures and in successes, and whether without them a query does better or worse.

A query fails where passages that are not relevant stand before the first relevant one; it succeeds where none does. A
dense score is a sum of concepts, z_j(d) (w_j . q) each. The effect of concept j is the mean, over queries, of

    (mean part of j in the wrong hits - mean part of j in the relevant passages) / spread of the query's scores

where the wrong hits of a failure stand before the first relevant passage, and those of a success behind it. Above 0 the
concept speaks for what is wrong, below 0 for what is right. Test: Wilcoxon's signed ranks over the queries where it has
a part. Counterfactual, exact: its part is taken from every passage's score, and all queries that it reaches are ranked
and measured again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.audits.audited import FIRST, Audited
from unweave.audits.claims import CONCEPTS, Confirmation, Counterfactual, Subject, Tested
from unweave.evaluation.significance import interval

FEWEST = 8
"""Queries in which a concept has a part, at least: Wilcoxon's p is then above .004."""
SMALLEST = 0.1
"""A tenth of the spread of a query's first hundred scores, of one concept among some thirty."""
SMALLEST_CHANGE = 0.005
"""What the measure has to change by, on the mean of the queries that the concept reaches, without it."""
UNIT = "spreads of the first hundred scores"
FAILURE, SUCCESS = "failure", "success"


def tests(of: Audited) -> Iterator[Tested]:
    """One test a concept and side, of those that have a part in enough queries."""
    for kind in (FAILURE, SUCCESS):
        queries, parts = surplus(of, kind)
        columns = parts.tocsc()
        for latent in np.flatnonzero(np.diff(columns.indptr) >= FEWEST).tolist():
            held = slice(columns.indptr[latent], columns.indptr[latent + 1])
            rows, values = columns.indices[held], columns.data[held]
            yield _tested(of, kind, latent, [queries[row] for row in rows.tolist()], values)


def surplus(of: Audited, kind: str) -> tuple[list[int], csr_array]:
    """Which queries failed, or succeeded, and each concept's part in wrong hits less that in relevant ones.

    Returns:
        The queries, and (n_of_them, n_latents) parts in spreads of each query's scores.
    """
    queries, rows = [], []
    for query in of.judged:
        hits = of.found[query].tolist()
        relevant = list(of.relevant[query])
        first = next((rank for rank, at in enumerate(hits) if at in of.relevant[query]), len(hits))
        before = hits[: min(first, FIRST)]
        behind = [at for at in hits[first + 1 : first + 1 + FIRST] if at not in of.relevant[query]]
        wrong = before if kind == FAILURE else behind if first == 0 else []
        if not wrong:
            continue
        queries.append(query)
        latents = _mean(of.latents, wrong) - _mean(of.latents, relevant)
        held = csr_array(latents)
        weights = of.sae.W_dec[held.indices] @ of.asked[query] / of.spread[query]
        rows.append((held.indices, held.data * weights))
    offsets = np.cumsum([0, *(len(latents) for latents, _ in rows)])
    latents, values = (np.concatenate([np.empty(0), *column]) for column in zip(*rows, strict=True)) if rows else (
        np.empty(0), np.empty(0))  # fmt: skip
    shape = (len(queries), of.latents.shape[1])
    found = csr_array((values, latents.astype(np.int32), offsets), shape=shape)
    found.eliminate_zeros()
    return queries, found


def _mean(latents: csr_array, positions: list[int]) -> csr_array:
    some = csr_array(latents[positions])
    return csr_array(csr_array(np.full((1, len(positions)), 1 / len(positions))) @ some)


def _tested(of: Audited, kind: str, latent: int, queries: list[int], values: NDArray[np.float64]) -> Tested:
    from scipy.stats import wilcoxon

    p = float(wilcoxon(values, alternative="greater" if kind == FAILURE else "less").pvalue)
    effect = float(values.mean()) * (1 if kind == FAILURE else -1)

    def confirm() -> Confirmation:
        counter = erased(of, kind, latent)
        low, high = interval(values if kind == FAILURE else -values, of.seed)
        where, than = ("wrong hits", "relevant passages") if kind == FAILURE else ("relevant passages", "wrong hits")
        sentence = (
            f"The concept {of.shown(latent)} speaks for {where}: in {len(queries)} queries that "
            f"{'fail' if kind == FAILURE else 'succeed'} it adds {effect:.2f} spreads more to {where} than to {than}."
        )
        largest = np.argsort(-np.abs(values), kind="stable")[:3].tolist()
        examples = tuple(of.queries[queries[i]].query_id for i in largest)
        return Confirmation(sentence, low, high, examples, counter)

    label = of.names.get(latent)
    subject = Subject("concept", label.name if label else "", latent)
    return Tested(kind, CONCEPTS, subject, max(effect, 0.0), UNIT, SMALLEST, p, len(queries), confirm)


def erased(of: Audited, kind: str, latent: int) -> Counterfactual:
    """What the measure becomes when a concept's part is taken from every score, over all queries that it reaches."""
    positions, activations = of.column(latent)
    reached = np.zeros(len(of.passages), np.bool_)
    reached[positions] = True
    queries = [q for q in of.judged if reached[of.dense[q]].any() or reached[list(of.relevant[q])].any()]

    def without(query: int, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = scores.copy()
        scores[positions] -= activations * float(of.sae.W_dec[latent] @ of.asked[query])
        return scores

    before = of.values(queries, [of.dense[query] for query in queries])
    after = of.values(queries, of.ranked(queries, without))
    gains = after - before if kind == FAILURE else before - after
    low, _ = interval(gains, of.seed)
    stands = bool(low > 0 and gains.mean() >= SMALLEST_CHANGE)
    changed = "the concept taken from every passage, and all queries that it reaches ranked again"
    return Counterfactual(changed, of.measure, float(before.mean()), float(after.mean()), len(queries), stands)
