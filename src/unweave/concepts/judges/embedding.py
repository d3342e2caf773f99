"""Judges in the space of the encoder whose directions are named. None needs a language model.

- Detection by the description, for a name that has one; that by the name alone is in `detection`.
- Cycle: of the texts that the name retrieves, how many activate the latent; and does the name itself activate it?
- Intruder: of ten texts nine activate the latent; which does not? No name is needed.
- Coherence: how alike the texts that activate a latent are under another encoder; 0 is as alike as any texts.

A text's embedding is compared with those of the words. In this space a long description fits any direction: what is
found here says how well words stand for a direction, and not how well a reader is served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.vectors import unit_rows
from unweave.concepts.concept import DETECTION, Naming, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.detection import embedded
from unweave.concepts.judges.questions import Question, share, told

if TYPE_CHECKING:
    from unweave.encode.encoder import Encoder

INTRUDER, COHERENCE = "intruder", "coherence"
DESCRIBED = f"{DETECTION}-described"
"""Detection by the description instead of the name: for a name that has one."""
RETRIEVES, ACTIVATES = "cycle-retrieves", "cycle-activates"
_SHOWN_WITH_INTRUDER = 9
_INTRUDERS = 5
"""Questions about a latent, each with another intruder."""
_RETRIEVED = 10
_COMPARED = 10
"""Texts of a latent whose likeness is measured."""
_ENCODED = 1024
_AT_ONCE = 128
"""Latents whose words are compared with all texts at a time."""


# --- names ----------------------------------------------------------------------------------------


def wordings(naming: Naming, *, described: bool = False) -> list[tuple[str, float]]:
    """The words of a name, or of its description, and the weight of each text; a mix of phrases has several."""
    if naming.name is None:
        return []
    if not described:
        return [(naming.name, 1.0)]
    mix = naming.provenance.get("mix")
    return [(str(p), float(w)) for p, w in mix] if mix else [(f"{naming.name}: {naming.description}", 1.0)]


def mixed(encoder: Encoder, wordings: Mapping[int, Sequence[tuple[str, float]]]) -> dict[int, NDArray[np.float32]]:
    """The embedding of each latent's words, (d_in,): of several texts, the weighted sum; see `detection.embedded`.

    A latent without words is left out.
    """
    texts = sorted({text for words in wordings.values() for text, _ in words})
    if not texts:
        return {}
    place, vectors = {text: i for i, text in enumerate(texts)}, embedded(encoder, texts)
    found = {}
    for latent, words in wordings.items():
        if words:
            weights = np.array([weight for _, weight in words], np.float32)
            found[latent] = np.asarray(weights @ vectors[[place[text] for text, _ in words]], np.float32)
    return found


def judge_words(
    evidence: Evidence, namings: Mapping[int, Naming], asked: Mapping[int, Question]
) -> Iterator[tuple[int, Score]]:
    """What detection by the description and the cycle say of one namer's names.

    Retrieval reads the description, if there is one, else the name.

    Args:
        namings: all of the namer's, for all of them decide what its words are compared with.
        asked: of the latents to judge, the question about each; see `questions.questions`.
    """
    by_name = mixed(evidence.encoder, {j: wordings(naming) for j, naming in namings.items()})
    described = {j: wordings(naming, described=True) for j, naming in namings.items() if naming.description}
    by_description = mixed(evidence.encoder, described)
    best = {latent: by_description.get(latent, by_name[latent]) for latent in asked if latent in by_name}
    retrieved = _retrieved(evidence, best)
    activates = _activates(evidence, {latent: namings[latent].name for latent in best})
    for latent, vector in best.items():
        if latent in by_description:
            texts, active = asked[latent].texts, asked[latent].active
            values = evidence.embeddings[texts] @ vector
            yield latent, told(DESCRIBED, values[active], values[~active])
        yield latent, share(RETRIEVES, retrieved[latent], _RETRIEVED)
        yield latent, share(ACTIVATES, float(activates[latent]), 1)


def _retrieved(evidence: Evidence, vectors: Mapping[int, NDArray[np.float32]]) -> dict[int, float]:
    """Of the texts nearest to each latent's words, the share that activates the latent."""
    latents, few = list(vectors), min(_RETRIEVED, len(evidence))
    found = {}
    for start in range(0, len(latents), _AT_ONCE):
        some = latents[start : start + _AT_ONCE]
        nearness = np.stack([vectors[latent] for latent in some]) @ evidence.embeddings.T
        nearest = np.argpartition(-nearness, few - 1, axis=1)[:, :few]
        for latent, texts in zip(some, nearest, strict=True):
            found[latent] = float(np.isin(texts, evidence.active(latent)[0]).mean())
    return found


