"""Codes: what every passage is made of, in three bytes a concept, to score it against a whole query.

    score(q, d) = <q, x_hat_d> = sum_j z_dj <q, w_j> + <q, b_pre>

The query stays dense, only passages are coded, as in the asymmetric distance of product quantisation (Jégou et al.
2011). Each term is one concept's, so what the score is made of is exact. Codes are found by orthogonal pursuit, see
`sae.pursuit`, and stretched so that x_hat_d is as long as the embedding it stands for: what a code leaves out would
otherwise count against the passage.

    latents.npy      (n_passages, k) uint16, or uint32 from 65,536 latents on; the strongest first
    activations.npy  (n_passages, k) uint8: activations over the passage's scale; 0: no more latents
    scales.npy       (n_passages,) float32
    sums.npy         the sums of the pages of these three, see `base.pages`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from unweave.base import progress
from unweave.base.arrays import ArrayWriter
from unweave.base.artifact import damaged, read_manifest
from unweave.base.building import build
from unweave.base.cores import spans
from unweave.base.files import write_atomically
from unweave.base.pages import Checked, in_memory, open_checked, whole, write_sums
from unweave.errors import CorruptArtifact
from unweave.index.segment import Entries
from unweave.sae.model import pursue

if TYPE_CHECKING:
    from unweave.sae.model import SAE

KIND = "codes"
_MOST = 255
_PASSAGES_AT_ONCE = 2048
_CHECKED_BITS = 6
"""So many lower bits number the passages that are checked together."""


class Codes:
    """The code of each passage, memory-mapped and compared with what was written as it is read."""

    def __init__(self, latents: Checked, activations: Checked, scales: Checked, n_latents: int) -> None:
        self._latents, self._activations, self._scales = latents, activations, scales
        self._n_latents = n_latents
        self._sound = np.zeros((len(scales) >> _CHECKED_BITS) + 1, np.uint8)  # 1 where codes were found fit to read

    @classmethod
    def of(cls, codes: csr_array) -> Codes:
        """Round activations, (n_passages, n_latents), to 8 bits of each passage's strongest."""
        n, n_latents = codes.shape
        lengths = np.diff(codes.indptr)
        k = int(lengths.max(initial=0))
        rows = np.repeat(np.arange(n), lengths)
        order = np.lexsort((codes.indices, -codes.data, rows))
        places = np.arange(codes.nnz) - np.repeat(codes.indptr[:-1], lengths)
        latents = np.zeros((n, k), _id_type(n_latents))
        values = np.zeros((n, k), np.float32)
        latents[rows, places], values[rows, places] = codes.indices[order], codes.data[order]
        scales = (values.max(axis=1, initial=0) / _MOST).astype(np.float32)
        steps = np.divide(values, scales[:, None], out=np.zeros_like(values), where=scales[:, None] > 0)
        activations = np.rint(steps).astype(np.uint8)
        return cls(in_memory(latents), in_memory(activations), in_memory(scales), n_latents)

    @classmethod
    def load(cls, folder: Path) -> Codes:
        """Open what `write_codes` wrote; no more of it is read than a search asks for.

        Raises:
            MissingArtifact, CorruptArtifact: there are none, or they are damaged.
        """
        manifest = read_manifest(folder, KIND)
        with damaged(f"{folder} does not say how many latents there are ({{}}); rebuild it"):
            n_latents = int(manifest.settings["n_latents"])
        opened = open_checked(folder, manifest, _files(n_latents))
        latents, activations, scales = opened.values()
        if latents.shape != activations.shape or latents.shape[:1] != scales.shape:
            raise CorruptArtifact(f"{folder}: its three arrays do not fit together; rebuild it")
        return cls(latents, activations, scales, n_latents)

    def _write_part(self, path: Path) -> None:
        arrays = {name: getattr(self, f"_{name}").whole() for name in ("latents", "activations", "scales")}
        with path.open("wb") as file:  # given a name, savez would add an ending to it
            np.savez(file, **arrays)

    def __len__(self) -> int:
        return len(self._scales)

    @property
    def bytes(self) -> int:
        """Their size, in memory as on disk."""
        return int(self._latents.nbytes + self._activations.nbytes + self._scales.nbytes)

    def reconstructed(self, products: NDArray[np.float64], passages: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum of activation * product over the latents of each passage, (n,).

        With the products W_dec q, this is (x_hat - b_pre) . q.

        Args:
            products: (n_latents,).
            passages: (n,) positions.

        Raises:
            CorruptArtifact: a code is not what was written, or has a latent that is not there.
        """
        scores = np.empty(len(passages))
        codes = self._latents.paged, self._activations.paged, self._scales.paged
        if not _score(*codes, self._latents.shape[1], self._sound, products[: self._n_latents], passages, scores):
            raise CorruptArtifact(
                f"the codes do not match their checksums, or have a latent that is not among the {self._n_latents:,} "
                "of their dictionary: they were changed; rebuild them"
            )
        return scores

    def row(self, passage: int) -> Entries:
        """What one passage is made of, the strongest first, as it is scored.

        Raises:
            CorruptArtifact: its code is not what was written, or has a latent that is not there.
        """
        self.reconstructed(np.zeros(self._n_latents), np.array([passage]))  # which checks it
        activations = self._activations.at(passage)
        n = int(np.count_nonzero(activations))
        latents = self._latents.at(passage)[:n].astype(np.int64)
        return Entries(latents, activations[:n].astype(np.float32) * self._scales.at(passage))


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _score(latents, activations, scales, k, sound, products, passages, scores):  # type: ignore[no-untyped-def]
    """Fill scores, (n,) float64; False if a code is unfit. Codes are checked, many at once, when first read."""
    for i in range(len(passages)):
        passage = passages[i]
        if sound[passage >> _CHECKED_BITS] == 0:
            first = passage >> _CHECKED_BITS << _CHECKED_BITS
            if not _fit(latents, activations, scales, k, len(products), first):
                return False
            sound[passage >> _CHECKED_BITS] = 1
        total = 0.0
        for j in range(passage * k, (passage + 1) * k):
            total += np.float64(activations.data[j]) * products[latents.data[j]]
        scores[i] = total * np.float64(scales.data[passage])
    return True


@njit(nogil=True, cache=True)
def _fit(latents, activations, scales, k, n_latents, first):  # type: ignore[no-untyped-def]
    """Whether the codes that are checked together are as they were written, and fit the dictionary."""
    last = min(first + (1 << _CHECKED_BITS), len(scales.data))
    size = latents.data.itemsize
    if (
        not whole(latents.data.view(np.uint8), latents.sums, latents.seen, first * k * size, last * k * size)
        or not whole(activations.data, activations.sums, activations.seen, first * k, last * k)
        or not whole(scales.data.view(np.uint8), scales.sums, scales.seen, first * 4, last * 4)
    ):
        return False
    for entry in range(first * k, last * k):  # noqa: SIM110 - Numba compiles no generator
        if latents.data[entry] >= n_latents:
            return False
    return True


def _files(n_latents: int) -> dict[str, tuple[Any, int]]:
    return {"latents": (_id_type(n_latents), 2), "activations": (np.uint8, 2), "scales": (np.float32, 1)}


def write_codes(
    folder: Path, n_passages: int, codes_of: Callable[[int, int], csr_array], *, settings: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> None:  # fmt: skip
    """Find and store codes, some passages at a time; a killed run goes on after the last of these.

    Args:
        codes_of: called with (start, end), returns the codes of passages start to end - 1, (end - start, n_latents).
        settings: with `n_latents`.
    """
    with build(folder, KIND, settings=settings, made_from=made_from) as made:
        pieces = spans(n_passages, _PASSAGES_AT_ONCE)
        parts = [made.path / f"part-{number:06d}.npz" for number in range(len(pieces))]
        done = sum(end - start for (start, end), part in zip(pieces, parts, strict=True) if part.exists())
        with progress.steps("coding passages", total=n_passages, unit="passages", done=done) as advance:
            for (start, end), part in zip(pieces, parts, strict=True):
                if not part.exists():
                    write_atomically(part, Codes.of(codes_of(start, end))._write_part)
                    made.checkpoint()
                    advance(end - start)
        size = _join(made.path, parts, int(settings["n_latents"]))
        for part in parts:
            part.unlink()
        write_sums(made.path, _files(int(settings["n_latents"])))
        made.results.update(n_passages=n_passages, bytes_per_passage=size)


def _join(folder: Path, parts: list[Path], n_latents: int) -> int:
    """Write the three arrays of all parts, each code filled up with 0 to the longest; returns its bytes a passage."""
    k = 0
    for part in parts:
        with np.load(part) as piece:
            k = max(k, piece["latents"].shape[1])
    with (
        ArrayWriter(folder / "latents.npy", _id_type(n_latents), k) as latents,
        ArrayWriter(folder / "activations.npy", np.uint8, k) as activations,
        ArrayWriter(folder / "scales.npy", np.float32) as scales,
    ):
        for part in parts:
            with np.load(part) as piece:
                missing = ((0, 0), (0, k - piece["latents"].shape[1]))
                latents.append(np.pad(piece["latents"], missing))
                activations.append(np.pad(piece["activations"], missing))
                scales.append(piece["scales"])
    return k * (np.dtype(_id_type(n_latents)).itemsize + 1) + 4


def _id_type(n_latents: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if n_latents <= 1 << 16 else np.uint32


def coded(sae: SAE, embeddings: NDArray[np.float32], k: int) -> csr_array:
    """Codes of embeddings, (n, d_in), of at most k latents each and as long as what they stand for; (n, n_latents)."""
    return as_long(sae, embeddings, pursue(sae, embeddings, k))


def as_long(sae: SAE, embeddings: NDArray[np.float32], codes: csr_array) -> csr_array:
    """Stretch each code so that what it decodes to is as long as the embedding: |c z W_dec + b_pre| = |x|.

    A code for which no factor c > 0 does is left as it is.
    """
    decoded = (codes @ sae.W_dec).astype(np.float64)
    bias = sae.b_pre.astype(np.float64)
    a = np.square(decoded).sum(axis=1)
    b = decoded @ bias
    c = bias @ bias - np.square(embeddings, dtype=np.float64).sum(axis=1)
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = (np.sqrt(discriminant) - b) / a
    factors = np.where(np.isfinite(factors) & (factors > 0), factors, 1.0).astype(np.float32)
    return csr_array(diags_array(factors) @ codes)
