"""The systems that a project can be searched with, by name, and sums of them.

Each is made when it is first asked for, and anew when an artefact that it reads has changed. A sum, and whatever reads
an index beside something else, needs an index that holds what the corpus does: only then do positions mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, NotThere, StaleArtifact
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.scoring import TOKENS
from unweave.retrieval import sums
from unweave.retrieval.passage_latents import PassageLatents
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.retrieval.sums import Sum
from unweave.retrieval.systems import (
    CLSR,
    ConceptCodes,
    Dense,
    DenseRescored,
    Lexical,
    Reconstructed,
    RescoredCLSR,
    System,
    TokenConcepts,
)
from unweave.stages.active import by_concept
from unweave.stages.lexical import counted
from unweave.stages.workspace import Workspace


class Catalogue(Mapping[str, System]):
    """A project's systems by name; a sum such as "BM25 + 2 codes" is found too, and is not listed."""

    def __init__(self, project: Workspace) -> None:
        self._project = project

    def __iter__(self) -> Iterator[str]:
        """The single systems that are there; not those whose parts are damaged, which is said to who asks for them."""
        return (name for name, entry in _SYSTEMS.items() if all(map(self._whole, entry.reads)))

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> System:
        """The system of this name.

        Raises:
            BadData: there is no such system, or it is undefined for this corpus.
            MissingArtifact, StaleArtifact: what it reads is not there yet, or out of date.
        """
        return self._sum(name) if sums.is_sum(name) else self._single(name)

    def _whole(self, artifact: str) -> bool:
        try:
            return self._project.has(artifact)
        except CorruptArtifact:
            return False

    def check(self, names: Iterable[str]) -> None:
        """Refuse names that no system has, before anything is read.

        Raises:
            BadData: naming the first.
        """
        for name in names:
            for one in sums.parse(name).weights if sums.is_sum(name) else [name]:
                if one not in _SYSTEMS:
                    known = ", ".join(map(repr, _SYSTEMS))
                    raise BadData(
                        f"there is no system {one!r}; expected one of {known}, or a sum such as 'BM25 + codes'"
                    )

    def where(self, metadata: Mapping[str, str], name: str) -> NDArray[np.bool_]:
        """Which passages have all of this metadata, (n_positions,) by a system's positions.

        Raises:
            BadData: no passage has metadata of one of these names.
        """
        self.check([name])
        project = self._project
        matching = project.corpus.where(metadata)
        profile = None if sums.is_sum(name) else _SYSTEMS[name].profile
        index = None if profile is None else project.index_of(profile)
        if index is None or index.as_built:
            return matching
        places = index.positions([project.corpus[i].passage_id for i in np.flatnonzero(matching).tolist()])
        allowed = np.zeros(index.n_positions, np.bool_)
        allowed[places[places >= 0]] = True
        return allowed

    def hit_of(self, name: str, query: EmbeddedQuery, passage_id: str, steering: Steering = AS_IT_IS) -> Hits:
        """One passage with the score that a system gives it for a query.

        Args:
            steering: its boosts bend the score.

        Raises:
            NotThere: the system does not find it.
        """
        system, project = self[name], self._project
        profile = None if sums.is_sum(name) else _SYSTEMS[name].profile
        place, n = project.position(passage_id), len(project.corpus)
        if profile is not None and not project.index_of(profile).as_built:
            (place,), n = (
                project.index_of(profile).positions([passage_id]).tolist(),
                project.index_of(profile).n_positions,
            )
        if sums.is_sum(name):  # a part is stretched by the hits around it
            hits = system.search(query, sums.DEPTH, steering)
            found = Hits(*(column[hits.passages == place] for column in hits))
        else:
            alone = np.zeros(n, np.bool_)
            alone[place] = place >= 0
            found = system.search(query, 1, replace(steering, allowed=alone))
        if not len(found.passages):
            raise NotThere(
                f"{name} does not find the passage {passage_id!r} for this query, so there is no score to explain"
            )
        return found

    def _single(self, name: str) -> System:
        self.check([name])
        project, entry = self._project, _SYSTEMS[name]
        if name == "CL-SR paper" and not project.has("index/paper") and project.has("index/default"):
            raise BadData("CL-SR paper is undefined for this corpus; unweave index build says why")
        names = ["concepts"] if project.has("concepts") else []  # which explain it, if they are there
        return project.kept(f"system {name}", [*entry.reads, *names], partial(entry.make, project))

    def _sum(self, name: str) -> Sum:
        parsed = sums.parse(name)
        self.check([name])
        for profile in {_SYSTEMS[one].profile for one in parsed.weights} - {None}:
            in_corpus_order(self._project, str(profile))
        systems = {one: self._single(one) for one in parsed.weights}
        return Sum(sums.name_of(*parsed), systems, tuple(parsed.weights.values()), parsed.by)


