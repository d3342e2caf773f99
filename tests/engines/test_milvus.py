"""What is said when Milvus does not do what it is asked."""

from __future__ import annotations

import pytest

pytest.importorskip("pymilvus", reason="pymilvus is not installed")
pytest.importorskip("milvus_lite", reason="milvus_lite is not installed")

import engines_here as here
import pymilvus

from unweave.engines.sending import send, shape_of
from unweave.errors import BadData

pytestmark = pytest.mark.filterwarnings("ignore")  # what clients say of their own


def test_what_it_refuses_in_mid_export_or_mid_search_is_one_error_and_loses_nothing(tmp_path, monkeypatch):
    index = here.index_of(tmp_path / "index", 60)

    def refuse(*_, **__):
        raise pymilvus.MilvusException(message="the connection is gone")

    with here.running("milvus", tmp_path) as engine:
        with monkeypatch.context() as gone:
            gone.setattr(pymilvus.MilvusClient, "flush", refuse)
            with pytest.raises(BadData, match=r"the connection is gone.* run the export again"):
                send(index, engine, shape_of(index, ""))
        send(index, engine, shape_of(index, ""))
        assert engine.count() == 60
        with monkeypatch.context() as gone:
            gone.setattr(pymilvus.MilvusClient, "search", refuse)
            with pytest.raises(BadData, match="or ask again"):
                engine.search(here.queries(1), 10)
        assert engine.search(here.queries(1), 10)[0].ids
