"""The one door: each verb of the product is a method of `Project`, and each method is a command."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.cores import on_every_core
from unweave.base.fields import LARGEST
from unweave.base.plain import plain
from unweave.base.records import Explanation, Hit, HitList, Passage
from unweave.concepts.judges.verdicts import Verdict
from unweave.concepts.namers.language_model import Forecast
from unweave.concepts.namers.lexicon import Ingredient
from unweave.concepts.relations.paths import ConceptPath
from unweave.concepts.relations.prevalent import Prevalent
from unweave.concepts.relations.stored import Family, stored_families
from unweave.config import ReproduceConfig
from unweave.encode.encoder import Encoder
from unweave.errors import BadData
from unweave.evaluation.rank import with_ids
from unweave.evaluation.reproduction import Reproduction
from unweave.evaluation.table import KIND, Evaluation
from unweave.explaining.accounting import decompose
from unweave.explaining.sentences import Sentence
from unweave.explaining.two_sided import TwoSided
from unweave.explaining.words import ByWords
from unweave.index.concept_index import ConceptIndex
from unweave.index.writer import IndexWriter
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.retrieval.sums import is_sum
from unweave.stages import accounts, trust
from unweave.stages.add import Added
from unweave.stages.asked import Asked, QueryId, check_text, read_all, vector_of
from unweave.stages.catalogue import Catalogue, named_by_concepts
from unweave.stages.compare import Diff
from unweave.stages.ensure import Outcome
from unweave.stages.health import Advice, Found
from unweave.stages.recall import Recall
from unweave.stages.trust import Reach
from unweave.stages.workspace import Workspace
from unweave.texts.collection import Collection

logger = logging.getLogger(__name__)

_MEAN_OF = 16_384
"""Passages that the mean is taken of, at most."""

if TYPE_CHECKING:
    from unweave.stages.pretrain import Cost


class Project(Workspace):
    """One corpus and all that is made of it."""

    # --- make: resumable; what is there, up to date, is not made again ------------------------------

    def add(self, collection: Collection, *, drop_unknown: bool = False) -> Added:
        """Add a collection's passages, queries and judgements to those that are there; see `stages.add`."""
        from unweave.stages import add

        return add.add(self, collection, drop_unknown=drop_unknown)

    def embed(self) -> list[Outcome]:
        """Embed the queries, the passages and, as the settings say, sentences of the passages."""
        from unweave.stages import embed

        return embed.embed(self)

    def bring_embeddings(self, of: str, vectors: Path, ids: Path | None = None, *, by_encoder: bool = False) -> Outcome:
        """Use embeddings that were made elsewhere for the `passages` or the `queries`; see `stages.embed`."""
        from unweave.stages import embed

        return embed.bring_embeddings(self, of, vectors, ids, by_encoder=by_encoder)

    def fit(self) -> list[Outcome]:
        """Train the SAE, and encode the passages with it."""
        from unweave.stages import fit

        return fit.fit(self)

    def tokens(self) -> list[Outcome]:
        """Learn concepts of single tokens, name them by their words, and index them."""
        from unweave.stages import tokens

        return tokens.fit_tokens(self)

    def name(
        self, by: str = "keyphrases", *, most: int | None = None, below: float | None = None, discard: bool = False,
        anew: bool = False,
    ) -> list[Outcome]:  # fmt: skip
        """Gather the evidence for every live latent, name it, and work out how concepts relate.

        Args:
            by: the namer: `keyphrases`, which names every concept anyhow, `lexicon`, `vocabulary` or `language-model`.
            most: concepts that another namer names, at most, the most frequent.
            below: another namer names only concepts whose shown name has a detection below this, or was not judged.
            discard: name the concepts of another SAE although people edited the old ones.
            anew: make the namer's names anew that were kept when the SAE was trained on.
        """
        from unweave.stages import name

        return name.run(self, by, most, below, discard=discard, anew=anew)

    def pretrain(self) -> list[Outcome]:
        """Embed, train, name, and pack what came of it as a dictionary for others, in the folder `dictionary`.

        The texts are best those of `read_pool`, many and of many kinds.
        """
        from unweave.stages import pretrain

        return pretrain.pretrain(self)

    def pretraining_cost(self) -> Cost:
        """How long `pretrain` takes on this machine, by a sample, and how much the embeddings take on disk."""
        from unweave.stages import pretrain

        return pretrain.cost(self)

    def forecast(self, *, most: int | None = None, below: float | None = None, discard: bool = False) -> Forecast:
        """What naming by a language model would take and cost; nothing is sent to it."""
        from unweave.stages import name

        return name.forecast(self, most, below, discard=discard)

    def judge(
        self, *, other: Encoder | None = None, again: bool = False, by_model: int = 0, controls: bool = False
    ) -> list[Verdict]:
        """Judge names by texts that no namer has seen; what is found is stored beside each name.

        Args:
            other: another encoder, to measure coherence by too.
            again: judge what is judged already too.
            by_model: so many questions of each kind are put to the language model of the settings too.
            controls: judge shuffled names and a random dictionary's names too.
        """
        from unweave.stages import judge

        if by_model:
            self.confirmed("language_model")  # before any work
        verdicts = judge.judge(self, other=other, again=again)
        verdicts += judge.judge_by_model(self, by_model) if by_model else []
        return verdicts + (judge.controls(self) if controls else [])

    def index(self) -> list[Outcome]:
        """Build one concept index a scoring profile, and the codes that rescoring reads."""
        from unweave.stages import index

        return index.index(self)

    # --- ask --------------------------------------------------------------------------------------

    def decompose(self, text: Asked) -> Explanation:
        """What an embedding is made of: the squared length of a text's, or of one given, (d_in,), in named concepts."""
        return decompose(vector_of(self, text), self.sae, self.concepts)

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
    ) -> HitList[Hit]:
        """The best passages for a query by one system, or by a sum of systems such as "BM25 + 2 codes".

        Args:
            query: a text, its embedding, (d_in,), or a `QueryId` of the project's own queries.
            cutoff: hits at most.
            system: its name, as in the tables of `evaluate`.
            steering: boosts and bans of concepts, filters, and how many concepts count.
            explain: give each hit its score as a sum of named parts and, where the system reads the query's embedding,
                the dense score of the same pair.

        Returns:
            Hits, best first. A passage that was added to an index and that the corpus does not have is there by its id
            alone, and a note says so.

        Raises:
            BadData: the query is empty or no text, there is no such system,
                it cannot be steered so, or it needs another form of the query.
            MissingArtifact, StaleArtifact: what the system reads is not there yet, or out of date.
        """
        _check_asked(query, cutoff)
        ranker = self.systems[system]  # before the encoder is loaded: what is missing is said at once
        if explain and named_by_concepts(system):
            self.manifest("concepts")
        steering.check(system, ranker.steers)
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
            _check_asked(query, cutoff)
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

    def explain(self, query: Asked, passage_id: str, *, system: str = "dense") -> Explanation:
        """The score that a system gives a query and a passage, as a sum of named parts.

        Raises:
            BadData: the corpus has no passage of this id, or the system does not find it.
        """
        position = self.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
        if system == "dense":
            vector = vector_of(self, query)
            (explanation,) = accounts.one_sided(self, vector, [position])
            return explanation
        ranker = self.systems[system]
        (asked,) = read_all(self, [query], ranker.needs)
        hits = self.systems.hit_of(system, asked, passage_id)
        (explanation,) = ranker.explain(asked, hits)
        return explanation

    def two_sided(self, query: Asked, passage_id: str) -> TwoSided:
        """The dense score of a query and a passage, both written in concepts; see `explaining.two_sided`."""
        return accounts.two_sided(self, query, passage_id)

    def by_words(self, query: Asked, passage_id: str) -> ByWords:
        """The dense score of a query and a passage, each of its parts split into words; see `explaining.words`."""
        return accounts.by_words(self, query, passage_id)

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

    def carrying(self, passage_id: str, latent: int) -> list[Sentence]:
        """The sentences of a passage, and what each has to do with a concept."""
        from unweave.stages.carry import carrying

        return carrying(self, passage_id, latent)

    # --- allow ------------------------------------------------------------------------------------

    def trust(self) -> list[Reach]:
        """Give the user's word for all that the settings reach outside of the project, as long as the values stay.

        Raises:
            OSError: the user's own configuration, where that is kept, cannot be written.
        """
        found = trust.reaching(self.settings, self.path)
        trust.remember(found, self.path)
        return found

    # --- measure and show -------------------------------------------------------------------------

    def evaluate(self) -> Evaluation:
        """Rank the corpus for every judged query with every system; the runs and the table are kept."""
        from unweave.stages import evaluate

        evaluate.evaluate(self)
        return Evaluation.load(self.path / KIND)

    def compare(self, first: str | Path, second: str | Path, measure: str = "nDCG@10") -> Diff:
        """Two systems, query by query: evaluated ones by name, others by the path of their run in TREC's format."""
        from unweave.stages.compare import compare_systems

        return compare_systems(self, first, second, measure)

    def recall(self, efforts: Sequence[float], *, system: str = "CL-SR") -> list[Recall]:
        """What approximate search finds of the exact one's results, over the queries."""
        from unweave.stages.recall import measure

        return measure(self, efforts, system)

    def reproduce(self, config: ReproduceConfig) -> Reproduction:
        """Run the paper's protocol on this corpus and encoder."""
        from unweave.stages.reproduce import reproduce

        return reproduce(self, config)

    def report(self, queries: Sequence[str] = ()) -> Path:
        """Write `report.html`: one file that opens from disk."""
        from unweave.report import HITS_SHOWN, write_report

        return write_report(self, [(query, self.search(query, HITS_SHOWN, explain=True)) for query in queries])

    # --- look after it ----------------------------------------------------------------------------

    def verify(self) -> list[Found]:
        """Read every byte of every artefact that is there, and compare it with what was written."""
        from unweave.stages import health

        return health.check(self)

    def doctor(self) -> list[Advice]:
        """What to do about the project, in the order in which to do it; nothing if all is well."""
        from unweave.stages import health

        return health.advice(self)

    def compact(self) -> dict[str, ConceptIndex]:
        """Merge the segments of the indexes, without their deleted passages. Others may search meanwhile."""
        return {name: IndexWriter(found.folder).compact(fully=True) for name, found in self.indexes().items()}


def _note_unknown(passage_ids: Iterable[str]) -> None:
    """Say which found passages the corpus does not have: others may have been added to an index."""
    unknown = list(passage_ids)
    if unknown:
        logger.warning(
            "%d of these passages the index holds and the corpus does not, first %s: shown by their id alone",
            len(unknown),
            plain(unknown[0], 60),
        )


def _check_asked(query: Asked, cutoff: int) -> None:
    """Refuse a search for nothing."""
    if cutoff < 1:
        raise BadData(f"cutoff must be at least 1, got {cutoff}")
    if cutoff > LARGEST:
        raise BadData(f"cutoff must be at most {LARGEST}, got {cutoff}")
    check_text(query)
