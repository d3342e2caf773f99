"""Writes and runs SAEs with the tools whose formats unweave reads. It runs in their environment, not in unweave's.

    python tests/data/formats/make.py write FOLDER [--paper CLONE]     tiny SAEs, each with what the tool makes of them
    python tests/data/formats/make.py run TOOL PATH EMBEDDINGS.npy OUT.npz      what the tool makes of files of ours

The files beside this script were written by `write` with the packages of `requirements/peers-formats.txt`: SAELens
6.54.12, eai-sparsify 1.3.3, latentsae 0.2.0 and torch 2.13.0; those under `paper` with `sae/models.py` of a clone of
the paper's repository (Tro-fish/Decoding-Dense-Embeddings at 01a64a2). Weights are random: only the arithmetic counts.
`expected.npz` holds the embeddings, and the codes and reconstructions that the tool's own forward pass gave.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

D_IN, N_LATENTS, K, N_TEXTS = 8, 32, 5, 12
THRESHOLD = 0.35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    write = commands.add_parser("write")
    write.add_argument("folder", type=Path)
    write.add_argument("--paper", type=Path, help="clone of the paper's repository")
    run = commands.add_parser("run")
    run.add_argument("tool", choices=RUNNERS)
    run.add_argument("path", type=Path)
    run.add_argument("embeddings", type=Path)
    run.add_argument("out", type=Path)
    run.add_argument("--paper", type=Path, help="clone of the paper's repository")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.command == "write":
        write_saelens(arguments.folder / "saelens")
        write_sparsify(arguments.folder / "sparsify")
        write_latentsae(arguments.folder / "latentsae")
        write_saelens_as_trained(arguments.folder / "saelens")
        if arguments.paper:
            write_paper(arguments.folder / "paper", arguments.paper)
        return
    embeddings = torch.from_numpy(np.load(arguments.embeddings))
    more = [arguments.paper] if arguments.tool == "paper" else []
    np.savez(arguments.out, **RUNNERS[arguments.tool](arguments.path, embeddings, *more))


def _texts() -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(N_TEXTS, D_IN), dim=1)


def _expect(folder: Path, results: Callable[[torch.Tensor], dict[str, np.ndarray]]) -> None:
    embeddings = _texts()
    np.savez(folder / "expected.npz", embeddings=embeddings.numpy(), **results(embeddings))


@torch.no_grad()
def _random(module: torch.nn.Module, lengths: bool = True) -> None:
    """Random weights; directions 0.5 to 2 long, or of length 1."""
    for name, tensor in module.named_parameters():
        tensor.copy_(torch.randn_like(tensor) * (0.1 if name.startswith("b_") or "bias" in name else 0.6))
    scale = torch.rand(N_LATENTS, 1) * 1.5 + 0.5 if lengths else 1
    module.W_dec.copy_(torch.nn.functional.normalize(module.W_dec, dim=1) * scale)


# --- SAELens -----------------------------------------------------------------------------------------------


def write_saelens(folder: Path) -> None:
    from sae_lens import saes

    size = {"d_in": D_IN, "d_sae": N_LATENTS}
    pursuit = {"max_iterations": K, "residual_threshold": 0.0, "stop_on_duplicate_support": False}
    made: dict[str, Any] = {
        "standard": saes.StandardSAE(saes.StandardSAEConfig(**size)),
        "standard_raw_input": saes.StandardSAE(saes.StandardSAEConfig(**size, apply_b_dec_to_input=False)),
        "jumprelu": saes.JumpReLUSAE(saes.JumpReLUSAEConfig(**size)),
        "topk": saes.TopKSAE(saes.TopKSAEConfig(**size, k=K)),
        "topk_rescaled": saes.TopKSAE(saes.TopKSAEConfig(**size, k=K, rescale_acts_by_decoder_norm=True)),
        "matching_pursuit": saes.MatchingPursuitSAE(saes.MatchingPursuitSAEConfig(**size, **pursuit)),
        "bfloat16": saes.TopKSAE(saes.TopKSAEConfig(**size, k=K)),
    }
    for name, sae in made.items():
        _random(sae, lengths=name != "matching_pursuit")
        if name == "jumprelu":
            with torch.no_grad():
                sae.threshold.copy_(torch.rand(N_LATENTS) * 2 * THRESHOLD)
        if name == "bfloat16":
            sae.to(torch.bfloat16)
        sae.save_model(folder / name)
        _expect(folder / name, lambda x, name=name: run_saelens(folder / name, x))
    # BatchTopK: trained, then saved for inference, where one threshold is written for each latent.
    training = saes.BatchTopKTrainingSAE(saes.BatchTopKTrainingSAEConfig(**size, k=K))
    _random(training)
    training.topk_threshold = torch.tensor(THRESHOLD, dtype=torch.double)
    training.save_inference_model(folder / "batchtopk")
    _expect(folder / "batchtopk", lambda x: run_saelens(folder / "batchtopk", x))


@torch.no_grad()
def run_saelens(path: Path, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
    from sae_lens import SAE

    sae = SAE.load_from_disk(path, dtype="float32")
    codes = sae.encode(embeddings)
    return {"codes": codes.numpy(), "reconstructions": sae.decode(codes).numpy(), "lengths": _lengths(sae.W_dec)}


def write_saelens_as_trained(folder: Path) -> None:
    """Gated SAEs, and matching pursuits that stop as training leaves them, of directions near length 1."""
    from sae_lens import saes

    torch.manual_seed(1)  # added later: the numbers of the others stay
    size = {"d_in": D_IN, "d_sae": N_LATENTS}
    to_a_bound = {"max_iterations": 3 * K, "residual_threshold": 0.3, "stop_on_duplicate_support": False}
    made: dict[str, Any] = {
        "gated": saes.GatedSAE(saes.GatedSAEConfig(**size)),
        "gated_raw_input": saes.GatedSAE(saes.GatedSAEConfig(**size, apply_b_dec_to_input=False)),
        "matching_pursuit_as_trained": saes.MatchingPursuitSAE(saes.MatchingPursuitSAEConfig(**size)),
        "matching_pursuit_to_a_bound": saes.MatchingPursuitSAE(saes.MatchingPursuitSAEConfig(**size, **to_a_bound)),
    }
    for name, sae in made.items():
        _random(sae, lengths=name.startswith("gated"))
        if name.startswith("matching_pursuit"):
            with torch.no_grad():
                sae.W_dec.mul_(torch.rand(N_LATENTS, 1) * 0.25 + 0.87)
        if name == "gated":
            sae.cfg.metadata.l0 = 4.6
        sae.save_model(folder / name)
        _expect(folder / name, lambda x, name=name: run_saelens(folder / name, x))


# --- sparsify ----------------------------------------------------------------------------------------------


def write_sparsify(folder: Path) -> None:
    from sparsify import SparseCoder, SparseCoderConfig

    sae = SparseCoder(D_IN, SparseCoderConfig(num_latents=N_LATENTS, k=K))
    _random(sae)
    sae.save_to_disk(folder / "topk")
    _expect(folder / "topk", lambda x: run_sparsify(folder / "topk", x))


@torch.no_grad()
def run_sparsify(path: Path, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
    from sparsify import SparseCoder

    return _of_strongest(SparseCoder.load_from_disk(path), embeddings)


# --- latentsae ---------------------------------------------------------------------------------------------


def write_latentsae(folder: Path) -> None:
    from latentsae.sae import Sae
    from latentsae.utils.config import SaeConfig, SaeType

    made = {
        "topk": SaeConfig(num_latents=N_LATENTS, k=K, mean_center=True),
        "matryoshka": SaeConfig(
            sae_type=SaeType.MATRYOSHKA, num_latents=N_LATENTS, matryoshka_sizes="8,32", matryoshka_ks=f"2,{K}"
        ),
        "jumprelu": SaeConfig(sae_type=SaeType.JUMPRELU, num_latents=N_LATENTS, k=K, jumprelu_max_active=N_LATENTS),
        "batchtopk": SaeConfig(sae_type=SaeType.BATCHTOPK, num_latents=N_LATENTS, k=K),
    }
    for name, config in made.items():
        sae = Sae(D_IN, config)
        _random(sae)
        with torch.no_grad():
            if name == "topk":
                sae.input_mean.copy_(torch.randn(D_IN) * 0.1)
            if name == "jumprelu":
                sae.log_threshold.copy_(torch.log(torch.rand(N_LATENTS) * 2 * THRESHOLD))
            if name == "batchtopk":
                sae.batchtopk_threshold.fill_(THRESHOLD)
        sae.save_to_disk(folder / name)
        _expect(folder / name, lambda x, name=name: run_latentsae(folder / name, x))


@torch.no_grad()
def run_latentsae(path: Path, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
    from latentsae.sae import Sae

    return _of_strongest(Sae.load_from_disk(path).eval(), embeddings)


def _of_strongest(sae: Any, embeddings: torch.Tensor) -> dict[str, np.ndarray]:
    """Codes of tools that give the strongest activations and their places."""
    activations, places = sae.encode(embeddings)[:2]
    codes = torch.zeros(len(embeddings), sae.num_latents).scatter_(1, places, activations)
    reconstructions = sae.decode(activations, places)
    return {"codes": codes.numpy(), "reconstructions": reconstructions.numpy(), "lengths": _lengths(sae.W_dec)}


# --- the paper's repository --------------------------------------------------------------------------------


def write_paper(folder: Path, clone: Path) -> None:
    module = _paper(clone)
    sae = module.SAE_bias_pre(D_IN, N_LATENTS, K, 20, torch.randn(D_IN) * 0.1)
    sae.make_decoder_weights_norm()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{K}_{THRESHOLD}.pt"
    torch.save(sae.state_dict(), file)
    _expect(folder, lambda x: run_paper(file, x, clone))


@torch.no_grad()
def run_paper(path: Path, embeddings: torch.Tensor, clone: Path) -> dict[str, np.ndarray]:
    threshold = float(path.stem.replace("-", "_").rsplit("_", 1)[1])
    state = torch.load(path, weights_only=True)
    n_latents, d_in = state["linear.weight"].shape
    sae = _paper(clone).SAE_bias_pre(d_in, n_latents, 0, 20, torch.zeros(d_in))
    sae.load_state_dict(state)
    codes, reconstructions = sae.cosine_similarity(embeddings, threshold)
    lengths = _lengths(sae.linear2.weight.T)
    return {"codes": codes.numpy(), "reconstructions": reconstructions.numpy(), "lengths": lengths}


def _paper(clone: Path) -> Any:
    sys.path.insert(0, str(clone / "sae"))
    module = importlib.import_module("models")
    module.device = torch.device("cpu")  # it takes a GPU for granted
    return module


def _lengths(directions: torch.Tensor) -> np.ndarray:
    return directions.detach().norm(dim=1).numpy()


RUNNERS: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "saelens": run_saelens,
    "sparsify": run_sparsify,
    "latentsae": run_latentsae,
    "paper": run_paper,
}

if __name__ == "__main__":
    main()
