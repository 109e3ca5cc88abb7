"""The search finds the capacity of a server that is known, and blames whom it should."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.errors import ExitStatus, LoadError
from infergraph_clients.load.search import SearchResult, at_rate, judge, search
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.load.statistics.validity import Validity

from .queues import fifo_search
from .runs import configuration, records, run

SLO = {"latency_ms": 100, "percentile": 99}


def find(capacity: float, tester: float = 1e9, **arguments: Any) -> SearchResult:
    """Searches on a server that is slow above a rate, with a tester that is overrun above one."""

    def trial(settings: RunConfiguration) -> Summary:
        rate = settings.arrivals.rate  # type: ignore[union-attr]
        latency = 5.0 if rate <= min(capacity, tester) else 500.0
        found = summarise(run(records([latency] * 500), settings))
        return replace(found, validity=Validity(rate <= tester, ["it was overrun"]))

    settings = {"start_rate": 10, "precision": 0.05, **arguments}
    return search(configuration(slo=SLO), trial, **settings)


@pytest.mark.parametrize("capacity", [3.0, 10.0, 77.0, 1_234.0])
def test_it_finds_the_capacity(capacity: float) -> None:
    found = find(capacity)
    assert found.rate is not None
    assert capacity / 1.05 <= found.rate <= capacity
    assert (found.limited_by, found.status) == ("server", ExitStatus.FINE)


def test_it_doubles_and_then_halves_the_gap() -> None:
    rates = [step.rate for step in find(52, precision=0.05).steps]
    assert rates == [10, 20, 40, 80, 60, 50, 55, 52.5]


def test_it_starts_lower_where_the_first_rate_fails() -> None:
    assert [step.rate for step in find(3, precision=0.5).steps] == [10, 5, 2.5, 3.75]


def test_a_server_that_is_always_too_slow_has_no_rate() -> None:
    # Runs of 10 s: below 1/s they would hold fewer than 10 requests.
    found = find(0.0)
    assert [step.rate for step in found.steps] == [10, 5, 2.5, 1.25]
    assert (found.rate, found.limited_by, found.status) == (None, "server", ExitStatus.MISSED)
    assert found.verdict == "no rate met the SLO"


def test_a_run_without_a_measured_request_says_nothing() -> None:
    nothing = summarise(run(records([]), configuration(slo=SLO)))
    found = search(configuration(slo=SLO), lambda _: nothing, start_rate=1.5, precision=0.5)
    assert found.rate is None
    assert {step.verdict for step in found.steps} == {"invalid"}
    assert found.status == ExitStatus.INVALID


def test_the_testers_own_limit_is_no_capacity() -> None:
    found = find(1_000, tester=100)
    assert found.rate is not None
    assert found.rate <= 100
    assert found.limited_by == "tester"
    assert "the server may do more" in found.verdict
    # An invalid run is done again before it is believed.
    rates = [step.rate for step in found.steps if step.verdict == "invalid"]
    assert rates[0] == rates[1] == 160


def test_a_highest_rate_ends_it() -> None:
    found = find(1_000, highest_rate=60)
    assert found.rate == 60
    assert found.limited_by == "nothing"
    assert max(step.rate for step in found.steps) == 60


def test_19_of_20_searches_are_within_5_percent_of_the_truth() -> None:
    # Above 97.7/s the p99 of a queue that runs for ever is over 1 s; above 100/s, so is all.
    rates = [fifo_search(seed).rate or 0.0 for seed in range(20)]
    assert sum(97.7 * 0.95 <= rate <= 100 * 1.05 for rate in rates) >= 19
    assert fifo_search(0, arrivals="constant").rate == 100


def test_trials_of_3_s_do_not_say_that_a_growing_queue_meets_1_s() -> None:
    steps = fifo_search(0).steps
    overload = [step for step in steps if step.rate > 105]
    assert overload
    assert not any(step.verdict == "pass" for step in overload)
    # In 3 s a queue of 120/s grows to no more than 0.6 s: longer trials are needed to see it.
    unclear = [step for step in steps if step.verdict == "unclear"]
    assert any(step.summary.slo and step.summary.slo.met for step in unclear)
    assert max(step.seconds for step in steps) > 10


def test_what_the_longest_trials_leave_to_chance_is_said() -> None:
    found = fifo_search(1, slo_ms=100)
    low, high = found.certain
    assert found.rate is not None
    assert low is None or low <= found.rate
    assert high is None or high > found.rate
    assert "beyond chance" in found.verdict or (low, high) != (None, None)


def test_a_server_that_works_on_abandoned_requests_is_waited_for() -> None:
    # The first trial leaves work for 21 s behind, of which no later one knows.
    rates = [fifo_search(seed, timeout=1.5, start=800).rate or 0.0 for seed in range(3)]
    assert all(97.7 * 0.95 <= rate <= 100 * 1.05 for rate in rates), rates
    blind = fifo_search(0, timeout=1.5, start=800, probed=False)
    assert (blind.rate or 0.0) < 50


def test_a_server_that_does_not_settle_is_said_to() -> None:
    answers = iter([5.0, *[900.0] * 1_000])

    def trial(settings: RunConfiguration) -> Summary:
        if settings.arrivals.kind == "single-stream":
            return summarise(run(records([next(answers)] * 3), settings))
        return summarise(run(records([500.0] * 500), settings))

    settings = configuration(slo=SLO)
    found = search(settings, trial, start_rate=1.5, precision=0.5, probe=trial)
    assert "after the trial at 1.5/s the server did not settle" in found.notes[0]


def test_an_interrupt_leaves_what_was_found() -> None:
    def trial(settings: RunConfiguration) -> Summary:
        if settings.arrivals.rate > 30:  # type: ignore[union-attr]
            raise KeyboardInterrupt
        return summarise(run(records([5.0] * 500), settings))

    found = search(configuration(slo=SLO), trial, start_rate=10, precision=0.05)
    assert (found.rate, found.status) == (20, ExitStatus.INTERRUPTED)
    assert found.verdict == "ended early: 20.0/s had passed"


def test_thresholds_are_part_of_the_objective() -> None:
    settings = configuration(slo=SLO, thresholds=["mean<4"])
    verdict, _, reason, _ = judge(summarise(run(records([5.0] * 1_000), settings)), 0.05, False)
    assert (verdict, reason) == ("fail", "mean<4 is missed")


def test_999_of_1000_are_99_9_percent() -> None:
    latency = [5.0] * 999 + [500.0]
    settings = configuration(slo={"latency_ms": 100, "percentile": 99.9})
    found = summarise(run(records(latency), settings)).slo
    assert found is not None
    assert found.met
    assert found.value_ms == 5


def test_the_result_as_json() -> None:
    document = json.loads(json.dumps(find(52).document(), allow_nan=False))
    assert document["rate"] == 51.25 or document["rate"] == 50
    assert {step["verdict"] for step in document["steps"]} == {"pass", "fail"}


def test_both_rates_of_bursts_change() -> None:
    settings = configuration(arrivals={"kind": "bursts", "rate": 10, "burst_rate": 100})
    found = at_rate(settings, 20, 7)
    arrivals = found.arrivals.model_dump()
    assert (arrivals["rate"], arrivals["burst_rate"], found.duration_s) == (20, 200, 7)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "slo is missing"),
        ({"slo": SLO, "arrivals": {"kind": "closed", "concurrency": 1}}, "have no rate"),
        ({"slo": SLO, "arrivals": {"kind": "bursts", "rate": 0, "burst_rate": 9}}, "rate is 0"),
    ],
)
def test_what_cannot_be_searched(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(LoadError, match=problem):
        search(
            configuration(**settings),
            lambda _: pytest.fail("a run was done"),
            start_rate=1,
            precision=0.1,
        )
