"""The engines by name; a new one is a module and a line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from unweave.engines.anserini import BITS as OF_ANSERINI
from unweave.engines.anserini import Anserini
from unweave.engines.ciff import BITS as OF_CIFF
from unweave.engines.ciff import Ciff
from unweave.engines.elasticsearch import Elasticsearch, ElasticsearchFiles
from unweave.engines.engine import Engine
from unweave.engines.jsonl import JsonLines
from unweave.engines.milvus import Milvus
from unweave.engines.opensearch import CEILING, OpenSearch, OpenSearchFiles
from unweave.engines.parquet import Parquet
from unweave.engines.postgresql import PostgreSQL
from unweave.engines.qdrant import Qdrant
from unweave.engines.qdrant_edge import QdrantEdge
from unweave.engines.rehearsal import Rounding, features, whole_numbers
from unweave.engines.vespa import Vespa, VespaFiles
from unweave.errors import BadData


class Kind(NamedTuple):
    """One engine, not opened yet."""

    open: Callable[[Any], Engine]
    place: str = ""
    """What has to be said of where it keeps its data; empty: in files beside all else that is exported."""
    files: Callable[[Path], Engine] | None = None
    """What it is where nothing is said of a place: files that a person feeds to it."""
    rounding: Rounding | None = None
    """What becomes of numbers, where they are not held as they are."""
    dense: bool = True
    """Whether embeddings can travel along."""


ENGINES = {
    "jsonl": Kind(JsonLines),
    "parquet": Kind(Parquet),
    "anserini": Kind(Anserini, rounding=whole_numbers(OF_ANSERINI), dense=False),
    "ciff": Kind(Ciff, rounding=whole_numbers(OF_CIFF), dense=False),
    "qdrant-edge": Kind(QdrantEdge, "a folder for the shard"),
    "qdrant": Kind(Qdrant, "a server's address, or a folder for the client's local mode"),
    "postgresql": Kind(PostgreSQL, "a connection string"),
    "milvus": Kind(Milvus, "a server's address, or a path that ends in .db"),
    "elasticsearch": Kind(Elasticsearch, "a server's address", ElasticsearchFiles, features()),
    "opensearch": Kind(OpenSearch, "a server's address", OpenSearchFiles, features(CEILING)),
    "vespa": Kind(Vespa, "an application's address", VespaFiles),
}


def opened(name: str, folder: Path, to: str | None) -> Engine:
    """An engine by its name.

    Args:
        folder: where it writes, if it is files.
        to: where it keeps its data, if it does so itself.

    Raises:
        BadData: there is no such engine, or it was not said where its data go, or was although it is files.
        MissingExtra: what it needs is not installed.
    """
    kind = ENGINES.get(name)
    if kind is None:
        raise BadData(f"no engine {name!r}; there are: {', '.join(ENGINES)}")
    if kind.files is not None and not to:
        return kind.files(folder)
    if bool(kind.place) != bool(to):
        raise BadData(
            f"{name} needs {kind.place}, as `to`" if kind.place else f"{name} is files, and takes no place to send to"
        )
    return kind.open(Path(to) if to and kind.place.startswith("a folder") else to or folder)
