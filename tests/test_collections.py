"""What users have: the same passages in every format, what is wrong in a file by line, queries and sentences."""

import csv
import gzip
import json
from pathlib import Path
from typing import NamedTuple

import ir_datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unweave.base.records import Passage, Query
from unweave.errors import BadData
from unweave.texts.corpus import Corpus
from unweave.texts.open import _document, open_collection
from unweave.texts.queries import QuerySet, read_qrels
from unweave.texts.sentences import draw_sentences

# Ids and titles as a folder of text files gives them, so that every format can hold the same passages.
PASSAGES = [
    Passage("sea/tide.txt", "tide", 'The moon "pulls" the sea,\ttwice a day.\nLa marée haute.'),
    Passage("wind_power.md", "wind power", "Wind turns the blades."),
]
ROWS = [{"_id": p.passage_id, "title": p.title, "text": p.text} for p in PASSAGES]


def jsonl(*rows: dict) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_jsonl(path: Path, rows=ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(jsonl(*rows).encode()))
    else:
        path.write_text(jsonl(*rows), encoding="utf-8")
    return path


def write_beir(folder: Path, ending: str = "") -> Path:
    write_jsonl(folder / f"corpus.jsonl{ending}")
    write_jsonl(folder / f"queries.jsonl{ending}", [{"_id": "q1", "text": "What pulls the sea?"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tsea/tide.txt\t2\n")
    return folder


def write_csv(path: Path, delimiter: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def write_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def write_text_files(folder: Path) -> Path:
    for passage in PASSAGES:
        path = folder / passage.passage_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(passage.text, encoding="utf-8")
    return folder


def write_with_byte_order_mark(path: Path) -> Path:
    path.write_text(jsonl(*ROWS), encoding="utf-8-sig")
    return path


FORMATS = {
    "beir": lambda folder: write_beir(folder / "beir"),
    "beir, gzipped": lambda folder: write_beir(folder / "beir", ".gz"),
    "jsonl": lambda folder: write_jsonl(folder / "corpus.jsonl"),
    "jsonl, gzipped": lambda folder: write_jsonl(folder / "corpus.jsonl.gz"),
    "jsonl from Windows": lambda folder: write_with_byte_order_mark(folder / "corpus.jsonl"),
    "csv": lambda folder: write_csv(folder / "corpus.csv", ","),
    "tsv": lambda folder: write_csv(folder / "corpus.tsv", "\t"),
    "parquet": lambda folder: write_parquet(folder / "corpus.parquet"),
    "text files": lambda folder: write_text_files(folder / "texts"),
}


def passages(path: Path) -> list[Passage]:
    return list(open_collection(str(path)).passages)


def refuse(path: Path, content: str | bytes, match: str) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadData, match=match):
        passages(path)


# --- passages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_passages(tmp_path, name):
    assert passages(FORMATS[name](tmp_path)) == PASSAGES


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_beir_folder_gives_queries_and_judgements_too(tmp_path, ending):
    collection = open_collection(str(write_beir(tmp_path / "scifact", ending)))
    assert list(collection.queries) == [Query("q1", "What pulls the sea?")]
    assert collection.qrels == {"test": {"q1": {"sea/tide.txt": 2}}}
    assert collection.about == {"source": "scifact"}


def test_a_corpus_without_queries_has_none(tmp_path):
    collection = open_collection(str(write_jsonl(tmp_path / "corpus.jsonl")))
    assert (list(collection.queries), collection.qrels) == ([], {})


@pytest.mark.parametrize(
    "row",
    [
        {"id": 7, "contents": "ice", "topic": "cold", "empty": None},  # the names of Anserini
        {"docid": "7", "body": "ice", "metadata": {"topic": "cold"}},
        {"passage_id": "7", "passage": "ice", "title": None, "topic": "cold"},
    ],
)
def test_other_names_for_id_and_text_are_known_and_other_fields_become_metadata(tmp_path, row):
    assert passages(write_jsonl(tmp_path / "c.jsonl", [row])) == [Passage("7", "", "ice", {"topic": "cold"})]


def test_blank_lines_of_a_jsonl_file_are_skipped(tmp_path):
    (tmp_path / "c.jsonl").write_text(f"\n{jsonl(ROWS[0])}\n\n{jsonl(ROWS[1])}", encoding="utf-8")
    assert passages(tmp_path / "c.jsonl") == PASSAGES


def test_links_in_a_folder_of_text_files_are_not_followed(tmp_path):
    folder = write_text_files(tmp_path / "texts")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "private" / "key.txt")
    (folder / "linked").symlink_to(tmp_path / "private", target_is_directory=True)
    (folder / "data.bin").write_bytes(b"\xff")  # neither .txt nor .md
    assert passages(folder) == PASSAGES


# --- what is wrong, and where ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"_id": "b", "te', r"corpus\.jsonl, line 2: not JSON .* is the file truncated\?"),
        ('["b", "two"]', r"corpus\.jsonl, line 2: expected a JSON object, got '\[\"b\", \"two\"\]'"),
        ('{"_id": "b"}', r"corpus\.jsonl, line 2: none of the fields text, .* is there; it has _id"),
        ('{"text": "two"}', r"corpus\.jsonl, line 2: none of the fields _id, .* is there; it has text"),
        ("{}", r"corpus\.jsonl, line 2: none of the fields .* it has none"),
        ('{"_id": "b", "text": "\xff"}'.encode("latin-1"), r"corpus\.jsonl: not UTF-8 text .*utf-8"),
    ],
)
def test_a_bad_line_of_a_jsonl_file_is_named(tmp_path, line, said):
    first = b'{"_id": "a", "text": "one"}\n'
    refuse(tmp_path / "corpus.jsonl", first + (line.encode() if isinstance(line, str) else line), said)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("id,text\na,one\nb\n", r"corpus\.csv, line 3: not as many columns as the header has"),
        ("id,text\na,one\nb,two,three\n", r"corpus\.csv, line 3: not as many columns as the header has"),
        ('id,text\na,one\nb,"two\n', r"corpus\.csv, .*unexpected end of data; is the file truncated\?"),
        ("id,words\na,one\n", r"corpus\.csv, line 2: none of the fields text, .* it has id, words"),
        (b"id,text\na,\xff\n", r"corpus\.csv: not UTF-8 text .*utf-8"),
    ],
)
def test_a_bad_line_of_a_csv_file_is_named(tmp_path, lines, said):
    refuse(tmp_path / "corpus.csv", lines, said)


