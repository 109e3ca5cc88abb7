from __future__ import annotations

from prometheus_client import REGISTRY

from infergraph.errors import Overloaded, Rejected
from infergraph.metrics import ModelMetrics, PipelineMetrics, StepMetrics


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_batch_counts_its_size_and_time() -> None:
    metrics = ModelMetrics("metrics-batch")
    metrics.observe_batch(3, 0.5)
    metrics.observe_batch(5, 0.25)

    assert value("infergraph_model_batch_size_count", model="metrics-batch") == 2
    assert value("infergraph_model_batch_size_sum", model="metrics-batch") == 8
    assert value("infergraph_model_batch_size_bucket", model="metrics-batch", le="4.0") == 1
    assert value("infergraph_model_compute_seconds_sum", model="metrics-batch") == 0.75
    assert value("infergraph_model_compute_seconds_bucket", model="metrics-batch", le="0.25") == 1


def test_waiting_is_given_in_microseconds_and_kept_in_seconds() -> None:
    ModelMetrics("metrics-queue").observe_queue(2_500_000)

    assert value("infergraph_model_queue_seconds_sum", model="metrics-queue") == 2.5
    assert value("infergraph_model_queue_seconds_bucket", model="metrics-queue", le="1.0") == 0
    assert value("infergraph_model_queue_seconds_bucket", model="metrics-queue", le="2.5") == 1


def test_failures_are_counted_from_zero_and_by_model() -> None:
    metrics, other = ModelMetrics("metrics-failing"), ModelMetrics("metrics-well")
    del other
    assert value("infergraph_model_failures_total", model="metrics-failing") == 0

    metrics.failed()
    metrics.failed()

    assert value("infergraph_model_failures_total", model="metrics-failing") == 2
    assert value("infergraph_model_failures_total", model="metrics-well") == 0


def test_a_reloaded_model_goes_on_with_the_same_series() -> None:
    ModelMetrics("metrics-reloaded").failed()
    ModelMetrics("metrics-reloaded").failed()

    assert value("infergraph_model_failures_total", model="metrics-reloaded") == 2


def test_a_steps_failures_are_counted_from_zero() -> None:
    metrics = StepMetrics("metrics-failing", ["asr", "qa"])
    metrics.failed("asr")

    labels = {"pipeline": "metrics-failing"}
    assert value("infergraph_step_failures_total", step="asr", **labels) == 1
    assert value("infergraph_step_failures_total", step="qa", **labels) == 0


def test_steps_are_told_apart_by_pipeline() -> None:
    first = StepMetrics("metrics-p1", ["asr", "qa"])
    second = StepMetrics("metrics-p2", ["asr"])
    first.observe("asr", 0.25)
    first.observe("qa", 0.5)
    second.observe("asr", 1.0)

    assert value("infergraph_step_seconds_sum", pipeline="metrics-p1", step="asr") == 0.25
    assert value("infergraph_step_seconds_sum", pipeline="metrics-p1", step="qa") == 0.5
    assert value("infergraph_step_seconds_sum", pipeline="metrics-p2", step="asr") == 1.0


def test_a_pipelines_errors_are_counted_by_class() -> None:
    metrics = PipelineMetrics("metrics-errors")
    metrics.failed(Overloaded("full"))
    metrics.failed(Overloaded("full again"))
    metrics.failed(Rejected("no"))

    labels = {"pipeline": "metrics-errors"}
    assert value("infergraph_pipeline_errors_total", error="Overloaded", **labels) == 2
    assert value("infergraph_pipeline_errors_total", error="Rejected", **labels) == 1
    assert value("infergraph_pipeline_errors_total", error="StageFailure", **labels) is None


def test_requests_in_flight_go_up_and_down() -> None:
    metrics = PipelineMetrics("metrics-flight")
    assert value("infergraph_pipeline_in_flight", pipeline="metrics-flight") == 0
    metrics.in_flight(1)
    metrics.in_flight(1)
    metrics.in_flight(-1)

    assert value("infergraph_pipeline_in_flight", pipeline="metrics-flight") == 1
