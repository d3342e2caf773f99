"""A run: for each query, the passages that a system found, with scores; on disk in TREC's six columns."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from unweave.errors import BadData

Run = dict[str, list[tuple[str, float]]]
"""Passage ids and scores, best first, by query id. A query without hits is there with an empty list."""


def write_run(path: Path, run: Run, system: str) -> None:
    """Write a run; blanks in ids, which TREC's format cannot hold, are percent-encoded."""
    with path.open("w", encoding="utf-8") as file:
        for query_id, hits in run.items():
            for rank, (passage_id, score) in enumerate(hits, start=1):
                file.write(f"{_escape(query_id)} Q0 {_escape(passage_id)} {rank} {score!r} {system}\n")


def read_run(path: Path) -> Run:
    """Read what `write_run` or another tool wrote.

    Raises:
        BadData: a line does not have TREC's six columns.
    """
    run: Run = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                query_id, _, passage_id, _, score, _ = line.split()
                run.setdefault(unquote(query_id), []).append((unquote(passage_id), float(score)))
            except ValueError as error:
                raise BadData(f"{path}:{number}: not a line of a TREC run: {line.strip()!r}") from error
    return run


def _escape(identifier: str) -> str:
    return "".join(quote(c) if c.isspace() or c == "%" else c for c in identifier)
