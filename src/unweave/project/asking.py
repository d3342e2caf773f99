"""What can be asked of a project: passages, and the concepts that they and texts are made of."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from unweave.base.cores import on_every_core
from unweave.base.fields import LARGEST
from unweave.base.plain import plain
from unweave.base.records import Explanation, Hit, HitList, Passage
from unweave.concepts.database import reading
from unweave.concepts.layout import ConceptMap
from unweave.concepts.namers.lexicon import Ingredient
from unweave.concepts.relations.paths import ConceptPath
from unweave.concepts.relations.prevalent import Prevalent
from unweave.concepts.relations.stored import Family, stored_families
from unweave.config import HERE
from unweave.errors import BadData
from unweave.evaluation.rank import with_ids
from unweave.language import spending
from unweave.language.spending import Spent
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.retrieval.sums import is_sum
from unweave.stages import accounts, active, mapping
from unweave.stages.active import Active
from unweave.stages.asked import Asked, QueryId, check_text, read_all, vector_of
from unweave.stages.catalogue import Catalogue, named_by_concepts
from unweave.stages.workspace import Workspace

logger = logging.getLogger(__name__)

_MEAN_OF = 16_384
"""Passages that the mean is taken of, at most."""


class Asking(Workspace):
    """The verbs of a project that find something."""

    def phrases(self, text: Asked, k: int | None = None) -> list[Ingredient]:
        """Write a text's embedding, or an embedding, (d_in,), in phrases: what sets it apart from the mean passage.

        Args:
            k: phrases at most; by default as many as the settings say.
        """
        lexicon = self.lexicon
        vector = vector_of(self, text)
        passages = self.embedded("passages")
        some = np.linspace(0, len(passages) - 1, min(len(passages), _MEAN_OF)).astype(np.int64)
        target = vector - passages.take(some).mean(axis=0)
        return lexicon.mixes(target[None], self.settings.lexicon.mix if k is None else k)[0]

    @property
    def systems(self) -> Catalogue:
        """The systems that this project can be searched with, by name; sums such as "BM25 + 2 codes" too."""
        return Catalogue(self)

    def search(
        self,
        query: Asked,
        cutoff: int = 10,
        *,
        system: str = "CL-SR",
        steering: Steering = AS_IT_IS,
        explain: bool = False,
        on: str = HERE,
    ) -> HitList[Hit]:
        """The best passages for a query by one system, or by a sum of systems such as "BM25 + 2 codes".

        Args:
            query: a text, its embedding, (d_in,), or a `QueryId` of the project's own queries.
            cutoff: hits at most.
            system: its name, as in the tables of `evaluate`.
            steering: boosts and bans of concepts, filters, and how many concepts count.
            explain: give each hit its score as a sum of named parts and, where the system reads the query's embedding,
                the dense score of the same pair.
            on: where shards are searched, if the corpus lies in some; `sharded` and its `searcher` are for many
                queries, and say which shards did not answer. CL-SR and tokens search them, unsteered.

        Returns:
            Hits, best first. A passage that was added to an index and that the corpus does not have is there by its id
            alone, and a note says so.

        Raises:
            BadData: the query is empty or no text, there is no such system,
                it cannot be steered so, or it needs another form of the query.
            MissingArtifact, StaleArtifact: what the system reads is not there yet, or out of date.
        """
        check_asked(query, cutoff)
        if self.is_sharded or on != HERE:
            return self._search_shards(query, cutoff, system, steering, explain=explain, on=on)
        ranker = self.systems[system]  # before the encoder is loaded: what is missing is said at once
        if explain and named_by_concepts(system):
            self.manifest("concepts")
        ranker.check(steering)
        (asked,) = read_all(self, [query], ranker.needs)
        hits = ranker.search(asked, cutoff, steering)
        found = ranker.ids(hits.passages.tolist())
        corpus = self.corpus  # once: each time it is looked whether it has changed
        positions = [corpus.position(passage_id) for passage_id in found]
        passages = [
            Passage(passage_id, "", "") if at is None else corpus[at]
            for passage_id, at in zip(found, positions, strict=True)
        ]
        _note_unknown(passage_id for passage_id, at in zip(found, positions, strict=True) if at is None)
        whys: list[Explanation | None] = [None] * len(positions)
        denses = whys
        if explain:
            whys = [*ranker.explain(asked, hits, steering)]
            if asked.vector is not None and not is_sum(system) and {why.of for why in whys if why} - {"dense"}:
                of_known = iter(accounts.one_sided(self, asked.vector, [at for at in positions if at is not None]))
                denses = [None if at is None else next(of_known) for at in positions]
            for explanation in (*whys, *denses):
                if explanation is not None:
                    explanation.check()
        columns = zip(hits.scores.tolist(), passages, whys, denses, strict=True)
        return HitList(Hit(rank, *column) for rank, column in enumerate(columns, 1))

    def _search_shards(
        self, query: Asked, cutoff: int, system: str, steering: Steering, *, explain: bool, on: str
    ) -> HitList[Hit]:
        from unweave.cluster.sharded import Sharded

        if steering != AS_IT_IS:
            raise BadData("a corpus in shards is searched unsteered; leave boosts, bans and filters out")
        found = Sharded(self, on).search(query, cutoff, system=system, explain=explain)
        for shard, why in found.missing.items():
            logger.warning("PARTIAL: the shard %s was not searched: %s", shard, plain(why))
        return found.hits

    def search_all(
        self, queries: Mapping[str, str | NDArray[np.floating[Any]]] | None = None, cutoff: int = 100, *,
        system: str = "CL-SR",
    ) -> dict[str, dict[str, float]]:  # fmt: skip
        """A run: for each query the ids of its best passages and their scores, best first. No passage's text is read.

        Args:
            queries: texts or embeddings by query id; by default the project's own queries.
        """
        ranker = self.systems[system]
        asked: Mapping[str, Asked] = (
            {query.query_id: QueryId(query.query_id) for query in self.queries.all} if queries is None else queries
        )
        for query in asked.values():
            check_asked(query, cutoff)
        read = read_all(self, list(asked.values()), ranker.needs)
        found = on_every_core(lambda query: ranker.search(query, cutoff), read)
        return {query_id: dict(hits) for query_id, hits in zip(asked, with_ids(ranker, found), strict=True)}

    def where(self, metadata: Mapping[str, str], *, system: str = "CL-SR") -> NDArray[np.bool_]:
        """Which passages have all of this metadata, by a system's positions: what `Steering.allowed` takes.

        A value is compared as text; a list in a passage's metadata has to hold it.

        Raises:
            BadData: no passage has metadata of one of these names.
        """
        return self.systems.where(metadata, system)

    @property
    def active(self) -> csc_array:
        """The passages' latents, (n_passages, n_latents), stored so that one concept's passages are read at once."""
        return active.by_concept(self)

    def active_in(self, latent: int) -> Active:
        """The passages that activate a concept, the strongest first, and how strongly.

        Raises:
            BadData: there is no such concept.
        """
        return active.active_in(self, latent)

    def activated(self, text: str) -> dict[int, float]:
        """The concepts that a text activates, embedded as a passage would be, the strongest first; see `active_in`."""
        return active.activated(self, text)

    @property
    def concept_map(self) -> ConceptMap:
        """Where concepts stand on the map."""
        return mapping.concept_map(self)

    @property
    def places(self) -> NDArray[np.float32]:
        """Where passages stand on the map, (n_passages, 2); NaN: nowhere."""
        return mapping.places_of_passages(self)

    @property
    def spent(self) -> Spent | None:
        """What language models were ever asked about the concepts, and cost; None before there are any."""
        if not self.has("concepts"):
            return None
        with reading(self.concepts.database) as db:
            return spending.spent(db)

    def prevalent(self, hits: Sequence[Hit], top: int = 10) -> list[Prevalent]:
        """The concepts that found passages have more often than the corpus, those that set them apart most first.

        Those that are known not to return are no findings: they come after all others.
        """
        from unweave.stages import relate

        return relate.prevalent(self, hits, top)

    def paths(self, passage_id: str) -> list[ConceptPath]:
        """The paths from coarse to fine concepts that a passage takes, the strongest first."""
        from unweave.stages import relate

        return relate.passage_paths(self, passage_id)

    def families(self) -> list[Family]:
        """Concepts that are active together, the largest family first; last, those whose head does not return."""
        returning = self.concepts.returning()
        found = stored_families(self.concepts.database)
        return sorted(found, key=lambda family: returning.get(family.head) is False)


def _note_unknown(passage_ids: Iterable[str]) -> None:
    """Say which found passages the corpus does not have: others may have been added to an index."""
    unknown = list(passage_ids)
    if unknown:
        logger.warning(
            "%d of these passages the index holds and the corpus does not, first %s: shown by their id alone",
            len(unknown),
            plain(unknown[0], 60),
        )


def check_asked(query: Asked, cutoff: int) -> None:
    """Refuse a search for nothing."""
    if cutoff < 1:
        raise BadData(f"cutoff must be at least 1, got {cutoff}")
    if cutoff > LARGEST:
        raise BadData(f"cutoff must be at most {LARGEST}, got {cutoff}")
    check_text(query)
