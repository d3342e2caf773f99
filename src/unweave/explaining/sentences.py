"""Which sentence of a passage carries a concept: its sentences are encoded anew, alone and left out.

Alone, a sentence shows whether it would activate the concept by itself; left out, how much of the passage's activation
it stands for. The first decides: where two sentences say the same, leaving out either changes little. Where no
sentence activates the concept alone, because the passage does only as a whole, the second does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unweave.base.records import Passage
from unweave.encode.encoder import Encoder
from unweave.sae.model import SAE
from unweave.texts.sentences import split


class Sentence(NamedTuple):
    """A sentence of a passage, or its title, and what it has to do with a concept."""

    text: str
    start: int | None
    """Where it begins in the passage's text, in characters; None: it is the title."""
    alone: float
    """The concept's activation if the sentence stands alone."""
    lost: float
    """By how much the passage's activation falls without it; below 0: it rises."""
    carries: bool
    """Whether it is the one that carries the concept; none does where the passage does not activate it."""


def sentences_of(passage: Passage, latent: int, encoder: Encoder, sae: SAE, language: str) -> list[Sentence]:
    """The sentences of any passage, and what they have to do with a latent."""
    parts: list[tuple[str, int | None]] = [(passage.title, None)] if passage.title else []
    end = 0
    for sentence in split(passage.text, language) or [passage.text]:
        start = passage.text.find(sentence, end)
        end = start + len(sentence)
        parts.append((sentence, start))
    texts = [text for text, _ in parts]
    without = [" ".join(texts[:i] + texts[i + 1 :]) for i in range(len(texts))] if len(texts) > 1 else []
    latents = sae.encode(encoder.encode_passages([passage.content, *texts, *without]))
    whole, *activations = latents[:, [latent]].toarray().ravel().tolist()
    alone, rest = activations[: len(texts)], activations[len(texts) :] or [0.0]
    lost = [whole - left for left in rest]
    carrier = int(np.argmax(alone)) if max(alone) > 0 else int(np.argmax(lost))
    is_carried = whole > 0 and (max(alone) > 0 or max(lost) > 0)
    return [
        Sentence(text, start, alone[i], lost[i], is_carried and i == carrier) for i, (text, start) in enumerate(parts)
    ]
