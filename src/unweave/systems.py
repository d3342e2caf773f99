"""The retrieval systems that are compared and fused: each finds passages for one embedded query, and says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave import fusion
from unweave.embeddings import unit_rows
from unweave.errors import BadData, MissingExtra
from unweave.explanation import Contribution, Explanation, Names, explain
from unweave.index.hits import Hits, best, best_of
from unweave.records import Part
from unweave.retrieval import ConceptSearcher
from unweave.sae.model import SAE

if TYPE_CHECKING:
    from unweave.project import Project

FUSED_DEPTH = 1000
"""Hits that each of several fused systems gives."""


class EmbeddedQuery(NamedTuple):
    """A query in all forms that systems read."""

    text: str
    vector: NDArray[np.float32]  # (d_in,)
    tokens: NDArray[np.float32] | None = None  # (n_tokens, d_token), each of length 1; None where no system reads them


class System(Protocol):
    """Something that ranks a corpus."""

    @property
    def bytes_per_passage(self) -> float:
        """Size of what it searches, divided by the number of passages."""

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits: ...


@runtime_checkable
class Explaining(System, Protocol):
    """A system that says why."""

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        """Why `search` gave the passage at this position its score."""


class BM25:
    """Lucene's BM25 through bm25s: English stop words, Snowball stemmer, k1 1.2, b 0.75."""

    def __init__(self, texts: list[str]) -> None:
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise MissingExtra("the BM25 baseline", "evaluate") from error
        self._tokenizer = bm25s.tokenization.Tokenizer(stopwords="en", stemmer=Stemmer.Stemmer("english"))
        tokens = self._tokenizer.tokenize(texts, show_progress=False, return_as="tuple")
        self._retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self._retriever.index(tokens, show_progress=False)
        self._n = len(texts)

    @property
    def bytes_per_passage(self) -> float:
        return float(sum(self._retriever.scores[name].nbytes for name in ("data", "indices", "indptr"))) / self._n

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        terms = self._terms(query.text)
        scores = self._retriever.get_scores_from_ids(terms) if terms else np.zeros(self._n, dtype=np.float32)
        return best(scores, np.flatnonzero(scores > 0), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        """What each term of the query adds; a contribution is a term's, by its number in the vocabulary."""
        word_of = {term: word for word in self._tokenizer.splitter(query.text.lower()) for term in self._terms(word)}
        counts = Counter(self._terms(query.text))
        worth = {term: self._worth(term, passage) for term in counts}
        parts = [
            Contribution(term, word_of[term], float(count), worth[term], count * worth[term])
            for term, count in counts.items()
            if worth[term]
        ]
        return Explanation(of="terms", score=score, contributions=tuple(sorted(parts, key=lambda part: -part.value)))

    def _terms(self, text: str) -> list[int]:
        # Else a query of unknown words would become bm25s's empty word, which empty passages hold.
        (terms,) = self._tokenizer.tokenize(
            [text], update_vocab=False, show_progress=False, return_as="ids", allow_empty=False
        )
        return list(terms)

    def _worth(self, term: int, passage: int) -> float:
        """The score that one occurrence of a term in the query gives a passage."""
        stored = self._retriever.scores
        row = slice(stored["indptr"][term], stored["indptr"][term + 1])
        return float(stored["data"][row][stored["indices"][row] == passage].sum())


@dataclass(frozen=True, eq=False)
class Dense:
    """Exhaustive search by dot product."""

    passages: NDArray[np.float32]  # (n_passages, d_in)
    sae: SAE | None = None
    """What its scores are explained by."""
    names: Names | None = None

    @property
    def bytes_per_passage(self) -> float:
        return 4.0 * int(self.passages.shape[1])

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return best(self.passages @ query.vector, np.arange(len(self.passages)), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        if self.sae is None:
            raise ValueError("without an SAE there is nothing to explain dense scores by")
        return explain(query.vector, self.passages[passage], self.sae, self.names)


class Reconstructed:
    """Dense search over what the SAE gives back of passages and query, x_hat, each scaled to length 1."""

    def __init__(self, sae: SAE, passages: NDArray[np.float32]) -> None:
        """passages: (n_passages, d_in), their reconstructions."""
        self._sae = sae
        self._dense = Dense(unit_rows(passages))

    @property
    def bytes_per_passage(self) -> float:
        return self._dense.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        (vector,) = unit_rows(self._sae.reconstruct(query.vector))
        return self._dense.search(EmbeddedQuery(query.text, vector), cutoff)


@dataclass(frozen=True, eq=False)
class CLSR:
    """Concept-Level Sparse Retrieval."""

    searcher: ConceptSearcher
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.search(self.read(query), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain(self.read(query), passage, score, self.names)

    def read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        """What of a query the SAE reads."""
        return query.vector


class TokenConcepts(CLSR):
    """The same by concepts of single tokens."""

    def read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        if query.tokens is None:
            raise BadData("concepts of tokens are searched with a query's text, and a vector came in")
        return query.tokens


@dataclass(frozen=True, eq=False)
class RescoredCLSR:
    """CL-SR whose best candidates are ordered anew by the dense query and their stored codes."""

    searcher: ConceptSearcher
    candidates: int
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.rescored(query.vector, cutoff, self.candidates)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain_rescored(query.vector, passage, score, self.names)


@dataclass(frozen=True, eq=False)
class DenseRescored:
    """The dense model's ranking of what concepts find: its scores, without reading every vector."""

    searcher: ConceptSearcher
    candidates: int
    dense: Dense
    bytes_per_passage: float

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        found = np.sort(self.searcher.search(query.vector, self.candidates).passages)
        return best_of(found, self.dense.passages[found] @ query.vector, cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.dense.explain(query, passage, score)


@dataclass(frozen=True, eq=False)
class ConceptCodes:
    """The dense query against the stored code of every passage, three bytes a concept; no inverted lists."""

    searcher: ConceptSearcher
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.scanned(query.vector, cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain_rescored(query.vector, passage, score, self.names)


@dataclass(frozen=True, eq=False)
class Fused:
    """Several systems searched in one call, none weighing more than another; see `fusion`."""

    systems: Mapping[str, System]
    by: str = fusion.SCORE

    @property
    def bytes_per_passage(self) -> float:
        return sum(system.bytes_per_passage for system in self.systems.values())

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self._fused(self._found(query), cutoff).hits

    def search_in_parts(self, query: EmbeddedQuery, cutoff: int, *, explain: bool) -> list[tuple[int, list[Part]]]:
        """The position of each hit, and what each system gave: the sum of their values is the fused score.

        Args:
            explain: with the explanation of each part; of ranks, which are no sums, that of the system's own score.
        """
        found = self._found(query)
        hits = self._fused(found, cutoff)
        places = [{p: rank for rank, p in enumerate(of.passages.tolist())} for of in found]
        return [
            (passage, [
                self._part(name, query, passage, value, found[i], places[i].get(passage), explain=explain)
                for i, (name, value) in enumerate(zip(self.systems, values, strict=True))
            ])
            for passage, values in zip(hits.passages.tolist(), hits.parts.tolist(), strict=True)
        ]  # fmt: skip

    def _found(self, query: EmbeddedQuery) -> list[Hits]:
        return [system.search(query, FUSED_DEPTH) for system in self.systems.values()]

    def _fused(self, found: Sequence[Hits], cutoff: int) -> fusion.Fused:
        return fusion.FUSIONS[self.by](found, cutoff, [1 / len(found)] * len(found))

    def _part(
        self, name: str, query: EmbeddedQuery, passage: int, value: float, found: Hits, place: int | None, *,
        explain: bool,
    ) -> Part:  # fmt: skip
        if place is None:
            return Part(name, 0.0, None, None)
        system, why = self.systems[name], None
        if explain and isinstance(system, Explaining):
            why = system.explain(query, passage, float(found.scores[place]))
            if self.by == fusion.SCORE:
                why = fusion.explain_part(why, fusion.scale_of(found, 1 / len(self.systems)))
        return Part(name, value, place + 1, why)


# --- of a project -----------------------------------------------------------------------------------

Systems = Mapping[str, Callable[[], System | None]]
"""How each system is made, so that only what is asked for is in memory; None: it is undefined for the corpus."""


def systems_of(project: Project, *, explaining: bool = False) -> Systems:
    """The systems that a project can be searched with; those of tokens only if their concepts were learned.

    Args:
        explaining: with the concepts' names.
    """
    n = len(project.corpus)
    names = project.concepts if explaining else None

    def dense() -> Dense:
        passages = project.embeddings("passages")
        assert passages is not None
        return Dense(passages.rows(), project.sae, names)

    def concepts(profile: str) -> CLSR | None:
        if not project.has(f"index/{profile}"):
            return None
        searcher = searcher_of(project, profile)
        return CLSR(searcher, searcher.index.bytes() / n, names)

    def rescored() -> RescoredCLSR:
        searcher = searcher_of(project, "default")
        size = searcher.index.bytes() + project.codes.bytes
        return RescoredCLSR(searcher, project.settings.evaluate.candidates, size / n, names)

    def then_dense() -> DenseRescored:
        searcher, rescoring = searcher_of(project, "default"), dense()
        size = searcher.index.bytes() / n + rescoring.bytes_per_passage
        return DenseRescored(searcher, project.settings.evaluate.candidates, rescoring, size)

    def codes() -> ConceptCodes:
        return ConceptCodes(searcher_of(project, "default"), project.codes.bytes / n, names)

    def of_tokens() -> TokenConcepts:
        searcher = searcher_of(project, "tokens")
        return TokenConcepts(searcher, searcher.index.bytes() / n, project.token_names if explaining else None)

    made: dict[str, Callable[[], System | None]] = {
        "BM25": lambda: BM25([passage.content for passage in project.corpus]),
        "dense": dense,
        "reconstructed dense": lambda: Reconstructed(project.sae, project.sae.decode(project.latents)),
        "CL-SR paper": lambda: concepts("paper"),
        "CL-SR": lambda: concepts("default"),
        "CL-SR rescored": rescored,
        "CL-SR then dense": then_dense,
        "concept codes": codes,
    }
    if project.has("index/tokens"):
        made["tokens"] = of_tokens
    return made


def chosen(systems: Systems, names: Sequence[str]) -> dict[str, System]:
    """The systems of these names.

    Raises:
        BadData: there is none of that name, or it is undefined for the corpus.
    """
    check_known(systems, names)
    made = {name: systems[name]() for name in names}
    for name, system in made.items():
        if system is None:
            raise BadData(f"{name} is undefined for this corpus; unweave index build says why")
    return {name: system for name, system in made.items() if system is not None}


def check_known(systems: Systems, names: Sequence[str]) -> None:
    """Refuse a name that no system has, before any is made."""
    unknown = [name for name in names if name not in systems]
    if unknown:
        more = "" if "tokens" in systems else "; for 'tokens', first run: unweave tokens"
        raise BadData(f"there is no system {unknown[0]!r}; expected some of {', '.join(map(repr, systems))}{more}")


def searcher_of(project: Project, profile: str) -> ConceptSearcher:
    """A searcher whose positions are the corpus's.

    Raises:
        BadData: the index was changed since it was built.
    """
    searcher = project.searcher(profile)
    (segment, *more) = searcher.index.segments
    if more or segment.deletion is not None or segment.n_passages != len(project.corpus):
        raise BadData(
            f"{searcher.index.folder} was changed since it was built, and no longer holds what the corpus does; "
            f"to evaluate, delete that folder and run: unweave index build {project.path}"
        )
    return searcher
