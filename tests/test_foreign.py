"""Strangers' files: what they may claim, by limits that name themselves, and that nothing of them is silently lost."""

import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save
from scipy.sparse import csr_array

from invoked import refused, unweave, written
from unweave.base import foreign
from unweave.base.artifact import read_manifest, write_manifest
from unweave.base.foreign import parse_json, shown
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.base.typed import as_typed
from unweave.base.vectors import refuse_scale, refuse_unusable
from unweave.cli import main, show
from unweave.cli.steps import Steps
from unweave.concepts import tables
from unweave.concepts.namers.lexicon_sources import file_phrases
from unweave.config import EncoderConfig
from unweave.encode.encoders import open_encoder
from unweave.errors import BadData, CorruptArtifact, ModelUnavailable
from unweave.index.writer import IndexWriter
from unweave.project import Project
from unweave.report import write_report
from unweave.retrieval.sums import parse
from unweave.sae.formats import export_sae, import_sae
from unweave.sae.formats.tensors import SettingsFile, Tensors
from unweave.sae.model import SAE, WEIGHTS
from unweave.stages.embed import bring_embeddings
from unweave.texts import readers
from unweave.texts.collection import Collection
from unweave.texts.open import open_collection
from unweave.texts.queries import QuerySet, read_qrels, write_qrels


def passages_of(path):
    return list(open_collection(str(path)).passages)


