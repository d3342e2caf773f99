"""What an encoder costs: layers, width and how many tokens it reads, from which the parameters a token meets follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unweave.base.foreign import read_settings, shown
from unweave.errors import BadData

_KNOWN = {
    "all-MiniLM-L6-v2": (6, 384, 256), "all-MiniLM-L12-v2": (12, 384, 128), "all-mpnet-base-v2": (12, 768, 384),
    "multilingual-e5-small": (12, 384, 512), "e5-small-v2": (12, 384, 512), "e5-base-v2": (12, 768, 512),
    "multilingual-e5-base": (12, 768, 512), "e5-large-v2": (24, 1024, 512), "bge-small-en-v1.5": (12, 384, 512),
    "bge-base-en-v1.5": (12, 768, 512), "bge-large-en-v1.5": (24, 1024, 512), "bge-m3": (24, 1024, 8192),
    "simlm-base-msmarco-finetuned": (12, 768, 512), "contriever": (12, 768, 512),
}  # fmt: skip
"""Layers, width and most tokens, as the models' own settings state them."""
_SIZE = re.compile(r"([0-9]{1,4})x([0-9]{1,6})")
_TOKENS = 512


@dataclass(frozen=True)
class Shape:
    """The size of a transformer that makes one vector of a text."""

    name: str
    layers: int
    d_in: int
    """Width of its layers and of its embeddings."""
    most_tokens: int
    """Longer texts are cut."""

    @property
    def parameters(self) -> int:
        """Weights that each token is multiplied with: 12 width^2 a layer (4 of attention, 8 of what follows).

        Left out: attention between tokens, below a tenth of it for texts shorter than the width, and tables of words.
        """
        return 12 * self.layers * self.d_in**2


def shape_of(name: str) -> Shape:
    """An encoder's size by its name, with or without its owner's, by its folder, or by LAYERSxWIDTH.

    Raises:
        BadData: it is none of these.
    """
    short = name.rpartition("/")[2]
    if short in _KNOWN:
        return Shape(short, *_KNOWN[short])
    if sized := _SIZE.fullmatch(name):
        layers, width = int(sized[1]), int(sized[2])
        if not (0 < layers <= 1000 and 0 < width <= 65_536):
            raise BadData(f"{shown(name)} is no size of an encoder; give LAYERSxWIDTH such as 12x768")
        return Shape(name, layers, width, _TOKENS)
    if (Path(name) / "config.json").is_file():
        return _of_folder(Path(name))
    raise BadData(
        f"the size of the encoder {shown(name)} is not known; give one of {', '.join(sorted(_KNOWN))}, the folder of a "
        "model, or LAYERSxWIDTH such as 12x768"
    )


def _of_folder(folder: Path) -> Shape:
    """The size that a model's own settings state."""
    try:
        stated: Any = read_settings(folder / "config.json")
        layers, width = int(stated["num_hidden_layers"]), int(stated["hidden_size"])
        tokens = int(stated.get("max_position_embeddings", _TOKENS))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadData(f"{folder / 'config.json'} states no size of a transformer ({error!r})") from error
    if not (0 < layers <= 1000 and 0 < width <= 65_536 and tokens > 0):
        raise BadData(f"{folder / 'config.json'} states {layers} layers of {width}, which no transformer has")
    return Shape(folder.name, layers, width, tokens)
