"""`Distribution`: the mean and percentiles of a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Distribution:
    """Milliseconds, but for `count`. Percentiles are values that were measured (nearest rank).

    A percentile that less than one measured value lies beyond is None: 0.1% of 500 is none.
    """

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None

    @classmethod
    def of(cls, nanoseconds: npt.NDArray[Any]) -> Distribution:
        """Of times in nanoseconds."""
        count = len(nanoseconds)
        if not count:
            return cls(0, None, None, None, None, None, None, None)
        ordered = np.sort(nanoseconds)
        p50, p90, p95, p99, p999 = (
            percentile(ordered, q) if q == 50 or count * (100 - q) >= 99.99 else None
            for q in (50, 90, 95, 99, 99.9)
        )
        return cls(
            count, float(ordered.mean()) / 1e6, p50, p90, p95, p99, p999, float(ordered[-1]) / 1e6
        )


def percentile(ordered: npt.NDArray[Any], q: float) -> float:
    """The nearest-rank percentile of ascending nanoseconds, in milliseconds."""
    rank = int(np.ceil(round(len(ordered) * q / 100, 9)))
    return float(ordered[max(rank, 1) - 1]) / 1e6
