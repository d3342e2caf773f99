"""Name latents by contrastive keyphrases: free, instant, deterministic, without a language model.

For latent j and phrase p, over the texts that activate j most (z_t: how strongly text t does):

    coverage(j, p) = sum of z_t over those texts that hold p / sum of z_t
    score(j, p)    = coverage * ln(coverage / share of all texts that hold p)

which is p's term in the Kullback-Leibler divergence between the latent's texts and all texts: high for
a phrase that most of the latent's texts share and few others have. Phrases are compared by their stems.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.errors import MissingExtra, at_least
from unweave.records import plain

_LONGEST = 3
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BREAK = re.compile(r"[^\w\s'\u2019-]+|\s-\s")
_MOST_CHARACTERS = 60
_CANDIDATES = 50
"""Phrases, best first, that are considered for a name."""
_LEAST_NEW = 0.4
"""Another phrase must bring so much of its coverage in texts that the earlier ones do not hold."""
_LEAST_HOLDERS = 3
"""Another phrase must stand in so many texts: two are often a passage and its own sentence."""
_TEXTS_READ = 10
"""Of the texts that hold a phrase, so many decide how it is written."""
_LEAST_SCORE = 1e-9
"""What rounding can leave of a score of 0."""


@dataclass(frozen=True, kw_only=True)
class KeyphraseConfig:
    """How names are chosen from the words of a latent's texts."""

    strongest_texts: int = 60
    """Texts that speak for a latent: those that activate it most."""
    phrases: int = 2
    """Phrases in a name at most; another is added only if it covers texts that the first ones do not."""
    least_texts: int = 2
    """A phrase must occur in so many texts of the whole collection."""
    examples: int = 10
    """Texts kept with each concept as evidence."""

    def __post_init__(self) -> None:
        at_least(self, 1, "strongest_texts", "phrases", "least_texts", "examples")


class Name(NamedTuple):
    """A name and how much of the latent it accounts for."""

    text: str
    coverage: float


class Phrases:
    """Which phrases each text holds: runs of one to three words that neither begin nor end with a stop word."""

    def __init__(self, texts: Sequence[str], config: KeyphraseConfig) -> None:
        try:
            from sklearn.feature_extraction.text import CountVectorizer
        except ImportError as error:
            raise MissingExtra("naming concepts", "name") from error
        self._texts = texts
        self._config = config
        least = min(config.least_texts, max(1, len(texts)))
        counter = CountVectorizer(analyzer=_phrases, binary=True, dtype=np.float32, min_df=least)
        try:
            self._holds = csr_array(counter.fit_transform(texts))  # (n_texts, n_phrases)
            self._vocabulary: list[str] = counter.get_feature_names_out().tolist()
        except ValueError:  # scikit-learn's way to say that no phrase occurs in so many texts
            self._holds, self._vocabulary = csr_array((len(texts), 0), dtype=np.float32), []
        self._share = self._holds.sum(axis=0, dtype=np.float64) / max(1, len(texts))  # (n_phrases,)
        self._n_words = np.array([phrase.count(" ") + 1 for phrase in self._vocabulary], dtype=np.int64)

    def name(self, texts: NDArray[np.int64], activations: NDArray[np.float32]) -> Name | None:
        """Name a latent by the texts that activate it most.

        Args:
            texts: (n,) positions of these texts, strongest first.
            activations: (n,) how strongly each does.

        Returns:
            None if no phrase is more frequent there than anywhere.
        """
        weights = activations.astype(np.float64) / activations.sum(dtype=np.float64)
        holds = csc_array(self._holds[texts])
        present = np.flatnonzero(np.diff(holds.indptr))
        holds = holds[:, present]
        coverage = np.asarray(holds.T @ weights)
        scores = coverage * np.log(coverage / self._share[present])
        chosen: dict[int, NDArray[np.int64]] = {}  # of each phrase, where among the texts those are that hold it
        covered = np.zeros(len(texts), dtype=bool)
        # Of phrases that score the same, the longest says most: "wind turbine" before "turbine" and "wind".
        for candidate in np.lexsort((-self._n_words[present], -scores))[:_CANDIDATES]:
            if scores[candidate] < _LEAST_SCORE or len(chosen) == self._config.phrases:
                break
            holders = np.sort(holds.indices[holds.indptr[candidate] : holds.indptr[candidate + 1]])
            if any(self._overlap(present[candidate], present[c]) for c in chosen):
                continue
            added = weights[holders][~covered[holders]].sum()
            if chosen and (added < _LEAST_NEW * coverage[candidate] or len(holders) < _LEAST_HOLDERS):
                continue
            chosen[int(candidate)] = holders
            covered[holders] = True
        if not chosen:
            return None
        shown = [
            self._as_written(self._vocabulary[present[phrase]], texts[holders[:_TEXTS_READ]])
            for phrase, holders in chosen.items()
        ]
        return Name(plain(", ".join(shown), _MOST_CHARACTERS), float(weights[covered].sum()))

    def _overlap(self, a: int, b: int) -> bool:
        return bool(set(self._vocabulary[a].split()) & set(self._vocabulary[b].split()))

    def _as_written(self, stems: str, texts: NDArray[np.int64]) -> str:
        """The commonest way in which a phrase, given by its stems, is written in these texts."""
        written = Counter(
            surface for text in texts for key, surface in _phrases_with_surface(self._texts[text]) if key == stems
        )
        return min(written, key=lambda surface: (-written[surface], surface))


def strongest_texts(latents: csc_array, latent: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The texts that activate a latent most and how strongly, strongest first; latents: (n_texts, n_latents)."""
    column = slice(latents.indptr[latent], latents.indptr[latent + 1])
    texts, activations = latents.indices[column], latents.data[column]
    order = np.lexsort((texts, -activations))[:most]
    return texts[order].astype(np.int64), activations[order]


def _phrases(text: str) -> list[str]:
    return [key for key, _ in _phrases_with_surface(text)]


def _phrases_with_surface(text: str) -> Iterator[tuple[str, str]]:
    """Each phrase of a text as its stems and as it is written there."""
    stop, stem = _language()
    for piece in _BREAK.split(text):
        words = _WORD.findall(piece)
        stems = [stem(word.casefold()) for word in words]
        content = [w.casefold() not in stop and len(w) > 1 and not w.isdigit() for w in words]
        for start in range(len(words)):
            if not content[start]:
                continue
            for end in range(start + 1, min(start + _LONGEST, len(words)) + 1):
                if content[end - 1]:
                    yield " ".join(stems[start:end]), " ".join(words[start:end])


@lru_cache(maxsize=1)
def _language() -> tuple[frozenset[str], Callable[[str], str]]:
    """English stop words and a cached Snowball stemmer."""
    try:
        import Stemmer
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    except ImportError as error:
        raise MissingExtra("naming concepts", "name") from error
    return frozenset(ENGLISH_STOP_WORDS), lru_cache(maxsize=200_000)(Stemmer.Stemmer("english").stemWord)
