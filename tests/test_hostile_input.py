"""Careless and hostile input, full disks and killed builds: one clear error each, and nothing is lost or left."""

import datetime
import gzip
import json
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from invoked import refused, unweave, written
from unweave.base.building import build
from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.encode import embeddings
from unweave.encode.embeddings import Embeddings
from unweave.errors import BadData, UnweaveError
from unweave.project import Project
from unweave.settings import Settings, update, write_new
from unweave.stages.embed import bring_embeddings
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus
from unweave.texts.open import open_collection
from unweave.texts.queries import QuerySet, read_qrels

TWO = '{"_id": "a", "text": "one"}\n{"_id": "b", "text": "two"}\n'


@pytest.fixture
def project(tmp_path):
    passages = [Passage(name, "", f"text of {name}") for name in ("a", "b", "c", "d")]
    return Project.create(tmp_path / "project", Collection(passages=passages))


@pytest.mark.parametrize("source", ["good", "empty"])
def test_init_never_touches_a_folder_of_the_users_that_has_the_name_of_an_artefact(tmp_path, source):
    written(tmp_path / "corpus" / "mine.txt", "precious")
    corpus = written(tmp_path / "c.jsonl", TWO if source == "good" else "")
    assert "corpus" in refused(unweave("init", tmp_path, "--corpus", corpus))
    assert (tmp_path / "corpus" / "mine.txt").read_text() == "precious"


def test_brought_embeddings_never_mix_two_files(project, tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 2)
    vectors = np.ones((4, 2), np.float32)
    vectors[3] = np.nan
    np.save(tmp_path / "x.npy", vectors)
    with pytest.raises(BadData, match="row 3 holds NaN"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", None)
    np.save(tmp_path / "x.npy", np.full((4, 2), 5, np.float32))
    bring_embeddings(project, "passages", tmp_path / "x.npy", None)
    assert (project.embeddings("passages").rows() == 5).all()


def test_ids_that_are_not_as_many_as_the_rows_are_refused(project, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((5, 2), np.float32))
    written(tmp_path / "ids.txt", "a\nb\nc\nd\n")
    with pytest.raises(BadData, match=r"4 ids, but the embeddings have 5 rows"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", tmp_path / "ids.txt")


def test_judgements_of_ids_with_quotes_come_back(tmp_path):
    qrels = {"test": {'q"1': {'d"1': 1}}}
    assert QuerySet.write(tmp_path / "q", [Query('q"1', "t")], qrels, settings={}).qrels("test") == qrels["test"]


def test_a_corpus_without_sentences_can_be_embedded(tmp_path):
    Project.create(tmp_path / "p", Collection(passages=[Passage("a", "Sea", "too short")]))
    project = Project.open(tmp_path / "p", encoder=lambda texts: np.ones((len(texts), 2)))
    assert [done.artifact for done in project.embed()] == ["embeddings/passages"]


@pytest.mark.parametrize(
    "row", [{"_id": None, "text": "x"}, {"_id": "a", "text": {"x": 1}}, {"_id": ["a"], "text": "x"}]
)
def test_no_id_or_text_is_made_up(tmp_path, row):
    with pytest.raises(BadData, match="line 1"):
        list(open_collection(str(written(tmp_path / "c.jsonl", json.dumps(row)))).passages)


def test_no_text_of_a_query_is_made_up(tmp_path):
    written(tmp_path / "b" / "corpus.jsonl", TWO)
    written(tmp_path / "b" / "queries.jsonl", '{"_id": "q", "text": null}\n')
    with pytest.raises(BadData, match=r"queries\.jsonl, line 1"):
        list(open_collection(str(tmp_path / "b")).queries)


def test_a_query_without_text_is_named_with_its_file(tmp_path):
    written(tmp_path / "b" / "corpus.jsonl", TWO)
    written(tmp_path / "b" / "queries.jsonl", '{"_id": "q"}\n')
    with pytest.raises(BadData, match=r"queries\.jsonl, line 1"):
        list(open_collection(str(tmp_path / "b")).queries)


def test_a_date_in_parquet_is_kept_as_text(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "text": ["x"], "on": [datetime.date(2020, 1, 1)]}), tmp_path / "c.parquet")
    project = Project.create(tmp_path / "p", open_collection(str(tmp_path / "c.parquet")))
    assert project.corpus[0].metadata == {"on": "2020-01-01"}


def test_a_gzip_file_with_a_flipped_byte_is_refused(tmp_path):
    whole = bytearray(gzip.compress("".join(f'{{"id": {i}, "text": "{i * 7919}"}}\n' for i in range(3000)).encode()))
    whole[200:202] = bytes(b ^ 255 for b in whole[200:202])
    with pytest.raises(BadData, match=r"c\.jsonl\.gz"):
        list(open_collection(str(written(tmp_path / "c.jsonl.gz", bytes(whole)))).passages)


