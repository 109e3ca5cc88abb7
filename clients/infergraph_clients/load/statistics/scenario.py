"""What MLPerf's inference scenarios are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrivals.specification import MultiStream, Offline, Server, SingleStream
from ..configuration import RunConfiguration
from ..outcome import Outcome
from .distribution import percentile


@dataclass(frozen=True)
class ScenarioResult:
    """The scenario's metric.

    Attributes:
        scenario: Its name.
        metric: What is measured, in words.
        value: Of the metric; None if a query that decides it failed, or there was none.
        unit: ms or 1/s.
    """

    scenario: str
    metric: str
    value: float | None
    unit: str


def judge_scenario(
    configuration: RunConfiguration, measured: npt.NDArray[Any], seconds: float
) -> ScenarioResult | None:
    """The metric; None if the arrivals are none of MLPerf's scenarios.

    Args:
        configuration: Of the run.
        measured: Its measured records.
        seconds: From the start to the last answer.
    """
    arrivals = configuration.arrivals
    latency = (measured["end_ns"] - measured["intended_ns"]).astype(np.float64)
    latency[measured["outcome"] != Outcome.OK] = np.inf
    if isinstance(arrivals, Offline):
        right = int((measured["outcome"] == Outcome.OK).sum())
        value = right / seconds if seconds > 0 else None
        return ScenarioResult("offline", "samples per second", value, "1/s")
    if isinstance(arrivals, SingleStream):
        return ScenarioResult("single-stream", "90th percentile latency", _tail(latency, 90), "ms")
    if isinstance(arrivals, Server):
        return ScenarioResult("server", "99th percentile latency", _tail(latency, 99), "ms")
    if isinstance(arrivals, MultiStream):
        queries = measured["index"] // arrivals.samples_per_query
        _, place = np.unique(queries, return_inverse=True)
        slowest = np.zeros(int(place.max()) + 1 if len(place) else 0)
        np.maximum.at(slowest, place, latency)
        value = _tail(slowest, 99)
        return ScenarioResult("multi-stream", "99th percentile latency of queries", value, "ms")
    return None


def _tail(latency: npt.NDArray[np.float64], q: float) -> float | None:
    if not len(latency):
        return None
    value = percentile(np.sort(latency), q)
    return value if np.isfinite(value) else None