def bounded(script: str, *arguments: object, megabytes: int = 1500) -> subprocess.CompletedProcess:
    """Run Python with so much memory, and no more."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)),
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )  # fmt: skip


# --- text -----------------------------------------------------------------------------------------


def test_of_a_long_text_only_what_is_shown_is_looked_at():
    class Counted(str):
        looked_at = 0

        def __getitem__(self, key):
            found = str.__getitem__(self, key)
            Counted.looked_at += len(found)
            return found

    assert plain(Counted("word " * 1_000_000), 9) == "word wor…"
    assert Counted.looked_at < 10_000


def test_a_key_that_an_object_has_twice_is_refused():
    assert parse_json('{"a": 1, "b": {"a": 2}}') == {"a": 1, "b": {"a": 2}}
    with pytest.raises(ValueError, match="the key 'a' twice"):
        parse_json('{"x": [{"a": 1, "b": 2, "a": 1}]}')


def test_what_an_error_quotes_is_short_and_printable():
    assert shown("\x1b[2J") == r"'\x1b[2J'"
    assert shown(10**5000) == "a number of thousands of digits"
    assert len(shown({"k" * 10_000: ["v" * 10_000] * 10_000})) < 130


# --- corpora, queries, judgements -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.csv", "c.tsv.gz"])
def test_a_line_that_is_too_long_is_refused_by_its_number(tmp_path, monkeypatch, name):
    monkeypatch.setattr(readers, "LONGEST_LINE", 100)
    delimiter = "\t" if "tsv" in name else ","
    lines = [f"id{delimiter}text", f"a{delimiter}{'x' * 101}"] if "sv" in name else [
        '{"id": "a", "text": "x"}', json.dumps({"id": "b", "text": "x" * 101})]  # fmt: skip
    content = "\n".join(lines).encode()
    with pytest.raises(BadData, match="line 2: over 100 characters"):
        passages_of(written(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content))


def test_a_row_of_csv_that_goes_over_many_lines_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST_LINE", 100)
    rows = "id,text\n" + "a,b\n" * 100  # many rows are no long one
    assert len(list(readers.read_csv(written(tmp_path / "c.csv", rows)))) == 100
    with pytest.raises(BadData, match="a row of over 100 characters; is a quote left open"):
        list(readers.read_csv(written(tmp_path / "c.csv", 'id,text\na,"' + "b\n" * 100)))


def test_a_gzip_bomb_of_one_line_is_refused_in_little_memory(tmp_path):
    with gzip.open(tmp_path / "c.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b'{"id": "a", "text": "')
        for _ in range(300):
            file.write(b"x" * 2**20)
    script = "import sys; from unweave.texts.open import open_collection; list(open_collection(sys.argv[1]).passages)"
    done = bounded(script, tmp_path / "c.jsonl.gz", megabytes=900)
    assert "BadData: c.jsonl.gz, line 1: over 67,108,864 characters" in done.stderr


def test_an_id_that_is_too_long_is_refused(tmp_path):
    longest = "x" * foreign.LONGEST_ID
    for of in (longest, longest + "x"):
        written(tmp_path / "b" / "corpus.jsonl", json.dumps({"id": of, "text": "t"}))
        written(tmp_path / "b" / "queries.jsonl", json.dumps({"id": of, "text": "t"}))
        written(tmp_path / "topics.tsv", f"{of}\twhat?\n")
        collection = open_collection(str(tmp_path / "b"))
        reads = [lambda c=collection: list(c.passages), lambda c=collection: list(c.queries),
                 lambda: list(readers.topics(tmp_path / "topics.tsv")),
                 lambda of=of: read_qrels(written(tmp_path / "q.tsv", f"q\t{of}\t1\n"))]  # fmt: skip
        for read in reads:
            if of == longest:
                assert len(read()) == 1
                continue
            with pytest.raises(BadData, match="an id of"):
                read()


@pytest.mark.parametrize("grade", ["1001", "-1001", "9999999999", "1" + "0" * 26, "9" * 5000])
def test_grades_that_would_take_all_memory_are_refused_where_they_are_read(tmp_path, grade):
    with pytest.raises(BadData, match=r"q\.tsv:2: (a grade of|the grade)"):
        read_qrels(written(tmp_path / "q.tsv", f"q\t0\ta\t1000\nq\t0\tb\t{grade}\n"))


def test_no_grade_is_stored_that_could_not_be_read_again(tmp_path):
    with pytest.raises(BadData, match="a grade of 1001; expected one from -1,000 to 1,000"):
        write_qrels(tmp_path / "q.tsv", {"q": {"a": 1001}})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", ["c.jsonl", "c.csv", "topics.tsv", "q.qrels"])
def test_other_encodings_are_called_what_they_are(tmp_path, name, encoding):
    content = {"c.jsonl": '{"id": "a", "text": "x"}\n', "c.csv": "id,text\na,x\n", "topics.tsv": "q\twhat?\n"}
    path = written(tmp_path / name, content.get(name, "q\t0\ta\t1\n").encode(encoding))
    read = {"topics.tsv": lambda: list(readers.topics(path)), "q.qrels": lambda: read_qrels(path)}
    with pytest.raises(BadData, match="save it as UTF-8"):
        read.get(name, lambda: passages_of(path))()


def test_a_byte_order_mark_is_no_part_of_a_text_or_an_id(tmp_path):
    mark = "\ufeff"
    assert passages_of(written(tmp_path / "t" / "a.txt", f"{mark}sea").parent)[0].text == "sea"
    assert read_qrels(written(tmp_path / "q.tsv", f"{mark}q\t0\ta\t1\n")) == {"q": {"a": 1}}
    project = Project.create(tmp_path / "p", Collection(passages=[Passage("d0", "", "t")]))
    np.save(tmp_path / "x.npy", np.ones((1, 2), np.float32))
    bring_embeddings(project, "passages", tmp_path / "x.npy", written(tmp_path / "ids.txt", f"{mark}d0\n"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.csv", "id,text,id\na,x,b\n", "two columns 'id'"),
        ("c.csv", "id,text,url,url\na,x,b,c\n", "two columns 'url'"),
        ("c.jsonl", '{"id": "a", "id": "b", "text": "x"}', "the key 'id' twice"),
        ("c.jsonl", '{"id": "a", "text": "x", "metadata": {"y": 1, "y": 2}}', "the key 'y' twice"),
        ("c.jsonl", '{"id": "a", "text": "x", "y": 1, "metadata": {"y": 2}}', "'y' is a field and in the metadata too"),
    ],
)
def test_nothing_that_a_file_says_twice_is_dropped(tmp_path, name, content, said):
    with pytest.raises(BadData, match=said):
        passages_of(written(tmp_path / name, content))


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["id", "text", "text"])
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(BadData, match="two columns 'text'"):
        passages_of(tmp_path / "c.parquet")


def test_more_columns_than_a_table_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MOST_COLUMNS", 3)
    with pytest.raises(BadData, match="4 columns; it may have 3"):
        passages_of(written(tmp_path / "c.csv", "id,text,a,b\n1,2,3,4\n"))


def test_fields_that_are_not_read_are_metadata_whatever_they_are_called(tmp_path):
    row = {"id": "a", "docid": "x", "text": "t", "contents": "c", "metadata": "by hand"}
    (passage,) = passages_of(written(tmp_path / "c.jsonl", json.dumps(row)))
    assert passage == Passage("a", "", "t", {"docid": "x", "contents": "c", "metadata": "by hand"})


def test_times_that_python_cannot_hold_are_kept_as_text(tmp_path):
    nanoseconds = pa.array([1, 10**9], pa.timestamp("ns"))
    far = pa.array([253402300800, 0], pa.timestamp("s"))  # the first second of the year 10000
    pq.write_table(
        pa.table({"id": ["a", "b"], "text": ["x", "y"], "at": nanoseconds, "on": far}), tmp_path / "c.parquet"
    )
    project = Project.create(tmp_path / "p", open_collection(str(tmp_path / "c.parquet")))
    assert project.corpus[0].metadata == {"at": "1970-01-01 00:00:00.000000001", "on": "10000-01-01 00:00:00.000"}
    assert project.corpus[1].metadata == {"at": "1970-01-01 00:00:01", "on": "1970-01-01 00:00:00"}
    pq.write_table(
        pa.table({"id": ["a"], "text": ["x"], "at": pa.array([10**15], pa.timestamp("s"))}), tmp_path / "d.parquet"
    )
    with pytest.raises(BadData, match="column 'at': a value that cannot be read"):
        passages_of(tmp_path / "d.parquet")


def test_a_name_that_is_not_utf8_is_refused_rather_than_made_another(tmp_path):
    written(tmp_path / "t" / os.fsdecode(b"caf\xe9.txt"), "coffee")
    with pytest.raises(BadData, match=r"the file 'caf\\udce9.txt' is not UTF-8"):
        passages_of(tmp_path / "t")


def test_a_text_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST_LINE", 10)
    with pytest.raises(BadData, match="over 10 bytes; split it"):
        passages_of(written(tmp_path / "t" / "a.txt", "x" * 11).parent)


@pytest.mark.parametrize("line", ['{"query_id": "q"}', "[1]", "{", "\udc80"])
def test_damaged_queries_of_a_project_are_one_error(tmp_path, tamper, line):
    QuerySet.write(tmp_path / "q", [], {}, settings={})
    tamper(tmp_path / "q" / "queries.jsonl", f"{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(CorruptArtifact, match=r"queries\.jsonl does not hold queries"):
        _ = QuerySet.load(tmp_path / "q").all


# --- vectors ----------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path):
    return Project.create(tmp_path / "two", Collection(passages=[Passage("a", "", "x"), Passage("b", "", "y")]))


def npy(path: Path, shape: str, data: bytes = b"", descr: str = "<f4") -> Path:
    """A `.npy` file with whatever its header says."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return written(path, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data)


