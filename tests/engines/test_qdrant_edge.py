"""What Qdrant Edge's folder is kept from."""

from __future__ import annotations

import pytest

pytest.importorskip("qdrant_edge", reason="qdrant_edge is not installed")

import engines_here as here

from unweave.engines.qdrant_edge import QdrantEdge


def test_texts_travel_in_the_payload(tmp_path):
    import qdrant_edge

    index, engine = here.index_of(tmp_path / "index", 20), QdrantEdge(tmp_path / "shard")
    here.send_with_texts(index, engine)
    (point,) = engine.shard.retrieve([0], with_payload=True, with_vector=False)
    assert point.payload == {"id": "a/b", "title": "a/b", "metadata": {"n": 1}}
    assert isinstance(point, qdrant_edge.Record)
    engine.close()
