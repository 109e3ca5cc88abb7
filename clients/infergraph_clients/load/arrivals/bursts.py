"""Bursts: the random rate of a Markov-modulated Poisson process of two states."""

from __future__ import annotations

import numpy as np

from .profile import RateProfile
from .specification import Bursts


def burst_profile(bursts: Bursts, duration: float, generator: np.random.Generator) -> RateProfile:
    """One path of the two states. The first state is drawn by its share of the time."""
    durations = (bursts.calm_s, bursts.burst_s)
    state = int(generator.random() < bursts.burst_s / sum(durations))
    ends: list[float] = []
    rates: list[float] = []
    end = 0.0
    while end < duration:
        end += float(generator.exponential(durations[state]))
        ends.append(min(end, duration))
        rates.append((bursts.rate, bursts.burst_rate)[state])
        state = 1 - state
    return RateProfile.steps(rates, ends)