def test_a_csv_file_that_is_only_called_gz_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"c\.csv\.gz"):
        list(open_collection(str(written(tmp_path / "c.csv.gz", "id,text\na,b\n"))).passages)


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 100_000 + "]" * 100_000])
def test_json_that_python_cannot_take_is_refused(tmp_path, value):
    with pytest.raises(BadData, match=r"c\.jsonl, line 1"):
        list(
            open_collection(str(written(tmp_path / "c.jsonl", f'{{"_id": "a", "text": "x", "m": {value}}}\n'))).passages
        )


def test_judgements_that_are_not_utf8_are_refused(tmp_path):
    with pytest.raises(BadData, match=r"test\.tsv"):
        read_qrels(written(tmp_path / "test.tsv", b"q\t\xff\t1\n"))


@pytest.mark.parametrize("content", ["fit = 3\n", "[[fit]]\nk = 3\n"])
def test_a_stage_that_is_no_table_is_refused(tmp_path, content):
    with pytest.raises(BadData, match="fit"):
        Settings.read(written(tmp_path / "unweave.toml", content))


def test_updating_a_file_that_is_not_toml_is_refused(tmp_path):
    with pytest.raises(BadData, match="not valid TOML"):
        update(written(tmp_path / "unweave.toml", "[fit\n"), {"fit": {"k": 3}})


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("embed", {"sentences": -1}),
        ("evaluate", {"cutoff": 0}),
        ("evaluate", {"candidates": 0}),
        ("keyphrases", {"phrases": 0}),
        ("keyphrases", {"strongest_texts": 0}),
        ("keyphrases", {"least_texts": 0}),
        ("evidence", {"examples": -1}),
        ("encoder", {"batch_size": 0}),
        ("fit", {"seed": -1}),
        ("fit", {"lr": float("nan")}),
        ("fit", {"lr": float("inf")}),
        ("fit", {"k": 100, "n_latents": 10}),
    ],
)
def test_a_setting_out_of_range_is_refused(tmp_path, stage, change):
    write_new(tmp_path / "unweave.toml", {})
    with pytest.raises(BadData, match=rf"\[{stage}\]"):
        update(tmp_path / "unweave.toml", {stage: change})


def test_more_latents_active_than_there_are_is_one_line(project, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 2), np.float32))
    assert unweave("embed", project.path, "--passages", tmp_path / "x.npy").exit_code == 0
    refused(unweave("fit", project.path, "--k", "100", "--n-latents", "10"))


def test_an_archive_called_npy_is_refused(project, tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=np.ones(3))
    with pytest.raises(BadData, match=r"x\.npy"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", None)


def test_a_damaged_npy_header_is_refused(project, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 2), np.float32))
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:10] + b"{('descr'" + whole[19:])
    with pytest.raises(BadData, match=r"x\.npy"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", None)


def test_ids_that_are_not_utf8_are_refused(project, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 2), np.float32))
    with pytest.raises(BadData, match=r"ids\.txt"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", written(tmp_path / "ids.txt", b"\xff"))


def test_too_large_numbers_are_refused_without_a_warning(project, tmp_path):
    np.save(tmp_path / "x.npy", np.full((4, 2), 1e300))
    with pytest.raises(BadData, match="row 0 holds NaN or infinite"):
        bring_embeddings(project, "passages", tmp_path / "x.npy", None)


def test_shards_of_different_widths_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 2)
    with pytest.raises(UnweaveError, match="wide"):
        Embeddings.write(
            tmp_path / "e", np.arange(4, dtype=np.uint64), lambda at: np.ones((len(at), 2 + at[0])), label="x",
            settings={}, made_from={},
        )  # fmt: skip


def test_a_negative_position_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "SHARD_ROWS", 2)
    rows = np.ones((4, 2))
    digests = np.arange(4, dtype=np.uint64)
    written = Embeddings.write(tmp_path / "e", digests, rows.__getitem__, label="x", settings={}, made_from={})
    with pytest.raises(IndexError):
        written.take([-1])


def test_ids_with_a_line_separator_are_one_id(tmp_path):
    project = Project.create(tmp_path / "p", Collection(passages=[Passage("a\u2028b", "", "t")]))
    np.save(tmp_path / "x.npy", np.ones((1, 2), np.float32))
    bring_embeddings(project, "passages", tmp_path / "x.npy", written(tmp_path / "ids.txt", "a\u2028b\n"))
    assert len(project.embeddings("passages")) == 1


