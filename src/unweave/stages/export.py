"""A project's passages in the forms of other tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.contributions import Label
from unweave.base.cores import spans
from unweave.base.extras import require
from unweave.base.files import write_atomically
from unweave.base.records import NO_NAME_HOLDS, Group, Trust
from unweave.stages.mapping import places_of_passages
from unweave.stages.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_PASSAGES_AT_ONCE = 8_192
"""In a row group, so that memory does not grow with the corpus."""


class Exported(NamedTuple):
    """What was written."""

    file: Path
    n_passages: int
    n_features: int
    """Activations of concepts, over all passages."""


def export_atlas(project: Workspace, file: Path) -> Exported:
    """Write the passages as Parquet for embedding-atlas 0.26: what each says, where it stands, which concepts it has.

    Columns: id, title, text (title and text together, as the encoder reads them), map_x and map_y (places on the map;
    null where a passage has no concept), and features, a list of structs: `feature`, a concept's name; `source`,
    whether its name holds for this passage (`named`), is weaker than it holds from (`traces`) or was shown to hold at
    no activation (`unnamed`); `index`, the concept's number. The strongest stand first. No column may be called x: the
    atlas asks DuckDB for `features, x -> x.feature`, which would then be read as one of the column x.

    Raises:
        MissingArtifact, StaleArtifact: the map or the names were not made yet, or are out of date.
        MissingExtra: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    require("writing Parquet", "parquet", "pyarrow")
    places, names = places_of_passages(project), project.concepts.shown()
    latents = project.latents
    write_atomically(file, lambda aside: _write(project, aside, places, names))
    return Exported(file, len(places), latents.nnz)


def _write(project: Workspace, file: Path, places: NDArray[np.float32], names: Mapping[int, Label]) -> None:
    import pyarrow.parquet as pq

    schema, called = _schema(), _called(names)
    with (
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
        progress.steps("writing passages", total=len(places), unit="passages") as advance,
    ):
        for start, end in spans(len(places), _PASSAGES_AT_ONCE):
            writer.write_table(_table(project, range(start, end), places[start:end], names, called, schema))
            advance(end - start)


def _schema() -> pa.Schema:
    import pyarrow as pa

    feature = pa.struct([("feature", pa.string()), ("source", pa.string()), ("index", pa.int32())])
    return pa.schema([
        ("id", pa.string()), ("title", pa.string()), ("text", pa.string()),
        ("map_x", pa.float32()), ("map_y", pa.float32()), ("features", pa.list_(feature)),
    ])  # fmt: skip


def _table(
    project: Workspace, positions: range, places: NDArray[np.float32], names: Mapping[int, Label],
    called: Mapping[int, str], schema: pa.Schema,
) -> pa.Table:  # fmt: skip
    """Some passages as rows."""
    import pyarrow as pa

    passages = project.corpus[positions.start : positions.stop]
    nowhere = np.isnan(places[:, 0])
    columns = {
        "id": [_text(passage.passage_id) for passage in passages],
        "title": [_text(passage.title) for passage in passages],
        "text": [_text(passage.content) for passage in passages],
        "map_x": pa.array(places[:, 0], mask=nowhere),
        "map_y": pa.array(places[:, 1], mask=nowhere),
        "features": [list(_features(project, position, names, called)) for position in positions],
    }
    return pa.table(columns, schema=schema)


def _features(
    project: Workspace, position: int, names: Mapping[int, Label], called: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    latents = project.latents
    held = slice(latents.indptr[position], latents.indptr[position + 1])
    order = np.argsort(-latents.data[held], kind="stable")
    active = zip(latents.indices[held][order].tolist(), latents.data[held][order].tolist(), strict=True)
    for latent, activation in active:
        label = names.get(latent)
        source = Group.UNNAMED if label is None else label.group(activation)
        yield {"feature": called.get(latent, f"#{latent}"), "source": source.value, "index": latent}


def _called(names: Mapping[int, Label]) -> dict[int, str]:
    """What each concept is called, all differently: the atlas knows a feature by this."""
    said = {j: NO_NAME_HOLDS if label.trust is Trust.NONE else _text(label.name) for j, label in names.items()}
    often = Counter([*said.values(), NO_NAME_HOLDS])  # which says nothing without a number
    return {j: f"{name} #{j}" if often[name] > 1 else name for j, name in said.items()}


def _text(text: str) -> str:
    """A text without halves of characters, which Parquet cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
