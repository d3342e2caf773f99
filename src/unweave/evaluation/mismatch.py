"""The mismatch subset: queries that share too few words with what answers them for lexical search to find any of it.

Dense retrieval earns its cost there, so there a system that explains it has to hold.
Source: Park, Kim & Ko 2025, arXiv 2506.00041.
"""

from __future__ import annotations

from unweave.evaluation.runs import Run
from unweave.texts.queries import Qrels

_MANY, _DEPTH, _DEPTH_OF_FEW = 100_000, 1000, 100


def depth_for(n_passages: int) -> int:
    """How deep lexical search is looked through: 1,000, or 100 where that would be much of the corpus."""
    return _DEPTH if n_passages >= _MANY else _DEPTH_OF_FEW


def mismatched(lexical: Run, qrels: Qrels, depth: int) -> Qrels:
    """The judgements of those queries that have relevant passages, none of them among the run's first `depth`."""
    return {
        query_id: judged
        for query_id, judged in qrels.items()
        if (relevant := {passage_id for passage_id, grade in judged.items() if grade > 0})
        and relevant.isdisjoint(passage_id for passage_id, _ in lexical.get(query_id, [])[:depth])
    }
