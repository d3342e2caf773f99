"""Names for an SAE's latents from texts in memory: `unweave.name`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.owned import OwnFolder
from unweave.base.records import Passage
from unweave.concepts import store
from unweave.concepts.database import DATABASE
from unweave.concepts.evidence import Evidence, Texts
from unweave.concepts.judges import verdicts
from unweave.concepts.judges.nulls import of_random_directions
from unweave.concepts.namers import base
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.store import Concepts
from unweave.config import EvidenceConfig, KeyphraseConfig
from unweave.encode.brought import refuse_other_encoder
from unweave.encode.encoder import CallableEncoder, Encoder
from unweave.encode.encoders import NoEncoder
from unweave.errors import BadData
from unweave.sae.model import SAE


class ArrayRows(NamedTuple):
    """Embeddings in memory, read as those on disk are."""

    array: NDArray[np.float32]  # (n, d_in)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(self.array[positions])

    def batches(self) -> Iterator[NDArray[np.float32]]:
        yield self.array


def name(
    sae: SAE,
    texts: Sequence[str],
    embeddings: NDArray[np.floating[Any]],
    *,
    encoder: Encoder | Callable[[list[str]], Any] | None = None,
    latents: csr_array | None = None,
    seed: int = 0,
) -> Concepts:
    """Name every latent that is active for at least one text, by keyphrases, with the texts that are its evidence.

    What is found lies in a temporary database, which goes away with the concepts.

    Args:
        texts: (n,) what was embedded.
        embeddings: (n, d_in) of these texts, in their order.
        encoder: what made the embeddings, or a function that did, from a list of texts to an array, (n_texts, d_in).
            With it names are judged in its own space too, by texts that were kept from the namer.
        latents: of the texts, (n, n_latents), if they are known already.
        seed: of the texts that are drawn at random.

    Raises:
        BadData: texts and embeddings are not as many, there is none, or the encoder gives other embeddings than these.
        DimensionMismatch: the SAE reads embeddings of another width.
        MissingExtra: scikit-learn or PyStemmer is not installed.
    """
    rows = sae.checked(embeddings)
    if len(texts) != len(rows) or not len(texts):
        raise BadData(
            f"{len(texts)} text(s) came with {len(rows)} embedding(s); expected one embedding a text, in order"
        )
    reads = _as_encoder(encoder)
    if encoder is not None:
        what, model = "embeddings to name concepts by", str(reads.identity["model"])
        refuse_other_encoder(
            lambda some: rows[some], len(texts), texts.__getitem__, reads.encode_passages, what=what, encoder=model
        )
    passages = [Passage(str(position), "", text) for position, text in enumerate(texts)]
    evidence = Evidence(
        sae,
        Texts(passages, ArrayRows(rows)),
        None,
        EvidenceConfig(passages=len(texts), seed=seed),
        encoder=reads,
        latents=sae.encode(rows) if latents is None else latents,
    )
    folder = OwnFolder()
    concepts = Concepts(folder.path / DATABASE, texts=texts, owned=folder, returning=partial(dict, sae.returns))
    store.create(concepts.database)
    live = evidence.live.tolist()
    store.add(concepts.database, evidence.concepts(live))
    namer = KeyphraseNamer(evidence, KeyphraseConfig())
    base.run(concepts.database, namer, live)
    verdicts.judge_names(concepts, evidence, partial(of_random_directions, evidence, namer.beside))
    if encoder is not None:
        verdicts.judge_in_space(concepts, evidence)
    return concepts


def _as_encoder(encoder: Encoder | Callable[[list[str]], Any] | None) -> Encoder:
    if encoder is None:
        return NoEncoder()
    if isinstance(encoder, Encoder):
        return encoder
    return CallableEncoder(encoder)
