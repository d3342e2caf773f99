"""The stage that gives a project concepts of single tokens: an SAE of tokens, what passages are made of, an index.

tokens/sae      the SAE and `words.json`: the words that activate each latent most, which name it
tokens/latents  each passage's latents, summed over its tokens
index/tokens    the inverted lists, scored as BM25 scores words
"""

from __future__ import annotations

import json
from dataclasses import asdict

from scipy.sparse import csr_array

from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.base.room import refuse_beyond_memory
from unweave.config import SAEConfig
from unweave.encode.devices import refuse_missing
from unweave.errors import MissingExtra
from unweave.index.activations import rounded
from unweave.index.scoring import TOKENS
from unweave.sae import tokens
from unweave.sae.model import WEIGHTS, strongest
from unweave.sae.training.recipe import recommend
from unweave.stages.embed import encode_texts
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.index import build_index
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Contents

try:
    from unweave.sae.training.run import run_training
    from unweave.stages.fit import refuse_without_room
except ImportError as error:
    raise MissingExtra("training an SAE", "fit") from error

EXPANSION = 32
_MEASURED = 20_000
"""Tokens on which NMSE is measured in the end."""


def fit_tokens(project: Workspace) -> list[Outcome]:
    """Train an SAE of tokens, name its latents, find those of every passage, and index them.

    Raises:
        UnweaveError: the project's encoder does not show its tokens.
    """
    return [_fit(project), encode_passages(project), index_passages(project)]


def index_passages(project: Workspace, mean_latents: float | None = None) -> Outcome:
    """Index the passages' latents of tokens, unless they are.

    Args:
        mean_latents: see `ConceptIndex.build`.
    """
    return build_index(
        project, "index/tokens", lambda: searched(project.token_latents), TOKENS,
        n_latents=project.token_sae.config.n_latents, source="tokens/latents", mean_latents=mean_latents,
    )  # fmt: skip


def searched(latents: csr_array) -> csr_array:
    """The latents of each passage that search reads: an index keeps a passage's others too, and here they are many."""
    assert TOKENS.max_latents is not None
    as_stored = csr_array((rounded(latents.data), latents.indices, latents.indptr), shape=latents.shape)
    return strongest(as_stored, TOKENS.max_latents)  # as the index orders them: by what it stores


def _fit(project: Workspace) -> Outcome:
    config, name = project.settings.tokens, "tokens/sae"
    refuse_missing(config.device)
    encoder = project.token_encoder
    d_token = encoder.encode_tokens(["a"])[0].shape[1]
    n_latents = config.n_latents or EXPANSION * d_token
    identity = project.encoder_identity("tokens")
    sae_config = SAEConfig(d_in=d_token, n_latents=n_latents, k=config.k, encoder=str(identity["model"]))
    refuse_without_room(sae_config, project.path, config.device)
    refuse_beyond_memory(4 * d_token * config.sample, f"a sample of {config.sample:,} tokens", "give fewer: --sample")
    made_from = project.made_from("corpus")
    settings = {
        "sae": asdict(sae_config),
        "tokens": asdict(config),
        "encoder": identity,
    }

    def make() -> None:
        with build(project.path / name, "sae", settings=settings, made_from=made_from) as made:
            some = tokens.sample(encoder, Contents(project.corpus), config.sample, config.seed)
            recipe = recommend(
                len(some.rows), d_token, config.k,
                n_latents=n_latents, batch_size=config.batch_size, steps=config.steps,
            )  # fmt: skip
            measured = some.rows[:_MEASURED]
            chosen = recipe.training(seed=config.seed)
            sae = run_training(some.rows, measured, sae_config, chosen, device=config.device, checkpoint=made).sae
            named = tokens.words_of(sae, some)
            text = json.dumps(named)
            write_atomically(made.path / tokens.WORDS, lambda path: path.write_text(text, encoding="utf-8"))
            sae.write_weights(made.path / WEIGHTS)
            made.results.update(
                n_latents=n_latents, trained_on=len(some.rows), named=len(named), **sae.measure(measured)._asdict()
            )

    return ensure(project, name, make, settings=settings, made_from=made_from)


def encode_passages(project: Workspace) -> Outcome:
    """Read the tokens of every passage, and find its latents, unless they are found."""
    sae, texts = project.token_sae, Contents(project.corpus)
    return encode_texts(
        project,
        "tokens/latents",
        lambda start, end: tokens.encode_texts(project.token_encoder, sae, texts[start:end]),
        n_latents=sae.config.n_latents,
        label="reading the tokens of passages",
        sources=("corpus", "tokens/sae"),
    )
