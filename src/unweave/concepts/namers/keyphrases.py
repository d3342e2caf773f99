"""Name latents by contrastive keyphrases: free, instant, deterministic, without a language model.

For latent j and phrase p, over the texts that activate j most (z_t: how strongly text t does):

    coverage(j, p) = sum of z_t over those texts that hold p / sum of z_t
    others(j, p)   = mean of the share of all texts and the share of j's near misses that hold p
    score(j, p)    = coverage * ln(coverage / others)

which is p's term in the Kullback-Leibler divergence between the latent's texts and the others: high for a phrase
that most of the latent's texts share and few others have, those on the same subject least. Phrases are compared by
their stems.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.base.plain import plain
from unweave.base.stored import set_otherwise
from unweave.concepts.concept import LONGEST_NAME, Naming
from unweave.concepts.namers.base import digest
from unweave.config import KeyphraseConfig
from unweave.errors import MissingExtra

if TYPE_CHECKING:
    from unweave.concepts.evidence import Evidence

_NONE = np.empty(0, np.int64)
_LONGEST = 3
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BREAK = re.compile(r"[^\w\s'\u2019-]+|\s-\s")
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

    def name(
        self, texts: NDArray[np.int64], activations: NDArray[np.float32], near_misses: NDArray[np.int64] = _NONE
    ) -> Name | None:
        """Name a latent by the texts that activate it most.

        Args:
            texts: (n,) positions of these texts, strongest first.
            activations: (n,) how strongly each does.
            near_misses: (m,) positions of silent texts on the same subject.

        Returns:
            None if no phrase is more frequent there than anywhere.
        """
        weights = activations.astype(np.float64) / activations.sum(dtype=np.float64)
        holds = csc_array(self._holds[texts])
        present = np.flatnonzero(np.diff(holds.indptr))
        holds = holds[:, present]
        coverage = np.asarray(holds.T @ weights)
        scores = coverage * np.log(coverage / self._others(present, near_misses))
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
        return Name(plain(", ".join(shown), LONGEST_NAME), float(weights[covered].sum()))

    def frequent(self, least_texts: int) -> list[str]:
        """Phrases that stand in so many texts, as they are written most often, in alphabetical order of their stems."""
        counts = np.diff(csc_array(self._holds).indptr)
        written: dict[str, Counter[str]] = {
            self._vocabulary[i]: Counter() for i in np.flatnonzero(counts >= least_texts)
        }
        for text in self._texts:
            for key, surface in _phrases_with_surface(text):
                if key in written:
                    written[key][surface] += 1
        return [_commonest(surfaces) for surfaces in written.values()]

    def _others(self, phrases: NDArray[np.int64], near_misses: NDArray[np.int64]) -> NDArray[np.float64]:
        """How frequent each phrase is in other texts: in all, and in near misses if there are any."""
        everywhere: NDArray[np.float64] = self._share[phrases]
        if not len(near_misses):
            return everywhere
        near = self._holds[near_misses].sum(axis=0, dtype=np.float64)[phrases] / len(near_misses)
        return np.asarray((everywhere + near) / 2)

    def _overlap(self, a: int, b: int) -> bool:
        return bool(set(self._vocabulary[a].split()) & set(self._vocabulary[b].split()))

    def _as_written(self, stems: str, texts: NDArray[np.int64]) -> str:
        """The commonest way in which a phrase, given by its stems, is written in these texts."""
        written = Counter(
            surface for text in texts for key, surface in _phrases_with_surface(self._texts[text]) if key == stems
        )
        return _commonest(written)


class KeyphraseNamer:
    """Names every latent by keyphrases; see `naming.Namer`."""

    namer = "keyphrases"
    a_transaction = 200

    def __init__(self, evidence: Evidence, config: KeyphraseConfig, phrases: Phrases | None = None) -> None:
        """Name what an SAE sees in some texts.

        Args:
            phrases: of the same texts, if they were counted already.
        """
        self._evidence = evidence
        self._config = config
        self._counted = phrases
        self.made_with = digest({"version": 2, **set_otherwise(config), **set_otherwise(evidence.config)})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order."""
        most = self._config.strongest_texts
        for latent, samples in self._evidence.for_naming(latents) if latents else ():
            near = samples.near_misses[:most]
            found = None
            if len(samples.texts):
                found = self.phrases.name(samples.texts[:most], samples.activations[:most], near[near >= 0])
            name, coverage = (found.text, found.coverage) if found else (None, None)
            yield latent, Naming(self.namer, name, coverage=coverage, made_with=self.made_with)

    def beside(self, evidence: Evidence) -> KeyphraseNamer:
        """The same for the same texts as another SAE sees them; phrases are counted once."""
        return KeyphraseNamer(evidence, self._config, self.phrases)

    @cached_property
    def phrases(self) -> Phrases:
        """Which phrases each text holds."""
        return self._counted or Phrases(self._evidence.contents(), self._config)


def _commonest(written: Counter[str]) -> str:
    return min(written, key=lambda surface: (-written[surface], surface))


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


def stems(text: str) -> list[str]:
    """The words of a text by their stems, without stop words."""
    stop, stem = _language()
    return [stem(word.casefold()) for word in _WORD.findall(text) if word.casefold() not in stop]


@lru_cache(maxsize=1)
def _language() -> tuple[frozenset[str], Callable[[str], str]]:
    """English stop words and a cached Snowball stemmer."""
    try:
        import Stemmer
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    except ImportError as error:
        raise MissingExtra("naming concepts", "name") from error
    return frozenset(ENGLISH_STOP_WORDS), lru_cache(maxsize=200_000)(Stemmer.Stemmer("english").stemWord)
