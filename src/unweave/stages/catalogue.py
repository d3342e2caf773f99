"""The systems that a project can be searched with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from unweave.errors import BadData
from unweave.retrieval.searcher import ConceptSearcher
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
from unweave.stages.lexical import counted
from unweave.stages.workspace import Workspace

Systems = Mapping[str, Callable[[], System | None]]
"""How each system is made, so that only what is asked for is in memory; None: it is undefined for the corpus."""


def systems_of(project: Workspace, *, explaining: bool = False) -> Systems:
    """The systems that a project can be searched with; those of tokens only if their concepts were learned.

    Args:
        explaining: with the concepts' names.
    """
    n = len(project.corpus)
    names = project.concepts if explaining else None

    def dense() -> Dense:
        passages = project.embedded("passages")
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
        "BM25": lambda: Lexical(counted(project)) if project.has("bm25") else None,
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


def searcher_of(project: Workspace, profile: str) -> ConceptSearcher:
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
