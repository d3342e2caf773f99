"""CIFF's bytes, read by protobuf's own library, and the wire format beside it."""

from __future__ import annotations

import engines_here as here
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.engines import wire
from unweave.engines.ciff import Ciff, read_ciff
from unweave.engines.numbers import whole_rows
from unweave.engines.sending import rows_of, send, shape_of

INT, INT64, DOUBLE, STRING, MESSAGE = 5, 3, 1, 9, 11
SCHEMA = {
    "Header": [("version", 1, INT), ("num_postings_lists", 2, INT), ("num_docs", 3, INT),
               ("total_postings_lists", 4, INT), ("total_docs", 5, INT), ("total_terms_in_collection", 6, INT64),
               ("average_doclength", 7, DOUBLE), ("description", 8, STRING)],
    "Posting": [("docid", 1, INT), ("tf", 2, INT)],
    "PostingsList": [("term", 1, STRING), ("df", 2, INT64), ("cf", 3, INT64), ("postings", 4, MESSAGE)],
    "DocRecord": [("docid", 1, INT), ("collection_docid", 2, STRING), ("doclength", 3, INT)],
}  # fmt: skip
"""CommonIndexFileFormat.proto."""


def of_protobuf():
    """The classes that protobuf makes of the schema."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2", reason="protobuf is not installed")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="ciff.proto", package="ciff", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for called, number, kind in fields:
            repeated = kind == MESSAGE
            added = message.field.add(name=called, number=number, type=kind, label=3 if repeated else 1)
            if repeated:
                added.type_name = ".ciff.Posting"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"ciff.{n}")) for n in SCHEMA}


def test_protobuf_reads_the_file_as_the_index_was(tmp_path):
    classes, index, engine = of_protobuf(), here.index_of(tmp_path / "index", 100), Ciff(tmp_path / "ciff")
    shape = shape_of(index, "")
    send(index, engine, shape)
    assert [path.name for path in (tmp_path / "ciff").iterdir()] == ["index.ciff"]
    rows, found = read_ciff(engine.file, shape.n_latents), list(wire.messages(memoryview(engine.file.read_bytes())))
    held = whole_rows(next(rows_of(index)).impacts, shape.largest, 8).toarray()
    assert rows.impacts.toarray().tolist() == held.tolist() and rows.ids == here.ids_of(100)
    header = classes["Header"].FromString(bytes(found[0]))
    lists = [classes["PostingsList"].FromString(bytes(one)) for one in found[1 : header.num_postings_lists + 1]]
    records = [classes["DocRecord"].FromString(bytes(one)) for one in found[header.num_postings_lists + 1 :]]
    assert (header.version, header.num_docs, header.total_docs) == (1, 100, 100)
    assert [one.term for one in lists] == sorted(one.term for one in lists)
    for one in lists:
        column = rows.impacts[:, [int(one.term[1:])]].toarray().ravel()
        assert np.cumsum([posting.docid for posting in one.postings]).tolist() == np.flatnonzero(column).tolist()
        assert [posting.tf for posting in one.postings] == column[column > 0].tolist()
        assert (one.df, one.cf) == ((column > 0).sum(), column.sum())
    assert [record.docid for record in records] == list(range(100))
    assert [record.collection_docid for record in records] == here.ids_of(100)
    assert [record.doclength for record in records] == rows.impacts.sum(axis=1).tolist()
    assert header.average_doclength == pytest.approx(rows.impacts.sum() / 100)


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(1, 2**31 - 1)), min_size=1, max_size=9))
def test_pairs_are_what_protobuf_writes(numbers):
    classes = of_protobuf()
    written = wire.pairs(4, *np.array(numbers, np.int64).T)
    read = classes["PostingsList"].FromString(written)
    assert [(posting.docid, posting.tf) for posting in read.postings] == numbers


@given(st.integers(0, 2**63 - 1), st.text(max_size=300).filter(lambda t: t.isprintable()))
def test_numbers_and_texts_are_what_protobuf_writes(number, text):
    message = of_protobuf()["PostingsList"](term=text, df=number)
    read = dict(wire.fields(memoryview(wire.field(1, text) + wire.field(2, number))))
    assert (bytes(read[1]).decode(), read[2]) == (text, number)
    assert message.FromString(wire.field(1, text) + wire.field(2, number)) == message


def test_a_number_by_hand():
    # 300 = 0b10_0101100: the low seven bits with the mark, then 0b10.
    assert wire.varint(300) == bytes([0b1010_1100, 0b10])
    assert wire.pairs(4, np.array([0]), np.array([300])) == bytes([0x22, 5, 0x08, 0, 0x10, 0b1010_1100, 0b10])


def test_another_type_of_field_is_refused():
    with pytest.raises(ValueError, match="type 5"):
        list(wire.fields(memoryview(bytes([1 << 3 | 5, 0, 0, 0, 0]))))
