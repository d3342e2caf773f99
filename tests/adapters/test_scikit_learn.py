"""The transformer for scikit-learn, in pipelines and under scikit-learn's own checks."""

from __future__ import annotations

import pickle
from unittest.mock import patch

import numpy as np
import pytest
from scipy.sparse import issparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.base import clone
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from unweave.adapters import scikit_learn
from unweave.adapters.scikit_learn import ConceptTransformer
from unweave.dictionaries.dictionary import Dictionary
from unweave.errors import DimensionMismatch
from unweave.project import Project

TEXTS = ["Wind turbines turn wind into power.", "A wind farm makes electric power.", "Bread rises in a hot oven.",
         "Bakers bake bread of flour."]  # fmt: skip


def test_texts_and_their_embeddings_activate_the_same_concepts(project_folder):
    of = Project.open(project_folder)
    found = ConceptTransformer(of).fit(TEXTS)
    z = found.transform(TEXTS)
    assert issparse(z) and z.shape == (4, of.sae.config.n_latents) and (z.data > 0).all()
    of_embeddings = found.transform(of.encoder.encode_passages(TEXTS))
    np.testing.assert_allclose(z.toarray(), of_embeddings.toarray(), atol=1e-6)
    assert found.transform([TEXTS[0]]).indices.tolist() == z[[0]].indices.tolist()
    few = ConceptTransformer(of, max_latents=3).fit_transform(TEXTS)
    assert (np.diff(few.indptr) <= 3).all()


def test_columns_are_called_by_their_concepts_and_no_two_alike(project_folder):
    of = Project.open(project_folder)
    names = ConceptTransformer(project_folder).fit(TEXTS).get_feature_names_out()
    assert len(set(names)) == len(names) == of.sae.config.n_latents
    for latent, name in of.concepts.items():
        assert names[latent] in (name, f"{name} #{latent}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SciPy, by older versions of scikit-learn
def test_it_is_copied_and_stands_in_a_pipeline(project_folder):
    chosen = make_pipeline(ConceptTransformer(str(project_folder)), SelectKBest(chi2, k=5), LogisticRegression())
    fitted = clone(chosen).fit(TEXTS, [1, 1, 0, 0])
    assert fitted.predict(TEXTS).tolist() == [1, 1, 0, 0]
    assert len(fitted[:-1].get_feature_names_out()) == 5
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(TEXTS), [1, 1, 0, 0])


def test_embeddings_of_another_width_are_refused(project_folder):
    with pytest.raises(DimensionMismatch, match="shape \\(2, 3\\)"):
        ConceptTransformer(project_folder).fit(np.ones((2, 3)))


class OfAnyWidth(ConceptTransformer):
    """Reads what comes in by a random SAE of its width: scikit-learn's checks bring 1 to 10 columns."""

    sae_of = None

    def fit(self, X, y=None):
        width = X.shape[-1] if issparse(X) else np.asarray(X).shape[-1]
        sae = self.sae_of(0, d_in=max(1, width))
        with patch.object(scikit_learn, "explainer_of", lambda _: Dictionary(sae, (), None)):
            return super().fit(X, y)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(random_sae, monkeypatch):
    monkeypatch.setattr(OfAnyWidth, "sae_of", staticmethod(random_sae))
    a_zero_row = {"check_estimators_dtypes": "an embedding of zero, which it brings, has no direction and is refused"}
    done = check_estimator(OfAnyWidth(), on_fail=None, on_skip=None, expected_failed_checks=a_zero_row)
    failed = {one["check_name"]: str(one["exception"]) for one in done if one["status"] == "failed"}
    assert len(done) > 40 and failed == {}
