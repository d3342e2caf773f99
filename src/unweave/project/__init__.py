"""The one door: each verb of the product is a method of `Project`, and each method is a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unweave.concepts.judges.verdicts import Verdict
from unweave.concepts.namers.language_model import Forecast
from unweave.config import HERE, ReproduceConfig
from unweave.encode.encoder import Encoder
from unweave.evaluation.causes import Causes
from unweave.evaluation.reproduction import Reproduction
from unweave.evaluation.stability import Stable
from unweave.evaluation.table import KIND, Evaluation
from unweave.index.concept_index import ConceptIndex
from unweave.index.writer import IndexWriter
from unweave.project.showing import Showing
from unweave.stages import trust
from unweave.stages.add import Added
from unweave.stages.compare import Diff
from unweave.stages.ensure import Outcome
from unweave.stages.health import Advice, Found
from unweave.stages.recall import Recall
from unweave.stages.trust import Reach
from unweave.texts.collection import Collection
from unweave.texts.rephrasing import Paraphrase

if TYPE_CHECKING:
    from unweave.audits.audit import Audit
    from unweave.cluster.sharded import Sharded
    from unweave.stages.export import Exported
    from unweave.stages.pretrain import Cost


class Project(Showing):
    """One corpus and all that is made of it."""

    # --- make: resumable; what is there, up to date, is not made again ------------------------------

    def add(self, collection: Collection, *, drop_unknown: bool = False) -> Added:
        """Add a collection's passages, queries and judgements to those that are there; see `stages.add`."""
        from unweave.stages import add

        return add.add(self, collection, drop_unknown=drop_unknown)

    def sharded(self, on: str = HERE) -> Sharded:
        """The verbs of a project whose corpus lies in shards.

        Args:
            on: where work runs: `here`, in this process; `cluster`, on Ray; or the address of a Ray cluster.

        Raises:
            BadData: the project's passages lie in its own folder.
        """
        from unweave.cluster.sharded import Sharded

        return Sharded(self, on)

    def embed(self, *, on: str = HERE) -> list[Outcome]:
        """Embed the queries, the passages and, as the settings say, sentences of the passages.

        Args:
            on: where the work of shards runs; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).embed()
        from unweave.stages import embed

        return embed.embed(self)

    def bring_embeddings(self, of: str, vectors: Path, ids: Path | None = None, *, by_encoder: bool = False) -> Outcome:
        """Use embeddings that were made elsewhere for the `passages` or the `queries`; see `stages.embed`."""
        from unweave.stages import embed

        return embed.bring_embeddings(self, of, vectors, ids, by_encoder=by_encoder)

    def fit(self, *, on: str = HERE) -> list[Outcome]:
        """Train the SAE, and encode the passages with it.

        Args:
            on: where the work of shards runs; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).fit()
        from unweave.stages import fit

        return fit.fit(self)

    def tokens(self, *, on: str = HERE) -> list[Outcome]:
        """Learn concepts of single tokens, name them by their words, and index them.

        Args:
            on: where the work of shards runs; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).tokens()
        from unweave.stages import tokens

        return tokens.fit_tokens(self)

    def name(
        self, by: str = "keyphrases", *, most: int | None = None, below: float | None = None, discard: bool = False,
        anew: bool = False, on: str = HERE,
    ) -> list[Outcome]:  # fmt: skip
        """Gather the evidence for every live latent, name it, and work out how concepts relate.

        Args:
            by: the namer: `keyphrases`, which names every concept anyhow, `lexicon`, `vocabulary` or `language-model`.
            most: concepts that another namer names, at most, the most frequent.
            below: another namer names only concepts whose shown name has a detection below this, or was not judged.
            discard: name the concepts of another SAE although people edited the old ones.
            anew: make the namer's names anew that were kept when the SAE was trained on.
            on: where the work of shards runs; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).name(by, most=most, below=below, discard=discard, anew=anew)
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

    def index(self, *, on: str = HERE) -> list[Outcome]:
        """Build one concept index a scoring profile, and the codes that rescoring reads.

        Args:
            on: where the work of shards runs; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).index()
        from unweave.stages import index

        return index.index(self)

    def map(self) -> Outcome:
        """Lay out the concepts on a map, those of close directions close to each other; see `concepts.layout`."""
        from unweave.stages import mapping

        return mapping.lay_out_concepts(self)

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

    def faithfulness(self, *, system: str = "dense", most: int = 200) -> list[Causes]:
        """Whether explanations name causes: hits without the concepts that they name first, and by these alone.

        Args:
            most: the project's queries to ask, at most.
        """
        from unweave.stages.causes import faithfulness

        return faithfulness(self, system, most)

    def stability(
        self, *, other: Path | None = None, paraphrases: Sequence[Paraphrase] = (), synonyms: Path | None = None,
        most: int = 100,
    ) -> list[Stable]:  # fmt: skip
        """How much of explanations stays when a text is said otherwise, and by another dictionary; dense scores.

        Args:
            other: folder of another SAE for the same embeddings, such as another seed's, or of a project that has one.
            paraphrases: pairs of queries that mean the same; others are made by changes that keep the meaning.
            synonyms: WordNet's folder `dict`, by which words of one sense are replaced too.
            most: the project's queries to ask, at most.

        Raises:
            BadData: the project has no queries and none came in, or the other SAE reads other embeddings.
        """
        from unweave.stages.stability import stability

        return stability(self, other, paraphrases, synonyms, most)

    def audit(
        self, *, system: str = "dense", run: Path | None = None, groups: Sequence[str] = (),
        labels: Sequence[str] = (), measure: str = "nDCG@10", seed: int = 0,
    ) -> Audit:  # fmt: skip
        """Test a retriever for what it gets wrong, check each claim by a counterfactual, and write what holds.

        Args:
            system: of this project, or a sum of some.
            run: the ranking of any other engine, in TREC's format, in place of a system's.
            groups: keys of the passages' metadata; the exposure of their values is tested.
            labels: keys of the passages' metadata whose values are labels, to be set beside concepts.
            measure: by which failures are told and counterfactuals measured.
            seed: of every draw.
        """
        from unweave.stages.audit import audit

        return audit(self, system=system, run=run, groups=groups, labels=labels, measure=measure, seed=seed)

    def reproduce(self, config: ReproduceConfig) -> Reproduction:
        """Run the paper's protocol on this corpus and encoder."""
        from unweave.stages.reproduce import reproduce

        return reproduce(self, config)

    def report(self, queries: Sequence[str] = ()) -> Path:
        """Write `report.html`: one file that opens from disk."""
        from unweave.report import HITS_SHOWN, write_report

        return write_report(self, [(query, self.search(query, HITS_SHOWN, explain=True)) for query in queries])

    def export_atlas(self, out: Path) -> Exported:
        """Write passages, their places on the map and their concepts as Parquet for embedding-atlas; see
        `stages.export`."""
        from unweave.stages.export import export_atlas

        return export_atlas(self, out)

    # --- look after it ----------------------------------------------------------------------------

    def verify(self, *, on: str = HERE) -> list[Found]:
        """Read every byte of every artefact that is there, and compare it with what was written.

        Args:
            on: where shards are read; see `sharded`.
        """
        if self.is_sharded or on != HERE:
            return self.sharded(on).verify()
        from unweave.stages import health

        return health.check(self)

    def doctor(self) -> list[Advice]:
        """What to do about the project, in the order in which to do it; nothing if all is well."""
        from unweave.stages import health

        return health.advice(self)

    def compact(self) -> dict[str, ConceptIndex]:
        """Merge the segments of the indexes, without their deleted passages. Others may search meanwhile."""
        return {name: IndexWriter(found.folder).compact(fully=True) for name, found in self.indexes().items()}
