"""Every setting, a frozen dataclass a stage; its fields are options of a command, and a table of `unweave.toml`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unweave.base import fields, foreign
from unweave.base.addresses import is_address
from unweave.base.fields import DICTIONARY, HUB, PATH, one_of, reaches, several_lines

SELECTIONS = THRESHOLD, TOP_K, MATCHING_PURSUIT = "threshold", "top_k", "matching_pursuit"  # of a text's latents
VARIANTS = ("batch_topk", "topk", "nested_topk", "matryoshka", "jumprelu", "matching_pursuit")
"""The kinds of SAE that can be trained; `sae.training.variants` has a module for each."""
RETRIEVAL_LOSSES, PROMPTS = ("kl", "infonce"), ("contrastive", "paper")
TEXTS_PER_LATENT = 5.0
HERE = "here"  # where work runs if nobody says
OWN, PRETRAINED = "own", "pretrained"  # dictionaries that have no folder or name on the hub
CONTINUE, ANEW = "continue", "anew"  # what a fit does with the SAE that is there
DEEPEST_MEASURE = 100  # hits that an evaluation's deepest measure reads: Recall@100 of fewer is another figure


def _check_steps(config: FitConfig | TrainConfig) -> None:
    """Raise ValueError if a training's steps or its retrieval loss cannot be calculated."""
    fields.above_zero(config, 1, "lr")
    fields.above_zero(config, 1000, "temperature")
    fields.at_least(config, 0, "warmup_steps", "aux_alpha", "sparsity", "retrieval_weight", "patience", "seed")
    fields.at_most(config, 1_000_000, "aux_alpha", "sparsity", "retrieval_weight")
    if not 0 <= config.decay <= 1:
        raise ValueError(f"decay must lie between 0 and 1, got {config.decay}")
    if not 0 <= config.least_cosine <= 1:
        raise ValueError(f"least_cosine must lie between 0 and 1, got {config.least_cosine}")


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Which texts are embedded beside passages and queries."""

    sentences: int = 16_000
    """Sentences of the passages to embed, at most, drawn evenly: an SAE learns more from short texts; 0: none."""
    language: str = "en"
    """Language of the passages, as an ISO 639 code; it decides where sentences end."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 0, "sentences")
        if not re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*", self.language):
            raise ValueError(f"language must be an ISO 639 code, e.g. en or pt-BR, got {foreign.shown(self.language)}")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the SAE is trained; what is not set is chosen from the number of texts and their width."""

    dictionary: str | None = reaches(None, "the dictionary is fetched from the hub, or read from there", DICTIONARY)
    """Which SAE: own trains one; or pretrained, a folder, OWNER/NAME; by default pretrained if it reads the encoder."""
    own_latents: int | None = None
    """Latents to train on what such a dictionary leaves over; by default as many as the texts support; 0: none."""
    refit: str = one_of((CONTINUE, ANEW), CONTINUE)
    """When texts have changed: continue trains on from the SAE that is there, which keeps most latents; or anew."""
    variant: str = one_of(VARIANTS, "batch_topk")
    """Kind of SAE to train."""
    least_cosine: float = 0.0
    """Lowest cosine of a latent's encoder with its decoder: near 1 more concepts return; 0: both are free."""
    k: int = 32
    """Active latents per text, on average."""
    n_latents: int | None = None
    """Latents in the dictionary; by default a power of two times the embedding's width, by the number of texts."""
    texts_per_latent: float = TEXTS_PER_LATENT
    """Texts per latent in a dictionary of default size; at 1 concepts retrieve better, and vary more with the seed."""
    steps: int | None = None
    """Batches to train on; by default twenty passes over the texts, fewer over millions, at least 300 batches."""
    batch_size: int | None = None
    """Texts in a training batch; by default sixty times the fourth root of the number of texts, 256 to 4,096."""
    lr: float | None = None
    """Adam's highest step size, at most 1; by default chosen from the size and number of the batches."""
    warmup_steps: int | None = None
    """Training steps over which the step size rises; by default 100, or a quarter of a short training."""
    decay: float = 0.5
    """Share of the training steps, the last ones, over which the step size falls to 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents."""
    dead_after: int | None = None
    """Texts for which a latent is silent until it is dead; by default as many as activate an average one 40 times."""
    sparsity: float = 1.0
    """Weight of (L0 / k - 1)^2 in the loss of a JumpReLU SAE."""
    retrieval_loss: str = one_of(RETRIEVAL_LOSSES, "kl")
    """Retrieval loss, which keeps neighbours neighbours when they are reconstructed; it counts if it has a weight."""
    retrieval_weight: float = 0.0
    """Weight of the retrieval loss; 0: there is no such loss."""
    temperature: float = 0.05
    """Temperature of the retrieval loss: what it divides similarities by."""
    patience: int = 0
    """Reports, of a dozen in a training, without a lower held-out NMSE after which it stops; 0: it goes on."""
    twin: bool = False
    """Train once more from another seed, which takes as long again, to mark the latents that return."""
    consensus: int = 0
    """Runs from other seeds, two or more; the SAE is made of what most agree on, and marked by them. 0: one run."""
    tensorboard: str = reaches("", "files are written there", PATH)
    """Folder for TensorBoard events of the training; empty: none are written."""
    held_out: float = 0.05
    """Share of the passages that, with their sentences, are never trained on, to measure NMSE."""
    seed: int = 0
    """Seed of the initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Device to train on: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        fields.check(self)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, got {self.held_out}")
        fields.at_least(self, 1, "k", "n_latents", "steps", "batch_size", "dead_after")
        fields.at_least(self, 0, "own_latents", "consensus")
        fields.not_blank(self, "dictionary")
        _check_steps(self)
        fields.above_zero(self, 1_000_000, "texts_per_latent")
        if self.n_latents is not None and self.k > self.n_latents:
            raise ValueError(f"k must be at most n_latents={self.n_latents}, got {self.k}")


@dataclass(frozen=True, kw_only=True)
class TokensConfig:
    """How concepts of single tokens are learned."""

    k: int = 8
    """Active latents per token, on average; a text has those of all its tokens."""
    n_latents: int | None = None
    """Latents in the dictionary of tokens; by default 32 times the width of a token."""
    sample: int = 600_000
    """Tokens to train on, at most, those of passages drawn at random; all are held in memory."""
    steps: int = 300
    """Batches of tokens to train on."""
    batch_size: int = 2048
    """Tokens in a training batch."""
    seed: int = 0
    """Seed of the initial directions, the order of tokens and which passages they are of."""
    device: str = "cpu"
    """Device to train on: cpu, cuda, cuda:1."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "k", "n_latents", "steps", "batch_size")
        if self.n_latents is not None and self.k > self.n_latents:
            raise ValueError(f"k must be at most n_latents={self.n_latents}, got {self.k}")
        fields.at_least(self, 2, "sample")
        fields.at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """What search reads beside the inverted lists."""

    code_k: int = 32
    """Latents in the code that a passage is rescored from; each takes three bytes."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "code_k")


@dataclass(frozen=True, kw_only=True)
class ShardsConfig:
    """Where a corpus that is too large for one machine lies in shards, and what of it is looked at as a whole."""

    store: str = reaches("", "passages are read from there, and what is made of them is written there", PATH)
    """Where shards are kept: a folder that every machine sees, or s3://BUCKET/PREFIX; empty: the project has none."""
    size: int = 65_536
    """Passages of a shard, at most; what is lost with a worker is the work of so many."""
    sample: int = 200_000
    """Passages drawn evenly from all shards, at most, to train the SAE on."""
    strongest: int = 24
    """Passages of each concept that it is named from: those of all shards that activate it most, and as many drawn."""
    cpus: int = 1
    """Processors that a worker takes, and threads that it computes with."""
    gpus: float = 0.0
    """GPUs that a worker takes; several workers share one of which each takes a part."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "size", "sample", "strongest", "cpus")
        fields.at_least(self, 0, "gpus")
        fields.at_most(self, 4096, "cpus", "gpus")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What is measured."""

    split: str = "test"
    """Split of the judgements to evaluate against, e.g. test or dev."""
    cutoff: int = 100
    """Hits in every ranking that is measured; at least 100, since Recall@100 is."""
    candidates: int = 1000
    """Best hits by concepts that rescoring orders anew."""
    sums: str = ""
    """Sums of systems to evaluate beside the single ones, such as "BM25 + dense, tokens + 2 codes"; empty: none."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.not_blank(self, "split")
        fields.at_least(self, DEEPEST_MEASURE, "cutoff")
        fields.at_least(self, 1, "candidates")


DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PRECOMPUTED = "precomputed"
_POOLINGS = ("cls", "mean", "max", "lasttoken")
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Which model embeds the texts, and how; saved with the embeddings."""

    model: str = reaches(DEFAULT_MODEL, "the model is fetched from the hub, or read from that folder", HUB)
    """A sentence-transformers model: its hub name or the path of its folder."""
    query_prefix: str = several_lines("")
    """Text put before every query, e.g. "query: " for E5 models."""
    passage_prefix: str = several_lines("")
    """Text put before every passage and sentence, e.g. "passage: " for E5 models."""
    pooling: str = one_of(("", *_POOLINGS), "")
    """How a model that does not say so itself makes one vector of its tokens' vectors."""
    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is a cosine."""
    device: str = "cpu"
    """Where the model runs: cpu, cuda, cuda:1, mps."""
    batch_size: int = 8
    """Texts in one pass through the model; small batches are fastest on a CPU."""
    precision: str = one_of((AUTO, FLOAT32, BFLOAT16), AUTO)
    """What passages are computed in, float32 or bfloat16; auto: bfloat16 if the processor has units for it."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "batch_size")
        fields.not_blank(self, "model")


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """Which texts stand as evidence beside a name."""

    examples: int = 10
    """Texts kept as examples of a concept: those that activate it most."""
    other_examples: int = 5
    """Texts kept of each other kind of example: middle and low activations, near misses, random ones."""
    passages: int = 200_000
    """Passages that examples are taken from, at most, drawn evenly."""
    seed: int = 0
    """Seed of which passages examples are taken from, and of the random ones."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "examples", "other_examples", "passages")
        fields.at_least(self, 0, "seed")


@dataclass(frozen=True, kw_only=True)
class KeyphraseConfig:
    """How names are chosen from the words of a latent's texts."""

    strongest_texts: int = 60
    """Texts that a concept's keyphrase is taken from: those that activate it most."""
    least_texts: int = 2
    """Texts of the whole collection that a keyphrase must occur in, at least."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "strongest_texts", "least_texts")


@dataclass(frozen=True, kw_only=True)
class LexiconConfig:
    """Phrases in which directions and embeddings are written."""

    lexicon: str = reaches("", "its lines are read, and become names", PATH)
    """Lexicon: a text file with a phrase a line, or WordNet's folder `dict`; empty: the corpus's own phrases."""
    frequent_texts: int = 6
    """Texts that a phrase of the corpus must occur in, at least, to belong to the corpus's own lexicon."""
    mix: int = 16
    """Phrases of the lexicon in which a direction or an embedding is written, at most."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "frequent_texts", "mix")


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig:
    """Which language model names and judges concepts, and what it may cost."""

    base_url: str = reaches("http://127.0.0.1:8080/v1", "texts of the corpus are sent there")
    """Address of the language model's server; unweave serve-model starts one at the default address."""
    model: str = reaches("local", "the language model that is asked, and paid")
    """Name of the language model, as its server knows it."""
    key_from: str = reaches("OPENAI_API_KEY", "this environment variable is sent to the server as the key")
    """Environment variable with the language model's key, if it needs one; keys are read from nowhere else."""
    prompt: str = one_of(PROMPTS, "contrastive")
    """Prompt for a name: contrastive shows texts that leave the concept silent too; paper asks as the paper did."""
    samples: int = 1
    """Names asked for of each concept, from other texts each, at most 100; the one that tells others best is kept."""
    concurrency: int = 2
    """Requests to the language model at a time, at most 256."""
    attempts: int = 5
    """Times that a request to the language model is sent before it counts as failed, at most 1,000."""
    timeout: float = 180.0
    """Seconds without a byte from the language model after which a request counts as lost, at most a day."""
    output_tokens: int = 160
    """Tokens of the language model's answer, at most."""
    input_price: float = reaches(0.0, "what is spent is counted by it")
    """Price of a million tokens that the language model reads."""
    output_price: float = reaches(0.0, "what is spent is counted by it")
    """Price of a million tokens that the language model writes."""
    cap: float = reaches(1.0, "so much may be spent")
    """Money that may ever be spent on this project's concepts, in the currency of the prices."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "samples", "concurrency", "attempts", "output_tokens")
        fields.at_most(self, 100, "samples")
        fields.at_most(self, 256, "concurrency")
        fields.at_most(self, 1000, "attempts")
        fields.at_least(self, 0, "input_price", "output_price", "cap")
        fields.at_most(self, 1_000_000_000, "input_price", "output_price", "cap")
        fields.above_zero(self, 86_400, "timeout")
        fields.not_blank(self, "model")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_from):  # what came in is not shown: it may be a key
            raise ValueError("key_from must be the name of an environment variable, such as OPENAI_API_KEY, not a key")
        if not is_address(self.base_url):
            raise ValueError(f"base_url must look like https://host/v1, got {foreign.shown(self.base_url)}")

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """What a request with so many tokens costs."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How an SAE is trained."""

    steps: int
    """Batches to train on."""
    variant: str = one_of(VARIANTS, "batch_topk")
    """Kind of SAE to train."""
    least_cosine: float = 0.0
    """Lowest cosine of a latent's encoder with its decoder, see `sae.training.cone`; 0: both are free."""
    batch_size: int = 512
    """Embeddings in a batch, those of all processes together."""
    lr: float = 4e-3
    """Adam's step size at its highest: after the warm-up, until the decay begins."""
    warmup_steps: int = 100
    """Steps over which the step size rises from 0."""
    decay: float = 0.5
    """Share of the training steps, the last ones, over which the step size falls to 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents (AuxK)."""
    dead_after: int = 50_000
    """A latent that was active for none of the last so many training texts is dead."""
    sparsity: float = 1.0
    """Weight of (L0 / k - 1)^2 in the loss of a JumpReLU SAE."""
    retrieval_loss: str = one_of(RETRIEVAL_LOSSES, "kl")
    """Retrieval loss, which counts if it has a weight."""
    retrieval_weight: float = 0.0
    """Weight of the retrieval loss; 0: there is no such loss."""
    temperature: float = 0.05
    """Temperature of the retrieval loss: what it divides similarities by."""
    patience: int = 0
    """Stop after so many reports without a lower held-out NMSE, and take the best; 0: train to the end."""
    seed: int = 0
    """Decides the initial directions and the order of the texts."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "steps", "batch_size", "dead_after")
        _check_steps(self)


@dataclass(frozen=True, kw_only=True)
class SAEConfig:
    """What an SAE is; saved next to its weights."""

    d_in: int
    """Dimensions of the dense embedding, e.g. 384."""
    n_latents: int
    """Size of the dictionary: d_in times the expansion factor."""
    k: int = 32
    """Active latents per embedding, averaged over many (target L0)."""
    selection: str = one_of(SELECTIONS, THRESHOLD)
    """Which activations a text keeps: those above the `threshold`, its `top_k`, or those of a `matching_pursuit`."""
    encoder: str = ""
    """Name of the model whose embeddings it reads."""
    most_steps: int | None = None
    """Steps after which a matching pursuit stops that also does where `threshold` is left, or less; None: after k."""
    stops_at_repeat: bool = False
    """Whether such a pursuit also stops where it chooses a latent again."""

    def __post_init__(self) -> None:
        fields.check_numbers(self)
        fields.at_least(self, 1, "d_in", "most_steps")
        if not 0 < self.k <= self.n_latents:
            raise ValueError(f"k must be between 1 and n_latents={self.n_latents}, got {self.k}")


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What is reproduced; what is not said follows the paper."""

    ks: tuple[int, ...] = (32, 48, 64, 128)
    """Active latents per text, on average: one SAE each."""
    expansion: int = 32
    """Expansion factor: latents per dimension of the embedding."""
    steps: int | None = None
    """Batches to train each SAE on; by default as for: unweave fit."""
    seed: int = 0
    """Seed of each SAE's initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Device to train on: cpu, cuda, cuda:1."""
    split: str = "test"
    """Split of the judgements to evaluate against, e.g. test or dev."""

    def __post_init__(self) -> None:
        fields.check(self)
        fields.at_least(self, 1, "expansion", "steps")
        fields.at_least(self, 0, "seed")
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            raise ValueError(f"ks must be different whole numbers from 1 on, got {self.ks}")
