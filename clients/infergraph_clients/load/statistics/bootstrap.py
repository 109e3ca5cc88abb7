"""Confidence intervals for the ratio of two runs, by a bootstrap of blocks of time.

Latencies of neighbouring requests depend on each other (they share a queue), so single requests
cannot be drawn independently: blocks of consecutive requests are (Kunsch, 1989).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Statistic = Callable[[npt.NDArray[Any]], float]


@dataclass(frozen=True)
class Interval:
    """A ratio b / a, and the interval that holds it with the asked confidence."""

    ratio: float
    low: float
    high: float


def ratio_interval(
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    statistic: Statistic,
    *,
    resamples: int,
    confidence: float,
    generator: np.random.Generator,
) -> Interval:
    """The ratio of a statistic of two series in the order of time, and its interval.

    Args:
        a, b: Values, at least one each.
        statistic: Of a series.
        resamples: How many times both series are drawn anew.
        confidence: For example 0.95; the interval is that of the percentiles.
        generator: Draws the blocks.
    """
    ratios = np.array(
        [
            _divided(statistic(_redrawn(b, generator)), statistic(_redrawn(a, generator)))
            for _ in range(resamples)
        ]
    )
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(ratios, [tail, 100 - tail], method="nearest")
    return Interval(_divided(statistic(b), statistic(a)), float(low), float(high))


def _redrawn(values: npt.NDArray[Any], generator: np.random.Generator) -> npt.NDArray[Any]:
    count = len(values)
    # The cube root of the length is the order that minimises the error; no less than a block that
    # spans a short burst.
    length = min(count, max(round(count ** (1 / 3)), 10))
    blocks = -(-count // length)
    starts = generator.integers(0, count - length + 1, blocks)
    drawn: npt.NDArray[Any] = values[(starts[:, None] + np.arange(length)).ravel()[:count]]
    return drawn


def _divided(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return 1.0 if numerator == 0 else float("inf")
    return numerator / denominator
