"""The dictionaries that `effectiveness.py` reads, one a collection and seed, trained once and kept in the cache.

    python benchmarks/dictionaries.py [--model NAME] [--seeds 3] [--kinds pooled tokens] [COLLECTION …]

Each is trained on the texts of the collection alone, as an index is built, and never on queries:

- pooled: on the embeddings of its passages and of the sentences that a project draws from them;
- tokens: on what the encoder gives for each token of its passages, a million of them at most.

Controls are dictionaries without concepts: random directions, principal and independent components.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import texts
from judged import COLLECTIONS, Floats
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz, save_npz, vstack

from unweave.config import SAEConfig
from unweave.sae.model import SAE
from unweave.sae.tokens import sum_pooled
from unweave.sae.training.recipe import recommend
from unweave.sae.training.run import run_training

K, STEPS, BATCH = 32, 1500, 512
MOST_EXPANSION = 32
TOKEN_LATENTS, TOKEN_K, TOKEN_STEPS, TOKEN_BATCH = 12_288, 8, 300, 2048
MOST_TOKENS = 1_000_000
TOKENS_AT_ONCE = 65_536
KINDS = ("pooled", "tokens")


class Sparse(NamedTuple):
    """The texts of a collection as sparse rows, of latents or of a vocabulary."""

    passages: csr_array  # (n_passages, n_latents)
    queries: csr_array  # (n_queries, n_latents)

    def asking(self, rows: NDArray[np.int64]) -> Sparse:
        """With these queries alone."""
        return Sparse(self.passages, csr_array(self.queries[rows]))


def training_texts(name: str, model: str) -> Floats:
    """The embeddings of a collection's passages and sentences, shuffled."""
    rows = np.concatenate([texts.embeddings(f"{name}/{part}", model) for part in ("passages", "sentences")])
    np.random.default_rng(0).shuffle(rows)
    return rows


def n_latents(n_texts: int, d_in: int) -> int:
    """A power of two times the width: at least one text a latent, where 32 times the width allows it."""
    return int(d_in * 2 ** min(math.log2(MOST_EXPANSION), max(0, math.floor(math.log2(n_texts / d_in)))))


def pooled(name: str, model: str, seed: int, steps: int = STEPS) -> SAE:
    """The SAE of a collection's embeddings."""
    folder = _folder(model, name, f"pooled-{steps}-{seed}")
    if not folder.exists():
        rows = training_texts(name, model)
        config = SAEConfig(d_in=rows.shape[1], n_latents=n_latents(*rows.shape), k=K, encoder=model)
        trained(rows, config, steps, BATCH, seed).save(folder)
    return SAE.load(folder)


def token_latents(name: str, model: str, seed: int, steps: int = TOKEN_STEPS) -> Sparse:
    """The latents of a collection's passages and of all its queries, summed over a text, by an SAE of its tokens."""
    folder = _folder(model, name, f"tokens-{steps}-{seed}")
    if not (folder / "queries.npz").exists():
        passages, queries = (texts.tokens(f"{name}/{part}", model) for part in ("passages", "queries"))
        some = np.random.default_rng(seed).choice(
            len(passages.rows), min(len(passages.rows), MOST_TOKENS), replace=False
        )
        rows = passages.rows[np.sort(some)].astype(np.float32)
        config = SAEConfig(d_in=rows.shape[1], n_latents=TOKEN_LATENTS, k=TOKEN_K, encoder=model)
        sae = trained(rows, config, steps, TOKEN_BATCH, seed)
        del rows
        folder.mkdir(parents=True, exist_ok=True)
        save_npz(folder / "passages.npz", _of_texts(sae, passages))
        save_npz(folder / "queries.npz", _of_texts(sae, queries))
    return Sparse(*(csr_array(load_npz(folder / f"{part}.npz")) for part in ("passages", "queries")))


def trained(rows: Floats, config: SAEConfig, steps: int, batch_size: int, seed: int) -> SAE:
    """An SAE of these rows, by the recipe of `unweave fit` at this size."""
    recipe = recommend(len(rows), config.d_in, config.k, n_latents=config.n_latents, batch_size=batch_size, steps=steps)
    return run_training(rows, rows[:2000], config, recipe.training(seed=seed)).sae


def controls(training: Floats, n: int) -> Iterator[tuple[str, SAE]]:
    """Dictionaries in which there are no concepts to find, the random one of `n` directions."""
    from sklearn.decomposition import PCA, FastICA

    d = training.shape[1]
    yield "random dictionary", random_dictionary(n, training)
    some = training[:10_000]
    components = PCA(random_state=0).fit(some).components_
    yield "PCA axes", of_directions(np.concatenate([components, -components]), training)
    ica = FastICA(n_components=min(d, 128), random_state=0, max_iter=100, tol=1e-2, whiten="unit-variance").fit(some)
    axes = ica.mixing_.T
    yield "ICA axes", of_directions(np.concatenate([axes, -axes]), training)


def nearest(one: SAE, other: SAE) -> dict[str, float]:
    """Each direction's best cosine in the other dictionary: decoders alone, many to one.

    Laxer than `unweave.agreement`, one to one and by encoders too. The recorded results are of this.
    """
    directions = one.W_dec
    starts = range(0, len(directions), 1024)
    every = np.concatenate([(directions[start : start + 1024] @ other.W_dec.T).max(axis=1) for start in starts])
    return {"mean": float(every.mean()), "above_0.7": float((every > 0.7).mean())}


def _of_texts(sae: SAE, tokens: texts.Tokens) -> csr_array:
    """Latents of each text, some thousand tokens at a time."""
    found, first = [], 0
    ends: NDArray[np.int64] = tokens.ends
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + TOKENS_AT_ONCE, side="right")) - 1)
        rows = tokens.rows[ends[first] : ends[last]].astype(np.float32)
        found.append(sum_pooled(sae.encode(rows), ends[first : last + 1] - ends[first]))
        first = last
    return csr_array(vstack(found, format="csr"))


def random_dictionary(n: int, training: Floats, seed: int = 0) -> SAE:
    """Of n directions, drawn at random."""
    return of_directions(np.random.default_rng(seed).normal(size=(n, training.shape[1])), training)


def of_directions(directions: Floats, training: Floats) -> SAE:
    """Directions, (n, d_in), as an SAE that a pursuit can code with; one-shot, it takes the k best."""
    W = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    config = SAEConfig(d_in=W.shape[1], n_latents=len(W), k=K, selection="top_k")
    mean = training.mean(axis=0)
    return SAE(config, W, np.zeros(len(W), np.float32), W, mean, threshold=np.zeros(1, np.float32))


def _folder(model: str, name: str, kind: str) -> Path:
    return texts.CACHE / "dictionaries" / model / f"{name}-{kind}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=texts.MODELS, default=texts.MINILM)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("collections", nargs="*", metavar="COLLECTION")
    options = parser.parse_args()
    for seed in range(options.seeds):
        for name in options.collections or COLLECTIONS:
            if "pooled" in options.kinds:
                print(name, seed, pooled(name, options.model, seed).config.n_latents, "latents", flush=True)
            if "tokens" in options.kinds:
                found = token_latents(name, options.model, seed).passages
                print(name, seed, f"{found.nnz / found.shape[0]:.0f} token latents a passage", flush=True)


if __name__ == "__main__":
    main()
