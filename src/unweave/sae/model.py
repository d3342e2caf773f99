"""A trained sparse autoencoder, run with NumPy and compiled kernels, without torch.

    z = select(W_enc (x - b_pre) + b_enc);  x_hat = W_dec.T z + b_pre

`select` keeps what exceeds a threshold, or the k strongest of a text. However an SAE was trained, one embedding
always gets the same latents: BatchTopK (Bussmann et al. 2024, arXiv 2412.06410) keeps the k * batch strongest
activations of a batch in training, and one calibrated threshold replaces the batch afterwards.

    model.safetensors  W_enc, W_dec (n_latents, d_in); b_enc (n_latents,); b_pre (d_in,); threshold (n_latents,) or (1,)
    history.jsonl      what training reported, an object a report
    latents.jsonl      of a dictionary that is to be passed on: what it says of its latents, see `dictionaries.latents`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array, vstack

from unweave.base import cores
from unweave.base.arrays import disk_errors
from unweave.base.artifact import check_file, damaged, read_manifest
from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.base.stored import read_record
from unweave.base.vectors import refuse_unusable
from unweave.config import MATCHING_PURSUIT, TOP_K, SAEConfig
from unweave.errors import CorruptArtifact, DimensionMismatch
from unweave.sae import kernels
from unweave.sae.pursuit import EXACT, METHODS, ORTHOGONAL, SHARE, Dictionary
from unweave.sae.stopping import pursue_until

WEIGHTS = "model.safetensors"
_ROOM = 16
"""Times k: active latents of one text that there is room for at once; more are found too, but are looked for again."""
_BLOCK_ROWS, _BLOCK_FLOATS = 1024, 1 << 24
"""Texts that are encoded at a time, and at most so many activations, 64 MB: fewer make the product slower."""
_PURSUED_AT_ONCE, _PURSUIT_FLOATS = 32, 1 << 22
"""Texts that are pursued at a time, at least, and correlations of a block: memory does not grow with the texts."""
MOST_GRAM_BYTES = 1 << 30
"""A Gram matrix above this is not stored; its entries are calculated where they are needed, which is slower."""
_DIRECTIONS = ("W_enc", "W_dec")
_TENSORS = (*_DIRECTIONS, "b_enc", "b_pre", "threshold")
_TWIN = "twin"
MATRYOSHKA_PARTS = (16, 8, 4, 2, 1)
"""Of a Matryoshka SAE, the first n_latents / part latents reconstruct by themselves, for each part."""
RETURNING = 0.93
"""Agreement with its twin from which on a latent counts as returning: the lowest from which on 95 % were found again,
at .7 and more, by a third run on other texts (`benchmarks/dictionary.py`)."""


class Reconstruction(NamedTuple):
    """How well an SAE gives embeddings back."""

    nmse: float | None
    """Sum of (x - x_hat)^2 over all texts / sum of (x - mean x)^2; 0 is perfect. None if all texts are the same."""
    l0: float
    """Mean number of active latents per text."""
    live_latents: int
    """Latents active for at least one of the texts."""
    n_texts: int
    cosine: float
    """Mean cosine of an embedding and its reconstruction."""


@dataclass(frozen=True, eq=False, repr=False)
class SAE:
    """A dictionary of directions and the encoder that writes an embedding in them."""

    config: SAEConfig
    W_enc: NDArray[np.float32]  # (n_latents, d_in)
    b_enc: NDArray[np.float32]  # (n_latents,)
    W_dec: NDArray[np.float32]  # (n_latents, d_in); row j is latent j's direction, of length 1
    b_pre: NDArray[np.float32]  # (d_in,)
    threshold: NDArray[np.float32]  # (1,) for all latents, or (n_latents,) one each
    """An activation at or below this counts as 0 in the selection by threshold. A matching pursuit that stops by itself
    stops where what is left is shorter. Nothing else reads it."""
    twin: NDArray[np.float32] | None = None  # (n_latents,), -1 to 1
    """How closely another run, on the same texts from another seed, found each latent again, or the run of a consensus
    that found it least; NaN where that is not known, None where there was no such run. It is no part of what the SAE
    computes; see `agreement.with_twin`."""

    def __repr__(self) -> str:
        c = self.config
        of = f", for {plain(c.encoder, 80)}" if c.encoder else ""
        return f"SAE({c.n_latents:,} latents on {c.d_in:,} dimensions, k={c.k}, by {c.selection}{of})"

    @classmethod
    def load(cls, folder: Path | str) -> SAE:
        """Open an SAE folder; needs no torch and runs nothing that the folder holds.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, "sae")
        weights_file = check_file(folder, manifest, WEIGHTS)
        with damaged(f"{folder} is not a whole SAE ({{}}); fit it again"):
            config = read_record(SAEConfig, manifest.settings["sae"], folder)
            try:
                tensors = load_file(weights_file)
            except SafetensorError as error:
                raise ValueError(error) from error
            sae = cls(
                config,
                **{name: _in_full(tensors[name]) if name in _DIRECTIONS else tensors[name] for name in _TENSORS},
                twin=tensors.get(_TWIN),
            )
        shape = (config.n_latents, config.d_in)
        weights = (sae.W_enc, sae.W_dec, sae.b_enc, sae.b_pre)
        if [t.shape for t in weights] != [shape, shape, shape[:1], shape[1:]]:
            raise CorruptArtifact(f"{folder / WEIGHTS} does not have the shapes {shape} that its config states")
        if any(t.dtype != np.float32 for t in (*weights, sae.threshold)):
            raise CorruptArtifact(
                f"{folder / WEIGHTS} holds numbers that are not float32, as an SAE's are; fit it again"
            )
        if sae.threshold.shape not in ((1,), shape[:1]):
            raise CorruptArtifact(f"{folder / WEIGHTS}: the threshold has the shape {sae.threshold.shape}")
        if not all(np.isfinite(t).all() for t in (*weights, sae.threshold)):
            raise CorruptArtifact(f"{folder / WEIGHTS} holds NaN or infinite values; fit it again")
        if sae.twin is not None:
            _check_twin(sae.twin, shape[:1], folder / WEIGHTS)
        return sae

    def save(
        self,
        folder: Path | str,
        *,
        training: Mapping[str, Any] | None = None,
        made_from: Mapping[str, str] | None = None,
        results: Mapping[str, Any] | None = None,
        replace: bool = True,
    ) -> None:
        """Write the SAE as a folder: `model.safetensors` and `config.json`.

        Args:
            replace: the SAE that is there already.

        Raises:
            BadData: something that is not unweave's is there, or an SAE that is not to be replaced.
        """
        settings = {"sae": asdict(self.config), "training": dict(training or {})}
        with build(Path(folder), "sae", settings=settings, made_from=made_from or {}, replace=replace) as made:
            self.write_weights(made.path / WEIGHTS)
            made.results.update(results or {})

    def write_weights(self, path: Path, *, half: bool = False) -> None:
        """The five tensors, and the agreement with a twin if there was one, as safetensors.

        Args:
            half: store directions in half precision, in half the space; they are read back as float32.
        """
        names = _TENSORS if self.twin is None else (*_TENSORS, _TWIN)
        tensors = {
            name: np.ascontiguousarray(getattr(self, name), np.float16 if half and name in _DIRECTIONS else np.float32)
            for name in names
        }
        with disk_errors():
            write_atomically(path, lambda aside: save_file(tensors, aside))

    def in_half_precision(self) -> SAE:
        """The SAE that is read back when this one is stored with directions in half precision."""
        W_enc, W_dec = (_in_full(directions.astype(np.float16)) for directions in (self.W_enc, self.W_dec))
        return replace(self, W_enc=W_enc, W_dec=W_dec)

    @cached_property
    def returns(self) -> Mapping[int, bool]:
        """Whether each latent returns, found again by another run; one of which that is not known is missing."""
        if self.twin is None:
            return {}
        known = np.flatnonzero(~np.isnan(self.twin))
        return dict(zip(known.tolist(), (self.twin[known] >= RETURNING).tolist(), strict=True))

    def encode(self, embeddings: NDArray[np.floating[Any]], max_latents: int | None = None) -> csr_array:
        """The latents that each embedding activates.

        Args:
            embeddings: (n, d_in) or one (d_in,), as the encoder gave them.
            max_latents: keep at most so many, the strongest, per text.

        Returns:
            (n, n_latents) sparse, activations > 0, in units of the embedding's length.

        Raises:
            DimensionMismatch: the embeddings are not d_in wide.
            BadData: an embedding is zero or not finite.
        """
        if self.config.selection == MATCHING_PURSUIT and self.config.most_steps is None:
            return pursue(self, embeddings, max_latents, method="matching")
        embeddings = self.checked(embeddings)
        if self.config.selection == MATCHING_PURSUIT:
            return self._pursue_until_it_stops(embeddings, max_latents)
        rows_at_once = min(max(1, _BLOCK_FLOATS // self.config.n_latents), _BLOCK_ROWS, len(embeddings))
        products = np.empty((rows_at_once, self.config.n_latents), dtype=np.float32)
        blocks = [
            self._encode_block(embeddings[a:b], products[: b - a])
            for a, b in cores.spans(len(embeddings), max(1, rows_at_once))
        ]
        if not blocks:
            return csr_array((0, self.config.n_latents), dtype=np.float32)
        latents = csr_array(vstack(blocks, format="csr"))
        return latents if max_latents is None else strongest(latents, max_latents)

    def decode(self, latents: csr_array) -> NDArray[np.float32]:
        """Reconstructed embeddings, (n, d_in), from latents, (n, n_latents)."""
        return np.asarray(latents @ self.W_dec, dtype=np.float32) + self.b_pre

    def reconstruct(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """x_hat for each embedding, (n, d_in)."""
        return self.decode(self.encode(embeddings))

    def measure(self, embeddings: NDArray[np.floating[Any]]) -> Reconstruction:
        """NMSE, L0 and live latents over these embeddings, (n, d_in)."""
        embeddings = self.checked(embeddings)
        latents = self.encode(embeddings)
        reconstructed = self.decode(latents)
        residual = embeddings - reconstructed
        centred = embeddings - embeddings.mean(axis=0)
        spread = float(np.square(centred, dtype=np.float64).sum())
        return Reconstruction(
            nmse=float(np.square(residual, dtype=np.float64).sum()) / spread if spread else None,
            l0=latents.nnz / len(embeddings),
            live_latents=len(np.unique(latents.indices)),
            n_texts=len(embeddings),
            cosine=_mean_cosine(embeddings, reconstructed),
        )

    def checked(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The embeddings as (n, d_in) float32, if this SAE can read them; raises as `encode` does."""
        embeddings = np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
        if embeddings.ndim != 2 or embeddings.shape[1] != self.config.d_in:
            raise DimensionMismatch(
                f"embeddings of shape {embeddings.shape} came in but this SAE reads (n, {self.config.d_in}); "
                f"were they made by another encoder than {self.config.encoder or 'the one it was trained on'}?"
            )
        refuse_unusable(embeddings, "embeddings to encode")
        return embeddings

    def _pursue_until_it_stops(self, embeddings: NDArray[np.float32], max_latents: int | None) -> csr_array:
        config = self.config
        steps = config.most_steps or config.k
        if max_latents is not None:
            steps = min(steps, max_latents)  # a step brings one latent at most
        rows_at_once = max(_PURSUED_AT_ONCE, _PURSUIT_FLOATS // config.n_latents)
        blocks = [
            pursue_until(
                embeddings[a:b] - self.b_pre, self.W_dec, steps, float(self.threshold.max()),
                at_repeat=config.stops_at_repeat,
            )
            for a, b in cores.spans(len(embeddings), rows_at_once)
        ]  # fmt: skip
        return csr_array(vstack(blocks, format="csr")) if blocks else csr_array((0, config.n_latents), dtype=np.float32)

    def _encode_block(self, block: NDArray[np.float32], products: NDArray[np.float32]) -> csr_array:
        np.matmul(block - self.b_pre, self.W_enc.T, out=products)
        if self.config.selection == TOP_K:
            found = kernels.strongest_entries(products, self.b_enc, self.config.k)
        else:
            found = kernels.entries_above(products, self.b_enc, self._floor, _ROOM * self.config.k)
        return csr_array((found.values, found.columns, found.offsets), shape=products.shape)

    @cached_property
    def _floor(self) -> NDArray[np.float32]:
        return np.broadcast_to(np.maximum(self.threshold, 0), self.b_enc.shape).astype(np.float32)


def _in_full(tensor: NDArray[Any]) -> NDArray[Any]:
    """A tensor that was stored in half precision as float32, any other as it is."""
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def _check_twin(twin: NDArray[np.float32], shape: tuple[int, ...], path: Path) -> None:
    """Refuse what is no agreement of each latent with a twin: cosines, NaN where none is known."""
    if twin.shape != shape or twin.dtype != np.float32 or not (np.isnan(twin) | (np.abs(twin) <= 1)).all():
        raise CorruptArtifact(
            f"{path}: twin is {twin.dtype} of the shape {twin.shape}; expected a cosine or NaN of each of the "
            f"{shape[0]:,} latents, in float32; fit it again"
        )


def strongest(latents: csr_array, most: int) -> csr_array:
    """Keep at most `most` latents a row, those with the highest activations; ties keep the lower latent."""
    lengths = np.diff(latents.indptr)
    if latents.nnz == 0 or lengths.max() <= most:
        return latents
    rows = np.repeat(np.arange(latents.shape[0]), lengths)
    order = np.lexsort((latents.indices, -latents.data, rows))
    rank = np.arange(latents.nnz) - np.repeat(latents.indptr[:-1], lengths)
    kept = np.sort(order[rank < most])
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return csr_array((latents.data[kept], latents.indices[kept], offsets), shape=latents.shape)


def _mean_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Mean over the rows, (n, d_in); a row of zeros has no direction and counts 0."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("nd,nd->n", left, right)
    return float(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).mean())


def pursue(
    sae: SAE,
    embeddings: NDArray[np.floating[Any]],
    k: int | None = None,
    method: str = ORTHOGONAL,
    *,
    exact: bool = False,
    most_gram_bytes: int = MOST_GRAM_BYTES,
) -> csr_array:
    """The latents that a pursuit finds for each embedding; `sae.decode` makes the reconstructions.

    Only W_dec and b_pre are read, neither the encoder's weights nor a threshold. The Gram matrix is calculated on the
    first call and kept as long as the SAE itself.

    Args:
        sae: a trained dictionary; its directions may have any length.
        embeddings: (n, d_in) or one (d_in,), as the encoder gave them.
        k: at most so many latents per embedding; the SAE's own k if None.
        method: `orthogonal` (least error), `gradient` or `matching` (what an MP-SAE was trained with).
        exact: look at every latent in every step, not only at the candidates; several times slower.
        most_gram_bytes: the Gram matrix takes 4 n_latents^2 bytes; above this it is not stored.

    Returns:
        (n, n_latents) sparse, activations > 0, columns ascending.

    Raises:
        DimensionMismatch: the embeddings are not d_in wide.
        BadData: an embedding is zero or not finite.
        ValueError: k or the method is not among those there are.
    """
    n_latents = sae.config.n_latents
    k = sae.config.k if k is None else k
    if not 0 < k <= n_latents:
        raise ValueError(f"k must be between 1 and n_latents={n_latents}, got {k}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    embeddings = sae.checked(embeddings)
    dictionary = _dictionary_of(sae, with_gram=4 * n_latents**2 <= most_gram_bytes)
    rows_at_once = max(_PURSUED_AT_ONCE, _PURSUIT_FLOATS // n_latents)
    blocks = [
        dictionary.pursue(embeddings[a:b], k, method, EXACT if exact else SHARE)
        for a, b in cores.spans(len(embeddings), rows_at_once)
    ]
    offsets = np.concatenate([[0], *(block.lengths for block in blocks)]).cumsum()
    latents = np.concatenate([np.empty(0, np.int32), *(block.latents for block in blocks)])
    values = np.concatenate([np.empty(0, np.float32), *(block.values for block in blocks)])
    return csr_array((values, latents, offsets), shape=(len(embeddings), n_latents))


_dictionaries: WeakKeyDictionary[SAE, Dictionary] = WeakKeyDictionary()
_making_a_dictionary = Lock()


def _dictionary_of(sae: SAE, *, with_gram: bool) -> Dictionary:
    """The SAE's directions at length 1 and their Gram matrix, made once."""
    no_gram = np.empty((0, 0), np.float32)
    with _making_a_dictionary:
        known = _dictionaries.get(sae)
        if known is None:
            lengths = np.linalg.norm(sae.W_dec, axis=1)
            scales = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            known = Dictionary(sae.W_dec * scales[:, None], scales, sae.b_pre, no_gram)
        if with_gram and not len(known.gram):
            known = replace(known, gram=known.directions @ known.directions.T)
        _dictionaries[sae] = known
    return known if with_gram else replace(known, gram=no_gram)
