"""Which texts activate a latent, by its name alone: the judge that decides how far a name is trusted.

A name and a text are compared in a space: as embeddings of an encoder, or as words. What decides is another encoder
than the one whose directions are named: in that one's own space a few words come near to *any* direction, so that names
of random directions are told there nearly as well as names of trained ones. Detection after Paulo et al. 2024,
"Automatically Interpreting Millions of Features in Large Language Models", arXiv 2410.13928.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.concepts.concept import CHANCE, DETECTION, HOLDS_FROM, Naming, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.forms import form_of
from unweave.concepts.judges.questions import Question, auroc, told
from unweave.concepts.namers.keyphrases import stems
from unweave.encode.encoder import Encoder

STRONG, MIDDLE, WEAK = (f"{DETECTION}-{band}" for band in ("strong", "middle", "weak"))
"""Detection where only one third of the active texts is asked about, by strength."""
LEXICAL, IN_SPACE = f"{DETECTION}-lexical", f"{DETECTION}-in-space"
HELD_OUT_PRECISION = 0.8
"""Of pairs of an active and a silent text, the share that a name tells right where it holds, surely."""
ALSO = "; also "
"""Stands in a name between two things that a latent is about."""
_HOLDS_THE_WORD = 10.0
"""More than two texts' likenesses to a name differ by: one with such a word comes before all without."""
_FEWEST_ABOVE = 9
"""Active texts on which it can be said that a name holds, at least."""
_ENCODED = 1024
_ENOUGH_FOR_A_MEAN = 16
"""Different texts; fewer are about the same thing too easily."""


Rows: TypeAlias = "NDArray[np.float32] | csr_array"
Likeness: TypeAlias = Callable[[int, NDArray[np.int64]], NDArray[np.floating]]
"""How like one of some names, by its number, is to some texts of the evidence, (n_chosen,)."""


class Space(NamedTuple):
    """Where names and texts are compared."""

    judge: str
    """Detection here."""
    read: Callable[[Sequence[str]], Rows]
    """The rows of some names, (n_names, width)."""
    compare: Callable[[Rows], Likeness]
    """What compares such rows with texts."""
    content: Callable[[int], str] | None = None
    """A text as it reads, by its number; with it a name that speaks of words is told by those first, see `forms`."""

    def reader(self, names: Sequence[str]) -> Likeness:
        """What compares some names with texts.

        All of them decide what each is compared with: of "a; also b" it is the likeness to the nearer of the two.
        """
        parts = [(place, part) for place, name in enumerate(names) for part in name.split(ALSO)]
        of_part = self.compare(self.read([part for _, part in parts]))
        forms = [form_of(name) if self.content else None for name in names]
        of_name: dict[int, list[int]] = {}
        for number, (place, _) in enumerate(parts):
            of_name.setdefault(place, []).append(number)

        def likeness(name: int, texts: NDArray[np.int64]) -> NDArray[np.floating]:
            found: NDArray[np.floating] = np.max([of_part(number, texts) for number in of_name[name]], axis=0)
            form = forms[name]
            if form is not None and self.content is not None:
                holds = np.array([form(self.content(text)) for text in texts.tolist()], np.float32)
                found = found + _HOLDS_THE_WORD * holds
            return found

        return likeness


def products(texts: Rows) -> Callable[[Rows], Likeness]:
    """Comparison by the inner product of a name's row with each text's, of (n_texts, width)."""

    def compare(names: Rows) -> Likeness:
        def likeness(name: int, chosen: NDArray[np.int64]) -> NDArray[np.floating]:
            row = names[[name]]
            return np.asarray(texts[chosen] @ (row.toarray() if isinstance(row, csr_array) else row)[0])

        return likeness

    return compare


def by_second_encoder(evidence: Evidence) -> Space:
    """The space of an encoder that shares nothing with the one whose directions are named; this judge decides.

    A name is compared with a text as a whole and with what is nearest to it there: see `encode.static`.
    """

    def compare(names: Rows) -> Likeness:
        return evidence.meanings.likeness(np.asarray(names))

    return Space(DETECTION, partial(embedded, evidence.second_encoder), compare, evidence.content)


