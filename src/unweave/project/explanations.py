"""How a project explains scores: what they are made of, what makes the difference, what would change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from unweave.base.records import Explanation, Hit, HitList
from unweave.encode.words import Word
from unweave.errors import BadData
from unweave.explaining.accounting import decompose
from unweave.explaining.counterfactual import Counterfactual, Cut
from unweave.explaining.difference import Difference, difference
from unweave.explaining.engine_hits import AUTO, explain_hits
from unweave.explaining.sentences import Sentence
from unweave.explaining.two_sided import TwoSided
from unweave.explaining.words import ByWords, SumByWords
from unweave.project.asking import Asking
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.stages import accounts, active, counterfactual
from unweave.stages.asked import Asked, read_all, vector_of
from unweave.texts.hits import EngineHit

NOTHING: Mapping[int, float] = MappingProxyType({})


class Explaining(Asking):
    """The verbs of a project that explain something."""

    def decompose(self, text: Asked) -> Explanation:
        """What an embedding is made of: the squared length of a text's, or of one given, (d_in,), in named concepts."""
        return decompose(vector_of(self, text), self.sae, self.concepts)

    def explain(
        self, query: Asked, passage_id: str, *, system: str = "dense", steering: Steering = AS_IT_IS
    ) -> Explanation:
        """The score that a system gives a query and a passage, as a sum of named parts.

        Args:
            steering: boosts of concepts, with which the score is another one.

        Raises:
            NotThere: the corpus has no passage of this id, or the system does not find it.
        """
        position = self.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
        if system == "dense" and not steering.boosts:
            vector = vector_of(self, query)
            (explanation,) = accounts.one_sided(self, vector, [position])
            return explanation
        ranker = self.systems[system]
        ranker.check(steering)
        (asked,) = read_all(self, [query], ranker.needs)
        hits = self.systems.hit_of(system, asked, passage_id, steering)
        (explanation,) = ranker.explain(asked, hits, steering)
        return explanation

    def difference(
        self, query: Asked, first: str, second: str, *, system: str = "dense", steering: Steering = AS_IT_IS
    ) -> Difference:
        """Why a passage scores above another, or below: what each concept adds to both; see `explaining.difference`.

        Args:
            first, second: ids of passages.
            steering: boosts of concepts, with which both scores are others.

        Raises:
            NotThere: the corpus has no passage of one of the ids, or the system does not find it.
        """
        one, other = (self.explain(query, of, system=system, steering=steering) for of in (first, second))
        return difference(one, other)

    def explain_hits(self, query: Asked, hits: Sequence[EngineHit], *, measure: str = AUTO) -> HitList[Hit]:
        """The hits of any engine, in its order, each score as concepts of this project; see `explaining.engine_hits`.

        Args:
            query: as the engine was asked.
            measure: how it scores; by default what its scores agree with.
        """
        encode = self.encoder.encode_passages
        return explain_hits(vector_of(self, query), hits, self.sae, encode, self.concepts, measure=measure)

    def counterfactual(
        self, query: Asked, passage_id: str | None = None, *, scale: Mapping[int, float] = NOTHING,
        add: Mapping[int, float] = NOTHING, in_query: bool = False, system: str = "dense", cutoff: int = 10,
    ) -> Counterfactual:  # fmt: skip
        """Scores and ranks if concepts were weaker, stronger or gone in a passage, or in the query.

        Dense embeddings are moved along the concepts' directions; see `explaining.counterfactual`.

        Args:
            scale: a factor by concept; 0 takes it out.
            add: an activation by concept, on top of what is there; for the dense score alone.
            in_query: change the query, and rank all passages by it; `passage_id` may be left out.
            cutoff: first hits after the change to return.

        Raises:
            BadData: nothing is to be changed, a concept is not active where it is to be scaled, or there is no such
                concept, passage or system.
        """
        if not scale and not add:
            raise BadData("no concept is to be changed; give one to scale or to add")
        if in_query:
            return counterfactual.in_query(self, query, passage_id, scale, add, system, cutoff)
        if passage_id is None:
            raise BadData("no passage came in; give the id of the one that is to be changed, or change the query")
        return counterfactual.in_passage(self, query, passage_id, scale, add, system, cutoff)

    def cut(self, query: Asked, passage_id: str, latent: int) -> Cut:
        """The dense score without the sentence that carries a concept, the rest embedded anew.

        Raises:
            BadData: there is no such passage, it does not activate the concept, or it is one sentence.
        """
        return counterfactual.cut_out(self, query, passage_id, latent)

    def two_sided(self, query: Asked, passage_id: str) -> TwoSided:
        """The dense score of a query and a passage, both written in concepts; see `explaining.two_sided`."""
        return accounts.two_sided(self, query, passage_id)

    def by_words(self, query: Asked, passage_id: str) -> ByWords:
        """The dense score of a query and a passage, each of its parts split into words; see `explaining.words`."""
        return accounts.by_words(self, query, passage_id)

    def all_by_words(
        self, query: Asked, passage_ids: Sequence[str], *, system: str = "dense"
    ) -> list[ByWords | SumByWords]:
        """The scores of a query and some passages, each split into words, worked out as one block.

        Args:
            system: dense, or a sum that has it; of the sum's parts, the dense one is split.

        Raises:
            BadData: by this system no score is a sum over words, or as `by_words`.
            NotThere: the sum does not find one of the passages.
        """
        return accounts.all_by_words(self, query, passage_ids, system)

    def words_of(self, latent: int) -> list[list[tuple[Word, float]]]:
        """Of each example of a concept, in their order, its words and what each adds to the activation."""
        return accounts.words_of(self, latent)

    def words_in(self, text: str, latent: int) -> list[tuple[Word, float]]:
        """The words of a text, read as a passage would be, and what each adds to a concept's activation."""
        return active.words_in(self, text, latent)

    def carrying(self, passage_id: str, latent: int) -> list[Sentence]:
        """The sentences of a passage, and what each has to do with a concept."""
        from unweave.stages.carry import carrying

        return carrying(self, passage_id, latent)
