"""PyTerrier's own pipelines, experiments and artifacts with our parts."""

from __future__ import annotations

import importlib.metadata

import pytest

pytest.importorskip("pyterrier", reason="pyterrier is not installed")

import pandas as pd
import pyterrier as pt
from kept_demo import QUERY, assert_adds_up, kept, run_example
from pyterrier.measures import RR

from unweave.adapters.pyterrier import ConceptRetriever, ExplainResults
from unweave.adapters.pyterrier_index import ConceptIndex, artifact_metadata

pytestmark = pytest.mark.filterwarnings("ignore")  # of pandas and of packages below PyTerrier

DOCUMENTS = [{"docno": f"d{i}", "text": f"{text} {i}"} for i, text in enumerate([
    "Bread rises in a hot oven.", "A turbine turns wind into power.", "Rivers run to the sea.",
    "Kings wear crowns of gold."] * 8)]  # fmt: skip


def test_the_example_runs():
    assert "unweave" in run_example("pyterrier")


def test_results_are_those_of_the_project():
    topics = pd.DataFrame([["q1", QUERY, 1], ["q2", "bytes of an index", 2]], columns=["qid", "query", "mine"])
    found = ConceptRetriever(kept(), 5)(topics)
    for qid, query in (("q1", QUERY), ("q2", "bytes of an index")):
        of_query, hits = found[found.qid == qid], kept().search(query, 5)
        assert of_query.docno.tolist() == [hit.passage.passage_id for hit in hits]
        assert of_query.score.tolist() == pytest.approx([hit.score for hit in hits])
        assert of_query["rank"].tolist() == list(range(5)) and of_query.text.tolist()[0] == hits[0].passage.content
    assert found.mine.tolist() == [1] * 5 + [2] * 5


def test_it_stands_in_pipelines_and_experiments():
    concepts, dense = ConceptRetriever(kept(), 20), ConceptRetriever(kept(), 20, "dense")
    best = kept().search(QUERY, 1, system="dense")[0].passage.passage_id
    topics = pd.DataFrame([["q", QUERY]], columns=["qid", "query"])
    qrels = pd.DataFrame([["q", best, 1]], columns=["qid", "docno", "label"])
    table = pt.Experiment([concepts % 10, dense, concepts + dense], topics, qrels, [RR])
    assert table.RR.tolist()[1] == 1.0
    assert len((concepts % 3).search(QUERY)) == 3
    assert "score" in pt.inspect.transformer_outputs(concepts, ["qid", "query"])


def test_results_of_others_are_explained_in_their_order():
    given = pd.DataFrame(
        [["a", "wind power", "x", 7.5, "A turbine turns wind into power."], ["b", "bread", "y", 3.0, ""],
         ["a", "wind power", "z", 1.0, "Bread rises in an oven."]], columns=["qid", "query", "docno", "score", "text"],
        index=[5, 5, 5],
    )  # fmt: skip
    found = ExplainResults(kept())(given)
    assert found[given.columns].values.tolist() == given.values.tolist()
    assert [one["id"] for one in found.unweave] == ["x", "y", "z"]
    assert found.unweave[1]["explanation"] is None
    for at in (0, 2):
        assert_adds_up(found.unweave[at])
    assert "unweave" in pt.inspect.transformer_outputs(ExplainResults(kept()), list(given.columns))


def test_a_corpus_becomes_an_artifact(tmp_path):
    printed = run_example("pyterrier_index", documents=DOCUMENTS)
    assert "Bread rises" in printed
    again = ConceptIndex.load(kept().path.parent / "index")
    found = (again.retriever(2) >> again.explainer()).search("wind power")
    assert len(found) == 2
    assert_adds_up(found.unweave[0])
    assert again.build_package(str(tmp_path / "packed.tar.lz4"), verbose=False)


def test_a_projects_folder_is_known():
    assert artifact_metadata("demo", ["unweave.toml", "corpus"]) == {"type": "concept_index", "format": "unweave"}
    assert artifact_metadata("other", ["data.properties"]) is None
    if not importlib.metadata.entry_points(group="pyterrier.artifact", name="concept_index.unweave"):
        pytest.skip("this package was installed before it had entry points for PyTerrier")
    assert isinstance(pt.Artifact.load(str(kept().path)), ConceptIndex)
