"""`Distribution`, the mean and percentiles of a time, and HdrHistograms of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

_LOWEST_US, _HIGHEST_US, _DIGITS = 1, 3_600_000_000, 3
"""Of histograms: from a microsecond to an hour, to a thousandth."""


@dataclass(frozen=True)
class Distribution:
    """Milliseconds, but for `count`. Percentiles are values that were measured (nearest rank).

    A percentile that less than one measured value lies beyond is None: 0.1% of 500 is none.
    """

    count: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, nanoseconds: npt.NDArray[Any]) -> Distribution:
        """Of times in nanoseconds."""
        count = len(nanoseconds)
        if not count:
            return cls(0)
        ordered = np.sort(nanoseconds)
        p50, p90, p95, p99, p999 = (
            percentile(ordered, q) if q == 50 or count * (100 - q) >= 99.99 else None
            for q in (50, 90, 95, 99, 99.9)
        )
        mean, largest = float(ordered.mean()) / 1e6, float(ordered[-1]) / 1e6
        return cls(count, mean, p50, p90, p95, p99, p999, largest)


def rank(count: int, q: float) -> int:
    """How many of `count` values are within the nearest-rank percentile `q`, at least 1."""
    # 1000 * 99.9 / 100 is a little over 999 in floating point.
    return max(math.ceil(round(count * q / 100, 9)), 1)


def percentile(ordered: npt.NDArray[Any], q: float) -> float:
    """The nearest-rank percentile of ascending nanoseconds, in milliseconds."""
    return float(ordered[rank(len(ordered), q) - 1]) / 1e6


def new_histogram() -> HdrHistogram:
    """An empty HdrHistogram of microseconds; those of several processes add up exactly."""
    return HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)


def record(histogram: HdrHistogram, nanoseconds: npt.NDArray[np.int64]) -> None:
    """Adds times. Values beyond the range count as its ends."""
    microseconds = np.clip(nanoseconds // 1000, _LOWEST_US, _HIGHEST_US)
    values, counts = np.unique(microseconds, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)


def encoded_histogram(nanoseconds: npt.NDArray[np.int64]) -> str:
    """The compressed V2 form that HdrHistogram's tools of all languages read, as base64."""
    histogram = new_histogram()
    record(histogram, nanoseconds)
    data = histogram.encode()
    return data.decode() if isinstance(data, bytes) else str(data)
