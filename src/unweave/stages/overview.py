"""A project at a glance: what there is of it, what is out of date, and what it can be asked."""

from __future__ import annotations

from typing import Literal, NamedTuple

from unweave.config import MATCHING_PURSUIT, OWN
from unweave.errors import CorruptArtifact, MissingArtifact, StaleArtifact, UnweaveError
from unweave.explaining.words import in_words
from unweave.stages.catalogue import Catalogue
from unweave.stages.places import ARTIFACTS
from unweave.stages.workspace import Workspace

_EXAMPLES = 8
_MOST_VALUES = 300
"""Values of a field of metadata that are listed."""
_ONLY_MEASURED = frozenset({"reconstructed dense"})
"""Systems whose scores are not explained."""


class State(NamedTuple):
    """One artefact of a project."""

    name: str
    state: Literal["there", "stale", "missing", "damaged"]
    said: str
    """What is wrong, and the command that mends it; empty where nothing is."""


class Overview(NamedTuple):
    """A project at a glance."""

    n_passages: int
    n_queries: int
    n_judged: int
    """Queries with judgements, over all splits."""
    encoder: str
    """What embedded the passages, or would; empty if that is not known."""
    dictionary: str
    """Where the SAE came from: `own`, `pretrained` or another; empty while there is none."""
    systems: dict[str, frozenset[str]]
    """Those that search and explain now, each with what it can be steered by."""
    metadata: dict[str, list[str]]
    """Fields of the passages' metadata and values of each, the first in their order."""
    states: list[State]
    examples: list[str]
    """Some of the project's queries, or titles of passages."""
    words: bool
    """Whether texts can be split into words."""


def overview(project: Workspace) -> Overview:
    """Look at a project; only what it is asked by is opened."""
    found = {name: _state(project, name) for name in ARTIFACTS}
    there = {name for name, one in found.items() if one.state == "there"}
    judged = project.kept("judged queries", ["queries"], lambda: _judged(project))
    systems = Catalogue(project)
    return Overview(
        n_passages=len(project.corpus),
        n_queries=len(project.queries.all),
        n_judged=len(judged),
        encoder=_encoder(project, embedded="embeddings/passages" in there),
        dictionary=_dictionary(project) if "sae" in there else "",
        systems={name: _steers(systems, name) for name in systems if name not in _ONLY_MEASURED},
        metadata=project.kept("metadata", ["corpus"], lambda: project.corpus.values(_MOST_VALUES)),
        states=list(found.values()),
        examples=project.kept("examples", ["corpus", "queries"], lambda: _examples(project)),
        words={"embeddings/passages", "sae"} <= there
        and project.kept("shows words", ["embeddings/passages", "sae"], lambda: _shows_words(project)),
    )


def _state(project: Workspace, name: str) -> State:
    try:
        project.manifest(name)
    except MissingArtifact as error:
        return State(name, "missing", str(error))
    except StaleArtifact as error:
        return State(name, "stale", str(error))
    except CorruptArtifact as error:
        return State(name, "damaged", str(error))
    return State(name, "there", "")


def _judged(project: Workspace) -> set[str]:
    return {query_id for split in project.queries.splits for query_id in project.queries.qrels(split)}


def _steers(systems: Catalogue, name: str) -> frozenset[str]:
    """What a system can be steered by; nothing if it cannot be opened, which is said to who searches with it."""
    try:
        return systems[name].steers
    except UnweaveError:
        return frozenset()


def _encoder(project: Workspace, *, embedded: bool) -> str:
    return project.encoder_of_embeddings if embedded else project.settings.encoder.model


def _dictionary(project: Workspace) -> str:
    given = project.manifest("sae").settings.get("given")
    return OWN if given is None else str(given["dictionary"])


def _examples(project: Workspace) -> list[str]:
    queries = [query.text for query in project.queries.all[:_EXAMPLES]]
    titles = (passage.title for passage in project.corpus[: 10 * _EXAMPLES])
    return queries or [title for title in titles if title][:_EXAMPLES]


def _shows_words(project: Workspace) -> bool:
    if project.sae.config.selection == MATCHING_PURSUIT:
        return False
    try:
        in_words(project.encoder, "words")
    except UnweaveError:
        return False
    return True
