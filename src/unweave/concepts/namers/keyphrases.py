"""Name latents by a contrastive keyphrase: free, instant, deterministic, without a language model.

For latent j and phrase p, over the texts that activate j most (z_t: how strongly text t does):

    coverage(j, p) = sum of z_t over those texts that hold p / sum of z_t
    others(j, p)   = mean of the share of all texts and the share of j's near misses that hold p
    score(j, p)    = coverage * ln(coverage / others)

which is p's term in the Kullback-Leibler divergence between the latent's texts and the others: high for a phrase
that most of the latent's texts share and few others have, those on the same subject least. Phrases are compared by
their stems.

Of the phrases that score highest, those left out that cover little, the name is the one that says best what the texts
have in common, by word vectors v of a second encoder, of length 1:

    name(j) = argmax_p  v_p . (sum of z_t v_t / sum of z_t  -  mean of v_s over silent texts s)
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
    from unweave.concepts.evidence import Evidence, Samples

_NONE = np.empty(0, np.int64)
_LONGEST = 3
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_BREAK = re.compile(r"[^\w\s'\u2019-]+|\s-\s")
_CANDIDATES = 20
"""Phrases, best first, that are considered for a name."""
_LEAST_OF_BEST = 0.25
"""A name's coverage is at least this share of the highest among the candidates: "wind", not "wind instrument"."""
_TEXTS_COMPARED = 200
"""Texts of a latent, the strongest, and as many near misses of them, that a name is compared with in meaning."""
_TEXTS_READ = 10
"""Of the texts that hold a phrase, so many decide how it is written."""
_TEXTS_KEPT = 2000
"""Of texts whose phrases were read, so many are kept: a text is among the strongest of several latents."""
_LEAST_SCORE = 1e-9
"""What rounding can leave of a score of 0."""


class Candidate(NamedTuple):
    """A phrase that sets a latent's texts apart."""

    phrase: int
    """Its number among all phrases."""
    coverage: float
    holders: NDArray[np.int64]
    """Those of the latent's texts that hold it, strongest first."""


class Phrases:
    """Which phrases each text holds: runs of one to three words that neither begin nor end with a stop word."""

    def __init__(self, texts: Sequence[str], config: KeyphraseConfig) -> None:
        try:
            from sklearn.feature_extraction.text import CountVectorizer
        except ImportError as error:
            raise MissingExtra("naming concepts", "name") from error
        self._texts = texts
        least = min(config.least_texts, max(1, len(texts)))
        counter = CountVectorizer(analyzer=_phrases, binary=True, dtype=np.float32, min_df=least)
        try:
            self._holds = csr_array(counter.fit_transform(texts))  # (n_texts, n_phrases)
            self._vocabulary: list[str] = counter.get_feature_names_out().tolist()
        except ValueError:  # scikit-learn's way to say that no phrase occurs in so many texts
            self._holds, self._vocabulary = csr_array((len(texts), 0), dtype=np.float32), []
        self._share = self._holds.sum(axis=0, dtype=np.float64) / max(1, len(texts))  # (n_phrases,)
        self._n_words = np.array([phrase.count(" ") + 1 for phrase in self._vocabulary], dtype=np.int64)

    def candidates(
        self, texts: NDArray[np.int64], activations: NDArray[np.float32], near_misses: NDArray[np.int64] = _NONE
    ) -> list[Candidate]:
        """The phrases that set a latent's texts apart, best first; none if no phrase is more frequent there.

        Args:
            texts: (n,) positions of the texts that activate it most, strongest first.
            activations: (n,) how strongly each does.
            near_misses: (m,) positions of silent texts on the same subject.
        """
        weights = activations.astype(np.float64) / activations.sum(dtype=np.float64)
        holds = csc_array(self._holds[texts])
        present = np.flatnonzero(np.diff(holds.indptr))
        holds = holds[:, present]
        coverage = np.asarray(holds.T @ weights)
        scores = coverage * np.log(coverage / self._others(present, near_misses))
        # Of phrases that score the same, the longest says most: "wind turbine" before "turbine" and "wind".
        best = np.lexsort((-self._n_words[present], -scores))[:_CANDIDATES]
        return [
            Candidate(
                int(present[number]),
                float(coverage[number]),
                texts[np.sort(holds.indices[holds.indptr[number] : holds.indptr[number + 1]])],
            )
            for number in best[scores[best] >= _LEAST_SCORE]
        ]

    def written(self, of: Candidate, most: int = _TEXTS_READ) -> str:
        """The commonest way in which a phrase is written in the strongest texts that hold it."""
        key = self._vocabulary[of.phrase]
        found = (surface for text in of.holders[:most] for surface in _surfaces(self._texts[text]).get(key, ()))
        return _commonest(Counter(found))

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


class KeyphraseNamer:
    """Names every latent by a keyphrase; see `naming.Namer`."""

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
        self.made_with = digest({"version": 4, **set_otherwise(config), **set_otherwise(evidence.config)})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order."""
        most = self._config.strongest_texts
        for latent, samples in self._evidence.for_naming(latents) if latents else ():
            near = samples.near_misses[:most]
            found = (
                self.phrases.candidates(samples.texts[:most], samples.activations[:most], near[near >= 0])
                if len(samples.texts)
                else []
            )
            best = found[self._nearest(found, samples)] if found else None
            name = best and plain(self.phrases.written(best), LONGEST_NAME)
            yield latent, Naming(self.namer, name, coverage=best and best.coverage, made_with=self.made_with)

    def _nearest(self, candidates: Sequence[Candidate], samples: Samples) -> int:
        """Which candidate is nearest in meaning to what sets the active texts apart from the silent ones."""
        meanings, weights = self._evidence.meanings.whole, samples.activations[:_TEXTS_COMPARED].astype(np.float64)
        near = samples.near_misses[:_TEXTS_COMPARED]
        silent = np.union1d(near[near >= 0], samples.random)
        apart = weights @ meanings[samples.texts[:_TEXTS_COMPARED]] / weights.sum()
        if len(silent):
            apart = apart - meanings[silent].mean(axis=0)
        covers = np.array([one.coverage for one in candidates])
        # One text tells how a candidate is written well enough to compare it; the chosen one is read in more.
        phrases = self._evidence.second_encoder.encode_passages([self.phrases.written(one, 1) for one in candidates])
        return int(np.argmax(np.where(covers >= _LEAST_OF_BEST * covers.max(), phrases @ apart, -np.inf)))

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


@lru_cache(maxsize=_TEXTS_KEPT)
def _surfaces(text: str) -> dict[str, list[str]]:
    """How each phrase of a text, given by its stems, is written there."""
    found: dict[str, list[str]] = {}
    for key, surface in _phrases_with_surface(text):
        found.setdefault(key, []).append(surface)
    return found


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