def in_space(evidence: Evidence) -> Space:
    """The space of the encoder whose directions are named; a name is easily right there."""
    return Space(IN_SPACE, partial(embedded, evidence.encoder), products(evidence.embeddings))


def lexical(evidence: Evidence) -> Space:
    """Words, compared by their stems and weighted by how rare they are (tf-idf, cosine)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weights = TfidfVectorizer(analyzer=stems, dtype=np.float32)
    texts = csr_array(weights.fit_transform(evidence.contents()))
    return Space(LEXICAL, lambda names: csr_array(weights.transform(names)), products(texts))


def embedded(encoder: Encoder, names: Sequence[str]) -> NDArray[np.float32]:
    """Embeddings of names, (n_names, d), from the mean of all: short phrases are alike for being short.

    Of few names no mean is taken. A name of which the encoder knows nothing stays a row of zeros, unlike every text.
    """
    different = sorted(set(names))
    place = {name: row for row, name in enumerate(different)}
    vectors = np.concatenate([encoder.encode_passages(some) for some in _some(different)])
    known = vectors.any(axis=1)
    if np.count_nonzero(known) >= _ENOUGH_FOR_A_MEAN:
        vectors[known] -= vectors[known].mean(axis=0)
    return np.asarray(vectors[[place[name] for name in names]], np.float32)


def detect(
    space: Space, namings: Mapping[int, Naming], asked: Mapping[int, Question], *, bands: bool = False
) -> Iterator[tuple[int, Score]]:
    """How often, of a text that activates the latent and one that does not, the name tells which does.

    Args:
        namings: all of the namer's, for all of them decide what its words are compared with.
        asked: of the latents to judge, the question about each; see `questions.questions`.
        bands: say it of the strong, middle and weak third of the active texts too, and from which activation the name
            holds, if it does.
    """
    named = [(latent, naming.name) for latent, naming in namings.items() if naming.name is not None]
    if not named:
        return
    likeness = space.reader([name for _, name in named])
    for number, (latent, _) in enumerate(named):
        if latent in asked:
            question = asked[latent]
            values = likeness(number, question.texts)
            silent = values[~question.active]
            yield latent, told(space.judge, values[question.active], silent)
            for judge, band in zip((STRONG, MIDDLE, WEAK), question.bands if bands else (), strict=False):
                if band.stop > band.start:
                    yield latent, told(judge, values[band], silent)
            if bands and (found := holds_from(question.activations, values[question.active], silent)) is not None:
                yield latent, found


def holds_from(
    activations: NDArray[np.float32], active: NDArray[np.floating], silent: NDArray[np.floating]
) -> Score | None:
    """The least activation at or above which a name tells active texts from silent ones surely: `HELD_OUT_PRECISION`.

    None where there is none. Tried are the texts of the strongest `_FEWEST_ABOVE`, then half as many more each time:
    the more often one looks, the more often luck finds what it looks for.

    Args:
        activations: (n,) of the active texts, descending.
        active, silent: what the name's likeness is to each, (n,) and (m,).
    """
    least, n = None, _FEWEST_ABOVE
    while (count := min(n, len(activations))) >= _FEWEST_ABOVE:
        if told(HOLDS_FROM, active[:count], silent).low >= HELD_OUT_PRECISION:
            least = count
        if count == len(activations):
            break
        n += -(-n // 2)
    if least is None:
        return None
    activation = float(activations[least - 1])
    return Score(HOLDS_FROM, activation, activation, activation, least)


def tell(evidence: Evidence, names: Sequence[str], active: NDArray[np.int64], silent: NDArray[np.int64]) -> list[float]:
    """How often each of a latent's names tells which of two texts is active, of all pairs; .5 where there are none."""
    if not len(active) or not len(silent):
        return [CHANCE] * len(names)
    likeness = by_second_encoder(evidence).reader(names)
    return [auroc(likeness(number, active), likeness(number, silent)) for number in range(len(names))]


def _some(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + _ENCODED] for start in range(0, len(texts), _ENCODED))
