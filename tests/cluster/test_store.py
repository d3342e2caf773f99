"""Artefacts in a folder and in an object store: whole or not there, and never what somebody left half-written."""

from __future__ import annotations

import errno
import io
import json
import pickle
import shutil
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from prepared import damage, s3, store  # noqa: F401 - fixtures

from unweave.base.artifact import checksum_of
from unweave.base.records import Passage
from unweave.cluster.store import Store, file_system
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.texts.corpus import Corpus


def corpus_of(folder: Path, *texts: str) -> Corpus:
    return Corpus.write(folder, [Passage(f"p{i}", "", text) for i, text in enumerate(texts)], settings={})


@pytest.fixture
def published(store, tmp_path) -> str:
    """A corpus in the store; its fingerprint."""
    corpus_of(tmp_path / "made", "a heron", "an engine")
    return store.publish(tmp_path / "made", "corpus", "shards/one/corpus").fingerprint


def flipped(content: bytes) -> bytes:
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


def test_what_is_fetched_is_what_was_published(store, published, tmp_path) -> None:
    manifest = store.fetch("shards/one/corpus", "corpus", tmp_path / "fetched")
    assert manifest.fingerprint == published
    assert [passage.text for passage in Corpus.load(tmp_path / "fetched")] == ["a heron", "an engine"]
    assert store.is_whole("shards/one/corpus", "corpus", published)
    assert store.check("shards/one/corpus", "corpus").fingerprint == published


def test_two_that_make_the_same_write_the_same_bytes(store, published, tmp_path) -> None:
    time.sleep(0.02)  # how long it took is another time
    corpus_of(tmp_path / "again", "a heron", "an engine")
    store.publish(tmp_path / "again", "corpus", "shards/two/corpus")
    one, two = ("shards/one/corpus", "shards/two/corpus")
    names = [name.removeprefix(one) for name in store.sizes(one)]
    assert names and all(store.read(one + name) == store.read(two + name) for name in names)


@pytest.mark.parametrize("how", [flipped, lambda content: content[:-1], lambda _: b"", lambda _: None])
@pytest.mark.parametrize("file", ["passages.jsonl", "config.json"])
def test_what_was_damaged_since_is_found(store, published, damage, tmp_path, file, how) -> None:
    name = f"shards/one/corpus/{file}"
    damage(name, how(store.read(name)))
    for read in (lambda: store.fetch("shards/one/corpus", "corpus", tmp_path / "fetched"),
                 lambda: store.check("shards/one/corpus", "corpus")):  # fmt: skip
        with pytest.raises((CorruptArtifact, MissingArtifact), match=r"shards/one/corpus"):
            read()
    same_size = how is flipped and file == "passages.jsonl"  # which only reading it tells
    assert store.is_whole("shards/one/corpus", "corpus", published) == same_size


def test_another_artefact_in_its_place_is_not_taken_for_it(store, published, tmp_path) -> None:
    corpus_of(tmp_path / "other", "a cake")
    store.publish(tmp_path / "other", "corpus", "shards/one/corpus")
    assert not store.is_whole("shards/one/corpus", "corpus", published)
    with pytest.raises(CorruptArtifact, match="does not state a sae"):
        store.manifest("shards/one/corpus", "sae")


class Killed(BaseException):
    pass


def stop_after(store: Store, n_files: int, monkeypatch) -> None:
    """Let this process be killed when so many files were put."""
    done, put = [], store._files.put

    def puts(name: str, source: Path) -> None:
        if len(done) == n_files:
            raise Killed
        put(name, source)
        done.append(name)

    monkeypatch.setattr(store._files, "put", puts)


@pytest.mark.parametrize("n_files", [0, 1, 5])
def test_a_half_written_artefact_is_none(store, published, tmp_path, monkeypatch, n_files) -> None:
    corpus_of(tmp_path / "other", "a cake")
    stop_after(store, n_files, monkeypatch)
    with pytest.raises(Killed):
        store.publish(tmp_path / "other", "corpus", "shards/one/corpus")
    with pytest.raises(MissingArtifact):
        store.manifest("shards/one/corpus", "corpus")


@pytest.mark.parametrize("n_files", [0, 1, 5])
def test_the_same_in_its_place_stays_whole_all_the_time(store, published, tmp_path, monkeypatch, n_files) -> None:
    corpus_of(tmp_path / "same", "a heron", "an engine")
    stop_after(store, n_files, monkeypatch)
    with pytest.raises(Killed):
        store.publish(tmp_path / "same", "corpus", "shards/one/corpus")
    assert store.check("shards/one/corpus", "corpus").fingerprint == published


def test_publishing_mends(store, published, damage, tmp_path) -> None:
    name = "shards/one/corpus/passages.jsonl"
    damage(name, flipped(store.read(name)))
    store.publish(tmp_path / "made", "corpus", "shards/one/corpus")
    assert store.check("shards/one/corpus", "corpus").fingerprint == published


