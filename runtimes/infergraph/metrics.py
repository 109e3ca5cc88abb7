"""Prometheus metrics, always on, in prometheus_client's default registry.

They live here, in a module that MLServer never reloads, since defining a metric twice is an error.
Models and pipelines are named without the generation that Seldon adds: all generations of one are a
series.
"""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge, Histogram

from .errors import InfergraphError
from .generations import plain_name

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_CAUSES = frozenset(
    {
        "caller_share",
        "deadline",
        "device_lost",
        "invalid",
        "memory",
        "overloaded",
        "queue_bytes",
        "queue_full",
        "too_large",
        "unavailable",
        "unloading",
    }
)
"""Why a request may be refused; any other cause counts as "other", so that labels are bounded."""

_queue_seconds = Histogram(
    "infergraph_model_queue_seconds", "Time a request's items waited.", ["model"], buckets=_SECONDS
)
_compute_seconds = Histogram(
    "infergraph_model_compute_seconds", "Time one batch took.", ["model"], buckets=_SECONDS
)
_batch_size = Histogram(
    "infergraph_model_batch_size", "Items that ran in one batch.", ["model"], buckets=_SIZES
)
_batch_fill = Histogram(
    "infergraph_model_batch_fill",
    "Items of one batch as a share of max_batch_size.",
    ["model"],
    buckets=_SHARES,
)
_padding_share = Histogram(
    "infergraph_model_padding_share",
    "Share of what one network call computed that was padding.",
    ["model"],
    buckets=(0.0, *_SHARES),
)
_computed = Counter(
    "infergraph_model_computed",
    "Tokens, frames or the like that networks computed, padding included.",
    ["model"],
)
_padding = Counter(
    "infergraph_model_padding", "Those of infergraph_model_computed that were padding.", ["model"]
)
_step_rows = Histogram(
    "infergraph_model_step_rows", "Rows that wrote a token in one step.", ["model"], buckets=_SIZES
)
_generated = Counter(
    "infergraph_model_generated_tokens", "Tokens of the texts that were written.", ["model"]
)
_in_flight = Gauge("infergraph_model_in_flight", "Requests that are being answered.", ["model"])
_queued = Gauge("infergraph_model_queued", "Items that wait, or are being prepared.", ["model"])
_model_failures = Counter(
    "infergraph_model_failures", "Requests that a model answered with a status of 5xx.", ["model"]
)
_model_errors = Counter(
    "infergraph_model_errors",
    "Requests that a model answered with an error, by HTTP status.",
    ["model", "status"],
)
_model_refusals = Counter(
    "infergraph_model_refusals", "Requests that a model refused, by cause.", ["model", "cause"]
)
_model_loads = Counter("infergraph_model_loads", "Loads that succeeded.", ["model"])
_model_load_failures = Counter("infergraph_model_load_failures", "Loads that failed.", ["model"])
_load_seconds = Histogram(
    "infergraph_model_load_seconds",
    "Time a load took that succeeded.",
    ["model"],
    buckets=(0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600),
)
_step_seconds = Histogram(
    "infergraph_step_seconds",
    "Time one step of a pipeline took, its transport included.",
    ["pipeline", "step"],
    buckets=_SECONDS,
)


_step_failures = Counter(
    "infergraph_step_failures", "Calls of a step that failed.", ["pipeline", "step"]
)
_pipeline_in_flight = Gauge(
    "infergraph_pipeline_in_flight", "Requests that a pipeline is answering.", ["pipeline"]
)
_pipeline_errors = Counter(
    "infergraph_pipeline_errors",
    "Requests that a pipeline answered with an error, by the error's class.",
    ["pipeline", "error"],
)


class ModelMetrics:
    """The metrics of one model, their labels resolved once."""

    clock = staticmethod(time.perf_counter)

    def __init__(self, model: str) -> None:
        self._model = model = plain_name(model)
        self._queue = _queue_seconds.labels(model)
        self._compute = _compute_seconds.labels(model)
        self._size = _batch_size.labels(model)
        self._fill = _batch_fill.labels(model)
        self._in_flight = _in_flight.labels(model)
        self._queued = _queued.labels(model)
        self._failures = _model_failures.labels(model)

    def observe_batch(self, size: int, limit: int, seconds: float) -> None:
        """Notes a batch of `size` items that took so long; 0 as `limit` means that none holds."""
        self._size.observe(size)
        self._compute.observe(seconds)
        if limit:
            self._fill.observe(size / limit)

    def observe_queue(self, microseconds: int) -> None:
        self._queue.observe(microseconds / 1e6)

    def observe_waiting(self, change: int) -> None:
        """Notes that so many more items wait, or fewer when it is negative."""
        self._queued.inc(change)

    def observe_padding(self, real: int, padded: int) -> None:
        """Notes a network call of `padded` elements, of which `real` were not padding."""
        if padded:
            _padding_share.labels(self._model).observe(1 - real / padded)
            _computed.labels(self._model).inc(padded)
            _padding.labels(self._model).inc(padded - real)

    def observe_step(self, rows: int, tokens: int) -> None:
        """Notes a step that wrote a token of each row; the texts that it ended have `tokens`."""
        if rows:
            _step_rows.labels(self._model).observe(rows)
        if tokens:
            _generated.labels(self._model).inc(tokens)

    def began(self) -> None:
        """Notes a request that is being answered, until `ended`."""
        self._in_flight.inc()

    def ended(self) -> None:
        self._in_flight.dec()

    def failed(self, error: InfergraphError) -> None:
        """Notes a request that is answered with an error, or refused with it."""
        _model_errors.labels(self._model, str(error.status_code)).inc()
        if error.status_code >= 500:
            self._failures.inc()
        if error.cause:
            cause = error.cause if error.cause in _CAUSES else "other"
            _model_refusals.labels(self._model, cause).inc()

    def loaded(self, seconds: float) -> None:
        _model_loads.labels(self._model).inc()
        _load_seconds.labels(self._model).observe(seconds)

    def load_failed(self) -> None:
        _model_load_failures.labels(self._model).inc()


class StepMetrics:
    """The metrics of one pipeline's steps, their labels resolved once."""

    def __init__(self, pipeline: str, steps: list[str]) -> None:
        self._seconds = {step: _step_seconds.labels(pipeline, step) for step in steps}
        self._failures = {step: _step_failures.labels(pipeline, step) for step in steps}

    def observe(self, step: str, seconds: float) -> None:
        self._seconds[step].observe(seconds)

    def failed(self, step: str) -> None:
        self._failures[step].inc()


class PipelineMetrics:
    """The metrics of one pipeline's requests."""

    def __init__(self, pipeline: str) -> None:
        self._in_flight = _pipeline_in_flight.labels(pipeline)
        self._pipeline = pipeline

    def in_flight(self, change: int) -> None:
        self._in_flight.inc(change)

    def failed(self, error: InfergraphError) -> None:
        _pipeline_errors.labels(self._pipeline, type(error).__name__).inc()
