"""A dense score down to the words of the passage, exactly: each concept's part, the residual, the score itself.

Of an encoder that averages its tokens an embedding is a sum over words, d = sum_t e_t (see `encode.words`), and of a
latent that is active its activation is linear in d, so that both split without approximation:

    z_j = sum_t w_enc_j . e_t  +  b_enc_j - w_enc_j . b_pre
    v_j = z_j (w_j . q) = sum_t (w_enc_j . e_t) (w_j . q)  +  (b_enc_j - w_enc_j . b_pre) (w_j . q)
    q . d = sum_t q . e_t = sum_s sum_t e_s(q) . e_t(d),   s over the words of the query

What is of no word, the last term of v_j, is a column of its own, and so is what a stored embedding has beyond its
words: it may have been computed in another precision than its tokens are now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names
from unweave.base.records import Contribution, Explanation
from unweave.config import MATCHING_PURSUIT
from unweave.encode.encoder import Encoder, WordEncoder
from unweave.encode.words import InWords, Word
from unweave.errors import AccountingError, BadData
from unweave.explaining.accounting import explain_dense, pair_of
from unweave.sae.model import SAE

BEYOND = "(rounding)"
"""Stands for a word: what an embedding has that its words' sum has not."""
_OTHER_ENCODER = 0.1
"""If that is so long, of an embedding of length 1, another encoder made it, or another text."""
_SAME_SCALE = 1e-9
"""Weights that differ by no more, as a share, are those of the score itself."""


class PairOfWords(NamedTuple):
    """What a word of the query and one of the passage add to the score together."""

    query: Word
    passage: Word
    value: float


@dataclass(frozen=True)
class ByWords:
    """A dense score, each of its parts split into the words of the passage.

    For every contribution, its row of `contributions` and its entry of `of_no_word` add up to its value; `residual` and
    `residual_of_no_word` to the explanation's residual. With the bias, all of them add up to the score.
    """

    explanation: Explanation
    words: tuple[Word, ...]
    """Of the passage; the last one is BEYOND."""
    query_words: tuple[Word, ...]
    """Of the query; the last one is BEYOND."""
    contributions: NDArray[np.float64]
    """(n_contributions, n_words), in the order of the explanation's."""
    of_no_word: NDArray[np.float64]
    """(n_contributions,) what the encoder's biases add, whatever the passage says."""
    residual: NDArray[np.float64]
    """(n_words,)"""
    residual_of_no_word: float
    pairs: NDArray[np.float64]
    """(n_query_words, n_words) e_s(q) . e_t(d); their sum is the score."""
    taken_off: float = 0.0
    """What the score has beside the pairs, the same for every passage: the sum of systems takes it off, or adds it."""

    @property
    def score(self) -> NDArray[np.float64]:
        """(n_words,) what each word of the passage adds to the score."""
        return np.asarray(self.pairs.sum(axis=0))

    def of(self, number: int, top: int | None = None) -> list[tuple[Word, float]]:
        """What words add to a contribution, given by its number in the explanation, the largest first."""
        return self._largest(self.contributions[number], top)

    def of_score(self, top: int | None = None) -> list[tuple[Word, float]]:
        """What words add to the score, the largest first."""
        return self._largest(self.score, top)

    def strongest_pairs(self, top: int) -> list[PairOfWords]:
        """The pairs of words that add most, or take most away."""
        order = np.argsort(-np.abs(self.pairs), axis=None, kind="stable")[:top]
        rows, columns = (at.tolist() for at in np.unravel_index(order, self.pairs.shape))
        return [
            PairOfWords(self.query_words[s], self.words[t], float(self.pairs[s, t]))
            for s, t in zip(rows, columns, strict=True)
        ]

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that words add up, to each part of the score and to the score itself.

        Raises:
            AccountingError: they do not.
        """
        self.explanation.check(rtol)
        for contribution, row, constant in zip(
            self.explanation.contributions, self.contributions, self.of_no_word, strict=True
        ):
            said = f"the contribution of concept {contribution.latent}"
            _check(said, [*row.tolist(), float(constant)], contribution.value, rtol)
        _check(
            "the residual", [*self.residual.tolist(), self.residual_of_no_word], self.explanation.residual, rtol,
            of=[abs(self.explanation.score)],
        )  # fmt: skip
        _check("the score", [*self.pairs.ravel().tolist(), self.taken_off], self.explanation.score, rtol)

    def to_dict(self) -> dict[str, Any]:
        """Words and what each adds, as plain JSON values."""
        return {
            "words": [word._asdict() for word in self.words],
            "query_words": [word._asdict() for word in self.query_words],
            "contributions": [
                {"latent": contribution.latent, "of_words": row, "of_no_word": constant}
                for contribution, row, constant in self._rows()
            ],
            "residual": {"of_words": self.residual.tolist(), "of_no_word": self.residual_of_no_word},
            "pairs": self.pairs.tolist(),
            "taken_off": self.taken_off,
        }

    def _rows(self) -> Iterator[tuple[Contribution, list[float], float]]:
        rows = self.contributions.tolist(), self.of_no_word.tolist()
        yield from zip(self.explanation.contributions, *rows, strict=True)

    def _largest(self, values: NDArray[np.float64], top: int | None) -> list[tuple[Word, float]]:
        order = np.argsort(-np.abs(values), kind="stable")[:top]
        return [(self.words[i], float(values[i])) for i in order.tolist()]


@dataclass(frozen=True)
class SumByWords:
    """A score by a sum of systems, each part that is a dense score split into words."""

    explanation: Explanation
    parts: tuple[ByWords | None, ...]
    """In the sum's order. None: the system's score is no sum over words (concepts whose weights saturate, stored
    codes), or is one of words already (BM25), or it did not find the passage."""

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that the systems' parts add up, and the words to each part that has some.

        Raises:
            AccountingError: they do not.
        """
        self.explanation.check(rtol)
        for part in self.parts:
            if part is not None:
                part.check(rtol)

    def to_dict(self) -> dict[str, Any]:
        """Of each system of the sum its words, or None, as plain JSON values."""
        names = [part.system for part in self.explanation.parts]
        return {name: part and part.to_dict() for name, part in zip(names, self.parts, strict=True)}


