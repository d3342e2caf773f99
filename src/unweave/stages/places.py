"""Where each artefact of a project lies, and which command makes it."""

from __future__ import annotations

from typing import NamedTuple


class _Place(NamedTuple):
    kind: str
    command: str
    """The command that makes it."""


ARTIFACTS = {
    "corpus": _Place("corpus", "init"),
    "queries": _Place("queries", "init"),
    "sentences": _Place("corpus", "embed"),
    "embeddings/passages": _Place("embeddings", "embed"),
    "embeddings/sentences": _Place("embeddings", "embed"),
    "embeddings/queries": _Place("embeddings", "embed"),
    "sae": _Place("sae", "fit"),
    "latents": _Place("latents", "fit"),
    "concepts": _Place("concepts", "name"),
    "lexicon": _Place("corpus", "name --namer lexicon"),
    "embeddings/lexicon": _Place("embeddings", "name --namer lexicon"),
    "index/default": _Place("index", "index build"),
    "index/paper": _Place("index", "index build"),
    "tokens/sae": _Place("sae", "tokens"),
    "tokens/latents": _Place("latents", "tokens"),
    "index/tokens": _Place("index", "tokens"),
    "bm25": _Place("bm25", "index build"),
    "codes": _Place("codes", "index build"),
    "map": _Place("map", "map"),
    "evaluation": _Place("evaluation", "evaluate"),
    "dictionary": _Place("sae", "pretrain"),
}
"""Where each artefact lies below the project's folder."""
STAGED = ".added"
"""Folder of a project where passages that are being added lie until they are in the corpus."""
FOLDERS = sorted({*ARTIFACTS, *(name.partition("/")[0] for name in ARTIFACTS), "reproduction", STAGED})
"""Folders of a project that are written, none of which may be a link: it would lead what is written elsewhere."""
EMBEDDED_BESIDE_PASSAGES = frozenset({"embeddings/queries", "embeddings/sentences", "embeddings/lexicon"})
"""Embeddings that are compared with those of the passages, so one encoder has to make both."""
