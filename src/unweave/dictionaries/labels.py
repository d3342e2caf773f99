"""Names that somebody gave to the latents of an SAE, in a table beside it: one row a latent, `feature` and `label`.

So latent-taxonomy lays out its Parquet files for SAEs of latentsae; the same columns in .csv, .tsv or .jsonl will do.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from unweave.base.fields import shown
from unweave.base.plain import plain
from unweave.dictionaries.latents import LONGEST_NAME, Latent
from unweave.errors import BadData
from unweave.texts.readers import READERS, ending

logger = logging.getLogger(__name__)

FEATURE, LABEL = "feature", "label"
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
    for where, row in reader(path):
        latent, name = _of_row(f"{path.name}, {where}", row, n_latents)
        if latent in names:
            raise BadData(f"{path.name}, {where}: the latent {latent} has a label already")
        names[latent] = name
    found = tuple(Latent(latent, name) for latent, name in sorted(names.items()) if name)
    logger.info("%s names %d of %d latents", path.name, len(found), n_latents)
    return found


def _of_row(where: str, row: dict[str, Any], n_latents: int) -> tuple[int, str | None]:
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
    name = plain(label or "", LONGEST_NAME).strip()
    return feature, None if name in _NONE else name
