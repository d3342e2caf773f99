"""Names that somebody gave to the latents of an SAE, in a table beside it: one row a latent, `feature` and `label`.

So latent-taxonomy lays out its Parquet files for SAEs of latentsae; the same columns in .csv, .tsv or .jsonl will do.
What is written is read again as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unweave.base.extras import require
from unweave.base.files import write_atomically
from unweave.base.foreign import shown
from unweave.base.plain import plain
from unweave.concepts import tables
from unweave.dictionaries.latents import LONGEST_NAME, Latent
from unweave.errors import BadData
from unweave.texts.readers import READERS, ending

logger = logging.getLogger(__name__)

FEATURE, LABEL = "feature", "label"
PARQUET = ".parquet"
_NONE = frozenset({"", "[FAILED]"})
"""Labels that say that there is none."""


def read_labels(path: Path, n_latents: int) -> tuple[Latent, ...]:
    """The latents that a table names, by number; of how often and how strongly they are active it says nothing.

    Raises:
        BadData: it is no such table, names a latent twice, or one that the SAE does not have.
        MissingExtra: it is a Parquet file, and the extra `parquet` is not installed.
    """
    reader = READERS.get(ending(path))
    if reader is None:
        raise BadData(f"{path.name}: cannot tell its format; expected one of {', '.join(sorted(READERS))}")
    names: dict[int, str | None] = {}
    guards = ending(path) in (".csv", ".tsv")  # where a label may have been kept from being taken for a formula
    for where, row in reader(path):
        latent, name = _of_row(f"{path.name}, {where}", row, n_latents, guarded=guards)
        if latent in names:
            raise BadData(f"{path.name}, {where}: the latent {latent} has a label already")
        names[latent] = name
    found = tuple(Latent(latent, name) for latent, name in sorted(names.items()) if name)
    logger.info("%s names %d of %d latents", path.name, len(found), n_latents)
    return found


def check_labels(path: Path) -> None:
    """Whether labels can be written to a file of this name, before anything else is.

    Raises:
        BadData: its name ends in something else than .parquet, .csv or .jsonl.
        MissingExtra: it is a Parquet file, and the extra `parquet` is not installed.
    """
    if path.suffix.lower() == PARQUET:
        require("writing Parquet", "parquet", "pyarrow")
    elif path.suffix.lower() not in (tables.CSV, tables.JSONL):
        raise BadData(
            f"{path}: cannot tell its format; expected a name that ends in {PARQUET}, {tables.CSV} or {tables.JSONL}"
        )


def write_labels(path: Path, names: Mapping[int, str]) -> None:
    """Write the names of latents as a table, by number, in place of what was there.

    Raises:
        BadData, MissingExtra: as of `check_labels`.
        OSError: it cannot be written; what was there is as it was.
    """
    check_labels(path)
    latents = sorted(names)
    labels = [plain(names[latent], LONGEST_NAME) for latent in latents]
    if path.suffix.lower() != PARQUET:
        rows = [{FEATURE: latent, LABEL: label} for latent, label in zip(latents, labels, strict=True)]
        tables.write(path, (FEATURE, LABEL), rows)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({FEATURE: pa.array(latents, pa.int64()), LABEL: pa.array(labels, pa.string())})
    write_atomically(path, lambda aside: pq.write_table(table, aside))


def _of_row(where: str, row: dict[str, Any], n_latents: int, *, guarded: bool) -> tuple[int, str | None]:
    missing = [column for column in (FEATURE, LABEL) if column not in row]
    if missing:
        raise BadData(f"{where}: has no {' and no '.join(missing)}; expected the columns {FEATURE} and {LABEL}")
    feature, label = row[FEATURE], row[LABEL]
    if isinstance(feature, str) and feature.isascii() and feature.isdecimal():
        feature = int(feature[:20])
    if type(feature) is not int or not 0 <= feature < n_latents:
        raise BadData(f"{where}: {FEATURE} {shown(str(feature))} is no latent; there are 0 to {n_latents - 1:,}")
    if label is not None and not isinstance(label, str):
        raise BadData(f"{where}: {LABEL} {shown(str(label))} is no text")
    label = label or ""
    name = plain(tables.unguarded(label) if guarded else label, LONGEST_NAME).strip()
    return feature, None if name in _NONE else name
