"""Schedules: seeded, with the mean, variation and shape that they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter

from infergraph_clients.load.arrivals import Arrivals, Schedule, build_schedule
from infergraph_clients.load.errors import LoadError

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Arrivals)
OPEN_LOOP = [
    {"kind": "constant", "rate": 50},
    {"kind": "poisson", "rate": 50},
    {"kind": "server", "rate": 50},
    {"kind": "gamma", "rate": 50, "cv": 4},
    {"kind": "bursts", "rate": 10, "burst_rate": 200},
    {"kind": "step", "rates": [10, 100, 50]},
    {"kind": "ramp", "start_rate": 0, "end_rate": 100},
    {"kind": "sine", "rate": 50, "period_s": 5},
    {"kind": "offline", "count": 500},
]


def schedule(seed: int, duration: float, **arrivals: Any) -> Schedule:
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    return build_schedule(_ADAPTER.validate_python(arrivals), duration, generator)


def distances(found: Schedule) -> npt.NDArray[np.float64]:
    return np.diff(found.times) / 1e9


def rates(found: Schedule, seconds: int, parts: int) -> npt.NDArray[np.float64]:
    """Arrivals per second in each equal part of the time."""
    edges = np.linspace(0, seconds * 1e9, parts + 1)
    return np.histogram(found.times, edges)[0] / (seconds / parts)


@pytest.mark.parametrize("arrivals", OPEN_LOOP, ids=lambda each: each["kind"])
def test_same_seed_same_bytes(arrivals: dict[str, Any]) -> None:
    first, second = (schedule(7, 20, **arrivals) for _ in range(2))
    assert first.times.tobytes() == second.times.tobytes()
    assert first.digest() == second.digest()
    assert first.times.dtype == np.int64
    assert (np.diff(first.times) >= 0).all()
    assert 0 <= first.times[0] <= first.times[-1] < 20e9


@pytest.mark.parametrize("kind", ["poisson", "gamma", "bursts"])
def test_another_seed_another_schedule(kind: str) -> None:
    arrivals = next(each for each in OPEN_LOOP if each["kind"] == kind)
    assert schedule(7, 20, **arrivals).digest() != schedule(8, 20, **arrivals).digest()


@pytest.mark.parametrize(
    ("arrivals", "cv"),
    [
        ({"kind": "constant"}, 0.0),
        ({"kind": "poisson"}, 1.0),
        ({"kind": "server"}, 1.0),
        ({"kind": "gamma", "cv": 0.5}, 0.5),
        ({"kind": "gamma", "cv": 1}, 1.0),
        ({"kind": "gamma", "cv": 2}, 2.0),
        ({"kind": "gamma", "cv": 4}, 4.0),
    ],
    ids=str,
)
def test_mean_and_variation_over_100_000_draws(arrivals: dict[str, Any], cv: float) -> None:
    found = distances(schedule(0, 1_010, rate=100, **arrivals))[:100_000]
    assert len(found) >= 99_000
    assert found.mean() == pytest.approx(0.01, rel=0.02)
    assert found.std() / found.mean() == pytest.approx(cv, rel=0.02, abs=1e-9)


def test_constant_arrivals_are_multiples_of_the_distance() -> None:
    found = schedule(0, 1, kind="constant", rate=4).times.tolist()
    assert found == [0, 250_000_000, 500_000_000, 750_000_000]


def test_steps_hold_their_rates() -> None:
    found = schedule(0, 30, kind="step", rates=[10, 40, 0], cv=0)
    assert rates(found, 30, 3).tolist() == pytest.approx([10, 40, 0], abs=0.11)


def test_steps_begin_again() -> None:
    found = schedule(0, 50, kind="step", rates=[10, 40], step_s=10, cv=0)
    assert rates(found, 50, 5).tolist() == pytest.approx([10, 40, 10, 40, 10], abs=0.11)


def test_a_ramp_has_the_rate_of_its_time() -> None:
    found = schedule(0, 100, kind="ramp", start_rate=0, end_rate=200, cv=0)
    assert rates(found, 100, 5) == pytest.approx([20, 60, 100, 140, 180], rel=0.01)
    # 100 arrivals are due when t^2 = 100, whatever the steps in between.
    assert found.times[100] / 1e9 == pytest.approx(10.0, abs=0.01)


def test_a_falling_ramp_mirrors_a_rising_one() -> None:
    found = schedule(0, 100, kind="ramp", start_rate=200, end_rate=0, cv=0)
    assert rates(found, 100, 5) == pytest.approx([180, 140, 100, 60, 20], rel=0.01)


def test_a_sine_swings_about_its_rate() -> None:
    found = schedule(3, 400, kind="sine", rate=200, amplitude=0.5, period_s=40, cv=0)
    assert len(found) == pytest.approx(200 * 400, rel=0.001)
    by_phase = np.histogram(found.times / 1e9 % 40, 40)[0] / 10
    expected = 200 * (1 + 0.5 * np.sin(2 * np.pi * (np.arange(40) + 0.5) / 40))
    assert by_phase == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("cv", [0.0, 1.0, 3.0])
def test_varying_rates_keep_the_variation_of_their_distances(cv: float) -> None:
    found = schedule(1, 2_000, kind="sine", rate=50, amplitude=0, period_s=10, cv=cv)
    between = distances(found)
    assert between.std() / between.mean() == pytest.approx(cv, rel=0.03, abs=1e-4)


def test_bursts_have_the_mean_of_their_states_and_more_variation_than_poisson() -> None:
    found = schedule(2, 20_000, kind="bursts", rate=10, burst_rate=200, calm_s=9, burst_s=1)
    assert len(found) / 20_000 == pytest.approx(0.9 * 10 + 0.1 * 200, rel=0.05)
    counts = np.histogram(found.times, np.arange(0, 20_001) * 1e9)[0]
    assert counts.var() / counts.mean() > 20


def test_offline_sends_everything_at_the_start() -> None:
    assert schedule(0, 1, kind="offline", count=3).times.tolist() == [0, 0, 0]


def test_a_run_without_requests_is_refused() -> None:
    with pytest.raises(LoadError, match=r"no request would be sent in 1 s"):
        schedule(0, 1, kind="step", rates=[0])


def test_a_run_of_too_many_requests_is_refused() -> None:
    with pytest.raises(LoadError, match="at most 50000000"):
        schedule(0, 10, kind="poisson", rate=1e8)
