"""A collection written in BEIR's layout, and read again."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.records import Passage, Query
from unweave.errors import BadData
from unweave.texts.corpus import Corpus
from unweave.texts.export import write_beir
from unweave.texts.open import open_collection
from unweave.texts.vital_articles import vital_articles

IDS = st.text(st.sampled_from("ab%_ /漢\"'"), min_size=1, max_size=4).filter(str.strip)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
METADATA = st.dictionaries(st.sampled_from(["topic", "text", "title", "_id", "metadata"]), TEXT | st.none(), max_size=3)
PASSAGES = st.lists(st.builds(Passage, IDS, TEXT, TEXT, METADATA), min_size=1, max_size=4, unique_by=lambda p: p[0])
QUERIES = st.lists(st.builds(Query, IDS, TEXT.filter(str.strip)), max_size=3, unique_by=lambda q: q[0])


@given(PASSAGES, QUERIES)
def test_what_is_written_is_read_again(passages, queries):
    with tempfile.TemporaryDirectory() as aside:
        qrels = {"test": {query.query_id: {passages[0].passage_id: 2} for query in queries}} if queries else {}
        write_beir(Path(aside) / "beir", passages, queries, qrels)
        read = open_collection(f"{aside}/beir")
        assert (list(read.passages), list(read.queries), read.qrels) == (passages, queries, qrels)


def test_the_built_in_collection_in_the_columns_of_beir(tmp_path):
    # As BEIR's GenericDataLoader reads: `_id` in JSON lines, and judgements by csv with tabs, after one header line.
    whole = vital_articles()
    corpus = Corpus.write(tmp_path / "corpus", whole.passages, settings={})
    write_beir(tmp_path / "beir", corpus, whole.queries, whole.qrels)
    rows, asked = (
        [json.loads(line) for line in (tmp_path / f"beir/{name}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
        for name in ("corpus", "queries")
    )
    assert {row["_id"] for row in rows} == set(corpus.ids)
    assert set(rows[0]) == {"_id", "title", "text", "metadata"}
    queries = {row["_id"] for row in asked}
    for split, judged in whole.qrels.items():
        with (tmp_path / f"beir/qrels/{split}.tsv").open(encoding="utf-8") as file:
            header, *lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
        assert header == ["query-id", "corpus-id", "score"]
        assert len(lines) == sum(map(len, judged.values()))
        assert all(q in queries and judged[q][d] == int(grade) for q, d, grade in lines)


def test_a_folder_that_is_there_is_refused_and_a_failure_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(BadData, match="there is there already; give a new folder"):
        write_beir(tmp_path / "there", [Passage("a", "", "x")], [], {})
    with pytest.raises(BadData, match="an id with a tab or line break cannot be judged"):
        write_beir(tmp_path / "new", [Passage("a\tb", "", "x")], [Query("q", "x")], {"test": {"q": {"a\tb": 1}}})
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
