from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from infergraph.errors import (
    DeadlineExceeded,
    InfergraphError,
    InvalidInput,
    MalformedRequest,
    Overloaded,
    Rejected,
    StageFailure,
    StageUnavailable,
)
from infergraph.metrics import ModelMetrics, PipelineMetrics, StepMetrics


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_batch_counts_its_size_and_time() -> None:
    metrics = ModelMetrics("metrics-batch")
    metrics.observe_batch(3, 8, 0.5)
    metrics.observe_batch(5, 8, 0.25)

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


def test_a_batch_is_a_share_of_the_largest_one() -> None:
    metrics = ModelMetrics("metrics-fill")
    metrics.observe_batch(3, 4, 0.5)
    metrics.observe_batch(4, 4, 0.5)
    # Where no limit holds, there is nothing to fill.
    metrics.observe_batch(1000, 0, 0.5)

    assert value("infergraph_model_batch_fill_count", model="metrics-fill") == 2
    assert value("infergraph_model_batch_fill_sum", model="metrics-fill") == 1.75
    assert value("infergraph_model_batch_size_count", model="metrics-fill") == 3


def test_padding_is_a_share_of_what_was_computed() -> None:
    metrics = ModelMetrics("metrics-padding")
    metrics.observe_padding(75, 100)
    metrics.observe_padding(100, 100)

    metrics.observe_padding(0, 0)

    assert value("infergraph_model_padding_share_sum", model="metrics-padding") == 0.25
    assert value("infergraph_model_padding_share_count", model="metrics-padding") == 2
    assert value("infergraph_model_computed_total", model="metrics-padding") == 200
    assert value("infergraph_model_padding_total", model="metrics-padding") == 25
    assert value("infergraph_model_padding_share_bucket", model="metrics-padding", le="0.0") == 1


def test_steps_of_a_generation_and_the_tokens_of_its_texts() -> None:
    metrics = ModelMetrics("metrics-steps")
    metrics.observe_step(16, 0)
    metrics.observe_step(15, 12)
    # The texts of one token each are done when they begin.
    metrics.observe_step(0, 3)

    assert value("infergraph_model_step_rows_sum", model="metrics-steps") == 31
    assert value("infergraph_model_step_rows_count", model="metrics-steps") == 2
    assert value("infergraph_model_generated_tokens_total", model="metrics-steps") == 15


def test_gauges_go_up_and_down() -> None:
    metrics = ModelMetrics("metrics-gauges")
    metrics.began()
    metrics.began()
    metrics.ended()
    metrics.observe_waiting(5)
    metrics.observe_waiting(-2)

    assert value("infergraph_model_in_flight", model="metrics-gauges") == 1
    assert value("infergraph_model_queued", model="metrics-gauges") == 3


def test_only_an_error_of_the_server_is_a_failure_of_the_model() -> None:
    metrics, other = ModelMetrics("metrics-failing"), ModelMetrics("metrics-well")
    del other
    assert value("infergraph_model_failures_total", model="metrics-failing") == 0

    metrics.failed(InvalidInput("no audio"))
    metrics.failed(MalformedRequest("no shape"))
    metrics.failed(StageFailure("broken"))
    metrics.failed(StageFailure("broken"))

    assert value("infergraph_model_failures_total", model="metrics-failing") == 2
    assert value("infergraph_model_failures_total", model="metrics-well") == 0
    by_status = {
        status: value("infergraph_model_errors_total", model="metrics-failing", status=status)
        for status in ("400", "422", "500", "503")
    }
    assert by_status == {"400": 1, "422": 1, "500": 2, "503": None}


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (InvalidInput("no audio"), "invalid"),
        (InvalidInput("many", cause="too_large"), "too_large"),
        (Overloaded("full", cause="queue_full"), "queue_full"),
        (Overloaded("full", cause="queue_full").prefixed("model 'asr'"), "queue_full"),
        (Overloaded("full"), "overloaded"),
        (StageUnavailable("gone", cause="unloading"), "unloading"),
        (DeadlineExceeded("late"), "deadline"),
        (Overloaded("full", cause="made up by a caller"), "other"),
        (StageFailure("broken"), None),
    ],
)
def test_refusals_are_counted_by_a_closed_set_of_causes(
    error: InfergraphError, cause: str | None
) -> None:
    model = f"metrics-refusing-{error}-{error.cause}"
    ModelMetrics(model).failed(error)

    counted = [
        sample.labels["cause"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "infergraph_model_refusals_total" and sample.labels["model"] == model
    ]
    assert counted == ([] if cause is None else [cause])


def test_loads_and_their_failures() -> None:
    metrics = ModelMetrics("metrics-loads")
    metrics.loaded(2.0)
    metrics.loaded(4.0)
    metrics.load_failed()

    assert value("infergraph_model_loads_total", model="metrics-loads") == 2
    assert value("infergraph_model_load_seconds_sum", model="metrics-loads") == 6
    assert value("infergraph_model_load_failures_total", model="metrics-loads") == 1


def test_a_reloaded_model_goes_on_with_the_same_series() -> None:
    ModelMetrics("metrics-reloaded").failed(StageFailure("broken"))
    ModelMetrics("metrics-reloaded").failed(StageFailure("broken"))

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


def test_all_generations_of_a_model_are_one_series() -> None:
    first, second = ModelMetrics("metrics-generation_1"), ModelMetrics("metrics-generation_2")
    first.began()
    second.began()
    second.loaded(1)

    assert value("infergraph_model_in_flight", model="metrics-generation") == 2
    assert value("infergraph_model_loads_total", model="metrics-generation") == 1
    assert value("infergraph_model_in_flight", model="metrics-generation_2") is None