def test_a_row_of_a_parquet_file_without_its_fields_is_named(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "words": ["one"]}), tmp_path / "c.parquet")
    with pytest.raises(BadData, match=r"c\.parquet, row 0: none of the fields text, .* it has id, words"):
        passages(tmp_path / "c.parquet")


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [
        ("corpus.jsonl.gz", "", '{{"id": {0}, "text": "{1}"}}\n'),
        ("corpus.csv.gz", "id,text\n", "{0},{1}\n"),
        ("corpus.tsv.gz", "id\ttext\n", "{0}\t{1}\n"),
    ],
)
def test_a_truncated_gzip_file_is_refused(tmp_path, name, head, line):
    whole = gzip.compress((head + "".join(line.format(i, i * i) for i in range(999))).encode())
    (tmp_path / name).write_bytes(whole)
    assert len(passages(tmp_path / name)) == 999
    refuse(tmp_path / name, whole[: len(whole) // 2], rf"{name}.*end-of-stream.*; is the file truncated\?")


@pytest.mark.parametrize("kept", [0, 20, -1])
def test_a_truncated_parquet_file_is_refused(tmp_path, kept):
    whole = write_parquet(tmp_path / "whole.parquet").read_bytes()
    refuse(tmp_path / "c.parquet", whole[:kept], r"c\.parquet: not a whole Parquet file .*; is it truncated\?")


def test_a_text_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "old.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(BadData, match=r"old\.txt is not UTF-8 text .*; convert it"):
        passages(tmp_path)


def test_an_unknown_path_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"nowhere is neither a file nor a folder, nor a built-in collection"):
        open_collection(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["corpus.pdf", "corpus", "corpus.gz"])
def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(BadData, match=rf"{name}: cannot tell its format; expected one of \.csv, \.jsonl, \.parquet"):
        open_collection(str(tmp_path / name))


# --- judgements and queries -----------------------------------------------------------------------

BEIR_QRELS = "query-id\tcorpus-id\tscore\nq1\ta b\t2\nq1\tc\t0\nq2\tc\t1\n"
TREC_QRELS = "q1\t0\ta b\t2\nq1\t0\tc\t0\n\nq2\t0\tc\t1\n"


@pytest.mark.parametrize("text", [BEIR_QRELS, BEIR_QRELS.replace("\n", "\r\n"), TREC_QRELS])
def test_judgements_read_alike_in_three_columns_and_in_four(tmp_path, text):
    (tmp_path / "test.tsv").write_bytes(text.encode())
    assert read_qrels(tmp_path / "test.tsv") == {"q1": {"a b": 2, "c": 0}, "q2": {"c": 1}}


def test_trec_judgements_may_be_parted_by_blanks(tmp_path):
    (tmp_path / "test.tsv").write_text("q1 0 a 2\nq1  0  c  -1\n")
    assert read_qrels(tmp_path / "test.tsv") == {"q1": {"a": 2, "c": -1}}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q1\ta\thigh", "the grade 'high' is not a whole number"),
        ("q1\ta\t0.5", "the grade '0.5' is not a whole number"),
        ("q1\ta\t", "the grade '' is not a whole number"),
        ("q1\ta", "expected query id, passage id and grade, got 'q1.ta'"),
        ("q1\t0\ta\t1\textra", "expected query id, passage id and grade"),
    ],
)
def test_a_bad_judgement_is_named_by_its_line(tmp_path, line, said):
    (tmp_path / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{line}\n")
    with pytest.raises(BadData, match=rf"test\.tsv:2: {said}"):
        read_qrels(tmp_path / "test.tsv")


def write_queries(folder: Path, queries: list[Query], qrels) -> QuerySet:
    return QuerySet.write(folder, queries, qrels, settings={})


def test_queries_and_judgements_come_back_as_they_were_written(tmp_path):
    queries = [Query("q1", "vent\u2028et\nmarée"), Query("q2", "sun"), Query("q3", "")]
    qrels = {"test": {"q1": {"a b": 2, "c": 0}}, "train": {"q2": {"c": 1}, "q1": {"c": -1}}}
    write_queries(tmp_path / "q", queries, qrels)
    loaded = QuerySet.load(str(tmp_path / "q"))
    assert (len(loaded), loaded.all, loaded.splits) == (3, queries, ["test", "train"])
    assert {split: loaded.qrels(split) for split in loaded.splits} == qrels
    assert (loaded.judged("test"), loaded.judged("train")) == ([0], [0, 1])
    assert loaded.manifest.results == {"n_queries": 3, "judged_queries": {"test": 1, "train": 2}}


def test_an_unknown_split_is_refused_with_those_that_are_known(tmp_path):
    judged = write_queries(tmp_path / "a", [Query("q1", "sea")], {"train": {"q1": {"a": 1}}})
    with pytest.raises(BadData, match=r"no judgements for split 'test'; this collection has: train"):
        judged.qrels("test")
    with pytest.raises(BadData, match=r"this collection has: none"):
        write_queries(tmp_path / "b", [], {}).qrels("test")


def test_repeated_query_ids_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(BadData, match=r"query id 'q1' occurs more than once"):
        write_queries(tmp_path / "q", [Query("q1", "sea"), Query("q1", "wind")], {})
    assert list(tmp_path.iterdir()) == []


def test_judgements_of_unknown_queries_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(BadData, match=r"qrels/test judge 2 query id\(s\) .* first 'q7'"):
        write_queries(tmp_path / "q", [Query("q1", "sea")], {"test": {"q1": {"a": 1}, "q7": {"a": 1}, "q8": {}}})
    assert list(tmp_path.iterdir()) == []


# --- sentences ------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path):
    texts = {
        "sea": "The moon pulls the sea. Twice a day. High tide follows low tide.",  # the second has three words
        "none": "Nothing here. Too short.",
        "wind": "Wind turns the large blades. They turn a generator. It makes electric power.",
    }
    passages = [Passage(name, f"A title of {name} is no sentence.", text) for name, text in texts.items()]
    return Corpus.write(tmp_path / "corpus", passages, settings={})


SENTENCES = [
    Passage("sea#0", "", "The moon pulls the sea.", {"passage": 0}),
    Passage("sea#1", "", "High tide follows low tide.", {"passage": 0}),
    Passage("wind#0", "", "Wind turns the large blades.", {"passage": 2}),
    Passage("wind#1", "", "They turn a generator.", {"passage": 2}),
    Passage("wind#2", "", "It makes electric power.", {"passage": 2}),
]


@pytest.mark.parametrize("most", [5, 6, 20_000])
def test_all_sentences_of_four_words_are_drawn_where_there_is_room(corpus, most):
    assert list(draw_sentences(corpus, most, "en")) == SENTENCES


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_at_most_so_many_sentences_are_drawn_in_corpus_order_and_always_the_same(corpus, most):
    drawn = list(draw_sentences(corpus, most, "en"))
    assert len(drawn) == most
    assert drawn == [sentence for sentence in SENTENCES if sentence in drawn]
    assert drawn == list(draw_sentences(corpus, most, "en"))


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_of_a_corpus_that_grows_the_same_sentences_are_drawn_but_for_those_that_new_ones_displace(corpus, most):
    before = {sentence.passage_id for sentence in draw_sentences(corpus, most, "en")}
    more = [Passage("ice", "", "Ice floats on cold water. It melts in the sun.")]
    now = {sentence.passage_id for sentence in draw_sentences([*corpus, *more], most, "en")}
    assert len(now) == most
    assert now <= before | {"ice#0", "ice#1"}


def test_a_sentence_names_the_position_of_its_passage(corpus):
    for sentence in draw_sentences(corpus, 4, "en"):
        assert sentence.text in corpus[sentence.metadata["passage"]].text


# --- collections of ir_datasets, and queries and judgements of one's own ------------------------------


class Entry(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"{self.title} {self.text}"


@pytest.fixture
def of_ir_datasets(tmp_path):
    """A collection of the real library, registered from files on this disk: nothing is downloaded."""
    (tmp_path / "docs.tsv").write_text("d1\tThe moon pulls the sea.\nd2\tWind turns the blades.\n")
    (tmp_path / "queries.tsv").write_text("q1\tWhat pulls the sea?\n")
    (tmp_path / "judged").write_text("q1 0 d1 2\nq1 0 d2 0\n")
    made = ir_datasets.create_dataset(*(str(tmp_path / name) for name in ("docs.tsv", "queries.tsv", "judged")))
    ir_datasets.registry.register("unweave-tests/tide/dev", made)
    yield "irds:unweave-tests/tide/dev"
    del ir_datasets.registry._registered["unweave-tests/tide/dev"]


def test_a_collection_of_ir_datasets_is_read_with_its_queries_and_judgements(of_ir_datasets):
    collection = open_collection(of_ir_datasets)
    assert list(collection.passages) == [
        Passage("d1", "", "The moon pulls the sea."),
        Passage("d2", "", "Wind turns the blades."),
    ]
    assert list(collection.queries) == [Query("q1", "What pulls the sea?")]
    assert collection.qrels == {"dev": {"q1": {"d1": 2, "d2": 0}}}
    assert collection.about == {"source": of_ir_datasets}


def test_a_title_that_the_library_puts_before_the_text_is_not_said_twice():
    passage = _document(Entry("d", "tide", "The moon pulls the sea."))
    assert (passage.title, passage.text, passage.content) == (
        "tide", "The moon pulls the sea.", "tide The moon pulls the sea.",
    )  # fmt: skip


def test_an_unknown_collection_of_ir_datasets_is_refused():
    with pytest.raises(BadData, match=r"ir_datasets has no collection 'beir/tide'"):
        open_collection("irds:beir/tide")


@pytest.fixture
def of_mteb(monkeypatch):
    """Two of MTEB's own tasks with data of ours in place of the hub's, which no test reaches."""
    mteb = pytest.importorskip(
        "mteb", reason="the extra mteb, which brings datasets and polars, is not in the lock file"
    )
    from datasets import Dataset

    corpus = [
        {"id": "d1", "title": "tide", "text": "The moon pulls the sea."},
        {"id": "d2", "title": "", "text": "Wind."},
    ]
    split = {"corpus": Dataset.from_list(corpus), "relevant_docs": {"q1": {"d1": 1}}, "top_ranked": None,
             "queries": Dataset.from_list([{"id": "q1", "text": "What pulls the sea?"}])}  # fmt: skip
    tasks = {name: mteb.get_task(name) for name in ("SciFact", "MIRACLRetrieval")}
    for (name, task), subsets in zip(tasks.items(), (["default"], ["en", "sw"]), strict=True):
        task.dataset, task.data_loaded = {subset: {"test": split} for subset in subsets}, True
        assert name == task.metadata.name
    known = mteb.get_task
    monkeypatch.setattr(mteb, "get_task", lambda name: tasks.get(name) or known(name))


def test_a_retrieval_task_of_mteb_is_read(of_mteb):
    collection = open_collection("mteb:SciFact")
    assert list(collection.passages) == [Passage("d1", "tide", "The moon pulls the sea."), Passage("d2", "", "Wind.")]
    assert list(collection.queries) == [Query("q1", "What pulls the sea?")]
    assert collection.qrels == {"test": {"q1": {"d1": 1}}}
    assert open_collection("mteb:MIRACLRetrieval/sw").about == {"source": "mteb:MIRACLRetrieval/sw"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mteb:Tide", "MTEB has no task 'Tide'"),
        ("mteb:MIRACLRetrieval", "has the subsets en, sw; give one: mteb:MIRACLRetrieval/SUBSET"),
        ("mteb:STS12", "is one of STS, not of retrieval"),
    ],
)
def test_what_is_no_task_of_retrieval_is_refused(of_mteb, source, message):
    with pytest.raises(BadData, match=message):
        open_collection(source)


@pytest.mark.parametrize("name", ["asked.tsv", "asked.tsv.gz", "asked.jsonl", "asked.jsonl.gz"])
def test_queries_and_judgements_of_ones_own_replace_the_collections(tmp_path, name):
    asked = tmp_path / name
    content = "t1\tWhat turns?\n" if ".tsv" in name else jsonl({"_id": "t1", "text": "What turns?"})
    asked.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    (tmp_path / "judged.trec").write_text("t1 0 wind_power.md 1\n")
    beir = write_beir(tmp_path / "beir")
    collection = open_collection(str(beir), asked, tmp_path / "judged.trec")
    assert list(collection.queries) == [Query("t1", "What turns?")]
    assert collection.qrels == {"test": {"t1": {"wind_power.md": 1}}}
    assert open_collection(str(beir), asked).qrels == {}, "judgements of other queries say nothing of these"


@pytest.mark.parametrize("line", ["q1 What pulls the sea?", "q1\t", "q1\t  "])
def test_a_query_without_id_or_text_is_refused_by_its_line(tmp_path, line):
    (tmp_path / "asked.tsv").write_text(f"q0\tfine\n\n{line}\n")
    with pytest.raises(BadData, match=r"asked\.tsv, line 3: expected a query id, a tab and a text"):
        list(open_collection(str(write_beir(tmp_path / "beir")), tmp_path / "asked.tsv").queries)
