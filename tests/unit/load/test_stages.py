"""The parts of traced requests, also where steps run at the same time, and what none explains."""

from __future__ import annotations

from typing import Any

import pytest

from infergraph_clients.load.statistics import summarise
from infergraph_clients.load.statistics.stages import Parts, parts_of, summarise_stages

from .runs import configuration, records, run


def step(name: str, start: int, duration: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "model": name, "start_us": start, "duration_us": duration, **more}


def parts(trace: dict[str, Any], latency_ms: float = 20, delay_ms: float = 1) -> Parts:
    (found,) = parts_of(records([latency_ms], delay_ms=delay_ms), [(0, trace)])
    return found


def milliseconds(found: Parts) -> dict[str, float]:
    return {name: round(seconds * 1e3, 6) for name, seconds in found.seconds.items()}


def test_a_chain() -> None:
    first = step("a", 500, 4_000, queue_us=1_000, compute_us=2_500, batch_size=4)
    second = step("b", 5_000, 7_000, queue_us=0, compute_us=7_000, batch_size=1)
    found = parts({"duration_us": 12_500, "steps": [first, second]})
    assert milliseconds(found) == {
        "dispatch delay": 1,
        "network": 6.5,
        "a: queue": 1,
        "a: compute": 2.5,
        "a: hop": 0.5,
        "b: queue": 0,
        "b: compute": 7,
        "b: hop": 0,
        "router": 1.5,
    }
    assert found.batch_sizes == {"a": 4, "b": 1}
    assert found.excess == pytest.approx(0, abs=1e-9)


def test_steps_at_the_same_time_divide_it() -> None:
    # Alone 0-2, together 2-6, alone 6-8 ms.
    both = [step("a", 0, 6_000, compute_us=3_000), step("b", 2_000, 6_000, compute_us=6_000)]
    found = parts({"duration_us": 8_000, "steps": both})
    assert milliseconds(found) == {
        "dispatch delay": 1,
        "network": 11,
        "a: queue": 0,
        "a: compute": 2,
        "a: hop": 2,
        "b: queue": 0,
        "b: compute": 4,
        "b: hop": 0,
        "router": 0,
    }
    assert found.excess == pytest.approx(0, abs=1e-9)


def test_a_step_that_ran_for_each_item_is_one_part() -> None:
    twice = [step("a", 0, 2_000, compute_us=2_000), step("a", 2_000, 3_000, compute_us=3_000)]
    found = parts({"duration_us": 5_000, "steps": twice})
    assert milliseconds(found)["a: compute"] == 5


def test_a_single_model() -> None:
    found = parts({"model": "m", "queue_us": 2_000, "compute_us": 3_000, "batch_size": 2})
    assert milliseconds(found) == {
        "dispatch delay": 1,
        "network": 14,
        "m: queue": 2,
        "m: compute": 3,
        "m: hop": 0,
    }


def test_a_trace_that_claims_too_much_contradicts_the_clock() -> None:
    found = parts({"duration_us": 30_000, "steps": [step("a", 0, 30_000)]})
    assert found.excess == pytest.approx(11 / 20)
    assert summarise_stages([found]).contradicted == 1


def test_what_no_clock_measured_is_unexplained() -> None:
    # Of 20 ms: 1 of delay, 1 in the queue, 7 computed. 0.5 around the model, 1.5 in the pipeline
    # beside its step and 9 outside of the server are differences of clocks.
    first = step("a", 500, 8_500, queue_us=1_000, compute_us=7_000)
    found = summarise_stages([parts({"duration_us": 10_000, "steps": [first]})])
    assert found.mean_ms["a: hop"] == pytest.approx(0.5)
    assert found.mean_ms["router"] == pytest.approx(1.5)
    assert found.mean_ms["network"] == pytest.approx(9)
    assert found.unexplained == pytest.approx(11 / 20)
    assert found.contradicted == 0


def test_what_is_no_trace_of_ours_is_left_out() -> None:
    assert parts_of(records([5]), [(0, {"spans": []}), (7, {"duration_us": 1, "steps": []})]) == []


@pytest.mark.parametrize("size", [None, "8", 2.5, [1]])
def test_a_batch_size_that_is_none_is_left_out(size: object) -> None:
    step_ = step("a", 0, 2_000, compute_us=2_000, batch_size=size)
    found = summarise_stages([parts({"duration_us": 2_000, "steps": [step_]})])
    assert (found.traced, found.batch_size) == (1, {})
    assert found.mean_ms["a: compute"] == pytest.approx(2)


@pytest.mark.parametrize("count", [99, 200])
def test_percentiles_are_those_of_thresholds(count: int) -> None:
    traces = [(i, {"queue_us": 0, "compute_us": 100 * i * i}) for i in range(count)]
    settings = configuration(trace=1, thresholds=["p50{model: compute}<1", "p99{model: compute}<1"])
    found = summarise(run(records([10_000.0] * count), settings, traces=traces))
    p50, p99 = (each.value for each in found.thresholds[:2])
    assert found.stages.p50_ms["model: compute"] == p50
    # Of fewer than 100, one that is beyond is none.
    assert found.stages.p99_ms["model: compute"] == (None if count < 100 else p99)


def test_means_add_up_to_the_mean_latency() -> None:
    traces = [
        (i, {"duration_us": 1_000 * i, "steps": [step("a", 0, 500 * i, compute_us=400 * i)]})
        for i in range(1, 10)
    ]
    table = records([20.0 + i for i in range(10)], delay_ms=0.5)
    found = summarise_stages(parts_of(table, traces))
    assert found.traced == 9
    assert found.contradicted == 0
    assert sum(found.mean_ms.values()) == pytest.approx(25.0)
    assert found.mean_ms["a: compute"] == pytest.approx(2.0)
