"""What Qdrant Edge's folder is kept from."""

from __future__ import annotations

import pytest

pytest.importorskip("qdrant_edge", reason="qdrant_edge is not installed")

import engines_here as here

from unweave.engines.qdrant_edge import QdrantEdge
from unweave.engines.sending import send, shape_of
from unweave.errors import BadData


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    index = here.index_of(tmp_path / "index", 20)
    with pytest.raises(BadData, match="in the way"):
        send(index, QdrantEdge(tmp_path / "mine"), shape_of(index, ""))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_texts_travel_in_the_payload(tmp_path):
    import qdrant_edge

    index, engine = here.index_of(tmp_path / "index", 20), QdrantEdge(tmp_path / "shard")
    send(
        index,
        engine,
        shape_of(index, "", texts=True),
        lambda ids: [{"title": one, "metadata": {"n": 1}} for one in ids],
    )
    (point,) = engine.shard.retrieve([0], with_payload=True, with_vector=False)
    assert point.payload == {"id": "a/b", "title": "a/b", "metadata": {"n": 1}}
    assert isinstance(point, qdrant_edge.Record)
    engine.close()
