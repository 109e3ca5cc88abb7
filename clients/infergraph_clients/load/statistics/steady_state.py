"""Whether the latency was steady after the warm-up.

The measured requests are cut into windows of equal counts. The run is steady unless a Mann-Kendall
test finds a trend in the windows' median latencies that is also large enough to matter (Theil-Sen
slope), or a window has no right answer. MSER-5 (White, 1997) says how long the warm-up should at
least have been.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_WINDOWS = 20
_FEWEST_WINDOWS = 4
_FEWEST_PER_WINDOW = 10
_SIGNIFICANCE = 0.01
_LARGEST_DRIFT = 0.10
_BATCH = 5
_MOST_ALIKE = 0.6
"""A queue that grows also leaves neighbours alike; more would hide it."""


@dataclass(frozen=True)
class SteadyState:
    """The verdict.

    Attributes:
        steady: None where it cannot be asked: too few requests, or a load that changes by plan.
        reason: In words.
        drift: The change of the median latency over the measured time, as a share of the median.
        p_value: Of the trend test.
        suggested_warmup_s: By MSER-5; None if the latency had settled nowhere in the first half.
    """

    steady: bool | None
    reason: str
    drift: float | None = None
    p_value: float | None = None
    suggested_warmup_s: float | None = None

    @property
    def rising(self) -> bool:
        """Whether the latency rose, as it does while a queue grows."""
        return self.steady is False and (self.drift or 0.0) > 0


def judge(
    times_ns: npt.NDArray[Any],
    latencies_ns: npt.NDArray[Any],
    right: npt.NDArray[np.bool_],
    warmup_s: float,
    stationary: bool,
) -> SteadyState:
    """The verdict on all requests, those of the warm-up too.

    Args:
        times_ns: Their intended times after the start, ascending.
        latencies_ns: Their latencies.
        right: Which were answered well.
        warmup_s: When the measured time begins.
        stationary: Whether the load is meant to stay the same.
    """
    if not stationary:
        return SteadyState(None, "the load changes by plan")
    measured = np.flatnonzero(times_ns >= warmup_s * 1e9)
    windows = min(_WINDOWS, len(measured) // _FEWEST_PER_WINDOW)
    if windows < _FEWEST_WINDOWS:
        return SteadyState(None, f"too few requests to tell ({len(measured)})")
    # Equal counts of requests, and not of seconds, in which bursty arrivals may have none.
    medians = np.empty(windows)
    for place, window in enumerate(np.array_split(measured, windows)):
        answered = window[right[window]]
        if not len(answered):
            start, end = (times_ns[window[i]] / 1e9 for i in (0, -1))
            return SteadyState(
                False,
                f"none of the {len(window)} requests from {start:.2f} to {end:.2f} s was "
                "answered well",
            )
        medians[place] = np.median(latencies_ns[answered])
    p_value = mann_kendall(medians)
    drift = theil_sen(medians) * (windows - 1) / float(np.median(medians))
    suggestion = suggested_warmup(times_ns[right], latencies_ns[right])
    if p_value < _SIGNIFICANCE and abs(drift) > _LARGEST_DRIFT:
        direction = "rose" if drift > 0 else "fell"
        reason = f"the median latency {direction} by {abs(drift):.0%} (p = {p_value:.2g})"
        return SteadyState(False, reason, drift, p_value, suggestion)
    return SteadyState(True, "no trend in the latency", drift, p_value, suggestion)


def mann_kendall(values: npt.NDArray[np.float64]) -> float:
    """The two-sided p-value of no monotonic trend (normal approximation, without ties).

    Neighbours that share a queue resemble each other without any trend, so the variance grows with
    how far what the trend leaves resembles its neighbour (as Hamed and Rao do, 1998, for lag 1).
    """
    n = len(values)
    score = int(np.triu(np.sign(values[None, :] - values[:, None]), 1).sum())
    left = values - theil_sen(values) * np.arange(n)
    left = left - left.mean()
    square = float((left**2).sum())
    alike = float((left[1:] * left[:-1]).sum()) / square if square > 0 else 0.0
    alike = min(max(alike, 0.0), _MOST_ALIKE)
    variance = n * (n - 1) * (2 * n + 5) / 18 * (1 + alike) / (1 - alike)
    z = (abs(score) - 1) / math.sqrt(variance) if score else 0.0
    return math.erfc(max(z, 0.0) / math.sqrt(2))


def theil_sen(values: npt.NDArray[np.float64]) -> float:
    """The median slope between all pairs, per step."""
    i, j = np.triu_indices(len(values), 1)
    return float(np.median((values[j] - values[i]) / (j - i)))


def suggested_warmup(times_ns: npt.NDArray[Any], latencies_ns: npt.NDArray[Any]) -> float | None:
    """Seconds after which, by MSER-5, the start no longer shows in the latency."""
    batches = len(latencies_ns) // _BATCH
    if batches < 20:
        return None
    means = latencies_ns[: batches * _BATCH].reshape(batches, _BATCH).mean(axis=1)
    # The squared standard error of what is left after d batches, for all d: sums from the end.
    left = np.arange(batches, 0, -1)
    centred = means - means.mean()
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    errors = (squares - sums**2 / left) / left.astype(np.float64) ** 2
    half = batches // 2
    best = int(np.argmin(errors[:half]))
    if best == half - 1:
        return None
    return float(times_ns[best * _BATCH]) / 1e9 if best else 0.0
