"""OpenTelemetry: a search, or what any retriever found, as a span that says why, for whatever shows traces.

It is `gen_ai.retrieval` of OpenTelemetry's conventions, and a RETRIEVER of OpenInference's, which Phoenix, Langfuse and
Arize read. The record is in each document's metadata. An example, with a project in the folder `demo`:

    hits = traced_search(Project.open("demo"), "wind power", cutoff=3)
    print(hits[0].explanation)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from unweave.adapters.needed import needed
from unweave.adapters.record import KEY, Explainer, Record, explained, record_of
from unweave.base.records import Hit, HitList
from unweave.explaining.engine_hits import AUTO
from unweave.project import Project
from unweave.texts.hits import EngineHit

with needed("tracing", "opentelemetry"):
    from opentelemetry.trace import Span, Tracer, get_tracer

_MOST_DOCUMENTS = 24
"""Documents with attributes of their own: a span keeps 128 attributes and would drop its first."""


def traced_search(
    project: Project, query: str, cutoff: int = 10, *, system: str = "CL-SR", texts: bool = True,
    tracer: Tracer | None = None,
) -> HitList[Hit]:  # fmt: skip
    """Search and explain as `Project.search` does, in a span.

    Args:
        texts: whether the span holds the texts of query and passages.
        tracer: by default the application's own.
    """
    with _retrieval(query, f"{project.path.name} ({system})", texts, tracer) as span:
        hits = project.search(query, cutoff, system=system, explain=True)
        _set_documents(span, [(record_of(hit), hit.score, hit.passage.content) for hit in hits], texts)
    return hits


def traced_hits(
    source: Explainer, query: str, hits: Sequence[EngineHit], *, engine: str = "retriever", measure: str = AUTO,
    texts: bool = True, tracer: Tracer | None = None,
) -> list[Record]:  # fmt: skip
    """Explain what an engine found as `adapters.record.explained` does, in a span; the rest as for `traced_search`.

    Args:
        engine: its name, for the span.
    """
    with _retrieval(query, engine, texts, tracer) as span:
        records = explained(source, query, hits, measure=measure)
        found = [(r, h.score, f"{h.title} {h.text}".strip()) for r, h in zip(records, hits, strict=True)]
        _set_documents(span, found, texts)
    return records


@contextmanager
def _retrieval(query: str, data_source: str, texts: bool, tracer: Tracer | None) -> Iterator[Span]:
    about = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": data_source,
             "openinference.span.kind": "RETRIEVER"}  # fmt: skip
    about |= {"gen_ai.retrieval.query.text": query, "input.value": query} if texts else {}
    with (tracer or get_tracer("unweave")).start_as_current_span("retrieval", attributes=about) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            raise


def _set_documents(span: Span, found: Sequence[tuple[Record, float | None, str]], texts: bool) -> None:
    listed = [{"id": record.id, "score": score} for record, score, _ in found]
    span.set_attribute("gen_ai.retrieval.documents", json.dumps(listed))
    for at, (record, score, text) in enumerate(found[:_MOST_DOCUMENTS]):
        about: list[tuple[str, str | float]] = [("id", record.id), ("metadata", json.dumps({KEY: record.to_dict()}))]
        about += ([] if score is None else [("score", score)]) + ([("content", text)] if texts else [])
        span.set_attributes({f"retrieval.documents.{at}.document.{name}": value for name, value in about})
