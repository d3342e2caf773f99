"""scikit-learn: texts or embeddings become activations of named concepts, columns of a sparse matrix.

An example, by the dictionary that comes with the package:

    concepts = ConceptTransformer()
    z = concepts.fit_transform(["A turbine turns wind into power.", "Bread rises in the oven."])
    print(concepts.get_feature_names_out()[z[[0]].indices])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.adapters.needed import needed
from unweave.adapters.source import Source, explainer_of, names_of
from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_NAME
from unweave.config import PRETRAINED
from unweave.errors import BadData
from unweave.sae.model import SAE

with needed("the transformer for scikit-learn", "name"):
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import Tags
    from sklearn.utils.validation import check_is_fitted, validate_data


class ConceptTransformer(TransformerMixin, BaseEstimator):
    """Reads texts, or their embeddings, by the concepts of a dictionary or of a project; nothing is trained here."""

    def __init__(self, source: Source = PRETRAINED, max_latents: int | None = None) -> None:
        """Note what to read with, and how many latents of each text to keep at most, its strongest; None: all."""
        self.source = source
        self.max_latents = max_latents

    def fit(self, X: Any, y: Any = None) -> Self:
        """Open the source, and see that it reads what came in."""
        embedded = self._embedded(X, reset=True)
        self.sae_: SAE = explainer_of(self.source).sae
        self.feature_names_ = _unique(names_of(self.source), self.sae_.config.n_latents)
        self.sae_.checked(embedded)
        return self

    def transform(self, X: Any) -> csr_array:
        """Activations, (n, n_latents), of texts or of embeddings, (n, d_in)."""
        check_is_fitted(self)
        return self.sae_.encode(self._embedded(X, reset=False), self.max_latents)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The concepts' names; one that several share, or that is missing, has the latent's number: `name #12`."""
        check_is_fitted(self)
        return self.feature_names_.copy()

    def _embedded(self, X: Any, *, reset: bool) -> NDArray[np.floating[Any]]:
        texts = np.asarray(X)
        if texts.ndim == 1 and texts.size and all(isinstance(text, str) for text in texts):
            encoder = explainer_of(self.source).encoder
            if encoder is None:
                raise BadData("this dictionary has no encoder that embeds texts; give embeddings")
            X = encoder.encode_passages(texts.tolist())
        found: NDArray[np.floating[Any]] = validate_data(self, X, reset=reset, dtype=[np.float32, np.float64])
        return found

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _unique(names: Mapping[int, str], n_latents: int) -> NDArray[np.object_]:
    shown = [plain(names.get(latent, ""), LONGEST_NAME) for latent in range(n_latents)]
    times = Counter(shown)
    return np.array([s if s and times[s] == 1 else f"{s} #{j}".strip() for j, s in enumerate(shown)], object)
