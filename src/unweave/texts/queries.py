"""The queries of a collection and which passages people judged relevant to them.

queries.jsonl      one JSON object a line: query_id, text
qrels/SPLIT.tsv    query-id, corpus-id, score: graded judgements of one split, as in BEIR
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from unweave.base.artifact import Manifest, check_file, damaged, read_file, read_manifest
from unweave.base.building import build
from unweave.base.foreign import HIGHEST_GRADE, LONGEST_ID, shown
from unweave.base.records import Query
from unweave.base.stored import read_record
from unweave.errors import BadData
from unweave.texts.readers import read_lines

Qrels = dict[str, dict[str, int]]
"""Grade of each judged passage id, by query id; a grade of 1 or more is relevant."""

TRAIN_SPLIT = "train"
_BREAKS = set("\t\n\r")


class QuerySet:
    """Queries in a fixed order, with judgements by split."""

    kind = "queries"

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def load(cls, folder: Path | str) -> QuerySet:
        """Open a query folder."""
        folder = Path(folder)
        return cls(folder, read_manifest(folder, cls.kind))

    @classmethod
    def write(
        cls,
        folder: Path,
        queries: Iterable[Query],
        qrels: Mapping[str, Qrels],
        *,
        settings: Mapping[str, Any],
    ) -> QuerySet:
        """Store queries and judgements.

        They are made from nothing, so that passages can be added to the corpus that they judge and they stay as they
        are; that their passages are there is for the caller to see to, by `known_judgements`.

        Raises:
            BadData: a query id is empty or occurs twice, or a judged query is not among the queries.
        """
        with build(folder, cls.kind, settings=settings, made_from={}) as made:
            seen: set[str] = set()
            with (made.path / "queries.jsonl").open("w", encoding="utf-8", errors="replace") as file:
                for query in queries:
                    if not query.query_id:
                        raise BadData(f"query {len(seen)} (counting from 0) has an empty id; ids must name queries")
                    if query.query_id in seen:
                        raise BadData(f"query id {shown(query.query_id)} occurs more than once; ids must be unique")
                    seen.add(query.query_id)
                    file.write(json.dumps(query._asdict(), ensure_ascii=False) + "\n")
            (made.path / "qrels").mkdir(exist_ok=True)
            for split, judgements in qrels.items():
                unknown = [query_id for query_id in judgements if query_id not in seen]
                if unknown:
                    raise BadData(
                        f"qrels/{split} judge {len(unknown)} query id(s) that the queries file does not have, "
                        f"first {shown(unknown[0])}; do both files come from the same collection?"
                    )
                write_qrels(made.path / "qrels" / f"{split}.tsv", judgements)
            made.results.update(
                n_queries=len(seen), judged_queries={split: len(judged) for split, judged in qrels.items()}
            )
        return cls.load(folder)

    def __repr__(self) -> str:
        judged = f", judged in {', '.join(self.splits)};" if self.splits else ""
        return f"QuerySet({len(self):,} queries{judged} in {self.folder})"

    def __len__(self) -> int:
        return len(self.all)

    @cached_property
    def all(self) -> list[Query]:
        """Every query, judged or not."""
        path = self.folder / "queries.jsonl"
        lines = read_file(self.folder, self.manifest, path.name).splitlines()
        with damaged(f"{path} does not hold queries ({{}}); make the project anew"):
            return [read_record(Query, json.loads(line), path) for line in lines]

    @property
    def splits(self) -> list[str]:
        """Names of the splits that have judgements."""
        return sorted(Path(name).stem for name in self.manifest.files if name.startswith("qrels/"))

    def qrels(self, split: str) -> Qrels:
        """The judgements of one split."""
        if split not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise BadData(f"there are no judgements for split {split!r}; this collection has: {known}")
        return read_qrels(check_file(self.folder, self.manifest, f"qrels/{split}.tsv"))

    def judged(self, split: str) -> list[int]:
        """Positions of the queries that have judgements in a split."""
        judged = self.qrels(split)
        return [i for i, query in enumerate(self.all) if query.query_id in judged]


def read_qrels(path: Path) -> Qrels:
    """Read judgements: BEIR's three columns with a header, or TREC's four without.

    Raises:
        BadData: a line has another number of columns, an id longer than `LONGEST_ID`, or a grade that is no whole
            number from -`HIGHEST_GRADE` to `HIGHEST_GRADE`.
    """
    qrels: Qrels = {}
    for number, whole in enumerate(read_lines(path), start=1):
        line = whole.rstrip("\r\n")
        columns = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and columns[-1].lower() == "score"):
            continue
        where = f"{path}:{number}"
        if len(columns) not in (3, 4):
            raise BadData(f"{where}: expected query id, passage id and grade, got {shown(line.strip())}")
        query_id, passage_id, written = columns[0], columns[-2], columns[-1]
        if max(len(query_id), len(passage_id)) > LONGEST_ID:
            raise BadData(f"{where}: an id of over {LONGEST_ID:,} characters")
        try:
            grade = int(written)
        except ValueError:
            raise BadData(f"{where}: the grade {shown(written)} is not a whole number") from None
        _check_grade(grade, where)
        if qrels.setdefault(query_id, {}).setdefault(passage_id, grade) != grade:
            raise BadData(f"{where}: {shown(query_id)} and {shown(passage_id)} are judged twice, with different grades")
    return qrels


def _check_grade(grade: int, where: str) -> None:
    if abs(grade) > HIGHEST_GRADE:
        raise BadData(f"{where}: a grade of {shown(grade)}; expected one from -{HIGHEST_GRADE:,} to {HIGHEST_GRADE:,}")


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements in BEIR's three columns.

    Raises:
        BadData: an id has a tab or line break, or a grade is beyond `HIGHEST_GRADE`.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        for query_id, judged in qrels.items():
            for passage_id, grade in judged.items():
                if set(f"{query_id}{passage_id}") & _BREAKS:
                    raise BadData(
                        f"ids {shown(query_id)}, {shown(passage_id)}: an id with a tab or line break cannot be judged"
                    )
                _check_grade(grade, f"{shown(query_id)} and {shown(passage_id)}")
                file.write(f"{query_id}\t{passage_id}\t{grade}\n")


def known_judgements(judged: Qrels, split: str, has: Callable[[str], bool], *, drop_unknown: bool) -> Qrels:
    """Judgements of passages that the corpus has.

    Args:
        has: whether it has a passage of this id.

    Raises:
        BadData: others are judged too, and `drop_unknown` does not say to leave them out.
    """
    unknown = [(q, d) for q, grades in judged.items() for d in grades if not has(d)]
    if unknown and not drop_unknown:
        query_id, passage_id = unknown[0]
        raise BadData(
            f"qrels/{split} name {len(unknown)} passage id(s) that the corpus does not have, first {shown(passage_id)} "
            f"for query {shown(query_id)}; do both come from the same collection? To leave them out: --drop-unknown"
        )
    dropped = set(unknown)
    kept = {q: {d: g for d, g in grades.items() if (q, d) not in dropped} for q, grades in judged.items()}
    return {q: grades for q, grades in kept.items() if grades}
