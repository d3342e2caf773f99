"""One request by concepts, embedding and words, put to each engine that runs here: three known rankings, fused."""

from __future__ import annotations

import engines_here as here
import numpy as np
import pytest
from hybrid_requests import asked

from unweave.cli import engines as commands
from unweave.engines.catalogue import ENGINES
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Question
from unweave.engines.sending import send, shape_of
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES

pytestmark = pytest.mark.filterwarnings("ignore")  # what clients say of their own
RUN = [
    pytest.param(name, marks=pytest.mark.skipif(here.missing(name) is not None, reason=str(here.missing(name))))
    for name in ("qdrant-edge", "qdrant", "postgresql", "milvus")
]
N, WIDTH = 250, 8
TIDES = [50, 40, 30, 20]
"""The only passages about tides, as often as their place from the end says; all texts have as many words."""
TEXT = "it's the 'tides', 100% \\ {x} & (all) of them?"


def words_of(i: int) -> str:
    times = len(TIDES) - TIDES.index(i) if i in TIDES else 0
    return " ".join(["tides"] * times + ["sand"] * (9 - times))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    rows = here.rows_of_latents(N + 2)[2:]  # without the two that are equal, whose order is anybody's
    return ConceptIndex.build(rows, here.ids_of(N), PROFILES["default"], folder=tmp_path_factory.mktemp("i") / "index")


@pytest.fixture(scope="module")
def embeddings():
    return np.random.default_rng(2).normal(size=(N, WIDTH)).astype(np.float32)


def fused(rankings: list[list[int]]) -> dict[int, float]:
    """Reciprocal rank fusion, by its formula."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, i in enumerate(ranking[:DEPTH], 1):
            scores[i] = scores.get(i, 0) + 1 / (RANK_CONSTANT + rank)
    return scores


@pytest.mark.parametrize("parts", ["concepts, embedding and words", "concepts and embedding", "concepts and words"])
@pytest.mark.parametrize("name", RUN)
def test_a_hybrid_request_fuses_the_rankings(name, parts, index, embeddings, tmp_path):
    dense, texts = "embedding" in parts, "words" in parts
    ids, weights = here.ids_of(N), here.queries(3)[[2]]
    at = {passage_id: i for i, passage_id in enumerate(ids)}
    question = Question(weights, TEXT if texts else None, embeddings[7] + 0.5 if dense else None)
    rankings = [index.hits(weights.indices, weights.data, DEPTH).passages.tolist()]
    rankings += [np.argsort(-(embeddings @ question.embedding)).tolist()] if dense else []
    rankings += [TIDES] if texts else []
    scores = fused(rankings)
    with here.running(name, tmp_path) as engine:
        send(
            index, engine, shape_of(index, "", WIDTH if dense else 0, texts),
            lambda of: [{"title": "", "text": words_of(at[one]) if texts else ""} for one in of],
            embeddings_of=(lambda of: embeddings[[at[one] for one in of]]) if dense else None,
        )  # fmt: skip
        found = asked(name, engine, engine.hybrid(question, 10))
    assert found.scores == pytest.approx(sorted(scores.values(), reverse=True)[:10], rel=1e-5)
    assert [scores[at[one]] for one in found.ids] == pytest.approx(found.scores, rel=1e-5)
    if texts:
        assert ids[TIDES[0]] in found.ids


def test_what_has_no_place_for_embeddings_has_no_such_option():
    assert {name for name, kind in ENGINES.items() if not kind.dense} == commands._NO_EMBEDDINGS
    for command in commands.ENGINE_COMMANDS:
        assert ("--dense" in [o for p in command.params for o in p.opts]) == ENGINES[command.name].dense
