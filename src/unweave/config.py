"""Every setting, a frozen dataclass a stage, a sentence under each field.

The same fields are the options of a stage's command, a table of `unweave.toml`, and what a manifest keeps.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from unweave.base.plain import plain

THRESHOLD, TOP_K, MATCHING_PURSUIT = "threshold", "top_k", "matching_pursuit"
SELECTIONS = (THRESHOLD, TOP_K, MATCHING_PURSUIT)
"""How an SAE selects the latents of a text."""
VARIANTS = ("batch_topk", "topk", "nested_topk", "matryoshka", "jumprelu", "matching_pursuit")
"""The kinds of SAE that can be trained; `sae.training.variants` has a module for each."""
RETRIEVAL_LOSSES = ("kl", "infonce")
MATRYOSHKA_PARTS = (16, 8, 4, 2, 1)
"""Of a Matryoshka SAE, the first n_latents / part latents reconstruct by themselves, for each part."""
TEXTS_PER_LATENT = 5.0


def at_least(config: object, least: int, *names: str) -> None:
    """Raise ValueError if one of these settings is set and below `least`."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Which texts are embedded beside passages and queries."""

    sentences: int = 16_000
    """Sentences of the passages to embed too, at most, drawn evenly: an SAE learns more from short texts; 0: none."""
    language: str = "en"
    """Language of the passages, as an ISO 639 code; it decides where sentences end."""

    def __post_init__(self) -> None:
        at_least(self, 0, "sentences")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the SAE is trained; what is not set is chosen from the number of texts and their width."""

    variant: str = "batch_topk"
    """Which kind of SAE: batch_topk, topk, nested_topk, matryoshka, jumprelu or matching_pursuit."""
    k: int = 32
    """Active latents per text, on average."""
    n_latents: int | None = None
    """Size of the dictionary; by default a power of two times the embedding's width, by the number of texts."""
    texts_per_latent: float = TEXTS_PER_LATENT
    """Texts for each latent of the default size, about; at 1 concepts retrieve better, and vary more with the seed."""
    steps: int | None = None
    """Batches to train on; by default twenty passes over the texts, fewer over millions, at least 300."""
    batch_size: int | None = None
    """Texts in a batch; by default sixty times the fourth root of the number of texts, 256 to 4,096."""
    lr: float | None = None
    """Adam's highest step size; by default chosen from the size and number of the batches."""
    warmup_steps: int | None = None
    """Steps over which the step size rises; by default 100, or a quarter of a short training."""
    decay: float = 0.5
    """Share of the steps, the last, over which the step size falls to 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents."""
    dead_after: int | None = None
    """A latent silent for so many texts is dead; by default while an average one was active 40 times."""
    sparsity: float = 1.0
    """JumpReLU's weight of (L0 / k - 1)^2 in the loss."""
    retrieval_loss: str = "kl"
    """Which loss keeps neighbours, if it has a weight: kl or infonce."""
    retrieval_weight: float = 0.0
    """Weight of the retrieval loss; 0: none."""
    temperature: float = 0.05
    """What similarities are divided by in the retrieval loss."""
    patience: int = 0
    """Stop after so many of the dozen reports without a lower held-out NMSE; 0: train to the end."""
    tensorboard: str = ""
    """Folder for TensorBoard events; empty: none."""
    held_out: float = 0.05
    """Share of the passages that, with their sentences, are never trained on, to measure NMSE."""
    seed: int = 0
    """Decides initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, got {self.held_out}")
        at_least(self, 1, "k", "n_latents", "steps", "batch_size", "dead_after")
        at_least(self, 0, "seed", "warmup_steps", "aux_alpha", "sparsity", "retrieval_weight", "patience")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be a number above 0, got {self.lr}")
        if not 0 < self.texts_per_latent < math.inf:
            raise ValueError(f"texts_per_latent must be a number above 0, got {self.texts_per_latent}")
        if self.n_latents is not None and self.k > self.n_latents:
            raise ValueError(f"k must be at most n_latents={self.n_latents}, got {self.k}")


@dataclass(frozen=True, kw_only=True)
class TokensConfig:
    """How concepts of single tokens are learned."""

    k: int = 8
    """Active latents per token, on average; a text has those of all its tokens."""
    n_latents: int | None = None
    """Size of the dictionary; by default 32 times the width of a token."""
    sample: int = 600_000
    """Tokens to train on, at most, those of passages drawn at random; they are held in memory."""
    steps: int = 300
    """Batches to train on."""
    batch_size: int = 2048
    """Tokens in a batch."""
    seed: int = 0
    """Decides initial directions, the order of tokens and which passages they are of."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        at_least(self, 1, "k", "n_latents", "steps", "batch_size")
        at_least(self, 2, "sample")
        at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """What search reads beside the inverted lists."""

    code_k: int = 32
    """Latents in the code that each passage is rescored from: three bytes each."""

    def __post_init__(self) -> None:
        at_least(self, 1, "code_k")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured."""

    split: str = "test"
    """Which judgements to evaluate against."""
    cutoff: int = 100
    """Depth of every ranking."""
    candidates: int = 1000
    """Hits by concepts that rescoring orders anew."""
    sums: str = ""
    """Sums of systems to evaluate beside the single ones, such as "BM25 + dense, tokens + 2 codes"; empty: none."""

    def __post_init__(self) -> None:
        at_least(self, 1, "cutoff", "candidates")


DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PRECOMPUTED = "precomputed"
_POOLINGS = ("cls", "mean", "max", "lasttoken")
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which model embeds the texts, and how; saved with the embeddings."""

    model: str = DEFAULT_MODEL
    """A sentence-transformers model: its hub name or the path of its folder."""
    query_prefix: str = ""
    """Put before every query, e.g. "query: " for E5 models."""
    passage_prefix: str = ""
    """Put before every passage and sentence, e.g. "passage: " for E5 models."""
    pooling: str = ""
    """How tokens become one vector, for a model that does not say so itself: cls, mean, max or lasttoken."""
    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is a cosine."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1, mps."""
    batch_size: int = 8
    """Texts in one pass through the model; small batches are fastest on a CPU."""
    precision: str = AUTO
    """What passages are computed in, float32 or bfloat16; auto: bfloat16 if the processor has units for it."""

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size")
        if self.precision not in (AUTO, FLOAT32, BFLOAT16):
            raise ValueError(f"precision must be auto, float32 or bfloat16, got {self.precision!r}")
        if self.pooling not in ("", *_POOLINGS):
            raise ValueError(f"pooling must be one of {', '.join(_POOLINGS)}, or empty, got {self.pooling!r}")


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Which texts stand as evidence beside a name."""

    examples: int = 10
    """Texts that activate a latent most, kept with it."""
    other_examples: int = 5
    """Texts kept of each other kind: middle and low activations, near misses, random ones."""
    passages: int = 200_000
    """Passages that are looked at, at most, drawn evenly."""
    seed: int = 0
    """Decides which passages are drawn, and the random texts."""

    def __post_init__(self) -> None:
        at_least(self, 1, "examples", "other_examples", "passages")
        at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class KeyphraseConfig:
    """How names are chosen from the words of a latent's texts."""

    strongest_texts: int = 60
    """Texts that speak for a latent: those that activate it most."""
    phrases: int = 2
    """Phrases in a name at most; another is added only if it covers texts that the first ones do not."""
    least_texts: int = 2
    """A phrase must occur in so many texts of the whole collection."""

    def __post_init__(self) -> None:
        at_least(self, 1, "strongest_texts", "phrases", "least_texts")


