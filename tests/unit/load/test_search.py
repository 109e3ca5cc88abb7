"""The search finds the capacity of a server that is known, and blames whom it should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infergraph_clients.load.configuration import RunConfiguration
from infergraph_clients.load.errors import LoadError
from infergraph_clients.load.search import SearchResult, at_rate, search
from infergraph_clients.load.statistics import Summary, summarise
from infergraph_clients.load.statistics.validity import Validity

from .runs import configuration, records, run

SLO = {"latency_ms": 10, "percentile": 99}


def find(capacity: float, tester: float = 1e9, **arguments: Any) -> SearchResult:
    """Searches on a server that is slow above a rate, with a tester that is overrun above one."""

    def trial(settings: RunConfiguration) -> Summary:
        rate = settings.arrivals.rate  # type: ignore[union-attr]
        latency = 5.0 if rate <= min(capacity, tester) else 50.0
        found = summarise(run(records([latency] * 200), settings))
        return replace(found, validity=Validity(rate <= tester))

    settings = {"start_rate": 10, "precision": 0.05, **arguments}
    return search(configuration(slo=SLO), trial, **settings)


@pytest.mark.parametrize("capacity", [3.0, 10.0, 77.0, 1_234.0])
def test_it_finds_the_capacity(capacity: float) -> None:
    found = find(capacity)
    assert found.rate is not None
    assert capacity / 1.05 <= found.rate <= capacity
    assert found.limited_by == "server"


def test_it_doubles_and_then_halves_the_gap() -> None:
    rates = [step.rate for step in find(52, precision=0.05).steps]
    assert rates == [10, 20, 40, 80, 60, 50, 55, 52.5]


def test_it_starts_lower_where_the_first_rate_fails() -> None:
    assert [step.rate for step in find(3, precision=0.5).steps] == [10, 5, 2.5, 3.75]


def test_a_server_that_is_always_too_slow_has_no_rate() -> None:
    # Runs of 10 s: below 1/s they would hold fewer than 10 requests.
    found = find(0.0)
    assert [step.rate for step in found.steps] == [10, 5, 2.5, 1.25]
    assert found.rate is None
    assert found.limited_by == "server"


def test_a_run_without_a_measured_request_says_nothing() -> None:
    nothing = summarise(run(records([]), configuration(slo=SLO)))
    found = search(configuration(slo=SLO), lambda _: nothing, start_rate=1.5, precision=0.5)
    assert found.rate is None
    assert {step.verdict for step in found.steps} == {"invalid"}


def test_the_testers_own_limit_is_no_capacity() -> None:
    found = find(1_000, tester=100)
    assert found.rate is not None
    assert found.rate <= 100
    assert found.limited_by == "tester"
    # An invalid run is done again before it is believed.
    rates = [step.rate for step in found.steps if step.verdict == "invalid"]
    assert rates[0] == rates[1] == 160


def test_a_highest_rate_ends_it() -> None:
    found = find(1_000, highest_rate=60)
    assert found.rate == 60
    assert found.limited_by == "nothing"
    assert max(step.rate for step in found.steps) == 60


def test_a_server_that_never_meets_it() -> None:
    assert find(0).rate is None


def test_both_rates_of_bursts_change() -> None:
    settings = configuration(arrivals={"kind": "bursts", "rate": 10, "burst_rate": 100})
    arrivals = at_rate(settings, 20).arrivals.model_dump()
    assert (arrivals["rate"], arrivals["burst_rate"]) == (20, 200)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "slo is missing"),
        ({"slo": SLO, "arrivals": {"kind": "closed", "concurrency": 1}}, "have no rate"),
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


def _no_run(settings: RunConfiguration) -> Summary:
    raise AssertionError("a run was done")
