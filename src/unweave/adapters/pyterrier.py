"""PyTerrier: our search as a transformer, and a transformer that explains what any retriever found.

An example, with a project in the folder `demo`:

    explained = ConceptRetriever("demo", num_results=3) >> ExplainResults("demo")
    print(explained.search("wind power")[["docno", "score", "unweave"]])
"""

from __future__ import annotations

from pathlib import Path

from unweave.adapters.needed import needed
from unweave.adapters.record import KEY, Record, explained
from unweave.adapters.source import Source, explainer_of, project_of
from unweave.explaining.engine_hits import AUTO
from unweave.project import Project
from unweave.texts.hits import EngineHit

with needed("the transformers for PyTerrier", "pyterrier"):
    import pandas as pd
    import pyterrier as pt


class ConceptRetriever(pt.Transformer):
    """Queries to results, by a project's search, with each document's text."""

    def __init__(self, source: Project | Path | str, num_results: int = 1000, system: str = "CL-SR") -> None:
        """Take a project, or its folder, how many documents to find at most, and a system."""
        self.source, self.num_results, self.system = source, num_results, system

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        pt.validate.query_frame(inp, extra_columns=["query"])
        of = project_of(self.source)
        asked = dict(zip(inp["qid"], inp["query"], strict=True))
        run = of.search_all(asked, self.num_results, system=self.system) if asked else {}
        rows = [(qid, docno, score, _text(of, docno)) for qid, hits in run.items() for docno, score in hits.items()]
        found = pd.DataFrame(rows, columns=["qid", "docno", "score", "text"]).astype({"qid": object, "score": float})
        return pt.model.add_ranks(inp.merge(found, on="qid"))


class ExplainResults(pt.Transformer):
    """Results that have texts to the same results with a column of records that explain them."""

    def __init__(self, source: Source, measure: str = AUTO) -> None:
        """Take what explains, and how the results were scored; see `explaining.engine_hits.MEASURES`."""
        self.source, self.measure = source, measure

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        pt.validate.result_frame(inp, extra_columns=["query", "text"])
        results = inp.reset_index(drop=True)
        records: dict[int, Record] = {}
        for query, of_query in results.groupby("query", sort=False):
            columns = zip(of_query["docno"], of_query["score"], of_query["text"], strict=True)
            hits = [EngineHit(docno, float(score), text=text or "") for docno, score, text in columns]
            found = explained(explainer_of(self.source), query, hits, measure=self.measure)
            records |= dict(zip(of_query.index, found, strict=True))
        return results.assign(**{KEY: [records[at].to_dict() for at in results.index]})


def _text(of: Project, docno: str) -> str:
    position = of.corpus.position(docno)
    return "" if position is None else of.corpus[position].content
