"""HdrHistograms of latency: those of several processes add up exactly, as percentiles do not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
"""From a microsecond to an hour, to a thousandth."""


def new_histogram() -> HdrHistogram:
    """An empty one, of microseconds."""
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)


def record(histogram: HdrHistogram, nanoseconds: npt.NDArray[np.int64]) -> None:
    """Adds times. Values beyond the range count as its ends."""
    microseconds = np.clip(nanoseconds // 1000, LOWEST_US, HIGHEST_US)
    values, counts = np.unique(microseconds, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)


def merged(histograms: Iterable[HdrHistogram]) -> HdrHistogram:
    """Their sum."""
    total = new_histogram()
    for histogram in histograms:
        total.add(histogram)
    return total


def encoded(histogram: HdrHistogram) -> str:
    """The compressed V2 form that HdrHistogram's tools of all languages read, as base64."""
    data = histogram.encode()
    return data.decode() if isinstance(data, bytes) else str(data)
