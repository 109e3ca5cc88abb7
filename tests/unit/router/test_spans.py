from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from mlserver.settings import Settings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infergraph.errors import InvalidInput
from infergraph.request import Deadline, RequestContext
from infergraph.router import PipelineRouter
from infergraph.spans import spans_of
from infergraph.v2 import Message, Tensor
from tests.unit.router.world import CHAIN, Answer, Model, mapping, request
from tests.unit.runtime.workbench import Doubler, load

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Load = Callable[..., Awaitable[PipelineRouter]]
Serve = Callable[[str, Answer], Model]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


def test_without_a_provider_there_are_none() -> None:
    assert spans_of("model", "p", None) is None
    assert spans_of("model", "p", Settings()) is None


async def test_steps_are_children_of_the_pipeline_and_it_of_the_caller(
    exporter: InMemorySpanExporter, serve: Serve, loaded: Load
) -> None:
    double = serve("double", mapping(lambda data: data))
    serve("negate", mapping(np.negative))
    router = await loaded("chain", CHAIN)
    headers = {"traceparent": CALLER, "x-tenant": "a"}
    await router.infer(request(1), RequestContext(headers=headers))

    first, second, whole = exporter.get_finished_spans()
    assert [span.name for span in (first, second, whole)] == [
        "step double",
        "step negate",
        "pipeline chain",
    ]
    assert whole.parent is not None
    assert whole.parent.span_id == int(CALLER.split("-")[2], 16)
    for span in (first, second):
        assert span.parent is not None
        assert span.parent.span_id == whole.context.span_id
        assert span.context.trace_id == int(CALLER.split("-")[1], 16)
    assert first.attributes is not None
    assert dict(first.attributes) == {
        "infergraph.pipeline": "chain",
        "infergraph.step": "double",
        "infergraph.transport": "in-process",
    }
    # The next server is told the step's span, not the caller's.
    (context,) = double.contexts
    assert context.headers["traceparent"].split("-")[2] == f"{first.context.span_id:016x}"
    assert context.headers["x-tenant"] == "a"
    assert headers["traceparent"] == CALLER


async def test_with_spans_a_step_is_told_what_it_is_without_them(
    exporter: InMemorySpanExporter, serve: Serve, loaded: Load
) -> None:
    double = serve("double", mapping(lambda data: data))
    serve("negate", mapping(np.negative))
    router = await loaded("chain", CHAIN)
    sent = RequestContext(Deadline.after_ms(60_000), True, {"x-tenant": "a"}, "somebody")
    await router.infer(request(1), sent)

    (context,) = double.contexts
    assert replace(context, headers={}) == replace(sent, headers={})


async def test_a_failing_step_has_a_failed_span(
    exporter: InMemorySpanExporter, serve: Serve, loaded: Load
) -> None:
    async def fail(message: Message, context: RequestContext) -> Message:
        raise InvalidInput("no")

    serve("double", fail)
    router = await loaded("chain", CHAIN)
    with pytest.raises(InvalidInput):
        await router.infer(request(1), RequestContext())
    step, whole = exporter.get_finished_spans()
    assert step.status.status_code is trace.StatusCode.ERROR
    assert whole.status.status_code is trace.StatusCode.ERROR


async def test_a_model_s_span_is_a_child_of_the_caller_s(exporter: InMemorySpanExporter) -> None:
    model = await load(Doubler)
    headers = {"traceparent": CALLER}
    message = Message([Tensor.of("x", np.array([[1]]))])
    await model.infer(message, RequestContext(headers=headers))
    with pytest.raises(InvalidInput):
        await model.infer(Message([Tensor.of("x", np.array([[-1]]))]), RequestContext())
    await model.unload()

    answered, refused = exporter.get_finished_spans()
    assert answered.name == "model model"
    assert answered.parent is not None
    assert answered.parent.span_id == int(CALLER.split("-")[2], 16)
    assert dict(answered.attributes or {}) == {"infergraph.model": "model"}
    assert answered.status.status_code is trace.StatusCode.UNSET
    assert refused.parent is None
    assert refused.status.status_code is trace.StatusCode.ERROR
