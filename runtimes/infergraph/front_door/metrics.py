"""Prometheus metrics of the servers, in prometheus_client's default registry.

The names that MLServer gives its own servers' metrics stay. Paths are those of the routes, and
models those that exist, so that no request can add labels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

requests_in_flight = Gauge("infergraph_requests_in_flight", "Requests that are being answered.")
bytes_in_flight = Gauge(
    "infergraph_request_bytes_in_flight", "Bytes of their REST bodies and gRPC messages."
)
refusals = Counter(
    "infergraph_server_refusals", "Requests that the server refused before any model.", ["cause"]
)
_rest_requests = Counter(
    "rest_server_requests", "REST requests.", ["method", "path", "status_code", "app_name"]
)
_rest_seconds = Histogram(
    "rest_server_request_duration_seconds",
    "Time to answer a REST request.",
    ["method", "path", "status_code", "app_name"],
)
_grpc_handled = Counter(
    "grpc_server_handled",
    "gRPC calls that were answered.",
    ["grpc_type", "grpc_service", "grpc_method", "code"],
)
_grpc_seconds = Histogram(
    "grpc_server_handling_seconds",
    "Time to answer a gRPC call.",
    ["grpc_type", "grpc_service", "grpc_method"],
)
_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
_APP = "mlserver"


class _Rest(NamedTuple):
    requests: Counter
    seconds: Histogram


@lru_cache(maxsize=4096)
def _rest(method: str, path: str, status: int) -> _Rest:
    labels = (method if method in _METHODS else "other", path, str(status), _APP)
    return _Rest(_rest_requests.labels(*labels), _rest_seconds.labels(*labels))


@lru_cache(maxsize=4096)
def _grpc(service: str, method: str, kind: str, code: str) -> _Rest:
    return _Rest(
        _grpc_handled.labels(kind, service, method, code),
        _grpc_seconds.labels(kind, service, method),
    )


def rest_answered(method: str, path: str, status: int, seconds: float) -> None:
    """Counts a REST request; `path` is its route's, not the request's."""
    found = _rest(method, path, status)
    found.requests.inc()
    found.seconds.observe(seconds)


def grpc_answered(service: str, method: str, kind: str, code: str, seconds: float) -> None:
    """Counts a gRPC call; `kind` is UNARY or BIDI_STREAMING."""
    found = _grpc(service, method, kind, code)
    found.requests.inc()
    found.seconds.observe(seconds)
