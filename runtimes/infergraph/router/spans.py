"""OpenTelemetry spans of a pipeline and its steps, when a tracer provider is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlserver.settings import Settings
from mlserver.tracing import get_tracer_provider as mlserver_tracer_provider
from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, SpanKind

from ..request import RequestContext


class Spans:
    """Makes spans; the caller's span, in this task or in the request's headers, is their parent."""

    def __init__(self, tracer: trace.Tracer, pipeline: str) -> None:
        self._tracer = tracer
        self._pipeline = pipeline

    @contextmanager
    def pipeline(self, headers: Mapping[str, str]) -> Iterator[None]:
        """The span of one request."""
        # MLServer's own span is there when it traces; otherwise the caller's headers may name one.
        known = trace.get_current_span().get_span_context().is_valid
        parent = None if known else extract(headers)
        with self._tracer.start_as_current_span(
            f"pipeline {self._pipeline}",
            context=parent,
            attributes={"infergraph.pipeline": self._pipeline},
        ):
            yield

    @contextmanager
    def step(
        self, step: str, transport: str, endpoint: str, context: RequestContext
    ) -> Iterator[RequestContext]:
        """The span of one step, and the context whose headers name it to the next server."""
        attributes = {
            "infergraph.pipeline": self._pipeline,
            "infergraph.step": step,
            "infergraph.transport": transport,
        }
        if endpoint:
            attributes["server.address"] = endpoint
        with self._tracer.start_as_current_span(
            f"step {step}", kind=SpanKind.CLIENT, attributes=attributes
        ):
            headers = dict(context.headers)
            inject(headers)
            yield RequestContext(context.deadline, context.trace, headers)


def spans_of(pipeline: str, server: Settings | None) -> Spans | None:
    """The spans of a pipeline, or None when nobody configured tracing.

    The provider is MLServer's, when its setting `tracing_server` is set, else the process's own.
    """
    if server is not None and server.tracing_server:
        provider: trace.TracerProvider = mlserver_tracer_provider(server)
    else:
        provider = trace.get_tracer_provider()
        if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
            return None
    return Spans(provider.get_tracer("infergraph.router"), pipeline)
