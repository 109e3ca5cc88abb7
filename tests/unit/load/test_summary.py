"""Counts, rates, percentiles and verdicts of runs whose records are known."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from infergraph_clients.load.outcome import Outcome
from infergraph_clients.load.statistics import summarise
from infergraph_clients.load.statistics.distribution import Distribution

from .runs import MS, configuration, records, run


def test_percentiles_are_measured_values() -> None:
    found = Distribution.of(np.arange(1, 1_001) * MS)
    assert (found.p50, found.p90, found.p95, found.p99, found.p999) == (500, 900, 950, 990, 999)
    assert (found.count, found.mean, found.max) == (1_000, 500.5, 1_000)


@pytest.mark.parametrize(
    ("count", "missing"),
    [(9, {"p90", "p95", "p99", "p999"}), (20, {"p99", "p999"}), (100, {"p999"}), (1_000, set())],
)
def test_percentiles_that_the_count_does_not_support_are_none(
    count: int, missing: set[str]
) -> None:
    found = Distribution.of(np.arange(count) * MS)
    assert {
        name for name in ("p50", "p90", "p95", "p99", "p999") if getattr(found, name) is None
    } == (missing)


def test_the_warm_up_is_sent_but_not_counted() -> None:
    table = records([500.0] * 100 + [20.0] * 900)
    found = summarise(run(table, configuration(warmup_s=1)))
    assert (found.requests.sent, found.requests.warmup, found.requests.measured) == (
        1_000,
        100,
        900,
    )
    assert (found.latency.count, found.latency.p99, found.latency.max) == (900, 20, 20)
    assert found.measured_s == 9
    assert found.rates.intended == 100


def test_latency_is_from_the_intended_time_and_delay_beside_it() -> None:
    found = summarise(run(records([30.0] * 1_000, delay_ms=10)))
    assert found.latency.mean == pytest.approx(30)
    assert found.service_time.mean == pytest.approx(20)
    assert found.dispatch_delay.mean == pytest.approx(10)
    assert found.first_byte.count == 0


def test_failures_count_against_the_slo_and_not_into_the_latency() -> None:
    latency = np.full(1_000, 5.0)
    outcome = np.full(1_000, Outcome.OK)
    latency[:30] = 0.1
    outcome[:30] = Outcome.OVERLOAD
    latency[30:50] = 80
    slo = {"latency_ms": 50, "percentile": 95}
    found = summarise(run(records(latency, outcome=outcome), configuration(slo=slo)))
    assert found.outcomes["overload"] == 30
    assert found.latency.count == 970
    assert found.latency.p50 == 5
    assert found.slo is not None
    assert found.slo.attainment == 0.95
    assert found.slo.met
    assert found.slo.value_ms == 5
    assert found.rates.goodput == 95
    strict = configuration(slo={"latency_ms": 50, "percentile": 98})
    missed = summarise(run(records(latency, outcome=outcome), strict))
    assert missed.slo is not None
    assert not missed.slo.met
    assert missed.slo.value_ms is None


def test_the_histogram_merges_the_processes() -> None:
    table = records(np.arange(1, 1_001), process=np.arange(1_000) % 3)
    found = HdrHistogram.decode(summarise(run(table)).latency_histogram)
    assert found.get_total_count() == 1_000
    for q in (50, 90, 99, 100):
        assert found.get_value_at_percentile(q) == pytest.approx(q * 10_000, rel=1e-3)


def test_a_run_without_answers() -> None:
    found = summarise(run(records([])))
    assert found.requests.sent == 0
    assert found.latency.p50 is None
    assert found.validity.reasons == ["no request was measured"]


def test_a_run_that_was_ended_early_is_measured_as_far_as_it_went() -> None:
    found = summarise(run(records([5.0] * 501), unsent=499, interrupted=True))
    assert found.requests.scheduled == 1_000
    assert found.measured_s == 5
    assert found.rates.sent == pytest.approx(100, rel=0.01)
    assert found.validity.valid
    assert "499 requests of its schedule were not sent" in found.validity.notes[0]


@pytest.mark.parametrize(
    ("delay", "cpu", "reason"),
    [
        (0.9, 0.2, None),
        (1.1, 0.2, "it used only 20% of a core"),
        (1.1, 0.9, "use more processes or a lower rate"),
        (0.0, 0.96, "used 96% of a core"),
    ],
)
def test_a_tester_that_did_not_keep_up_is_invalid(
    delay: float, cpu: float, reason: str | None
) -> None:
    # 2% of the requests: their 99th percentile.
    delays = np.where(np.arange(1_000) % 50 == 0, delay, 0.01)
    found = summarise(run(records([20.0] * 1_000, delay_ms=delays), cpu=cpu)).validity
    assert found.valid == (reason is None)
    assert reason is None or reason in found.reasons[0]


def test_a_process_that_died_makes_a_run_invalid() -> None:
    found = summarise(run(records([20.0] * 1_000), died={1: -9})).validity
    assert found.reasons == ["process 1 died with status -9; its records are lost"]


@pytest.mark.parametrize(
    ("arrivals", "metric", "value"),
    [
        ({"kind": "single-stream"}, "90th percentile latency", 900),
        ({"kind": "server", "rate": 100}, "99th percentile latency", 990),
        # Queries of 10, each as slow as its slowest: 10, 20, ..., 1000.
        (
            {"kind": "multi-stream", "samples_per_query": 10},
            "99th percentile latency of queries",
            990,
        ),
        # The last of 1000 ended 9.99 + 1 s after the start.
        ({"kind": "offline", "count": 1_000}, "samples per second", 1_000 / 10.99),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_mlperf_scenarios(arrivals: dict[str, object], metric: str, value: float) -> None:
    table = records(np.arange(1, 1_001))
    found = summarise(run(table, configuration(arrivals=arrivals))).scenario
    assert found is not None
    assert found.metric == metric
    assert found.value == pytest.approx(value)