def _activates(evidence: Evidence, names: Mapping[int, str | None]) -> dict[int, bool]:
    """Whether each name, embedded as a text, activates its latent; one of which the encoder knows nothing does not."""
    named = [(latent, name) for latent, name in names.items() if name is not None]
    activates = dict.fromkeys((latent for latent, _ in named), False)
    for start in range(0, len(named), _ENCODED):
        some = named[start : start + _ENCODED]
        vectors = evidence.encoder.encode_passages([name for _, name in some])
        known = vectors.any(axis=1)
        codes = evidence.sae.encode(vectors[known])
        for row, place in enumerate(np.flatnonzero(known).tolist()):
            latent, _ = some[place]
            activates[latent] = latent in codes.indices[codes.indptr[row] : codes.indptr[row + 1]]
    return activates


# --- latents --------------------------------------------------------------------------------------


class WithIntruders(NamedTuple):
    """Passages that activate a latent, and some that do not, one of which at a time is put among them."""

    texts: NDArray[np.int64]
    """(9,) by their number in the evidence, strongest first."""
    intruders: NDArray[np.int64]
    """(5,)"""


def with_intruders(evidence: Evidence, latent: int) -> WithIntruders | None:
    """A latent's strongest passages and random silent ones; None if too few passages activate it."""
    rng = np.random.default_rng([evidence.config.seed, latent, 2])
    texts, _ = evidence.active(latent)
    shown = texts[texts < len(evidence.passages)][:_SHOWN_WITH_INTRUDER]
    silent = np.setdiff1d(rng.integers(len(evidence.passages), size=_INTRUDERS * 20), texts)
    chosen = rng.permutation(silent)[:_INTRUDERS]
    if len(shown) < _SHOWN_WITH_INTRUDER or len(chosen) < _INTRUDERS:
        return None
    return WithIntruders(shown, chosen)


def judge_intruders(evidence: Evidence, latents: Sequence[int]) -> Iterator[tuple[int, Score]]:
    """Whether a judge finds the text that does not belong, by what is least like the others; the strongest passages.

    Source: Chang et al. 2009 ("Reading Tea Leaves"), for topics; Park et al. 2025 use it on latents.
    """
    for latent in latents:
        asked = with_intruders(evidence, latent)
        if asked is not None:
            among = [evidence.embeddings[np.append(asked.texts, one)] for one in asked.intruders]
            right = [odd_one_out(embeddings) == len(asked.texts) for embeddings in among]
            yield latent, share(INTRUDER, float(np.mean(right)), _INTRUDERS)


def odd_one_out(embeddings: NDArray[np.float32]) -> int:
    """Which of some texts, (n, d_in), is least like the others on average."""
    likeness = embeddings @ embeddings.T
    np.fill_diagonal(likeness, 0)
    return int(likeness.sum(axis=1).argmin())


def judge_coherence(evidence: Evidence, latents: Sequence[int], other: Encoder) -> Iterator[tuple[int, Score]]:
    """The mean pairwise cosine of a latent's strongest passages under another encoder, less that of random ones."""
    active = {latent: evidence.active(latent)[0] for latent in latents}
    chosen = {latent: texts[texts < len(evidence.passages)][:_COMPARED] for latent, texts in active.items()}
    rng = np.random.default_rng(evidence.config.seed)
    random = rng.choice(len(evidence.passages), min(len(evidence.passages), _ENCODED), replace=False)
    needed = np.unique(np.concatenate([random, *chosen.values()]))
    vectors = np.concatenate([
        other.encode_passages([evidence.content(int(text)) for text in needed[i : i + _ENCODED]])
        for i in range(0, len(needed), _ENCODED)
    ])  # fmt: skip
    vectors = unit_rows(vectors)
    usual = _mean_cosine(vectors[np.searchsorted(needed, random)])
    for latent, texts in chosen.items():
        if len(texts) > 1:
            value = _mean_cosine(vectors[np.searchsorted(needed, texts)]) - usual
            yield latent, Score(COHERENCE, value, value, value, len(texts))


def _mean_cosine(vectors: NDArray[np.floating]) -> float:
    """Of pairs of different vectors of length 1, (n, d)."""
    n = len(vectors)
    return float((np.square(vectors.sum(axis=0)).sum() - n) / (n * (n - 1)))