def test_a_build_killed_while_it_computes_checksums_keeps_its_checkpoints(tmp_path):
    script = """
        import os, signal, sys
        from pathlib import Path
        import unweave.base.building as building
        building.file_digest = lambda path: os.kill(os.getpid(), signal.SIGKILL)
        with building.build(Path(sys.argv[1]), "words", settings={}, made_from={}) as made:
            (made.path / "words.txt").write_text("hours of work")
            made.checkpoint()
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), tmp_path / "a"])
    assert killed.returncode == -signal.SIGKILL
    with build(tmp_path / "a", "words", settings={}, made_from={}) as made:
        assert (made.path / "words.txt").exists()


def test_a_reader_between_the_two_renames_does_not_break_the_writer(tmp_path):
    script = """
        import sys
        from pathlib import Path
        from unweave.base.artifact import read_manifest
        from unweave.base.building import build
        folder = Path(sys.argv[1])
        def make(text):
            with build(folder, "words", settings={}, made_from={}) as made:
                (made.path / "words.txt").write_text(text)
        reads = []
        def read_before_the_second_rename(event, arguments):
            if event == "os.rename" and str(arguments[0]).endswith("a.unweave-build") and len(reads) < 3:
                reads.append(read_manifest(folder, "words"))
        make("old")
        sys.addaudithook(read_before_the_second_rename)
        make("new")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path / "a"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "words.txt").read_text() == "new"


@pytest.mark.parametrize("inodes", range(2, 13))
def test_init_leaves_nothing_whenever_the_disk_is_full(tmp_path, inodes):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size=1m,nr_inodes={inodes}", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert "No space left" in refused(unweave("init", disk / "p", "--corpus", written(tmp_path / "c.jsonl", TWO)))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_refused_embeddings_leave_the_settings_as_they_were(project, tmp_path):
    before = (project.path / "unweave.toml").read_text()
    np.save(tmp_path / "x.npy", np.zeros((4, 2), np.float32))
    refused(unweave("embed", project.path, "--passages", tmp_path / "x.npy"))
    assert (project.path / "unweave.toml").read_text() == before


def test_search_before_index_says_so_before_it_loads_a_model(project):
    script = f"""
        import sys
        from unweave.project import Project
        try:
            Project.open({str(project.path)!r}).search("sea")
        except Exception as error:
            print(error)
        print("torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    said, loaded = done.stdout.splitlines()
    assert "run: unweave" in said
    assert loaded == "False"


def test_terminal_escapes_in_data_do_not_reach_the_terminal(tmp_path):
    rows = written(tmp_path / "c.jsonl", '{"\\u001b]0;owned\\u0007x": 1}\n')
    done = CliRunner().invoke(main, ["init", str(tmp_path / "p"), "--corpus", str(rows)], color=True)
    assert done.exit_code == 1
    assert "\x1b" not in done.stderr


def test_terminal_escapes_in_the_id_of_a_blank_passage_do_not_reach_the_log(tmp_path, caplog):
    Corpus.write(tmp_path / "c", [Passage("\x1b[2J", "", "")], settings={})
    assert "\x1b" not in caplog.text


def test_a_passage_is_found_by_the_id_it_was_given(tmp_path):
    corpus = Corpus.write(tmp_path / "c", [Passage("a\ud800", "", "t")], settings={})
    assert corpus.position("a\ud800") == 0


def test_an_unfinished_quote_is_named_by_its_line(tmp_path):
    with pytest.raises(BadData, match="line 3"):
        list(open_collection(str(written(tmp_path / "c.csv", 'id,text\na,one\nb,"two\n'))).passages)


def test_a_long_text_in_csv_is_read(tmp_path):
    text = "x" * 140_000
    passages = list(open_collection(str(written(tmp_path / "c.csv", f"id,text\na,{text}\n"))).passages)
    assert passages[0].text == text


def test_a_pair_judged_twice_with_two_grades_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"test\.tsv:2"):
        read_qrels(written(tmp_path / "test.tsv", "q\t0\ta\t1\nq\t0\ta\t0\n"))


def test_evaluating_before_embedding_names_the_command(tmp_path):
    written(tmp_path / "b" / "corpus.jsonl", TWO)
    written(tmp_path / "b" / "queries.jsonl", '{"_id": "q", "text": "one?"}\n')
    written(tmp_path / "b" / "qrels" / "test.tsv", "q\t0\ta\t1\n")
    assert unweave("init", tmp_path / "p", "--corpus", tmp_path / "b").exit_code == 0
    assert "run: unweave embed" in refused(unweave("evaluate", tmp_path / "p"))


def test_an_empty_query_id_is_refused(tmp_path):
    with pytest.raises(BadData, match="empty id"):
        QuerySet.write(tmp_path / "q", [Query("", "t")], {}, settings={})


def test_init_that_fails_leaves_no_parent_folder(tmp_path):
    refused(unweave("init", tmp_path / "x" / "y" / "p", "--corpus", written(tmp_path / "c.jsonl", "")))
    assert not (tmp_path / "x").exists()
