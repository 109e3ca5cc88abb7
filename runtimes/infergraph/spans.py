"""OpenTelemetry spans of models, pipelines and steps, when a tracer provider is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from mlserver.settings import Settings
from mlserver.tracing import get_tracer_provider as mlserver_tracer_provider
from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, SpanKind

from .request import RequestContext


class Spans:
    """Makes spans; the caller's span, in this task or in the request's headers, is their parent.

    Args:
        tracer: Takes them.
        kind: pipeline or model.
        name: The pipeline's or model's name.
    """

    def __init__(self, tracer: trace.Tracer, kind: str, name: str) -> None:
        self._tracer = tracer
        self._kind = kind
        self._name = name

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[None]:
        """The span of one request."""
        # MLServer's own span is there when it traces; otherwise the caller's headers may name one.
        known = trace.get_current_span().get_span_context().is_valid
        parent = None if known else extract(headers)
        with self._tracer.start_as_current_span(
            f"{self._kind} {self._name}",
            context=parent,
            attributes={f"infergraph.{self._kind}": self._name},
        ):
            yield

    @contextmanager
    def step(
        self, step: str, transport: str, endpoint: str, context: RequestContext
    ) -> Iterator[RequestContext]:
        """The span of one step, and the context whose headers name it to the next server."""
        attributes = {
            "infergraph.pipeline": self._name,
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
            yield replace(context, headers=headers)


def spans_of(kind: str, name: str, server: Settings | None) -> Spans | None:
    """The spans of a pipeline or model, or None when nobody configured tracing.

    The provider is MLServer's, when its setting `tracing_server` is set, else the process's own.
    """
    if server is not None and server.tracing_server:
        provider: trace.TracerProvider = mlserver_tracer_provider(server)
    else:
        provider = trace.get_tracer_provider()
        if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
            return None
    return Spans(provider.get_tracer("infergraph"), kind, name)