class _Entry(NamedTuple):
    """How a system is made."""

    make: Callable[[Workspace], System]
    reads: tuple[str, ...]
    """The artefacts that it reads."""
    profile: str | None = None
    """The profile of the index that numbers its passages; None: they are numbered as in the corpus."""


def _names(project: Workspace) -> Names | None:
    return project.concepts if project.has("concepts") else None


def _ids(project: Workspace, positions: Iterable[int]) -> list[str]:
    corpus = project.corpus
    return [corpus[position].passage_id for position in positions]


def _matrix(project: Workspace) -> NDArray[np.float32]:
    """Every passage's embedding, in memory once."""
    return project.kept("dense rows", ["embeddings/passages"], lambda: project.embedded("passages").rows())


def _coded(project: Workspace) -> csr_array | None:
    """Every passage's latents, if they are there and of these passages."""
    try:
        return project.latents
    except (MissingArtifact, StaleArtifact):
        return None


def _latents(project: Workspace) -> PassageLatents:
    """Every passage's latents both ways, from the first search on that concepts steer."""
    return PassageLatents(project.latents, by_concept(project))


def in_corpus_order(project: Workspace, profile: str) -> ConceptIndex:
    """An index whose positions are the corpus's.

    Raises:
        BadData: the index was changed since it was built.
    """
    index = project.index_of(profile)
    if not index.as_built:
        raise BadData(
            f"{index.folder} was changed since it was built and no longer holds what the corpus does, so only CL-SR or "
            f"tokens alone search it; for anything else, delete that folder and run: unweave index build {project.path}"
        )
    return index


def _bm25(project: Workspace) -> Lexical:
    return Lexical(counted(project), partial(_ids, project))


def _dense(project: Workspace) -> Dense:
    steered, coded = partial(_latents, project), partial(_coded, project)
    return Dense(_matrix(project), project.sae, _names(project), partial(_ids, project), steered, coded)


def _reconstructed(project: Workspace) -> Reconstructed:
    return Reconstructed(project.sae, project.sae.decode(project.latents), partial(_ids, project))


def _clsr(project: Workspace, profile: str, name: str) -> CLSR:
    return CLSR(ConceptSearcher(project.sae, project.index_of(profile)), _names(project), name)


def _tokens(project: Workspace) -> TokenConcepts:
    searcher = ConceptSearcher(project.token_sae, project.index_of(TOKENS.profile))
    return TokenConcepts(searcher, project.token_names)


def _with_codes(project: Workspace) -> ConceptSearcher:
    return ConceptSearcher(project.sae, in_corpus_order(project, "default"), project.codes)


def _rescored(project: Workspace) -> RescoredCLSR:
    searcher = _with_codes(project)
    size = (searcher.index.bytes(forward=True) + project.codes.bytes) / len(project.corpus)
    return RescoredCLSR(searcher, project.settings.evaluate.candidates, size, _names(project))


def _then_dense(project: Workspace) -> DenseRescored:
    dense = _dense(project)
    searcher = ConceptSearcher(project.sae, in_corpus_order(project, "default"))
    size = searcher.index.bytes(forward=True) / len(project.corpus) + dense.bytes_per_passage
    return DenseRescored(searcher, project.settings.evaluate.candidates, dense, size)


def _codes(project: Workspace) -> ConceptCodes:
    size = project.codes.bytes / len(project.corpus)
    return ConceptCodes(_with_codes(project), size, _names(project), partial(_ids, project))


_CONCEPTS = ("corpus", "sae", "index/default")
_SYSTEMS: dict[str, _Entry] = {
    "BM25": _Entry(_bm25, ("corpus", "bm25")),
    "dense": _Entry(_dense, ("corpus", "sae", "embeddings/passages")),
    "reconstructed dense": _Entry(_reconstructed, ("corpus", "sae", "latents")),
    "CL-SR paper": _Entry(
        partial(_clsr, profile="paper", name="CL-SR paper"), ("corpus", "sae", "index/paper"), "paper"
    ),
    "CL-SR": _Entry(partial(_clsr, profile="default", name="CL-SR"), _CONCEPTS, "default"),
    "CL-SR rescored": _Entry(_rescored, (*_CONCEPTS, "codes"), "default"),
    "CL-SR then dense": _Entry(_then_dense, (*_CONCEPTS, "embeddings/passages"), "default"),
    "codes": _Entry(_codes, (*_CONCEPTS, "codes"), "default"),
    "tokens": _Entry(_tokens, ("corpus", "tokens/sae", "index/tokens"), "tokens"),
}


def named_by_concepts(name: str) -> bool:
    """Whether a system's scores are explained by the project's concepts, which then have to be named."""
    single = sums.parse(name).weights if sums.is_sum(name) else [name]
    return any(one not in ("BM25", "tokens") for one in single)