def explain_by_words(
    query: NDArray[np.floating[Any]],
    passage: NDArray[np.floating[Any]],
    query_words: InWords,
    passage_words: InWords,
    sae: SAE,
    names: Names | None = None,
) -> ByWords:
    """The dense score q . d as named concepts, each split into words.

    Args:
        query, passage: (d_in,) embeddings, as the score was made of.
        query_words, passage_words: the same by the encoder, word by word.

    Raises:
        DimensionMismatch: a vector is not d_in wide.
        BadData: the words are not those of the embedding, or the SAE's activations are no sums over words.
    """
    q, d = pair_of(query, passage, sae)
    (found,) = explain_all_by_words(q, d[None], query_words, [passage_words], sae, names)
    return found


def explain_all_by_words(
    query: NDArray[np.floating[Any]],
    passages: NDArray[np.floating[Any]],
    query_words: InWords,
    passages_words: Sequence[InWords],
    sae: SAE,
    names: Names | None = None,
    latents: csr_array | None = None,
) -> list[ByWords]:
    """The dense scores of one query and some passages, as one block.

    Args:
        query: (d_in,).
        passages: (n, d_in).
        query_words, passages_words: the same by the encoder, word by word.
        latents: the passages' latents, (n, n_latents), if they are known already.

    Raises:
        BadData: as `explain_by_words`.
    """
    q, rows = np.asarray(query, np.float64), np.asarray(passages, np.float64)
    explanations = explain_dense((rows @ q).tolist(), q, rows, sae, names, latents)
    return split_in_words(explanations, q, rows, query_words, passages_words, sae)


def split_in_words(
    explanations: Sequence[Explanation],
    query: NDArray[np.floating[Any]],
    passages: NDArray[np.floating[Any]],
    query_words: InWords,
    passages_words: Sequence[InWords],
    sae: SAE,
) -> list[ByWords]:
    """Dense accounts of one query's scores, split into words: those of the scores, or of a sum's parts made of them.

    A sum of systems stretches a dense score before it adds it: factor * (q . d - lowest), and the words' parts with it.

    Raises:
        BadData: as `explain_by_words`.
    """
    _refuse_pursuit(sae)
    q, rows = np.asarray(query, np.float64), np.asarray(passages, np.float64)
    active = [[contribution.latent for contribution in one.contributions] for one in explanations]
    readers, of_query = _Readers.of(np.array(list(chain(*active)), np.int64), q, sae), _whole(q, query_words)
    found = zip(explanations, active, rows, passages_words, strict=True)
    return [_by_words(why, latents, row, words, of_query, readers) for why, latents, row, words in found]


class _Readers(NamedTuple):
    """What reads and writes the latents of a block of passages, in double precision, as one query sees them."""

    latents: NDArray[np.int64]  # (n,) ascending
    W_enc: NDArray[np.float64]  # (n, d_in)
    constant: NDArray[np.float64]  # (n,) b_enc_j - w_enc_j . b_pre
    along: NDArray[np.float64]  # (n,) w_j . q
    bias: float
    """b_pre . q"""

    @classmethod
    def of(cls, latents: NDArray[np.int64], query: NDArray[np.float64], sae: SAE) -> _Readers:
        some, b_pre = np.unique(latents), sae.b_pre.astype(np.float64)
        W_enc, W_dec = sae.W_enc[some].astype(np.float64), sae.W_dec[some].astype(np.float64)
        return cls(some, W_enc, sae.b_enc[some] - W_enc @ b_pre, W_dec @ query, float(b_pre @ query))


