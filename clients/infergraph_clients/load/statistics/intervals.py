"""Confidence intervals of means, percentiles and shares of requests that share a queue.

Neighbouring latencies depend on each other: at 90% load, a queue of one server remembers hundreds
of requests. So a series is cut into equal batches of time order, and the error of its mean follows
from the batches' spread and from how far each resembles the next (an autoregressive process of
first order, its coefficient corrected for the bias of short series: Kendall, 1954). The same gives
the number of independent batches that the series is worth; with few, no interval can be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

_BATCHES = 64
FEWEST = 16
"""Independent batches: with fewer, an interval that is narrow may be so by luck."""
_MOST_ALIKE = 0.95
_MORE = 4
"""Pairs that are counted beside those that differ, as Agresti and Coull do."""


@dataclass(frozen=True)
class Error:
    """Of a mean.

    Attributes:
        standard: The standard error.
        independent: How many independent batches the series is worth, at most 64.
    """

    standard: float
    independent: float


@dataclass(frozen=True)
class Interval:
    """How two series differ, with the interval that holds the truth with the asked confidence.

    Attributes:
        a, b: Of each series, what is compared.
        value, low, high: `high` is infinite where the series is too short to bound it.
        standard_error: Half the interval's width over the quantile of Student's t; for a ratio, of
            its logarithm.
        independent: See `Error`; of two series the smaller.
    """

    a: float
    b: float
    value: float
    low: float
    high: float
    standard_error: float
    independent: float


def error_of_mean(values: npt.NDArray[Any]) -> Error:
    """The error of the mean of a series in the order of time; infinite for fewer than 8 values."""
    batches = min(_BATCHES, len(values) // 4)
    if batches < 2:
        return Error(math.inf, 0.0)
    length = len(values) // batches
    means = np.asarray(values[: batches * length], np.float64).reshape(batches, length).mean(axis=1)
    centred = means - means.mean()
    variance = float((centred**2).sum()) / (batches - 1)
    if variance == 0:
        return Error(0.0, float(batches))
    alike = float((centred[1:] * centred[:-1]).sum()) / ((batches - 1) * variance)
    alike = min(max(alike + (1 + 3 * alike) / batches, 0.0), _MOST_ALIKE)
    inflation = (1 + alike) / (1 - alike)
    return Error(math.sqrt(variance * inflation / batches), batches / inflation)


def student(confidence: float, degrees: float) -> float:
    """The two-sided quantile of Student's t (Cornish and Fisher's expansion)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n = max(degrees, 2.0)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def ratio_of_means(
    a: npt.NDArray[Any], b: npt.NDArray[Any], confidence: float, *, paired: bool
) -> Interval:
    """mean(b) / mean(a) of two series in the order of time.

    Args:
        a, b: Positive values.
        confidence: For example 0.95.
        paired: Whether a[i] and b[i] are answers to the same request of the same schedule, so that
            what they have in common cancels out.
    """
    means = float(a.mean()), float(b.mean())
    if paired:
        # The ratio's error is that of the mean of what it leaves unexplained.
        error = error_of_mean(b - means[1] / means[0] * a)
        standard, independent = error.standard / means[1], error.independent
    else:
        errors = [error_of_mean(values) for values in (a, b)]
        standard = math.hypot(*(e.standard / mean for e, mean in zip(errors, means, strict=True)))
        independent = min(error.independent for error in errors)
    half = student(confidence, independent - 1) * standard
    ratio = means[1] / means[0]
    low, high = ratio * math.exp(-half), ratio * _exp(half)
    return Interval(*means, ratio, low, high, standard, independent)


def ratio_of_percentiles(
    a: npt.NDArray[Any], b: npt.NDArray[Any], q: float, confidence: float, *, paired: bool
) -> Interval:
    """The ratio of the percentiles `q`; otherwise as `ratio_of_means`.

    The error of the share below a percentile is turned into one of the percentile by the measured
    distribution itself, which assumes no shape. Series that less than one value of lies beyond the
    percentile tell nothing of it: the interval is without bounds.
    """
    ordered = np.sort(a), np.sort(b)
    values = [float(each[_place(len(each), q / 100)]) for each in ordered]
    beyond_q = min(len(a), len(b)) * (1 - q / 100)
    if round(beyond_q, 9) < 1:
        ratio = values[1] / values[0]
        return Interval(values[0], values[1], ratio, 0.0, math.inf, math.inf, beyond_q)
    below = [(each <= value).astype(np.float64) for each, value in zip((a, b), values, strict=True)]
    if paired:
        error = error_of_mean(below[1] - below[0])
        # The same few requests may be the slowest of both by luck, and would tell no error.
        least = math.sqrt(np.count_nonzero(below[1] != below[0]) + _MORE) / len(a)
        errors = [replace(error, standard=max(error.standard, least))]
    else:
        errors = list(map(error_of_mean, below))
    independent = min(error.independent for error in errors)
    times = student(confidence, independent - 1)
    lows, highs = [], []
    paired_with = -len(errors)
    for each, value, error in zip(ordered[paired_with:], values[paired_with:], errors, strict=True):
        low, high = (q / 100 + sign * times * error.standard for sign in (-1, 1))
        lows.append(math.log(value / each[_place(len(each), low)]) if low > 0 else math.inf)
        beyond = high >= 1 and error.standard > 0
        highs.append(math.inf if beyond else math.log(each[_place(len(each), high)] / value))
    ratio = values[1] / values[0]
    # What lowers the ratio is a smaller b or a larger a (Zou and Donner's MOVER).
    down = math.hypot(lows[-1], *highs[:-1])
    up = math.hypot(highs[-1], *lows[:-1])
    finite = [side for side in (down, up) if math.isfinite(side)]
    standard = max(finite) / times if finite else math.inf
    low, high = ratio * math.exp(-down), ratio * _exp(up)
    return Interval(values[0], values[1], ratio, low, high, standard, independent)


def error_of_share(
    flags: npt.NDArray[np.bool_], like: npt.NDArray[np.bool_] | None = None
) -> Error:
    """The error of the share of flags that are set, in the order of time.

    Flags that are all alike tell no error, so one more of each kind is counted (Agresti and Caffo),
    among as many as are worth independent ones.

    Args:
        flags: Whose share it is.
        like: Flags that change more often, and resemble their neighbours as much: where few of
            `flags` differ, these tell how many independent ones they are worth.
    """
    error, worth = error_of_mean(flags), float(len(flags))
    for series in (flags,) if like is None else (flags, like):
        share, found = float(series.mean()), error_of_mean(series)
        if found.independent and found.standard:
            worth = min(worth, share * (1 - share) / found.standard**2)
    share = (float(flags.mean()) * worth + 1) / (worth + 2)
    least = math.sqrt(share * (1 - share) / (worth + 2))
    if not error.independent:
        return Error(least, float(len(flags)))
    return Error(max(error.standard, least), error.independent)


def difference_of_shares(
    a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], confidence: float
) -> Interval:
    """share(b) - share(a) of two series of flags in the order of time."""
    errors = [error_of_share(flags) for flags in (a, b)]
    standard = math.hypot(*(error.standard for error in errors))
    independent = min(error.independent for error in errors)
    shares = float(a.mean()), float(b.mean())
    value = shares[1] - shares[0]
    half = student(confidence, independent - 1) * standard
    return Interval(*shares, value, value - half, value + half, standard, independent)


def _place(count: int, share: float) -> int:
    return min(max(math.ceil(round(count * share, 9)) - 1, 0), count - 1)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