@pytest.mark.parametrize(
    "shape", ["(2, -3)", "(-1, 4)", "(2, 10**20)", "(999999999, 999999999)", "(True, 4)", "((2,), 2)"]
)
def test_shapes_that_a_file_does_not_have_are_refused(two, tmp_path, shape):
    with pytest.raises(BadData, match=r"x\.npy"):
        bring_embeddings(two, "passages", npy(tmp_path / "x.npy", shape, b"\0" * 32), None)


@pytest.mark.parametrize("shape", ["(2, 0)", "(0, 5)", "(2, 65537)"])
def test_widths_that_no_encoder_has_are_refused(two, tmp_path, shape):
    data = b"\0" * (2 * 65537 * 4 if "65537" in shape else 0)
    with pytest.raises(BadData, match=r"x\.npy"):
        bring_embeddings(two, "passages", npy(tmp_path / "x.npy", shape, data), None)


@pytest.mark.parametrize(("factor", "said"), [(1e-42, "1e-42"), (1e-20, "1e-20"), (1e20, "1e\\+20")])
def test_embeddings_that_float32_would_lose_are_refused(two, tmp_path, factor, said):
    np.save(tmp_path / "x.npy", np.array([[1, 0], [0, factor]]))
    with pytest.raises(BadData, match=f"the largest number in row 1 is {said}, expected one between 1e-15 and 1e"):
        bring_embeddings(two, "passages", tmp_path / "x.npy", None)