def _by_words(
    explanation: Explanation, latents: Sequence[int], passage: NDArray[np.float64], words: InWords, of_query: InWords,
    readers: _Readers,
) -> ByWords:  # fmt: skip
    """One account, its contributions and the score itself split into words."""
    beyond = _beyond(passage, words)
    at = np.searchsorted(readers.latents, np.array(latents, np.int64))
    along = np.array([contribution.query for contribution in explanation.contributions])  # factor * w_j . q
    # One product for both tables: a row for each latent that reads the words, then one for each word of the query.
    reading = np.concatenate([readers.W_enc[at], of_query.parts])
    table = np.empty((len(reading), len(words.words) + 1))
    np.matmul(reading, words.parts.T, out=table[:, :-1])
    table[:, -1] = reading @ beyond
    by_word, pairs = table[: len(at)], table[len(at) :]
    by_word *= along[:, None]
    of_no_word = along * readers.constant[at]
    factor = _factor(along, readers.along[at])
    if factor != 1:
        pairs *= factor
    return ByWords(
        explanation=explanation,
        words=(*words.words, Word(BEYOND, None)),
        query_words=of_query.words,
        contributions=by_word,
        of_no_word=of_no_word,
        residual=pairs.sum(axis=0) - by_word.sum(axis=0),
        residual_of_no_word=-float(of_no_word.sum()) - factor * readers.bias,
        pairs=pairs,
        taken_off=explanation.bias - factor * readers.bias if factor != 1 else 0.0,
    )


def _factor(along: NDArray[np.float64], plain: NDArray[np.float64]) -> float:
    """Times which a dense account was taken: by its concepts' weights in the query, (n,), beside w_j . q."""
    weights, unscaled = float(np.abs(along).sum()), float(np.abs(plain).sum())
    if not unscaled:  # without concepts it is not known, and the account is that of the score
        return 1.0
    return 1.0 if abs(weights - unscaled) <= _SAME_SCALE * unscaled else weights / unscaled


def of_activation(words: InWords, latent: int, sae: SAE) -> list[tuple[Word, float]]:
    """What each word of a text adds to a latent's activation, w_enc . e_t, before its constant and the threshold.

    Raises:
        BadData: the SAE's activations are no sums over words.
    """
    _refuse_pursuit(sae)
    return list(zip(words.words, (words.parts @ sae.W_enc[latent].astype(np.float64)).tolist(), strict=True))


def _refuse_pursuit(sae: SAE) -> None:
    if sae.config.selection == MATCHING_PURSUIT:
        raise BadData(
            "matching pursuit finds activations one after the other, so they are no sums over words; give an SAE that "
            "selects by threshold or top k, or see the passage's sentences: unweave carrying"
        )


def in_words(encoder: Encoder, text: str, *, of_query: bool = False) -> InWords:
    """A text's embedding by its words.

    Raises:
        BadData: the encoder shows no words, or makes embeddings of them otherwise than by a mean.
    """
    (found,) = all_in_words(encoder, [text], of_queries=of_query)
    return found


def all_in_words(encoder: Encoder, texts: Sequence[str], *, of_queries: bool = False) -> list[InWords]:
    """The embeddings of some texts by their words, read as one block.

    Raises:
        BadData: as `in_words`.
    """
    if not isinstance(encoder, WordEncoder):
        raise BadData(
            "this encoder shows no words, only embeddings; give a sentence-transformers model, or see the passage's "
            "sentences: unweave carrying"
        )
    return encoder.in_words(texts, of_queries=of_queries) if texts else []


def _whole(embedding: NDArray[np.float64], found: InWords) -> InWords:
    """The words, and what the embedding has beyond them, so that they add up to it."""
    return InWords((*found.words, Word(BEYOND, None)), np.vstack([found.parts, _beyond(embedding, found)]))


def _beyond(embedding: NDArray[np.float64], found: InWords) -> NDArray[np.float64]:
    """What an embedding has beyond its words, (d_in,).

    Raises:
        BadData: so much that they are not its words.
    """
    beyond = embedding - found.parts.sum(axis=0)
    if np.linalg.norm(beyond) > _OTHER_ENCODER * np.linalg.norm(embedding):
        raise BadData(
            f"the words of this text add up to another embedding than the one that was scored, apart by "
            f"{np.linalg.norm(beyond) / np.linalg.norm(embedding):.0%} of its length; embed its corpus again with the "
            "encoder of the project's settings"
        )
    return np.asarray(beyond)


def _check(said: str, parts: list[float], whole: float, rtol: float, of: list[float] | None = None) -> None:
    scale = sum(map(abs, [*parts, *(of or [])]))
    if not abs(sum(parts) - whole) <= rtol * scale + 1e-9:
        raise AccountingError(f"the words of {said} add up to {sum(parts)!r}, not to {whole!r}")
