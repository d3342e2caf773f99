"""Judges of names and of latents that need no language model. Each answers questions whose answers are known.

- Detection: half of the shown texts activate the latent; which? By the name alone (Paulo et al. 2024, "Automatically
  Interpreting Millions of Features in Large Language Models", arXiv 2410.13928). The texts that activate it are evenly
  of three bands of strength and were kept from namers; of the others, half are near misses of these, half random.
- AUROC: the same texts ranked by the name; how often an active one stands before a silent one.
- Cycle: of the texts that the name retrieves, how many activate the latent; and does the name itself activate it?
- Intruder: of ten texts nine activate the latent; which does not? No name is needed.
- Coherence: how alike the texts that activate a latent are under another encoder; 0 is as alike as any texts.

A judge without a language model compares a text's embedding with those of the words. Each word's is taken from the
mean of all the namer's words: short phrases are alike for being short. It is told how many of the texts are active, so
that chance is 1/2 in detection whatever it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.vectors import unit_rows
from unweave.concepts.concept import DETECTION, Naming, Score
from unweave.concepts.evidence import Evidence, Samples

if TYPE_CHECKING:
    from unweave.encode.encoder import Encoder

A_BAND = 12
"""Texts of each band of activation in a question, at most."""
INTRUDER, COHERENCE = "intruder", "coherence"
DESCRIBED = "detection-described"
"""Detection by the description instead of the name: for a name that has one."""
AUROC = "auroc"
RETRIEVES, ACTIVATES = "cycle-retrieves", "cycle-activates"
JUDGES = (DETECTION, DESCRIBED, AUROC, RETRIEVES, ACTIVATES, INTRUDER, COHERENCE)
CHANCE = {
    DETECTION: 0.5, DESCRIBED: 0.5, AUROC: 0.5, INTRUDER: 0.1, COHERENCE: 0.0, "identification": 0.1,
    "identification-hard": 0.1, "ranking": 0.5,
}  # fmt: skip
"""What a judge finds where there is nothing to find. For cycles it is the share of texts that activate a latent."""
_SHOWN_WITH_INTRUDER = 9
_INTRUDERS = 5
"""Questions about a latent, each with another intruder."""
_RETRIEVED = 10
_COMPARED = 10
"""Texts of a latent whose likeness is measured."""
_ENCODED = 1024
_AT_ONCE = 128
"""Latents whose words are compared with all texts at a time."""
_ENOUGH_FOR_A_MEAN = 16
"""Different texts; fewer are about the same thing too easily."""


class Question(NamedTuple):
    """Texts of which half activate a latent."""

    texts: NDArray[np.int64]
    """(2n,) by their number in the evidence, the active ones first."""
    active: NDArray[np.bool_]
    """(2n,)"""
    near_miss: NDArray[np.bool_]
    """(2n,) silent ones that are near to active ones; the other silent ones are random."""


def question(samples: Samples, latent: int, seed: int) -> Question | None:
    """The texts that a judge is asked about; None if too few are silent, or none is active."""
    rng = np.random.default_rng([seed, latent])
    chosen = [
        np.sort(rng.choice(band, min(A_BAND, len(band)), replace=False))
        for band in np.array_split(np.arange(len(samples.texts)), 3)
    ]
    shown = np.concatenate(chosen)
    missed = np.unique(samples.near_misses[shown])
    missed = rng.permutation(missed[missed >= 0])[: len(shown) // 2]
    random = np.setdiff1d(samples.random, missed)
    random = rng.permutation(random)[: len(shown) - len(missed)]
    n = len(missed) + len(random)
    if not n or n < len(shown):
        return None
    texts = np.concatenate([samples.texts[shown], missed, random])
    place = np.arange(2 * n)
    return Question(texts, place < n, (place >= n) & (place < n + len(missed)))


def questions(evidence: Evidence, latents: Sequence[int]) -> dict[int, Question]:
    """Of each latent what judges are asked; those with too few texts are missing."""
    asked = ((j, question(samples, j, evidence.config.seed)) for j, samples in evidence.for_judging(latents))
    return {latent: found for latent, found in asked if found is not None}


# --- names ----------------------------------------------------------------------------------------


def wordings(naming: Naming, *, described: bool = False) -> list[tuple[str, float]]:
    """The words of a name, or of its description, and the weight of each text; a mix of phrases has several."""
    if naming.name is None:
        return []
    if not described:
        return [(naming.name, 1.0)]
    mix = naming.provenance.get("mix")
    return [(str(p), float(w)) for p, w in mix] if mix else [(f"{naming.name}: {naming.description}", 1.0)]


def embedded(encoder: Encoder, wordings: Mapping[int, Sequence[tuple[str, float]]]) -> dict[int, NDArray[np.float32]]:
    """The embedding of each latent's words, (d_in,): of several texts, the weighted sum; from the mean of all texts.

    A latent without words is left out. Of few texts no mean is taken.
    """
    texts = sorted({text for words in wordings.values() for text, _ in words})
    if not texts:
        return {}
    place = {text: i for i, text in enumerate(texts)}
    vectors = np.concatenate([encoder.encode_passages(texts[i : i + _ENCODED]) for i in range(0, len(texts), _ENCODED)])
    if len(texts) >= _ENOUGH_FOR_A_MEAN:
        vectors = vectors - vectors.mean(axis=0)
    found = {}
    for latent, words in wordings.items():
        if words:
            weights = np.array([weight for _, weight in words], np.float32)
            found[latent] = np.asarray(weights @ vectors[[place[text] for text, _ in words]], np.float32)
    return found


def judge_names(
    evidence: Evidence, namings: Mapping[int, Naming], asked: Mapping[int, Question]
) -> Iterator[tuple[int, Score]]:
    """What detection, AUROC and the cycle say of one namer's names, without a language model.

    Detection is by the name alone, that by the description only where a name has one; AUROC and retrieval read the
    description, if there is one, else the name.

    Args:
        namings: all of the namer's, for all of them decide what its words are compared with.
        asked: of the latents to judge, the question about each; see `questions`.
    """
    by_name = embedded(evidence.encoder, {j: wordings(naming) for j, naming in namings.items()})
    described = {j: wordings(naming, described=True) for j, naming in namings.items() if naming.description}
    by_description = embedded(evidence.encoder, described)
    best = {latent: by_description.get(latent, by_name[latent]) for latent in asked if latent in by_name}
    retrieved = _retrieved(evidence, best)
    activates = _activates(evidence, {latent: namings[latent].name for latent in best})
    for latent, vector in best.items():
        texts, active, _ = asked[latent]
        embeddings, n = evidence.embeddings[texts], int(active.sum())
        yield latent, share(DETECTION, picked(embeddings @ by_name[latent], active), n)
        if latent in by_description:
            yield latent, share(DESCRIBED, picked(embeddings @ vector, active), n)
        yield latent, _auroc_score(auroc(embeddings @ vector, active), n)
        yield latent, share(RETRIEVES, retrieved[latent], _RETRIEVED)
        yield latent, share(ACTIVATES, float(activates[latent]), 1)


def picked(values: NDArray[np.floating], active: NDArray[np.bool_]) -> float:
    """Of the active texts, the share that is among the highest values: as many as there are active ones.

    That is balanced accuracy where half are active: for each active text that is missed a silent one is taken. Of
    texts whose value is the same at the border, each counts as its chance to be taken.
    """
    n = int(active.sum())
    border = np.partition(values, -n)[-n]
    above, at = values > border, values == border
    return float((active[above].sum() + active[at].mean() * (n - above.sum())) / n)


def auroc(values: NDArray[np.floating], active: NDArray[np.bool_]) -> float:
    """How often an active text's value is above a silent one's; a tie counts half."""
    above = values[active][:, None] - values[~active][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


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
    """Whether each name, embedded as a text, activates its latent."""
    named = [(latent, name) for latent, name in names.items() if name is not None]
    activates = {}
    for start in range(0, len(named), _ENCODED):
        some = named[start : start + _ENCODED]
        codes = evidence.sae.encode(evidence.encoder.encode_passages([name for _, name in some])).tocsr()
        for row, (latent, _) in enumerate(some):
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


# --- intervals ------------------------------------------------------------------------------------

_Z = 1.96
"""Of a normal distribution, 95 % lies within so many deviations."""


def share(judge: str, value: float, n: int) -> Score:
    """A share of right decisions with its 95 % interval (Wilson 1927), which is meaningful for few decisions too."""
    middle = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2))
    return Score(judge, value, max(middle - half, 0.0), min(middle + half, 1.0), n)


def _auroc_score(value: float, n: int) -> Score:
    """An AUROC of n active and n silent texts with its 95 % interval (Hanley and McNeil 1982)."""
    both = (n - 1) * (value / (2 - value) + 2 * value**2 / (1 + value) - 2 * value**2)
    error = math.sqrt(max(value * (1 - value) + both, 0.0)) / n
    return Score(AUROC, value, max(value - _Z * error, 0.0), min(value + _Z * error, 1.0), n)


def mean(scores: Sequence[Score]) -> Score:
    """The mean of a judge's scores, at least one, each latent counting the same, with its 95 % interval; n latents."""
    values = np.array([score.value for score in scores])
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    middle, judge = float(values.mean()), scores[0].judge
    least = -1.0 if judge == COHERENCE else 0.0  # what a score can be
    return Score(judge, middle, max(least, middle - half), min(1.0, middle + half), len(values))
