"""Adding passages, queries and judgements to a project that is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import locks
from unweave.base.building import clear_leftovers
from unweave.base.files import refuse_links
from unweave.base.plain import plain
from unweave.base.records import Passage, Query
from unweave.errors import BadData
from unweave.stages.places import STAGED
from unweave.stages.workspace import Workspace
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus
from unweave.texts.queries import Qrels, QuerySet, known_judgements


class Added(NamedTuple):
    """What became of the passages and queries of a collection, and what the project has now."""

    new: int
    """Passages that stand after those that were there."""
    replaced: int
    """Passages of an id that was there with another title, text or metadata: they stand where the old ones stood."""
    unchanged: int
    """Passages that were there already."""
    n_passages: int
    """All passages of the project."""
    new_queries: int
    new_judgements: int
    n_queries: int
    """All queries of the project."""


def add(project: Workspace, collection: Collection, *, drop_unknown: bool = False) -> Added:
    """Add a collection to a project's corpus, queries and judgements; a passage whose id is there replaces the old one.

    The corpus and then the queries are written anew and swapped in whole, so that whenever the process is killed each
    is as it was or as it shall be; the same call goes on from there. Nothing that is wrong with the collection leaves
    a trace. What was made of the old corpus is out of date until it is made again.

    Args:
        drop_unknown: leave out judgements of passages that neither corpus has, rather than refuse.

    Raises:
        BadData: the collection has no passage, ids repeat in it, a query has an id that another query of the project
            has, or judgements name what is not there or give another grade than those that are there.
        ArtifactInUse: another process is adding to the project.
    """
    # Of two that begin with one corpus, the last would undo the first.
    with locks.alone(project.path / ".corpus.unweave-adding", f"adding to {project.path}"):
        aside = project.path / STAGED
        refuse_links(aside)
        old, asked = project.corpus, project.queries
        for folder in (old.folder, asked.folder):
            clear_leftovers(folder)  # of one that was killed after its last step; this may find nothing to add
        try:
            staged = Corpus.write(aside / "corpus", collection.passages, settings={})
            places = _Places.of(old, staged)
            queries = _joined_queries(asked.all, collection.queries)
            before = {split: asked.qrels(split) for split in asked.splits}
            known = {
                split: known_judgements(
                    judged, split, lambda name: old.has(name) or staged.has(name), drop_unknown=drop_unknown
                )
                for split, judged in collection.qrels.items()
            }
            qrels = {split: _joined(before.get(split, {}), known.get(split, {}), split) for split in {*before, *known}}
            QuerySet.write(
                aside / "queries", queries, qrels, settings={}
            )  # what is wrong in them is said before a change
            if len(places.new) or places.replaced:
                about = dict(old.manifest.settings.get("about") or {})
                added = [*about.get("added", ()), dict(collection.about)]
                Corpus.write(old.folder, places.passages(old, staged), settings={"about": about | {"added": added}})
            if queries != asked.all or qrels != before:
                QuerySet.write(asked.folder, queries, qrels, settings=asked.manifest.settings)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return Added(
            len(places.new), len(places.replaced), len(staged) - len(places.new) - len(places.replaced),
            len(project.corpus), len(queries) - len(asked), _count(qrels) - _count(before), len(queries),
        )  # fmt: skip


class _Places(NamedTuple):
    """Where the passages of a staged corpus go."""

    new: NDArray[np.int64]
    """Positions in the staged corpus, ascending."""
    replaced: dict[int, int]
    """Positions in the staged corpus by those in the old one."""

    @classmethod
    def of(cls, old: Corpus, staged: Corpus) -> _Places:
        new, replaced = [], {}
        for position, passage_id in enumerate(staged.ids):
            there = old.position(passage_id)
            if there is None:
                new.append(position)
            elif old.line(there) != staged.line(position):
                replaced[there] = position
        return cls(np.array(new, np.int64), replaced)

    def passages(self, old: Corpus, staged: Corpus) -> Iterator[Passage]:
        """Those of the old corpus, replaced ones in their place, then the new ones."""
        for position, passage in enumerate(old):
            yield staged[self.replaced[position]] if position in self.replaced else passage
        for position in self.new.tolist():
            yield staged[position]


def _joined_queries(there: list[Query], added: Iterable[Query]) -> list[Query]:
    """The queries that are there, then those of other ids.

    Raises:
        BadData: a query has the id of one that asks something else, or an empty one.
    """
    text_of = {query.query_id: query.text for query in there}
    joined = list(there)
    for query in added:
        text = query.text.encode("utf-8", "replace").decode("utf-8")  # as it would be stored
        if text_of.setdefault(query.query_id, text) != text:
            raise BadData(
                f"query id {plain(query.query_id, 60)!r} asks something else in the project or twice in what is added; "
                "give the query an id of its own"
            )
        if len(text_of) > len(joined):
            joined.append(Query(query.query_id, text))
    return joined


def _joined(there: Qrels, added: Mapping[str, Mapping[str, int]], split: str) -> Qrels:
    """Judgements of one split, old ones first.

    Raises:
        BadData: a passage has two grades for one query.
    """
    joined = {query_id: dict(judged) for query_id, judged in there.items()}
    for query_id, judged in added.items():
        of_query = joined.setdefault(query_id, {})
        for passage_id, grade in judged.items():
            if of_query.setdefault(passage_id, grade) != grade:
                raise BadData(
                    f"qrels/{plain(split, 60)}: {plain(query_id, 60)!r} and {plain(passage_id, 60)!r} are judged "
                    f"{of_query[passage_id]} in the project and {grade} in what is added; leave one of them out"
                )
    return joined


def _count(qrels: Mapping[str, Qrels]) -> int:
    return sum(len(judged) for of_split in qrels.values() for judged in of_split.values())