@dataclass(frozen=True, kw_only=True)
class LexiconConfig:
    """Phrases in which directions and embeddings are written."""

    lexicon: str = ""
    """A text file with a phrase a line, or WordNet's folder `dict`; empty: the corpus's own phrases."""
    frequent_texts: int = 6
    """Of the corpus's own phrases, those in so many texts."""
    mix: int = 16
    """Phrases in which a direction is written, at most."""

    def __post_init__(self) -> None:
        at_least(self, 1, "frequent_texts", "mix")


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """Which language model names and judges concepts, and what it may cost."""

    base_url: str = "http://127.0.0.1:8080/v1"
    """Where it is; what is there by default is started by: unweave serve-model."""
    model: str = "local"
    """Its name there."""
    key_from: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, if one is needed; keys are read from nowhere else."""
    prompt: str = "contrastive"
    """How it is asked: contrastive, with texts that leave the concept silent too, or as in the paper."""
    concurrency: int = 2
    """Requests at a time."""
    attempts: int = 5
    """Times that a request is sent before it counts as failed."""
    timeout: float = 180.0
    """Seconds without a byte after which a request counts as lost."""
    output_tokens: int = 160
    """Tokens of an answer, at most."""
    input_price: float = 0.0
    """Price of a million tokens of a prompt."""
    output_price: float = 0.0
    """Price of a million tokens of an answer."""
    cap: float = 1.0
    """What may ever be spent on this project's concepts, in the currency of the prices."""

    def __post_init__(self) -> None:
        at_least(self, 1, "concurrency", "attempts", "output_tokens")
        at_least(self, 0, "input_price", "output_price", "cap")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}")
        if self.prompt not in ("contrastive", "paper"):
            raise ValueError(f"prompt must be contrastive or paper, got {self.prompt!r}")
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query:
            raise ValueError(f"base_url must look like https://host/v1, got {plain(self.base_url, 80)!r}")

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """What a request with so many tokens costs."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How an SAE is trained."""

    steps: int
    """Batches to train on."""
    variant: str = "batch_topk"
    """Which kind of SAE: batch_topk, topk, nested_topk, matryoshka, jumprelu or matching_pursuit."""
    batch_size: int = 512
    """Embeddings in a batch, those of all processes together."""
    lr: float = 4e-3
    """Adam's step size at its highest: after the warm-up, until the decay begins."""
    warmup_steps: int = 100
    """Steps over which the step size rises from 0."""
    decay: float = 0.5
    """Share of the steps, the last, over which the step size falls to 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents (AuxK)."""
    dead_after: int = 50_000
    """A latent that was active for none of the last so many training texts is dead."""
    sparsity: float = 1.0
    """JumpReLU's weight of (L0 / k - 1)^2 in the loss."""
    retrieval_loss: str = "kl"
    """Which retrieval loss: kl or infonce."""
    retrieval_weight: float = 0.0
    """Weight of the retrieval loss; 0: none."""
    temperature: float = 0.05
    """What similarities are divided by in the retrieval loss."""
    patience: int = 0
    """Stop after so many reports without a lower held-out NMSE, and take the best; 0: train to the end."""
    seed: int = 0
    """Decides the initial directions and the order of the texts."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "batch_size")
        at_least(self, 0, "warmup_steps", "aux_alpha", "retrieval_weight", "patience", "seed")
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {self.variant!r}")
        if self.retrieval_loss not in RETRIEVAL_LOSSES:
            raise ValueError(
                f"retrieval_loss must be one of {', '.join(RETRIEVAL_LOSSES)}, got {self.retrieval_loss!r}"
            )
        if not 0 < self.lr < math.inf or not 0 <= self.decay <= 1 or not self.temperature > 0:
            raise ValueError(
                f"lr and temperature must be above 0 and decay within 0 and 1, got lr={self.lr}, "
                f"temperature={self.temperature}, decay={self.decay}"
            )


@dataclass(frozen=True, kw_only=True)
class SAEConfig:
    """What an SAE is; saved next to its weights."""

    d_in: int
    """Dimensions of the dense embedding, e.g. 384."""
    n_latents: int
    """Size of the dictionary: d_in times the expansion factor."""
    k: int = 32
    """Active latents per embedding, averaged over many (target L0)."""
    selection: str = THRESHOLD
    """Which activations a text keeps: those above the `threshold`, its `top_k`, or those of a `matching_pursuit`."""
    encoder: str = ""
    """Name of the model whose embeddings it reads."""

    def __post_init__(self) -> None:
        if self.d_in < 1:
            raise ValueError(f"d_in must be at least 1, got {self.d_in}")
        if not 0 < self.k <= self.n_latents:
            raise ValueError(f"k must be between 1 and n_latents={self.n_latents}, got {self.k}")
        if self.selection not in SELECTIONS:
            raise ValueError(f"selection must be one of {', '.join(SELECTIONS)}, got {self.selection!r}")


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What is reproduced; what is not said follows the paper."""

    ks: tuple[int, ...] = (32, 48, 64, 128)
    """Active latents per text, on average: one SAE each."""
    expansion: int = 32
    """Latents a dimension of the embedding."""
    steps: int | None = None
    """Batches to train each SAE on; by default as for: unweave fit."""
    seed: int = 0
    """Decides each SAE's initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""
    split: str = "test"
    """Which judgements to evaluate against."""

    def __post_init__(self) -> None:
        at_least(self, 1, "expansion", "steps")
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            raise ValueError(f"ks must be different whole numbers from 1 on, got {self.ks}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
