"""The query side of concept search alone: an SAE and the idf of an index, for engines that hold the passages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.arrays import save_array
from unweave.base.artifact import checked_array, damaged, read_manifest
from unweave.base.building import build
from unweave.base.stored import read_record
from unweave.errors import CorruptArtifact, DimensionMismatch
from unweave.index.concept_index import ConceptIndex
from unweave.index.query import ConceptQuery, weighted
from unweave.index.scoring import Scoring
from unweave.sae.model import SAE, strongest
from unweave.sae.tokens import sum_pooled

KIND = "query-reader"
_SAE, _IDF = "sae", "idf"


@dataclass(frozen=True, eq=False)
class QueryReader:
    """Turns a query's embedding into latents and weights: the sparse vector that passages' impacts are multiplied with.

    It is of one state of an index: where passages are added or deleted, idf changes, and `of` gives a new reader.
    """

    sae: SAE
    idf: NDArray[np.float32]  # (n_latents,)
    scoring: Scoring

    def __post_init__(self) -> None:
        if self.idf.shape != (self.sae.config.n_latents,):
            raise DimensionMismatch(
                f"idf of shape {self.idf.shape} came with an SAE of {self.sae.config.n_latents} latents; was the index "
                "built with another SAE?"
            )

    @classmethod
    def of(cls, sae: SAE, index: ConceptIndex) -> QueryReader:
        """The reader of an index's queries.

        Raises:
            DimensionMismatch: the index was built with an SAE of more or fewer latents.
        """
        return cls(sae, index.idf, index.scoring)

    def read(self, query: NDArray[np.floating[Any]], most: int | None = None) -> ConceptQuery:
        """The latents of a query and their weights, idf * h_q; a weight of 0 is left out.

        Args:
            query: (d_in,), or, where latents are of tokens, (n_tokens, d_in): a text's is the sum of its tokens'.
            most: keep at most so many latents, the strongest.
        """
        return weighted(text_latents(self.sae, query, most), self.idf, self.scoring)

    def save(self, folder: Path | str) -> None:
        """Write a folder: the SAE as `SAE.save` writes it in `sae`, and the idf in `idf.npy`."""
        with build(Path(folder), KIND, settings={"scoring": asdict(self.scoring)}, made_from={}) as made:
            self.sae.save(made.path / _SAE)
            save_array(made.path / f"{_IDF}.npy", self.idf)

    @classmethod
    def load(cls, folder: Path | str) -> QueryReader:
        """Open a folder that `save` wrote; needs neither a project nor an index.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, KIND)
        with damaged(f"{folder} is not a whole {KIND} ({{}}); save it again"):
            scoring = read_record(Scoring, manifest.settings["scoring"], folder)
        idf = checked_array(folder, manifest, _IDF, np.float32)
        try:
            return cls(SAE.load(folder / _SAE), idf, scoring)
        except DimensionMismatch as error:
            raise CorruptArtifact(f"{folder} is not a whole {KIND} ({error}); save it again") from error


def text_latents(sae: SAE, query: NDArray[np.floating[Any]], most: int | None = None) -> csr_array:
    """What one text activates, (1, n_latents), by its vector, (d_in,), or by its tokens, (n_tokens, d_in)."""
    if query.ndim == 1:
        return sae.encode(query, most)
    latents = sum_pooled(sae.encode(query), np.array([0, len(query)]))
    return latents if most is None else strongest(latents, most)
