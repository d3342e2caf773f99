"""The one door: each verb of the product is a method of `Project`, and each method is a command."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.fields import LARGEST
from unweave.base.records import Explanation, Hit
from unweave.concepts.judges.verdicts import Verdict
from unweave.concepts.namers.language_model import Forecast
from unweave.concepts.namers.lexicon import Ingredient
from unweave.concepts.relations.paths import Path as ConceptPath
from unweave.concepts.relations.prevalent import Prevalent
from unweave.concepts.relations.stored import Family, stored_families
from unweave.config import ReproduceConfig
from unweave.encode.encoder import Encoder
from unweave.errors import BadData
from unweave.evaluation.reproduction import Reproduction
from unweave.evaluation.table import KIND, Evaluation
from unweave.explaining.accounting import Names, explain
from unweave.explaining.sentences import Sentence
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import TOKENS
from unweave.index.writer import IndexWriter
from unweave.retrieval import fusion
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.retrieval.systems import Fused
from unweave.stages.catalogue import chosen, systems_of
from unweave.stages.compare import Diff
from unweave.stages.ensure import Outcome
from unweave.stages.recall import Recall
from unweave.stages.workspace import Workspace

_MEAN_OF = 16_384
"""Passages that the mean is taken of, at most."""


class Project(Workspace):
    """One corpus and all that is made of it."""

    # --- make: resumable; what is there, up to date, is not made again ------------------------------

    def embed(self) -> list[Outcome]:
        """Embed the queries, the passages and, as the settings say, sentences of the passages."""
        from unweave.stages import embed

        return embed.embed(self)

    def bring_embeddings(self, of: str, vectors: Path, ids: Path | None = None) -> Outcome:
        """Use embeddings that were made elsewhere for the `passages` or the `queries`; see `stages.embed`."""
        from unweave.stages import embed

        return embed.bring_embeddings(self, of, vectors, ids)

    def fit(self) -> list[Outcome]:
        """Train the SAE, and encode the passages with it."""
        from unweave.stages import fit

        return fit.fit(self)

    def tokens(self) -> list[Outcome]:
        """Learn concepts of single tokens, name them by their words, and index them."""
        from unweave.stages import tokens

        return tokens.fit_tokens(self)

    def name(
        self, by: str = "keyphrases", *, most: int | None = None, below: float | None = None, discard: bool = False
    ) -> list[Outcome]:
        """Gather the evidence for every live latent, name it, and work out how concepts relate.

        Args:
            by: the namer: `keyphrases`, which names every concept anyhow, `lexicon`, `vocabulary` or `language-model`.
            most: concepts that another namer names, at most, the most frequent.
            below: another namer names only concepts whose shown name has a detection below this, or was not judged.
            discard: name the concepts of another SAE although people edited the old ones.
        """
        from unweave.stages import name

        return name.run(self, by, most, below, discard=discard)

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

        verdicts = judge.judge(self, other=other, again=again)
        verdicts += judge.judge_by_model(self, by_model) if by_model else []
        return verdicts + (judge.controls(self) if controls else [])

    def index(self) -> list[Outcome]:
        """Build one concept index a scoring profile, and the codes that rescoring reads."""
        from unweave.stages import index

        return index.index(self)

    # --- ask --------------------------------------------------------------------------------------

    def decompose(self, text: str | NDArray[np.floating[Any]], k: int | None = None) -> list[Ingredient]:
        """Write a text's embedding, or an embedding, (d_in,), in phrases: what sets it apart from the mean passage.

        Args:
            k: phrases at most; by default as many as the settings say.
        """
        lexicon = self.lexicon
        vector = self.query_vector(text)
        passages = self.embedded("passages")
        some = np.linspace(0, len(passages) - 1, min(len(passages), _MEAN_OF)).astype(np.int64)
        target = vector - passages.take(some).mean(axis=0)
        return lexicon.mixes(target[None], self.settings.lexicon.mix if k is None else k)[0]

    def search(
        self,
        query: str | NDArray[np.floating[Any]],
        cutoff: int = 10,
        *,
        explain: bool = False,
        profile: str = "default",
        rescore: bool = False,
        steering: Steering = AS_IT_IS,
    ) -> list[Hit]:
        """Search by concepts.

        Args:
            query: a text, or its embedding, (d_in,).
            cutoff: how many hits at most.
            explain: give each hit its score as named concepts, and the dense score of the same pair.
            profile: how latents make a score, `default` or `paper`; `tokens`: by the latents of tokens.
            rescore: order the best thousand anew by the dense query and their stored codes.
            steering: boosts and bans of concepts, filters, and how many concepts count.
        """
        _check_asked(query, cutoff)
        searcher = self.searcher(profile)  # before the encoder is loaded: what is missing is said at once
        names: Names = {}
        if profile == TOKENS.profile:
            if rescore or not isinstance(query, str):
                what = "codes are of whole texts" if rescore else "a vector has no tokens"
                raise BadData(f"{what}: concepts of tokens are searched by a query's text, and not rescored")
            (asked,), names = self.query_tokens([query]), self.token_names
            vector = self.query_vector(query) if explain else None
        else:
            asked = vector = self.query_vector(query)
            names = self.concepts if explain else names
        if rescore:
            hits = searcher.rescored(asked, cutoff, steering=steering)
        else:
            hits = searcher.search(asked, cutoff, steering)
        explainer = searcher.explain_rescored if rescore else searcher.explain
        found = []
        ids = searcher.index.ids(hits.passages.tolist())
        for rank, (place, score) in enumerate(zip(hits.passages.tolist(), hits.scores.tolist(), strict=True), 1):
            position = self.position(ids[rank - 1])
            why = dense = None
            if explain:
                assert vector is not None
                why = explainer(asked, place, score, names, steering)
                dense = self._explain(vector, position)
                for explanation in (why, dense):
                    explanation.check()
            found.append(Hit(rank, score, self.corpus[position], why, dense))
        return found

    def search_fused(
        self, query: str, systems: Sequence[str], cutoff: int = 10, *, by: str = fusion.SCORE, explain: bool = False
    ) -> list[Hit]:
        """Search by several systems in one call; a hit's score is the sum of what each gave, its `parts`.

        Args:
            systems: of those that `unweave evaluate` compares, e.g. `["BM25", "concept codes"]`.
            by: `score`: each system's scores stretched to 0 to 1; `rank`: reciprocal ranks.
            explain: give each part as named concepts or terms.

        Raises:
            BadData: fewer than two systems, or one that is not there.
        """
        _check_asked(query, cutoff)
        if by not in fusion.FUSIONS:
            raise BadData(f"fusion is by {' or '.join(fusion.FUSIONS)}, got {by!r}")
        if len(set(systems)) < 2 or len(set(systems)) < len(systems):
            raise BadData(f"to fuse takes at least two different systems, got {', '.join(systems) or 'none'}")
        fused = Fused(chosen(systems_of(self, explaining=explain), systems), by)
        rows = self.query_tokens([query])[0] if "tokens" in systems else None
        asked = EmbeddedQuery(query, self.query_vector(query), rows)
        found = []
        for rank, (position, parts) in enumerate(fused.search_in_parts(asked, cutoff, explain=explain), 1):
            for part in parts:
                if part.explanation is not None:
                    part.explanation.check()
            found.append(Hit(rank, math.fsum(p.value for p in parts), self.corpus[position], parts=tuple(parts)))
        return found

    def where(self, metadata: Mapping[str, str], profile: str = "default") -> NDArray[np.bool_]:
        """Which passages of an index have all of this metadata: what `Steering.allowed` takes, (n_positions,).

        A value is compared as text; a list in a passage's metadata has to hold it. Reads the whole corpus.

        Raises:
            BadData: no passage has metadata of one of these names.
        """
        matching, known = [], set[str]()
        for passage in self.corpus:
            known |= passage.metadata.keys()
            if all(value in _values(passage.metadata.get(name)) for name, value in metadata.items()):
                matching.append(passage.passage_id)
        unknown = sorted(metadata.keys() - known)
        if unknown:
            raise BadData(f"no passage has metadata {unknown[0]!r}; there are: {', '.join(sorted(known)) or 'none'}")
        index = self.searcher(profile).index
        places = index.positions(matching)
        allowed = np.zeros(index.n_positions, np.bool_)
        allowed[places[places >= 0]] = True
        return allowed

    def explain(self, query: str | NDArray[np.floating[Any]], passage_id: str) -> Explanation:
        """The dense score of a query and a passage as named concepts, bias and residual.

        Raises:
            BadData: the corpus has no passage of this id.
        """
        position = self.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
        return self._explain(self.query_vector(query), position)

    def _explain(self, query: NDArray[np.float32], position: int) -> Explanation:
        embedding = self.embedded("passages").rows(position, position + 1)[0]
        return explain(query, embedding, self.sae, self.concepts)

    def prevalent(self, hits: Sequence[Hit], top: int = 10) -> list[Prevalent]:
        """The concepts that found passages have more often than the corpus, those that set them apart most first."""
        from unweave.stages import relate

        return relate.prevalent(self, hits, top)

    def paths(self, passage_id: str) -> list[ConceptPath]:
        """The paths from coarse to fine concepts that a passage takes, the strongest first."""
        from unweave.stages import relate

        return relate.passage_paths(self, passage_id)

    def families(self) -> list[Family]:
        """Concepts that are active together, the largest family first."""
        return stored_families(self.concepts.database)

    def carrying(self, passage_id: str, latent: int) -> list[Sentence]:
        """The sentences of a passage, and what each has to do with a concept."""
        from unweave.stages.carry import carrying

        return carrying(self, passage_id, latent)

    # --- measure and show -------------------------------------------------------------------------

    def evaluate(self) -> Evaluation:
        """Rank the corpus for every judged query with every system; the runs and the table are kept."""
        from unweave.stages import evaluate

        evaluate.evaluate(self)
        return Evaluation.load(self.path / KIND)

    def compare(self, first: str, second: str, measure: str = "nDCG@10") -> Diff:
        """Two evaluated systems, query by query."""
        from unweave.stages.compare import compare_systems

        return compare_systems(self, first, second, measure)

    def recall(self, efforts: Sequence[float], profile: str = "default") -> list[Recall]:
        """What approximate search finds of the exact one's results, over the queries."""
        from unweave.stages.recall import measure

        return measure(self, efforts, profile)

    def reproduce(self, config: ReproduceConfig) -> Reproduction:
        """Run the paper's protocol on this corpus and encoder."""
        from unweave.stages.reproduce import reproduce

        return reproduce(self, config)

    def report(self, queries: Sequence[str] = ()) -> Path:
        """Write `report.html`: one file that opens from disk."""
        from unweave.report import HITS_SHOWN, write_report

        return write_report(self, [(query, self.search(query, HITS_SHOWN, explain=True)) for query in queries])

    def verify(self) -> dict[str, ConceptIndex]:
        """Read every byte of the indexes.

        Raises:
            CorruptArtifact: naming the file that is not what was written.
        """
        indexes = self.indexes()
        for found in indexes.values():
            found.verify()
        return indexes

    def compact(self) -> dict[str, ConceptIndex]:
        """Merge the segments of the indexes, without their deleted passages. Others may search meanwhile."""
        return {name: IndexWriter(found.folder).compact(fully=True) for name, found in self.indexes().items()}


def _check_asked(query: str | NDArray[np.floating[Any]], cutoff: int) -> None:
    """Refuse a search for nothing."""
    if cutoff < 1:
        raise BadData(f"cutoff must be at least 1, got {cutoff}")
    if cutoff > LARGEST:
        raise BadData(f"cutoff must be at most {LARGEST}, got {cutoff}")
    if isinstance(query, str) and not query.strip():
        raise BadData("the query is empty; give a question or a few words")


def _values(value: Any) -> list[str]:
    """A metadata value as texts to compare with."""
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]