def test_numbers_are_judged_by_the_largest_of_a_row():
    refuse_unusable(np.array([[1, 1e-30], [0, -1]], np.float32), "rows")  # small numbers beside a large one are usual
    refuse_unusable(np.empty((0, 3), np.float32), "rows")
    with pytest.raises(BadData, match="row 1 holds NaN"):
        refuse_unusable(np.array([[1, 1], [np.nan, 1]], np.float32), "rows")
    with pytest.raises(BadData, match="row 0 is a zero vector"):
        refuse_unusable(np.array([[0, 0], [1e-30, 0]], np.float32), "rows")


def test_lengths_that_an_sae_cannot_learn_from_are_refused():
    # Lengths 5 and 10 have the median 7.5.
    rows = np.array([[3, 4], [6, 8]], np.float32)
    refuse_scale(rows, "rows")
    with pytest.raises(BadData, match=r"rows have a typical length of 0\.0075; an SAE learns from lengths of 0\.02"):
        refuse_scale(rows / 1000, "rows")


def test_a_query_vector_is_read_as_carefully(tiny_project_folder, tmp_path):
    for vectors, said in (
        (np.ones((2, 8)), "has 2 rows"),
        (np.ones(8, int), "expected floats of shape (d_in,), got int64"),
        (np.full(8, 1e-42), "largest"),
    ):
        np.save(tmp_path / "q.npy", vectors)
        said_here = refused(unweave("search", tiny_project_folder, "--query-vector", tmp_path / "q.npy"))
        assert said in said_here
    for shape in ((8,), (1, 8)):
        np.save(tmp_path / "q.npy", np.ones(shape))
        assert unweave("search", tiny_project_folder, "--query-vector", tmp_path / "q.npy").exit_code == 0


# --- queries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["caf\udce9", "\ud800", "\u200b\u200b", "\x00\x1b", "\u202e", " \t"])
@pytest.mark.parametrize("command", ["search", "prevalent", "explain"])
def test_a_query_in_which_there_is_nothing_to_read_is_refused(tiny_project_folder, command, query):
    said = refused(unweave(command, tiny_project_folder, query, *(["p0"] if command == "explain" else [])))
    assert "not text in UTF-8" in said or "the query is empty" in said


# --- what a search is given, and what an index was given --------------------------------------------


def test_a_filter_that_is_given_twice_asks_for_both(tiny_project_folder):
    # Passages have half=a or half=b, none has both.
    def found(*wanted):
        filters = [word for value in wanted for word in ("--where", f"half={value}")]
        done = unweave("search", tiny_project_folder, "moon sea wind", "--system", "BM25", "-k", 60, *filters, "--json")
        return {hit["passage_id"] for hit in json.loads(done.stdout)["hits"]}

    assert found("a") | found("b") == found()
    assert found("a", "a") == found("a") != set()
    assert found("a", "b") == set()


def test_a_boost_that_is_given_twice_is_refused(tiny_project_folder):
    done = unweave("search", tiny_project_folder, "--query-id", "q0", "--boost", "3=2", "--boost", "3=5")
    assert "concept 3 is given two numbers, 2 and 5" in done.stderr


def test_a_passage_that_only_the_index_has_is_shown_by_its_id(tiny_project_folder, tmp_path, caplog):
    project = Project.open(shutil.copytree(tiny_project_folder, tmp_path / "p"))
    row = csr_array(project.latents[[0]])
    IndexWriter(project.path / "index" / "default").add(["brand\x1b new"], row)
    query = project.embedded("passages").rows(0, 1)[0]
    hits = project.search(query, 60, explain=True)
    (new,) = [hit for hit in hits if hit.passage.passage_id == "brand\x1b new"]
    assert (new.passage.title, new.passage.text, new.dense_explanation) == ("", "", None)
    old = next(hit for hit in hits if hit.passage.passage_id == "p0")
    assert new.score == pytest.approx(old.score)  # it has the same activations
    assert old.dense_explanation is not None
    assert "1 of these passages the index holds and the corpus does not, first brand new" in caplog.text
    assert project.prevalent(hits) == project.prevalent([hit for hit in hits if hit is not new])
    np.save(tmp_path / "q.npy", query)
    assert unweave("search", project.path, "--query-vector", tmp_path / "q.npy", "--explain").exit_code == 0
    shutil.rmtree(project.path / "evaluation")  # of the index as it was
    assert "brand new" in write_report(project, [("q0", hits)]).read_text()


