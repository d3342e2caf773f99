"""SAEs of other tools, read into ours and written from it; one module a format.

Reading needs neither the other tool nor, but for the paper's `.pt`, torch, and runs nothing that a file holds. What
comes out computes the same reconstructions from the same embeddings, or is refused by an error that says why. Where a
tool selects by threshold and its directions are not of length 1, activations are counted in the unit of directions
that are: z_j becomes |w_j| z_j.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from unweave.base.artifact import MANIFEST
from unweave.base.files import new_folder, sync
from unweave.config import TOP_K
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.sae.formats import latentsae, paper, saelens, sentence_transformers, sparsify
from unweave.sae.formats.tensors import SettingsFile, UnsupportedSAE
from unweave.sae.model import SAE

__all__ = ["FILES", "FORMATS", "UnsupportedSAE", "export_sae", "import_sae", "is_ours", "names_in"]

logger = logging.getLogger(__name__)

_MODULES = {
    "saelens": saelens,
    "sparsify": sparsify,
    "latentsae": latentsae,
    "sentence-transformers": sentence_transformers,
    "paper": paper,
}
FORMATS = tuple(_MODULES)
FILES = frozenset({saelens.CONFIG, saelens.WEIGHTS, sparsify.CONFIG, sparsify.WEIGHTS})
"""Files of the formats that one folder of a repository on the hub holds."""


def import_sae(
    path: Path | str,
    format: str | None = None,  # noqa: A002
    *,
    threshold: float | None = None,
    encoder: str | None = None,
) -> SAE:
    """Read an SAE that another tool wrote.

    Args:
        path: the tool's folder, or a `.pt` file.
        format: one of FORMATS; found out from the files if None.
        threshold: of a `paper` file whose name does not state it.
        encoder: name of the model whose embeddings it reads, where the format does not state it.

    Raises:
        MissingArtifact, CorruptArtifact: a file is missing or damaged.
        UnsupportedSAE: the format is not known, or the SAE does what ours cannot.
    """
    path = Path(path)
    kind = _known(format) if format is not None else _detect(path)
    if threshold is not None and kind != "paper":
        raise ValueError(f"a threshold is given with the format paper only; {kind} states its own")
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is refused below
        sae = paper.read(path, threshold) if kind == "paper" else _MODULES[kind].read(path)
    if not all(np.isfinite(t).all() for t in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_pre, sae.threshold)):
        raise CorruptArtifact(f"{path} holds numbers so large that float32 cannot hold what follows from them")
    return sae if encoder is None else replace(sae, config=replace(sae.config, encoder=encoder))


def export_sae(
    sae: SAE,
    folder: Path | str,
    format: str,  # noqa: A002
    *,
    as_top_k: bool = False,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write an SAE so that another tool can load it. The folder is made if need be.

    Args:
        format: one of FORMATS.
        as_top_k: keep the k strongest activations instead of those above the threshold. It is another encoder on the
            same dictionary, for tools that have no thresholds.
        names: of latents, by number; written where the format has room for them, see `names_in`.

    Raises:
        UnsupportedSAE: the tool cannot do what this SAE does.
    """
    module = _MODULES[_known(format)]
    if sae.twin is not None:
        logger.warning("%s has no place for which latents another run found again; that is left out", format)
    if as_top_k:
        sae = replace(sae, config=replace(sae.config, selection=TOP_K, most_steps=None, stops_at_repeat=False))
    folder = Path(folder)
    if folder.exists():
        module.write(sae, folder, names or {})
        sync(folder.parent)
    else:
        with new_folder(folder) as made:
            module.write(sae, made, names or {})


def names_in(path: Path | str, n_latents: int, format: str | None = None) -> dict[int, str]:  # noqa: A002
    """The names of latents that `export_sae` left in another tool's files, by latent; none if there are none.

    Raises:
        MissingArtifact, CorruptArtifact, UnsupportedSAE: as of `import_sae`; or a latent is not there.
    """
    path = Path(path)
    kind = _known(format) if format is not None else _detect(path)
    if kind == "paper":  # a state dict has no room for them
        return {}
    found: dict[int, str] = _MODULES[kind].names_in(path, n_latents)
    return found


def is_ours(path: Path) -> bool:
    """Whether a folder holds an SAE of unweave, which needs no reading into ours.

    Raises:
        CorruptArtifact: its settings are no JSON.
    """
    return (path / MANIFEST).is_file() and SettingsFile(path / MANIFEST).values.get("kind") == "sae"


def _known(name: str) -> str:
    if name not in _MODULES:
        raise ValueError(f"there is no format {name!r}; those known are {', '.join(FORMATS)}")
    return name


def _detect(path: Path) -> str:
    """Which tool wrote these files, by their names and by the settings that only one of them has."""
    if not path.exists():
        raise MissingArtifact(f"there is nothing at {path}")
    if path.is_file() and path.suffix == paper.SUFFIX:
        return "paper"
    if (path / saelens.WEIGHTS).is_file():
        return "saelens"
    if (path / sparsify.WEIGHTS).is_file():
        return "latentsae" if "sae_type" in SettingsFile(path / sparsify.CONFIG) else "sparsify"
    if sentence_transformers.module_folder(path) is not None:
        return "sentence-transformers"
    if (path / MANIFEST).is_file():
        settings = SettingsFile(path / MANIFEST)
        if "input_dim" in settings and "hidden_dim" in settings:
            return "sentence-transformers"
        if is_ours(path):
            raise UnsupportedSAE(f"{path} is an SAE of unweave already: SAE.load opens it as it is")
    if paper.only_file(path) is not None:
        return "paper"
    raise UnsupportedSAE(
        f"{path} holds no SAE of a known format: {saelens.CONFIG} with {saelens.WEIGHTS} (saelens) or "
        f"{sparsify.WEIGHTS} (sparsify, latentsae), {sentence_transformers.CONFIG} with "
        f"{sentence_transformers.WEIGHTS} or {sentence_transformers.MODULES} (sentence-transformers), or one "
        f"{paper.SUFFIX} file (paper); name the format if it is one of them"
    )
