"""Names of latents inside of another tool's files, where a format has room for what its tool does not read.

One JSON object, latent → name, under `concept_names`: in the `metadata` of SAELens' `cfg.json`, which SAELens keeps
when it saves, and in the header of the other tools' safetensors, which lasts until the tool saves the SAE anew.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from unweave.base.foreign import LARGEST_SETTINGS, parse_json, shown
from unweave.base.plain import plain
from unweave.errors import CorruptArtifact

logger = logging.getLogger(__name__)

FIELD = "concept_names"
_ROOM = LARGEST_SETTINGS - 2**16
"""Bytes; the rest is for the settings and tensors that stand beside the names."""
_LONGEST = 200
"""Characters of a name, as in a dictionary's folder."""


def written(names: Mapping[int, str], format: str) -> dict[str, str]:  # noqa: A002
    """The names by number as a string, as JSON has keys; none, and a note, if they take more room than there is."""
    texts = {str(latent): plain(names[latent], _LONGEST) for latent in sorted(names)}
    # Escaped twice: no way of writing them takes more, neither as an object in settings nor as text in a header.
    size = len(json.dumps(json.dumps(texts)))
    if size <= _ROOM:
        return texts
    logger.warning(
        "the names of %d latents take %d bytes, and the files of %s have room for %d; write a table: --labels",
        len(texts), size, format, _ROOM,
    )  # fmt: skip
    return {}


def in_header(names: Mapping[int, str], format: str) -> dict[str, str]:  # noqa: A002
    """What a header of safetensors, which holds texts alone, says of the names; nothing if there are none."""
    texts = written(names, format)
    return {FIELD: json.dumps(texts, ensure_ascii=False)} if texts else {}


def read(value: object, n_latents: int, path: Path) -> dict[int, str]:
    """The names that a file holds, by latent: an object, its text in JSON, or None for none.

    Raises:
        CorruptArtifact: it is something else, or names latents that the SAE does not have.
    """
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise CorruptArtifact(f"{path}: {FIELD} is no JSON ({plain(str(error), 200)}); fetch it again") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CorruptArtifact(f"{path}: {FIELD} is {shown(value)}, expected an object of latents and their names")
    names = {}
    for key, name in value.items():
        numbered = key.isascii() and key.isdecimal() and len(key) < 11 and int(key) < n_latents
        if not numbered or not isinstance(name, str):
            raise CorruptArtifact(
                f"{path}: {FIELD} has {shown(name)} for {shown(key)}, expected a name for a latent from 0 to "
                f"{n_latents - 1:,}"
            )
        if text := plain(name, _LONGEST).strip():
            names[int(key)] = text
    return names
