"""Spans as the SDK's own exporter receives them, under the names of both conventions."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
pytest.importorskip("openinference.semconv.trace", reason="openinference is not installed")

from kept_demo import QUERY, assert_adds_up, kept, run_example
from openinference.semconv import trace as conventions
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from unweave.adapters.opentelemetry import traced_hits, traced_search
from unweave.errors import BadData
from unweave.texts.hits import EngineHit

OF, ATTRIBUTES = conventions.SpanAttributes, conventions.DocumentAttributes


@pytest.fixture
def received():
    """A tracer, and a function that gives the attributes of the one span that was received, and the span."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def one():
        (span,) = exporter.get_finished_spans()
        return dict(span.attributes), span

    return provider.get_tracer("tests"), one


def test_the_example_runs():
    assert "Explanation(concepts score" in run_example("opentelemetry")


def test_a_search_is_a_span_of_both_conventions_that_says_why(received):
    tracer, one = received
    hits = traced_search(kept(), QUERY, 3, tracer=tracer)
    found, span = one()
    assert (span.name, span.kind) == ("retrieval", trace.SpanKind.INTERNAL)
    assert found["gen_ai.operation.name"] == "retrieval"
    assert found["gen_ai.retrieval.query.text"] == found[OF.INPUT_VALUE] == QUERY
    assert found["gen_ai.data_source.id"] == "demo (CL-SR)"
    listed = [{"id": hit.passage.passage_id, "score": hit.score} for hit in hits]
    assert json.loads(found["gen_ai.retrieval.documents"]) == listed
    assert found[OF.OPENINFERENCE_SPAN_KIND] == conventions.OpenInferenceSpanKindValues.RETRIEVER.value
    for at, hit in enumerate(hits):
        document = f"{OF.RETRIEVAL_DOCUMENTS}.{at}."
        assert found[document + ATTRIBUTES.DOCUMENT_ID] == hit.passage.passage_id
        assert found[document + ATTRIBUTES.DOCUMENT_SCORE] == hit.score
        assert found[document + ATTRIBUTES.DOCUMENT_CONTENT] == hit.passage.content
        assert_adds_up(json.loads(found[document + ATTRIBUTES.DOCUMENT_METADATA])["unweave"])


def test_what_another_engine_found_is_explained_in_a_span(received):
    tracer, one = received
    texts = [p.content for p in kept().corpus][:3]
    records = traced_hits(kept(), QUERY, [EngineHit(f"d{i}", text=t) for i, t in enumerate(texts)], engine="Vespa",
                          tracer=tracer)  # fmt: skip
    found, _ = one()
    assert found["gen_ai.data_source.id"] == "Vespa"
    of = json.loads(found[f"{OF.RETRIEVAL_DOCUMENTS}.2.{ATTRIBUTES.DOCUMENT_METADATA}"])["unweave"]
    assert of == records[2].to_dict()
    assert_adds_up(of)


def test_texts_may_be_left_out(received):
    tracer, one = received
    traced_search(kept(), QUERY, 3, texts=False, tracer=tracer)
    found, _ = one()
    assert QUERY not in found.values()
    assert not any(name.endswith((ATTRIBUTES.DOCUMENT_CONTENT, OF.INPUT_VALUE)) for name in found)


def test_of_many_documents_the_span_keeps_what_it_is(received):
    tracer, one = received
    hits = traced_search(kept(), QUERY, 50, system="dense", tracer=tracer)
    found, span = one()
    assert span.dropped_attributes == 0 and found[OF.OPENINFERENCE_SPAN_KIND] == "RETRIEVER"
    assert len(json.loads(found["gen_ai.retrieval.documents"])) == len(hits) == 50


def test_a_failure_is_recorded(received):
    tracer, one = received
    with pytest.raises(BadData):
        traced_search(kept(), QUERY, system="Google", tracer=tracer)
    found, span = one()
    assert (span.status.status_code, found["error.type"]) == (trace.StatusCode.ERROR, "BadData")
