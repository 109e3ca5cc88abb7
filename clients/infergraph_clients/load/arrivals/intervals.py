"""Distances between arrivals: gamma-distributed with mean 1 and a chosen coefficient of variation.

A coefficient of variation of 0 is a constant distance, of 1 the exponential distribution of a
Poisson process. InferLine's workloads (https://arxiv.org/abs/1812.01776) are gamma with CV 1 and 4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_CHUNK = 65_536


def unit_intervals(
    cv: float, count: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """`count` distances with mean 1 and coefficient of variation `cv`."""
    if cv == 0:
        return np.ones(count)
    if cv == 1:
        return generator.exponential(1.0, count)
    shape = 1 / cv**2
    return generator.gamma(shape, 1 / shape, count)


def unit_arrivals(
    cv: float, until: float, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Arrivals of mean rate 1 in [0, until), ascending.

    Regular arrivals (cv 0) start at 0, random ones one distance after it.
    """
    if cv == 0:
        return np.arange(np.ceil(until), dtype=np.float64)
    parts, end = [], 0.0
    while end < until:
        part = end + np.cumsum(unit_intervals(cv, _CHUNK, generator))
        end = float(part[-1])
        parts.append(part)
    if not parts:
        return np.empty(0)
    arrivals = np.concatenate(parts)
    return arrivals[: np.searchsorted(arrivals, until)]
