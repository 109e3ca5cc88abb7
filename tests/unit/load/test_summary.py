"""Counts, rates, percentiles and verdicts of runs whose records are known."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from infergraph_clients.load.arrivals import build_schedule
from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.errors import ExitStatus
from infergraph_clients.load.reports.folder import report_document
from infergraph_clients.load.statistics import summarise
from infergraph_clients.load.statistics.distribution import Distribution
from infergraph_clients.transports.outcome import Outcome

from .queues import Kind, mean_wait, waits
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


def test_failures_count_as_at_least_the_timeout() -> None:
    latency = np.full(1_000, 5.0)
    outcome = np.full(1_000, Outcome.OK)
    latency[:30] = 0.1
    outcome[:30] = Outcome.OVERLOAD
    latency[30:50] = 80
    slo = {"latency_ms": 50, "percentile": 95}
    found = summarise(run(records(latency, outcome=outcome), configuration(slo=slo)))
    assert found.outcomes["overload"] == found.requests.failed == 30
    assert (found.latency.count, found.latency.p95, found.latency.p99) == (1_000, 5, 30_000)
    assert (found.latency_of_right.count, found.latency_of_right.p99) == (970, 80)
    assert found.slo is not None
    assert found.slo.attainment == 0.95
    assert found.slo.met
    assert found.slo.value_ms == 5
    assert found.slo.attainment_low < 0.95 < found.slo.attainment_high
    assert found.rates.goodput == 95
    # Three in a hundred fail, whatever the SLO says.
    assert (found.met, found.status) == (False, ExitStatus.MISSED)
    strict = configuration(slo={"latency_ms": 60_000, "percentile": 98})
    missed = summarise(run(records(latency, outcome=outcome), strict))
    assert missed.slo is not None
    assert not missed.slo.met
    assert missed.slo.value_ms == 30_000


def test_a_shorter_timeout_does_not_make_a_stall_look_shorter() -> None:
    # For 3 s in 60 s the server stands still: requests of that time wait for its end.
    stall = np.maximum(33_000 - np.arange(6_000) * 10.0, 5.0)
    latency = np.where(np.arange(6_000) < 3_000, 5.0, stall)
    for timeout_s, p99 in ((10, 2_410), (0.5, 500)):
        given_up = latency > timeout_s * 1e3
        table = records(
            np.minimum(latency, timeout_s * 1e3),
            outcome=np.where(given_up, Outcome.TIMEOUT, Outcome.OK),
        )
        target = {"url": "http://127.0.0.1:1", "model": "m", "timeout_s": timeout_s}
        found = summarise(run(table, configuration(target=target, duration_s=60)))
        assert found.latency.p99 == pytest.approx(p99, rel=0.01)
        assert found.latency_of_right.count == 6_000 - given_up.sum()
        # What was given up is 4% of all: no green verdict.
        assert found.met == (timeout_s == 10)


def test_a_server_that_only_fails_is_no_success() -> None:
    table = records([1.0] * 158, outcome=Outcome.SERVER_ERROR)
    found = summarise(run(table))
    assert (found.validity.valid, found.status) == (True, ExitStatus.MISSED)
    assert [(each.threshold, each.value) for each in found.thresholds] == [("failed<=1%", 1.0)]


def test_requests_that_ctrl_c_gave_up_are_no_failures() -> None:
    outcome = np.where(np.arange(100) < 90, Outcome.OK, Outcome.CANCELLED)
    found = summarise(run(records([5.0] * 100, outcome=outcome), interrupted=True, unsent=1))
    assert (found.requests.failed, found.latency.max, found.met) == (0, 5, True)


def test_answers_after_the_measured_time_are_no_goodput() -> None:
    # A server of 100/s under 120/s for 3 s: 60 answers come after the end, all within the SLO.
    times = np.arange(360) / 120
    latency = np.arange(1, 361) / 100 - times
    settings = configuration(duration_s=3, slo={"latency_ms": 1_000})
    found = summarise(run(records(latency * 1e3, intended_ms=times * 1e3), settings))
    assert found.slo is not None
    assert found.slo.met
    assert found.rates.goodput == pytest.approx(100, rel=0.01)
    assert found.steady_state.rising


@pytest.mark.parametrize("kind", ["M/D/1", "M/M/1"])
@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_waits_are_those_of_theory(kind: Kind, load: float) -> None:
    waited, covered = [], 0
    for seed in range(8):
        arrivals = {"kind": "poisson", "rate": load / 0.01}
        settings = configuration(arrivals=arrivals, duration_s=600, warmup_s=20)
        generator = np.random.default_rng(seed)
        times = build_schedule(settings.arrivals, 600, generator).times  # type: ignore[arg-type]
        services = np.full(len(times), 0.01)
        if kind == "M/M/1":
            services = generator.exponential(0.01, len(times))
        latency = waits(times / 1e9, services) + services
        found = summarise(run(records(latency * 1e3, intended_ms=times / 1e6), settings))
        assert found.latency.mean is not None
        assert found.latency_mean is not None
        waited.append(found.latency.mean - 10)
        truth = 1e3 * mean_wait(load, 0.01, kind) + 10
        covered += found.latency_mean.low <= truth <= found.latency_mean.high
    assert np.mean(waited) == pytest.approx(1e3 * mean_wait(load, 0.01, kind), rel=0.05)
    assert covered >= 7


def test_the_histogram_merges_the_processes() -> None:
    table = records(np.arange(1, 1_001), process=np.arange(1_000) % 3)
    measured = run(table)
    document = report_document(measured, summarise(measured))
    found = HdrHistogram.decode(document["latency_histogram"])
    assert found.get_total_count() == 1_000
    for q in (50, 90, 99, 100):
        assert found.get_value_at_percentile(q) == pytest.approx(q * 10_000, rel=1e-3)


def test_a_run_without_answers() -> None:
    found = summarise(run(records([])))
    assert found.requests.sent == 0
    assert found.latency.p50 is None
    assert found.validity.reasons == ["no request was measured"]
    found = summarise(run(records([5.0] * 5), configuration(warmup_s=2)))
    assert found.validity.reasons == [
        "no request was measured: all were meant for the warm-up of 2 s"
    ]


def test_a_run_that_was_ended_early_is_measured_as_far_as_it_went() -> None:
    found = summarise(run(records([5.0] * 501), unsent=499, interrupted=True))
    assert found.requests.scheduled == 1_000
    assert found.measured_s == 5
    assert found.rates.sent == pytest.approx(100, rel=0.01)
    assert found.validity.valid
    assert "499 requests of its schedule were not sent" in found.validity.notes[0]


def test_of_a_tester_that_was_killed_it_is_not_said_what_it_did() -> None:
    measured = run(records([5.0] * 501), unsent=499, interrupted=True)
    measured.processes = []
    (note,) = summarise(measured).validity.notes
    assert "how busy it was is not known, nor what became of 499 requests" in note


@pytest.mark.parametrize(
    ("delay", "latency", "limits", "cpu", "reason"),
    [
        (0.9, 20, {}, 0.2, None),
        (1.1, 20, {}, 0.2, "it used only 20% of a core"),
        (1.1, 20, {}, 0.9, "use more processes or a lower rate"),
        (0.0, 20, {}, 0.96, "used 96% of a core"),
        # 2 ms are 2% of the latency, which they cannot falsify.
        (2.0, 92, {}, 0.2, None),
        (2.0, 92, {"strict": True}, 0.2, "2 ms, over 1 ms (2% of the latency's p99)"),
        (6.0, 92, {}, 0.2, "6 ms, over 1 ms and over 5% of it (7% of the latency's p99)"),
    ],
)
def test_a_tester_that_did_not_keep_up_is_invalid(
    delay: float, latency: float, limits: dict[str, object], cpu: float, reason: str | None
) -> None:
    # 2% of the requests: their 99th percentile.
    delays = np.where(np.arange(1_000) % 50 == 0, delay, 0.01)
    table = records([float(latency)] * 1_000, delay_ms=delays)
    found = summarise(run(table, configuration(limits=limits), cpu=cpu))
    assert found.validity.valid == (reason is None)
    assert reason is None or reason in found.validity.reasons[0]
    assert found.status == (ExitStatus.FINE if reason is None else ExitStatus.INVALID)


def test_a_delay_of_all_requests_falsifies_the_median() -> None:
    latency = np.where(np.arange(1_000) % 50 == 0, 900.0, 10.0)
    found = summarise(run(records(latency, delay_ms=3))).validity
    assert "p50 of the dispatch delay is 3 ms" in found.reasons[0]


def test_a_small_delay_that_is_a_large_share_is_noted() -> None:
    found = summarise(run(records([1.0] * 1_000, delay_ms=0.5))).validity
    assert found.valid
    assert "0.5 ms, but 50% of the latency's p50" in found.notes[0]


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


def closed(count: int | None) -> RunConfiguration:
    return configuration(arrivals={"kind": "closed", "concurrency": 1, "count": count})


def test_the_last_answer_ends_the_measured_time_and_counts() -> None:
    for number in range(1, 100):
        found = summarise(run(records([number * 1.001]), closed(1)))
        assert found.rates.answered_ok == pytest.approx(1_000 / (number * 1.001), rel=1e-6)


def test_a_count_that_was_not_reached_leaves_the_duration() -> None:
    # The last request of 10 s is given up 20 s after them.
    table = records(
        [100.0] * 100 + [20_000.0],
        intended_ms=np.arange(101) * 100 - (np.arange(101) == 100),
        outcome=[Outcome.OK] * 100 + [Outcome.TIMEOUT],
    )
    for count in (None, 1_000):
        found = summarise(run(table, closed(count), unsent=(count or 101) - 101))
        assert (found.measured_s, found.rates.answered_ok) == (10, 10)
    assert summarise(run(table, closed(101))).measured_s == pytest.approx(29.999)
