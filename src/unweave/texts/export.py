"""A collection written back as others read it: BEIR's folder.

corpus.jsonl       _id, title, text, metadata
queries.jsonl      _id, text, metadata
qrels/SPLIT.tsv    query-id, corpus-id, score, with a header
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unweave.base.files import new_folder
from unweave.base.records import Passage, Query
from unweave.errors import BadData
from unweave.texts.queries import Qrels, write_qrels


def write_beir(folder: Path, passages: Iterable[Passage], queries: Iterable[Query], qrels: Mapping[str, Qrels]) -> None:
    """Write a collection as BEIR's `GenericDataLoader` and `open_collection` read it.

    Args:
        folder: made here; on an error nothing of it is left.
        qrels: judgements by split; there may be none.

    Raises:
        BadData: the folder is there already, or a judged id has a tab or line break.
    """
    if folder.exists():
        raise BadData(f"{folder} is there already; give a new folder to write the collection to")
    with new_folder(folder) as made:
        _write_lines(
            made / "corpus.jsonl",
            ({"_id": p.passage_id, "title": p.title, "text": p.text, "metadata": p.metadata} for p in passages),
        )
        _write_lines(made / "queries.jsonl", ({"_id": q.query_id, "text": q.text, "metadata": {}} for q in queries))
        (made / "qrels").mkdir()
        for split, judged in qrels.items():
            write_qrels(made / "qrels" / f"{split}.tsv", judged)


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