@pytest.mark.parametrize("name", ["BM25 + BM25", "0 BM25 + dense", "9" * 400 + " BM25 + dense", "BM25 + ", "+"])
def test_no_sum_adds_a_system_twice_or_without_end(name):
    with pytest.raises(BadData, match="is no sum of systems"):
        parse(name)


def test_the_help_names_the_limits():
    said = " ".join(" ".join(unweave(*command, "--help").output.split()) for command in (
        ["init"], ["embed"], ["sae", "import"], ["sae", "pull"]))  # fmt: skip
    for limit in (foreign.LONGEST_LINE, foreign.LONGEST_ID, foreign.MOST_COLUMNS, foreign.HIGHEST_GRADE,
                  foreign.WIDEST_VECTOR, foreign.LARGEST_SETTINGS):  # fmt: skip
        assert f"{limit:,}" in said
    assert f"{foreign.LARGEST_DOWNLOAD >> 30} GiB" in said


# --- what reaches a terminal ------------------------------------------------------------------------

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
UNSAFE = {"\x1b", "\x07", "\u202e", "\x9b"}


def on_a_terminal(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments], color=True)
    assert not set(done.output) & UNSAFE
    return done


def test_steps_show_and_run_whatever_a_query_looks_like(tiny_project_folder):
    @click.command()
    @click.pass_context
    def toy(ctx):
        for query in ("-k moon", "--json moon", f"--{ESCAPES} moon"):
            Steps(ctx, tiny_project_folder).run("search", "--system", "BM25", "--cutoff", "2", arguments=[query])

    done = CliRunner().invoke(toy, [], color=True)
    assert done.exit_code == 0, done.output
    said = [line for line in done.output.splitlines() if "$ unweave" in line]
    assert [line.partition(" -- ")[2].partition(" ")[2].rstrip("\x1b[0m") for line in said] == [
        "'-k moon'", "'--json moon'", "'--]0;owned[2J31m moon'"]  # fmt: skip
    assert done.output.count("moon") > 6  # hits
    assert not set(done.output) & (UNSAFE - {"\x1b"})  # a command is shown bold


def test_words_stay_arguments_only_where_they_could_be_options():
    assert as_typed("p", ["-k", "3"], ["moon"]) == ["p", "moon", "-k", "3"]
    assert as_typed("p", ["-k", "3"], ["-moon"]) == ["-k", "3", "--", "p", "-moon"]
    assert as_typed("-p", [], ["moon"]) == ["--", "-p", "moon"]


def test_escapes_in_names_of_files_do_not_reach_the_terminal(tmp_path):
    name = ESCAPES.replace("/", "")
    source = tmp_path / name
    written(source / "corpus.jsonl", '{"_id": "a", "text": "one"}\n')
    written(source / "queries.jsonl", '{"_id": "q", "text": "one?"}\n')
    written(source / "qrels" / f"{name}.tsv", "q\ta\t1\n")
    done = on_a_terminal("init", tmp_path / f"{name}p", "--corpus", source)
    assert "1 judged in ]0;owned[2J31m" in done.output
    assert on_a_terminal("init", tmp_path / f"{name}p", "--corpus", source).exit_code == 1
    assert on_a_terminal("init", tmp_path / "p", "--corpus", source, "--queries", tmp_path / name / "x").exit_code == 2
    assert on_a_terminal("search", tmp_path / f"{name}p", "one", "--system", ESCAPES).exit_code == 1
    assert on_a_terminal("evaluate", tmp_path / f"{name}p", "--split", name).exit_code == 1


def test_no_cell_of_a_table_reaches_the_terminal_as_it_is():
    lines = "".join(show.table([{"system": f"  {ESCAPES}", ESCAPES: "x"}]))
    assert "  ]0;owned[2J31m" in lines  # blanks at the beginning of a cell stay
    assert not set(lines) & UNSAFE


# --- SAEs of others ---------------------------------------------------------------------------------


