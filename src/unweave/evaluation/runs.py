"""Runs and judgements in TREC's files, which `trec_eval` and `ir_measures` read too.

    run      query id, Q0, passage id, rank, score, system
    qrels    query id, 0, passage id, grade

Columns are parted by blanks, so that an id cannot hold one: each is percent-encoded as in an address (a space is %20),
in runs and judgements alike, and nothing else is, so that all other ids stand there as their owner writes them.
"""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import quote

from unweave.base.foreign import LONGEST_ID, shown
from unweave.errors import BadData
from unweave.texts.queries import Qrels
from unweave.texts.readers import read_lines

Run = dict[str, list[tuple[str, float]]]
"""Passage ids and scores, best first, by query id. A query without hits is there with an empty list."""


def trec_id(identifier: str) -> str:
    """An id as TREC's files have it."""
    return "".join(quote(c) if c.isspace() else c for c in identifier)


def trec_qrels(qrels: Qrels) -> Qrels:
    """Judgements with ids as TREC's files have them, to measure by what `read_run` gives.

    Raises:
        BadData: two ids become one.
    """
    judged: Qrels = {}
    for query_id, grades in qrels.items():
        by_id = {trec_id(passage_id): grade for passage_id, grade in grades.items()}
        if len(by_id) < len(grades) or trec_id(query_id) in judged:
            raise BadData(
                f"query {shown(query_id)}, or a passage judged for it, has the id of another once its blanks are "
                "percent-encoded, as TREC's files need it; give one of the two another id"
            )
        judged[trec_id(query_id)] = by_id
    return judged


def write_run(path: Path, run: Run, system: str) -> None:
    """Write a run."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, hits in run.items():
            for rank, (passage_id, score) in enumerate(hits, start=1):
                file.write(f"{trec_id(query_id)} Q0 {trec_id(passage_id)} {rank} {score!r} {trec_id(system)}\n")


def write_trec_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements, by which `trec_eval` and `ir_measures` measure what `write_run` wrote.

    Raises:
        BadData: two ids become one, see `trec_id`.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, grades in trec_qrels(qrels).items():
            for passage_id, grade in grades.items():
                file.write(f"{query_id} 0 {passage_id} {grade}\n")


def read_run(path: Path) -> Run:
    """Read a run, gzipped or not; ids are as TREC's files have them, see `trec_id`.

    Scores decide the order and the written rank is not read, as in `trec_eval`; equal scores keep the file's order.

    Raises:
        BadData: there is no such file, a line does not have TREC's six columns, has an id longer than `LONGEST_ID`, or
            names a query's passage again.
    """
    if not path.is_file():
        raise BadData(f"there is no run at {path}; expected a file of TREC's six columns, gzipped if it ends in .gz")
    found: dict[str, dict[str, float]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        try:
            query_id, _, passage_id, _, written, _ = line.split()
            score = float(written)
        except ValueError:
            score = math.nan
        if math.isnan(score):
            raise BadData(f"{path}:{number}: not a line of a TREC run: {shown(line.strip())}")
        if max(len(query_id), len(passage_id)) > LONGEST_ID:
            raise BadData(f"{path}:{number}: an id of over {LONGEST_ID:,} characters")
        hits = found.setdefault(query_id, {})
        if passage_id in hits:
            raise BadData(f"{path}:{number}: query {shown(query_id)} has the passage {shown(passage_id)} a second time")
        hits[passage_id] = score
    return {q: sorted(hits.items(), key=lambda hit: -hit[1]) for q, hits in found.items()}
