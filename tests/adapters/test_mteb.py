"""MTEB's own evaluation of our search, on a task that is made here."""

from __future__ import annotations

import pytest

pytest.importorskip("mteb", reason="mteb is not installed")

import mteb
from datasets import Dataset
from kept_demo import run_example
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.models.models_protocols import SearchProtocol

from unweave.adapters.mteb import ConceptSearch
from unweave.errors import MissingArtifact

pytestmark = pytest.mark.filterwarnings("ignore")  # of MTEB's own dependencies

TEXTS = ["Bread rises in a hot oven.", "A turbine turns wind into power.", "Rivers run to the sea.",
         "Kings wear crowns of gold."] * 10  # fmt: skip
CORPUS = Dataset.from_list([{"id": f"d{i}", "title": "", "text": f"{text} {i}"} for i, text in enumerate(TEXTS)])
QUERIES = Dataset.from_list([{"id": "q", "text": "how is electricity made from wind"}])
RELEVANT = {f"d{i}": 1 for i in range(1, 40, 4)}


class Local(AbsTaskRetrieval):
    """A retrieval task of forty sentences."""

    metadata = mteb.TaskMetadata(
        name="Local", description="Forty sentences.", reference=None, type="Retrieval", category="t2t",
        dataset={"path": "local", "revision": "1"}, eval_splits=["test"], eval_langs=["eng-Latn"],
        main_score="ndcg_at_10", date=None, domains=None, task_subtypes=None, license=None, annotations_creators=None,
        dialect=None, sample_creation=None, bibtex_citation=None,
    )  # fmt: skip

    def load_data(self, **_):
        split = {"corpus": CORPUS, "queries": QUERIES, "relevant_docs": {"q": RELEVANT}, "top_ranked": None}
        self.dataset, self.data_loaded = {"default": {"test": split}}, True


def test_the_example_runs():
    assert float(run_example("mteb", mteb=mteb, tasks=[Local()])) > 0.9


def test_it_is_a_model_in_the_sense_of_mteb():
    model = ConceptSearch()
    assert isinstance(model, SearchProtocol)
    assert model.mteb_model_meta.name == "unweave/search"


def test_hits_are_those_of_the_project_and_a_reranking_task_gets_its_own():
    model = ConceptSearch("dense")
    with pytest.raises(MissingArtifact, match="call index first"):
        model.search(QUERIES, top_k=3)
    model.index(
        CORPUS, task_metadata=Local.metadata, hf_split="test", hf_subset="default", encode_kwargs={}, num_proc=1
    )
    asked = {"task_metadata": Local.metadata, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {},
             "num_proc": 1}  # fmt: skip
    found = model.search(QUERIES, top_k=3, **asked)
    hits = model.project.search(QUERIES[0]["text"], 3, system="dense")
    assert found == {"q": {hit.passage.passage_id: pytest.approx(hit.score) for hit in hits}}
    reranked = model.search(QUERIES, top_k=2, top_ranked={"q": ["d0", "d2", "d1"]}, **asked)
    assert next(iter(reranked["q"])) == "d1" and len(reranked["q"]) == 2
