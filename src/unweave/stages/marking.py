"""The words of found passages that carry concepts: each passage is read once, and again only when it was forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from unweave.base.cores import on_every_core
from unweave.encode.words import InWords, Word
from unweave.explaining.words import in_words, of_activation
from unweave.stages.asked import check_encoder
from unweave.stages.workspace import Workspace

_KEPT = 128
"""Passages whose words are kept, at about half a megabyte each: whoever moves a slider asks for the same again."""


class Marked(NamedTuple):
    """What each word of a passage adds to a concept's activation."""

    passage_id: str
    latent: int
    words: list[tuple[Word, float]]


def mark(project: Workspace, passage_ids: Sequence[str], latents: Sequence[int]) -> list[Marked]:
    """The words of some passages by what they add to some concepts, where the passage activates the concept.

    Raises:
        NotThere: the corpus has no passage of one of the ids.
        BadData: the encoder does not average its tokens' outputs.
        StaleArtifact: the settings name another encoder than the one that embedded the passages.
    """
    check_encoder(project, "embeddings/passages")
    positions = {passage_id: project.position(passage_id) for passage_id in passage_ids}
    read, stored, sae = _reader(project), project.latents, project.sae
    wanted: dict[str, list[int]] = {}
    for passage_id, position in positions.items():
        held = slice(stored.indptr[position], stored.indptr[position + 1])
        active = set(stored.indices[held].tolist())
        wanted[passage_id] = [latent for latent in dict.fromkeys(latents) if latent in active]
    to_read = [passage_id for passage_id, of in wanted.items() if of]
    # The encoder takes a tenth of a second of one core for a passage: a few of them are many for one thread alone.
    words = dict(zip(to_read, on_every_core(lambda passage_id: read(positions[passage_id]), to_read), strict=True))
    return [
        Marked(passage_id, latent, of_activation(words[passage_id], latent, sae))
        for passage_id in to_read
        for latent in wanted[passage_id]
    ]


def _reader(project: Workspace) -> Callable[[int], InWords]:
    """Reads the passage at a position, word by word, and keeps the last ones."""

    def read(position: int) -> InWords:
        return in_words(project.encoder, project.corpus[position].content)

    return project.kept("passages in words", ["embeddings/passages"], lambda: lru_cache(maxsize=_KEPT)(read))
