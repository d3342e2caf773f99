"""An inverted index of concepts: for each latent, the passages that have it, with their impacts.

The plain NumPy reference: exact, three flat arrays. A faster engine keeps the same two verbs, `build` and `search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.artifact import MANIFEST, build, load_array, read_manifest
from unweave.errors import CorruptArtifact
from unweave.index.scoring import Scoring

_ARRAYS = ("offsets", "passages", "impacts")


class Hits(NamedTuple):
    """Passages found for one query, best first; equal scores keep corpus order."""

    passages: NDArray[np.int64]  # (n_hits,) positions in the corpus, n_hits <= cutoff
    scores: NDArray[np.float32]  # (n_hits,) non-increasing


@dataclass(frozen=True, eq=False)
class InvertedIndex:
    """Latent j's posting list is passages[offsets[j] : offsets[j + 1]], ascending, without repeats,
    with the matching slice of impacts.
    """

    scoring: Scoring
    offsets: NDArray[np.int64]  # (n_latents + 1,)
    passages: NDArray[np.int32]  # (n_postings,) positions in the corpus
    impacts: NDArray[np.float32]  # (n_postings,) > 0
    n_passages: int

    @classmethod
    def build(cls, impacts: csr_array, scoring: Scoring) -> Self:
        """Index a corpus. impacts: (n_passages, n_latents), > 0 where stored."""
        lists = impacts.tocsc()
        lists.sort_indices()
        offsets, passages = lists.indptr.astype(np.int64), lists.indices.astype(np.int32)
        return cls(scoring, offsets, passages, lists.data.astype(np.float32), impacts.shape[0])

    @property
    def document_frequency(self) -> NDArray[np.int64]:
        """How many passages have each latent, (n_latents,)."""
        return np.diff(self.offsets)

    def search(self, latents: NDArray[np.integer[Any]], weights: NDArray[np.float32], cutoff: int = 10) -> Hits:
        """The best `cutoff` passages that share a latent with the query; may be fewer, or none."""
        scores = self.scores(latents, weights)
        return best(scores, np.flatnonzero(scores), cutoff)

    def scores(self, latents: NDArray[np.integer[Any]], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Every passage's score, (n_passages,): the sum of weight * impact over shared latents."""
        # Summed in double precision: with negative weights little may be left of large terms.
        scores = np.zeros(self.n_passages)
        for latent, weight in zip(latents, weights.astype(np.float64), strict=True):
            postings = slice(self.offsets[latent], self.offsets[latent + 1])
            scores[self.passages[postings]] += weight * self.impacts[postings]
        return scores.astype(np.float32)

    def impact(self, latent: int, passage: int) -> float:
        """The impact of one latent in one passage; 0 where it is not stored."""
        start, end = int(self.offsets[latent]), int(self.offsets[latent + 1])
        place = start + int(np.searchsorted(self.passages[start:end], passage))
        return float(self.impacts[place]) if place < end and self.passages[place] == passage else 0.0

    def save(self, folder: Path, *, made_from: Mapping[str, str], results: Mapping[str, int] | None = None) -> None:
        """Write the index as a folder of three arrays and its scoring; `results` are kept for people to read."""
        settings = {"scoring": asdict(self.scoring), "n_passages": self.n_passages}
        with build(folder, "index", settings=settings, made_from=made_from) as made:
            for name in _ARRAYS:
                np.save(made.path / f"{name}.npy", getattr(self, name))
            made.results.update(n_postings=len(self.passages), **(results or {}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open an index, memory-mapped.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        manifest = read_manifest(folder, "index")
        offsets, passages, impacts = (load_array(folder / f"{name}.npy", "index") for name in _ARRAYS)
        try:
            scoring = Scoring(**manifest.settings["scoring"])
            n_passages = int(manifest.settings["n_passages"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{folder / MANIFEST} does not state an index ({error}); build it again") from error
        if not (
            offsets.ndim == passages.ndim == impacts.ndim == 1
            and len(offsets)
            and offsets[0] == 0
            and (np.diff(offsets) >= 0).all()
            and offsets[-1] == len(passages) == len(impacts)
            and (not len(passages) or 0 <= passages.min() <= passages.max() < n_passages)
        ):
            raise CorruptArtifact(f"{folder}: its three arrays do not fit together; build the index again")
        return cls(scoring, offsets, passages, impacts, n_passages)


def best(scores: NDArray[np.float32], candidates: NDArray[np.int64], cutoff: int) -> Hits:
    """The `cutoff` candidates of highest score; equal scores keep corpus order.

    Args:
        scores: (n_passages,), of which those of the candidates are read.
        candidates: (n_candidates,) ascending positions.
    """
    if cutoff < 1:
        raise ValueError(f"cutoff must be at least 1, got {cutoff}")
    found = scores[candidates]
    if len(found) > cutoff:
        # All that reach the cutoff-th score stay, so that ties at the edge are settled by order.
        edge = np.partition(found, len(found) - cutoff)[len(found) - cutoff]
        candidates, found = candidates[found >= edge], found[found >= edge]
    order = np.argsort(-found, kind="stable")[:cutoff]
    return Hits(candidates[order], found[order])
