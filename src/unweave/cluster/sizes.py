"""How large everything of a corpus is: bytes by the formats on disk, and by what an index was measured to take."""

from __future__ import annotations

from dataclasses import dataclass

from unweave.cluster.assumptions import Assumptions
from unweave.cluster.order import Order
from unweave.cluster.rates import Rates
from unweave.config import EvidenceConfig, FitConfig, IndexConfig, ShardsConfig
from unweave.sae.model import MOST_GRAM_BYTES
from unweave.sae.training.recipe import recommend

_LINE_BYTES = 64
"""JSON around a passage's text and id."""
_POSITIONS_BYTES = 24
"""Where a line starts, and a hash of its id with its position: three numbers of eight bytes."""
_SPECIAL_TOKENS = 2
_WORDS_OF_MODEL = 30_522
"""Rows of the table of words of BERT's tokenizer, which most encoders have."""
_STRONGEST = 2 * ShardsConfig.strongest
"""Passages that show what a latent is about, of all shards: those that activate it most, and as many drawn."""
_EVIDENCE_BYTES = 20
"""A passage's position and its rank, eight bytes each, and the latent, four."""
_HIT_BYTES = 12
"""A hit's position, eight bytes, and its score, four; its id comes on top."""
_HITS = 10


@dataclass(frozen=True)
class Sizes:
    """Of the whole corpus, if nothing else is said; bytes are estimates to some percent."""

    n_shards: int
    shard_passages: int
    tokens: float
    text_bytes: float
    corpus_bytes: float
    """The text with ids and where each passage is."""
    embedding_bytes: float
    encoder_bytes: float
    k: int
    n_latents: int
    dictionary_texts: int
    postings: float
    shard_postings: float
    latents_bytes: float
    codes_bytes: float
    lists_bytes: float
    forward_bytes: float
    ids_bytes: float
    evidence_of_shard: float
    """What one shard sends of its strongest passages, as positions and activations."""
    evidence_passages: int
    """That names are made from."""
    most_evidence_passages: int
    concepts_bytes: float
    """Concepts with their examples, and the passages that they are named from with their embeddings."""
    answer_bytes: float
    """The ten best of one machine's shards for one query, merged there, as they reach the front."""
    gram_is_stored: bool
    """Whether the cosines of all latents fit into what pursuit keeps of them; else codes take several times as long."""

    @property
    def index_bytes(self) -> float:
        """On disk."""
        return self.lists_bytes + self.forward_bytes + self.ids_bytes

    @property
    def searched_bytes(self) -> float:
        """What searching, rescoring by codes and explaining read: all of the index, and the codes."""
        return self.index_bytes + self.codes_bytes


def sizes_of(order: Order, rates: Rates, assumptions: Assumptions) -> Sizes:
    """How large everything is."""
    n, encoder, k = order.n_passages, order.encoder, FitConfig().k
    shard_passages = min(n, assumptions.shard_passages)
    text_bytes = n * order.words * rates["text"]
    dictionary_texts = min(n, assumptions.dictionary_texts)
    n_latents = assumptions.n_latents or recommend(dictionary_texts, encoder.d_in, k).n_latents
    postings = n * min(rates["latents"], n_latents)
    code_k = min(IndexConfig().code_k, n_latents)
    evidence = EvidenceConfig()
    examples = evidence.examples + 4 * evidence.other_examples
    gathered = min(n, _STRONGEST * n_latents)
    shard_postings = postings * shard_passages / n
    return Sizes(
        n_shards=-(-n // shard_passages),
        shard_passages=shard_passages,
        tokens=n * min(order.words * rates["tokens"] + _SPECIAL_TOKENS, encoder.most_tokens),
        text_bytes=text_bytes,
        corpus_bytes=text_bytes + n * (_LINE_BYTES + _POSITIONS_BYTES),
        embedding_bytes=n * (4.0 * encoder.d_in + 8),
        encoder_bytes=4.0 * (encoder.parameters + _WORDS_OF_MODEL * encoder.d_in),
        k=k,
        n_latents=n_latents,
        dictionary_texts=dictionary_texts,
        postings=postings,
        shard_postings=shard_postings,
        latents_bytes=8 * postings + 8.0 * n,
        codes_bytes=n * ((3.0 if n_latents <= 1 << 16 else 5.0) * code_k + 4),
        lists_bytes=postings * rates["lists"],
        forward_bytes=postings * rates["forward"],
        ids_bytes=n * rates["ids"],
        evidence_of_shard=min(_STRONGEST * n_latents, 2 * shard_postings) * float(_EVIDENCE_BYTES),
        evidence_passages=min(n, evidence.passages),
        most_evidence_passages=evidence.passages,
        concepts_bytes=(n_latents * examples + gathered) * order.words * rates["text"] + gathered * 4.0 * encoder.d_in,
        answer_bytes=_HITS * (_HIT_BYTES + rates["ids"]),
        gram_is_stored=4 * n_latents**2 <= MOST_GRAM_BYTES,
    )