def safetensors(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    """A safetensors file with whatever its header says."""
    said = header if isinstance(header, bytes) else json.dumps(header).encode()
    return written(path, (len(said) if length is None else length).to_bytes(8, "little") + said + data)


def tensor(*shape, at=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(at)}


@pytest.mark.parametrize(
    "header",
    [
        {"x": tensor(10**9, 10**9)},
        {"x": tensor(2, at=(0, 10**12))},
        {"x": tensor(2, at=(8, 0))},
        {"x": tensor(2, at=(-8, 0))},
        {"x": tensor(-1, -2)},
        {"x": tensor(2.0)},
        {"x": tensor(True, 2)},
        {"x": tensor(0, 10**30, at=(0, 0)), "y": tensor(2)},
        {"x": tensor(1)},  # eight bytes for four
        {"x": {"dtype": [], "shape": [2], "data_offsets": [0, 8]}},
        {"x": tensor(1, at=(0, 4))},  # four bytes that nothing claims
        {"x": {}},
        {"x": 3},
        3,
        [],
        b"[" * 100_000,
        b'{"x": 1, "x": 2}',
        b"\xff\xfe",
    ],
)
def test_a_header_that_claims_what_the_file_does_not_have_is_refused(tmp_path, header):
    with pytest.raises(CorruptArtifact, match=r"w\.safetensors is not a whole safetensors file"):
        Tensors.of_safetensors(safetensors(tmp_path / "w.safetensors", header, b"\0" * 8))


@pytest.mark.parametrize("length", [0, 1, 9, 2**20 + 1, 2**63])
def test_a_header_of_another_length_is_refused(tmp_path, length):
    with pytest.raises(CorruptArtifact, match="is not a whole safetensors file"):
        Tensors.of_safetensors(safetensors(tmp_path / "w.safetensors", b"{}      ", length=length))


def test_tensors_are_read_as_float32_whatever_they_are_stored_in(tmp_path):
    # 1.5 in each; bfloat16's bits of it are those of the float32 0x3FC00000 without the lower half.
    of = {"F64": np.float64(1.5).tobytes(), "F32": np.float32(1.5).tobytes(), "F16": np.float16(1.5).tobytes(),
          "BF16": b"\xc0\x3f", "I64": b"\0" * 8}  # fmt: skip
    at, header = 0, {"__metadata__": {"format": "pt"}}
    for dtype, data in of.items():
        header[dtype] = tensor(1, at=(at, at + len(data)), dtype=dtype)
        at += len(data)
    read = Tensors.of_safetensors(safetensors(tmp_path / "w.safetensors", header, b"".join(of.values())))
    for dtype in ("F64", "F32", "F16", "BF16"):
        (value,) = read.take(dtype, 1)
        assert (value, value.dtype) == (1.5, np.float32)
    assert "I64" not in read


def pt(path: Path, state: dict, compressed: bool = False) -> Path:
    torch.save(state, path)
    if compressed:
        entries = {}
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
    return path


def test_views_that_claim_more_than_a_pt_file_holds_are_refused_in_little_memory(tmp_path):
    one = torch.zeros(1)
    views = {"linear.weight": one.expand(30_000, 30_000), "linear2.weight": one.expand(30_000, 30_000),
             "bias_pre": one.expand(30_000)}  # fmt: skip
    path = pt(tmp_path / "32_0.5.pt", views)
    assert path.stat().st_size < 10_000
    script = "import sys; from unweave.sae.formats import import_sae; import_sae(sys.argv[1])"
    done = bounded(script, path, megabytes=4000)
    assert "CorruptArtifact" in done.stderr
    assert "'bias_pre' claims (30000,) numbers and holds fewer" in done.stderr or "'linear" in done.stderr


def test_a_pt_file_that_is_packed_is_refused(tmp_path):
    path = pt(tmp_path / "32_0.5.pt", {"bias_pre": torch.zeros(2**20)}, compressed=True)
    with pytest.raises(CorruptArtifact, match="it holds more bytes than it has"):
        import_sae(path)


@pytest.mark.parametrize("held", [bytearray(5), {1, 2}, torch.device("cpu"), np.float64(1)])
def test_a_pt_file_that_names_anything_but_tensors_is_refused_before_it_is_loaded(tmp_path, held):
    with pytest.raises(CorruptArtifact, match="is not a file of tensors alone"):
        import_sae(pt(tmp_path / "32_0.5.pt", {"bias_pre": held}))


@pytest.mark.parametrize(
    ("name", "dtype"), [("W_enc", np.int32), ("W_enc", np.bool_), ("W_dec", np.float64), ("b_enc", np.float16)]
)
def test_weights_that_are_not_float32_are_refused(identity_sae, tmp_path, tamper, name, dtype):
    identity_sae.save(tmp_path / "sae")
    tensors = load_file(tmp_path / "sae" / WEIGHTS)
    tamper(tmp_path / "sae" / WEIGHTS, save({**tensors, name: tensors[name].astype(dtype)}))
    with pytest.raises(CorruptArtifact, match="not float32"):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize("field", ["d_in", "n_latents", "k"])
def test_sizes_that_are_no_whole_numbers_are_refused(identity_sae, tmp_path, field):
    identity_sae.save(tmp_path / "sae")
    manifest = read_manifest(tmp_path / "sae", "sae")
    manifest.settings["sae"][field] = float(manifest.settings["sae"][field])
    write_manifest(tmp_path / "sae", manifest)
    with pytest.raises(CorruptArtifact, match="should be of type int"):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize("change", [{"d_in": 10**4000}, {"k": 2**31}, {"k": 3.0}, {"k": True}])
def test_sizes_in_settings_of_others_are_bounded(random_sae, tmp_path, change):
    sae = random_sae(1)
    export_sae(replace(sae, config=replace(sae.config, selection="top_k")), tmp_path / "s", "sparsify")
    settings = json.loads((tmp_path / "s" / "cfg.json").read_text()) | change
    (tmp_path / "s" / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(CorruptArtifact, match="expected a whole number from 1 to 2,147,483,647"):
        import_sae(tmp_path / "s")


def test_settings_that_are_large_or_say_a_thing_twice_are_refused(tmp_path):
    path = written(tmp_path / "cfg.json", '{"k": 1, "k": 2}')
    with pytest.raises(CorruptArtifact, match="the key 'k' twice"):
        SettingsFile(path)
    with pytest.raises(CorruptArtifact, match="over 1,048,576 bytes"):
        SettingsFile(written(path, "[" + "1," * 2**19 + "1]"))


# --- models, tables, phrases ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "modules",
    [
        [{"type": "sentence_transformers.util.http_get", "path": "", "name": "0", "idx": 0}],
        [{"type": "os.system", "path": "", "name": "0", "idx": 0}],
        [{"type": "no.such.module.Class", "path": "", "name": "0", "idx": 0}],
        [{"type": 3}],
        {"type": "x"},
        "[[[[",
    ],
)
def test_an_encoder_of_foreign_classes_is_one_error(tmp_path, modules):
    written(tmp_path / "m" / "modules.json", modules if isinstance(modules, str) else json.dumps(modules))
    written(tmp_path / "m" / "config.json", "{}")
    encoder = open_encoder(EncoderConfig(model=str(tmp_path / "m")))
    with pytest.raises(ModelUnavailable, match="could not be loaded"):
        encoder.encode_queries(["x"])


@pytest.mark.parametrize("sign", "\uff1d\uff0b\uff0d\uff20=+-@\t\r")
def test_signs_that_begin_a_formula_are_guarded_however_wide_they_are(sign):
    for cell in (f"{sign}1", f"'{sign}1", f"''{sign}"):
        assert tables.guarded(cell) == f"'{cell}"
        assert tables.unguarded(tables.guarded(cell)) == cell
    assert tables.guarded(f"a{sign}") == f"a{sign}"


def test_tables_and_lists_of_phrases_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST_TABLE", 20)
    with pytest.raises(BadData, match="over 20 bytes; import it in parts"):
        list(tables.read(written(tmp_path / "t.csv", "latent,name\n" + "1,a\n" * 9), ("latent",), ("name",)))
    monkeypatch.setattr(readers, "LONGEST_LINE", 20)
    with pytest.raises(BadData, match="line 2: over 20 characters"):
        list(file_phrases(written(tmp_path / "phrases.txt", "wind\n" + "x" * 21)))


def test_a_key_that_a_row_of_a_table_has_twice_is_refused(tmp_path):
    path = written(tmp_path / "t.jsonl", '{"latent": 1, "name": "a", "name": "b"}\n')
    with pytest.raises(BadData, match="the key 'name' twice"):
        list(tables.read(path, ("latent",), ("name",)))