# --- records of JSON --------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(store, tmp_path) -> None:
    store.write_json("note.json", {"n": 3, "of": [1, [2.5, "ä"]]}, tmp_path)
    assert store.read_json("note.json") == {"n": 3, "of": [1, [2.5, "ä"]]}
    store.remove("note.json")
    store.remove("note.json")  # which is not there any more
    with pytest.raises(MissingArtifact, match=r"note\.json"):
        store.read_json("note.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"checksum": "0", "n": 3}', "its own checksum"),
        (b'{"n": 3}', "its own checksum"),
        (b"[3]", "no JSON of unweave"),
        (b'{"n": ', "no JSON of unweave"),
        (b"", "no JSON of unweave"),
        (b"\xff\xfe", "no JSON of unweave"),
        (b"[" * 100_000, "no JSON of unweave"),
    ],
)
def test_a_damaged_record_is_said(store, damage, tmp_path, content, said) -> None:
    store.write_json("note.json", {"n": 3}, tmp_path)
    damage("note.json", content)
    with pytest.raises(CorruptArtifact, match=said):
        store.read_json("note.json")


def test_one_digit_that_was_flipped_is_found(store, damage, tmp_path) -> None:
    store.write_json("note.json", {"n": 300}, tmp_path)
    damage("note.json", store.read("note.json").replace(b"300", b"301"))
    with pytest.raises(CorruptArtifact, match="its own checksum"):
        store.read_json("note.json")


# --- a store that is out of reach, and a disk that is full ------------------------------------------------------------


def test_a_store_that_is_down_is_waited_for(s3, tmp_path) -> None:
    store = Store(s3.address("down"), patience=20)
    store.write_json("note.json", {"n": 1}, tmp_path)
    s3.proxy.stop()
    threading.Timer(2, s3.proxy.start).start()
    assert store.read_json("note.json") == {"n": 1}
    s3.proxy.stop()
    threading.Timer(2, s3.proxy.start).start()
    store.write_json("note.json", {"n": 2}, tmp_path)
    assert store.read_json("note.json") == {"n": 2} and list(store.sizes("")) == ["note.json"]


def test_a_store_that_stays_down_is_an_error_of_a_machine(s3, tmp_path) -> None:
    store = Store(s3.address("down"), patience=0.5)
    s3.proxy.stop()
    try:
        with pytest.raises(OSError, match=r"(?i)connect|network") as raised:
            store.read("note.json")
        assert raised.value.errno is None
    finally:
        s3.proxy.start()


def test_what_the_server_refuses_is_said_at_once(s3, tmp_path) -> None:
    store = Store(s3.address("x").replace("corpus/x", "nobodys/x"), patience=60)
    began = time.monotonic()
    with pytest.raises((OSError, MissingArtifact)):
        store.write_json("note.json", {}, tmp_path)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("number", "tries"), [(errno.ENOSPC, 1), (errno.EACCES, 1), (errno.ESTALE, 3), (errno.ECONNREFUSED, 3), (None, 3)]
)
def test_a_full_disk_is_no_store_that_is_down(tmp_path, monkeypatch, number, tries) -> None:
    store = Store(str(tmp_path / "store"), patience=60)
    monkeypatch.setattr("unweave.cluster.store._PAUSE", 0.01)
    tried = []

    def put(name: str, source: Path) -> None:
        tried.append(name)
        if len(tried) < 3:
            raise OSError(number, "said") if number else OSError("AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(store._files, "put", put)
    if tries == 1:
        with pytest.raises(OSError, match="said"):
            store.write("a", b"b", tmp_path)
    else:
        store.write("a", b"b", tmp_path)
    assert len(tried) == tries


def test_an_upload_that_is_broken_off_leaves_no_object(store, tmp_path, monkeypatch) -> None:
    def half(source, target, *_) -> None:
        target.write(source.read(2))
        raise KeyboardInterrupt

    if "://" in store.address:
        monkeypatch.setattr(shutil, "copyfileobj", half)
    else:
        monkeypatch.setattr(shutil, "copyfile", lambda source, aside: half(io.BytesIO(b"whole"), io.BytesIO()))
    with pytest.raises(KeyboardInterrupt):
        store.write("note.json", b"whole", tmp_path)
    with pytest.raises(MissingArtifact):
        store.read("note.json")


# --- addresses --------------------------------------------------------------------------------------------------------


def test_a_store_that_was_sent_elsewhere_is_the_same(tmp_path) -> None:
    store = pickle.loads(pickle.dumps(Store(str(tmp_path), patience=7)))
    assert (store.address, store._patience) == (str(tmp_path), 7)


@pytest.mark.parametrize("address", ["s3://key:secret@bucket/x", "nothing://bucket/x"])
def test_an_address_that_is_none_is_said(address) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(BadData, match=r"key|no address of a store") as raised:
        file_system(address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a\\..\\b"])
def test_no_manifest_leads_outside_of_its_folder(store, published, damage, file) -> None:
    manifest = asdict(store.manifest("shards/one/corpus", "corpus"))
    manifest["files"] = {file: {"bytes": 1, "sha256": ""}}
    manifest["checksum"] = checksum_of(manifest)
    damage("shards/one/corpus/config.json", json.dumps(manifest).encode())
    with pytest.raises(CorruptArtifact, match="does not state a corpus"):
        store.manifest("shards/one/corpus", "corpus")
