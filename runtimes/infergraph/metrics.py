"""Prometheus metrics, always on, in prometheus_client's default registry.

They live here, in a module that MLServer never reloads, since defining a metric twice is an error.
"""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge, Histogram

from .errors import InfergraphError

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_queue_seconds = Histogram(
    "infergraph_model_queue_seconds", "Time a request's items waited.", ["model"], buckets=_SECONDS
)
_compute_seconds = Histogram(
    "infergraph_model_compute_seconds", "Time one batch took.", ["model"], buckets=_SECONDS
)
_batch_size = Histogram(
    "infergraph_model_batch_size", "Items that ran in one batch.", ["model"], buckets=_SIZES
)
_model_failures = Counter(
    "infergraph_model_failures", "Requests that a model answered with an error.", ["model"]
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
        self._queue = _queue_seconds.labels(model)
        self._compute = _compute_seconds.labels(model)
        self._size = _batch_size.labels(model)
        self._failures = _model_failures.labels(model)

    def observe_batch(self, size: int, seconds: float) -> None:
        self._size.observe(size)
        self._compute.observe(seconds)

    def observe_queue(self, microseconds: int) -> None:
        self._queue.observe(microseconds / 1e6)

    def failed(self) -> None:
        self._failures.inc()


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
