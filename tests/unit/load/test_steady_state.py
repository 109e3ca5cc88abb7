"""Trends are found, noise is none, and MSER-5 finds the end of a warm-up."""

from __future__ import annotations

import numpy as np
import pytest

from infergraph_clients.load.arrivals import build_schedule
from infergraph_clients.load.arrivals.specification import Gamma
from infergraph_clients.load.statistics.steady_state import (
    judge,
    mann_kendall,
    suggested_warmup,
    theil_sen,
)

from .queues import sojourn_times

TIMES = np.arange(2_000) * 10_000_000
NOISE = np.random.default_rng(0).exponential(1, 2_000)
RIGHT = np.ones(2_000, bool)


def test_noise_is_steady() -> None:
    found = judge(TIMES, 1e6 * (10 + NOISE), RIGHT, 2, True)
    assert found.steady
    assert found.suggested_warmup_s is not None
    assert found.suggested_warmup_s < 10


@pytest.mark.parametrize(("slope", "direction"), [(1, "rose"), (-0.4, "fell")])
def test_a_trend_is_not(slope: float, direction: str) -> None:
    latency = 1e6 * (10 + NOISE) * (1 + slope * np.linspace(0, 1, 2_000))
    found = judge(TIMES, latency, RIGHT, 2, True)
    assert found.steady is False
    assert direction in found.reason


def test_requests_of_which_none_is_answered_well_are_not() -> None:
    right = (TIMES < 8e9) | (TIMES > 12e9)
    found = judge(TIMES, 1e6 * (10 + NOISE), right, 2, True)
    assert found.steady is False
    assert "was answered well" in found.reason
    assert not found.rising


@pytest.mark.parametrize("seed", range(20))
def test_bursty_arrivals_at_a_server_of_constant_latency_are_steady(seed: int) -> None:
    # Some seconds have no request, which is no fault of the server.
    gamma = Gamma(rate=20, cv=4)
    times = build_schedule(gamma, 60, np.random.default_rng(seed)).times
    latency = 1e6 * (10 + np.random.default_rng(seed).random(len(times)))
    assert judge(times, latency, np.ones(len(times), bool), 2, True).steady


def test_a_queue_at_90_percent_is_steady_and_one_above_100_is_not() -> None:
    generator = np.random.default_rng(1)
    for load, most, least in ((0.9, 3, 0), (1.1, 40, 38)):
        unsteady = 0
        for _ in range(40):
            times, sojourns = sojourn_times(load / 0.01, 0.01, 62, generator)
            found = judge(times * 1e9, sojourns * 1e9, np.ones(len(times), bool), 2, True)
            unsteady += found.rising
        assert least <= unsteady <= most, load


def test_what_changes_by_plan_or_is_too_short_is_not_judged() -> None:
    assert judge(TIMES, 1e6 * NOISE, RIGHT, 2, False).steady is None
    assert judge(TIMES[:230], 1e6 * NOISE[:230], RIGHT[:230], 2, True).steady is None


def test_the_warm_up_that_shows() -> None:
    slow = np.where(TIMES < 3e9, 50.0, 0.0)
    found = suggested_warmup(TIMES, 1e6 * (10 + NOISE + slow))
    assert found == pytest.approx(3.0, abs=0.1)


def test_a_latency_that_never_settles_has_no_warm_up() -> None:
    assert suggested_warmup(TIMES, 1e6 * np.linspace(1, 50, 2_000)) is None


def test_mann_kendall_against_a_table() -> None:
    # All 45 pairs of ten ascending values agree: z = 44 / sqrt(125).
    assert mann_kendall(np.arange(10.0)) == pytest.approx(8.3e-5, rel=0.02)
    assert mann_kendall(np.array([1.0, 2, 1, 2, 1, 2])) > 0.5


def test_theil_sen_is_robust() -> None:
    values = np.arange(20.0) * 3
    values[7] = 1e9
    assert theil_sen(values) == pytest.approx(3)
